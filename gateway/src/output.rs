//! Outputs: how a snapshot reads to one kind of consumer.
//!
//! An output is pure: it makes bytes from snapshots, in a stable order, so that the same content gives the same bytes.
//! Where they go is a [`sink`](crate::sink)'s business. What an output has no way to say is a problem that it reports,
//! never left out in silence.

pub mod backends;
pub mod envoy;
pub mod escape;
pub mod haproxy;
pub mod json;
pub mod nginx;
pub mod prometheus;
pub mod traefik;
pub mod wire;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use crate::model::{Cluster, Problem, ProblemKind, SessionAffinity, Snapshot, Subject};

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
    pub problems: Arc<[Problem]>,
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

impl File {
    /// A file of text.
    fn text(path: &'static str, media_type: &'static str, text: String) -> Self {
        Self {
            path: path.into(),
            bytes: text.into(),
            media_type,
        }
    }
}

impl Rendering {
    /// These files are all that there is to be.
    fn whole(files: Vec<File>, mut problems: Vec<Problem>) -> Self {
        problems.sort();
        Self {
            is_whole: true,
            files,
            removed: Vec::new(),
            problems: problems.into(),
        }
    }
}

/// What becomes of affinity to client addresses where there is nothing but a hash.
fn hashed(affinity: SessionAffinity) -> String {
    let SessionAffinity::ClientIp { timeout } = affinity;
    format!(
        "a client keeps its endpoint by a hash of its address, not for {} s: some move when endpoints come or go",
        timeout.as_secs()
    )
}

/// What an output cannot say about a cluster, and what it does instead.
fn inexpressible(output: &'static str, cluster: &Cluster, what: impl Into<Box<str>>) -> Problem {
    Problem {
        kind: ProblemKind::Inexpressible {
            output,
            what: what.into(),
        },
        subject: Subject::cluster(&cluster.name),
        port: None,
    }
}

/// A value as one line of JSON.
fn json(value: &impl Serialize) -> String {
    // What is rendered here has string keys only and no serializer that fails.
    let mut text = serde_json::to_string(value).unwrap_or_default();
    text.push('\n');
    text
}

/// A string in the quotes of JSON, which YAML reads as the same string.
fn quoted(text: &str) -> String {
    let mut quoted = serde_json::Value::from(text).to_string();
    // YAML does not let them stand, even in quotes, or takes them for breaks.
    let must_be_escaped = |letter: char| {
        matches!(
            letter,
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        )
    };
    while let Some(letter) = quoted.chars().find(|letter| must_be_escaped(*letter)) {
        quoted = quoted.replace(letter, &format!("\\u{:04x}", u32::from(letter)));
    }
    quoted
}

/// Why an output's options cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {what}")]
pub struct ConfigError {
    field: &'static str,
    what: String,
}

impl ConfigError {
    fn new(field: &'static str, what: impl Into<String>) -> Self {
        Self {
            field,
            what: what.into(),
        }
    }

    /// The option's name, with dots for those within others.
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// What is wrong with it.
    pub fn reason(&self) -> &str {
        &self.what
    }
}
