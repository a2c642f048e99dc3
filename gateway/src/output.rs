//! Outputs: how a snapshot reads to one kind of consumer.
//!
//! An output is pure: it makes bytes from snapshots, in a stable order, so that the same content gives the same bytes.
//! Where they go is a [`sink`](crate::sink)'s business. What an output has no way to say is a problem that it reports,
//! never left out in silence.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::model::{Problem, Snapshot};

pub mod envoy;

/// Renders snapshots for one kind of consumer.
pub trait Output: fmt::Debug + Send {
    /// The format's name, as in the configuration, such as `traefik`.
    fn format(&self) -> &'static str;

    /// Renders what differs between what stands for `last` and what is to stand for `snapshot`. Without `last`
    /// nothing is known to stand, and everything is rendered.
    ///
    /// An output that consists of one document renders it whole each time; one that has a file for each cluster renders
    /// those that changed. Called again with the same arguments it gives the same.
    fn render(&mut self, snapshot: &Snapshot, last: Option<&Snapshot>) -> Rendering;
}

/// What is to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendering {
    /// Whether `files` are all that is to stand; else those that are not named stay as they are.
    pub is_whole: bool,
    /// New and changed files, in the order in which they are to appear.
    pub files: Vec<File>,
    /// The paths of files that are to go, after the others are written.
    pub removed: Vec<Arc<str>>,
    /// What the output cannot say, for the whole snapshot, sorted.
    pub problems: Vec<Problem>,
}

/// One file, or one object in a store.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Where it stands below the sink's root: relative, with `/` between its parts, none of them empty, `.` or `..`.
    pub path: Arc<str>,
    /// What is in it.
    pub bytes: Bytes,
    /// Its media type, such as `application/json`.
    pub media_type: &'static str,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.path, self.bytes.len())
    }
}
