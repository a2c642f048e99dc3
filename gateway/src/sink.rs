//! Sinks: where rendered files go.
//!
//! A sink writes what it is given and knows nothing of clusters. A write that fails leaves each file either as it was
//! or as it is to be, and may be repeated; when and how often is decided by the
//! [`publication`](crate::publication) that owns the sink.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::model::ContentHash;
use crate::output::Rendering;

pub(crate) mod blocking;
mod config;
pub mod directory;
mod permit;
#[cfg(feature = "s3")]
pub mod s3;
pub mod stdout;

pub use config::{ConfigError, WRITE_TIMEOUT};
pub use permit::{Fencing, Permit};

/// A place to write to.
#[async_trait]
pub trait Sink: fmt::Debug + Send {
    /// What it is and where, in a few words for people, without secrets, such as `directory /etc/traefik/dynamic`.
    fn describe(&self) -> String;

    /// Makes what is rendered stand. A whole rendering is held against what really stands there; for one that is not
    /// whole, what this sink wrote before is taken to stand.
    ///
    /// The permit is asked right before each step that others can see.
    ///
    /// # Errors
    /// When some of it does not, or may not, stand. What was written stays, and the call may be repeated.
    ///
    /// # Cancel safety
    /// Each file is as it was or as it is to be. Work that goes on past the drop begins no further file, and the next
    /// write waits for its end.
    async fn write(&mut self, write: Write) -> Result<Written, SinkError>;

    /// Lets go of what keeps others from writing, since it is another replica's turn. The next write takes it again.
    ///
    /// # Cancel safety
    /// Safe.
    async fn release(&mut self) {}
}

/// What is to be written, and by which right.
#[derive(Clone, Debug)]
pub struct Write {
    /// The files.
    pub rendering: Arc<Rendering>,
    /// Of which snapshot they are.
    pub snapshot: ContentHash,
    /// The right to write.
    pub permit: Permit,
}

impl Write {
    /// A write that needs nobody's leave, of files that stand for no snapshot in particular.
    pub fn unfenced(rendering: Rendering) -> Self {
        Self {
            rendering: Arc::new(rendering),
            snapshot: ContentHash::default(),
            permit: Permit::unfenced(),
        }
    }
}

/// What a write came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Files written.
    pub files: usize,
    /// Bytes in them.
    pub bytes: u64,
    /// Files that had their content already.
    pub unchanged: usize,
    /// Files removed.
    pub removed: usize,
}

impl Written {
    /// Whether there is something that was not there before, or the reverse.
    pub fn is_change(&self) -> bool {
        self.files > 0 || self.removed > 0
    }

    /// Adds up.
    pub(crate) fn add(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.unchanged += other.unchanged;
        self.removed += other.removed;
    }
}

/// Why a write failed.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct SinkError {
    what: String,
    is_lasting: bool,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl SinkError {
    /// A failure that may pass, such as an unreachable server: what was done to what, and why it failed.
    pub fn passing(
        what: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            what: what.into(),
            is_lasting: false,
            source: Some(source.into()),
        }
    }

    /// A failure that may pass, for want of time: what was not done within which.
    pub(crate) fn late(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            is_lasting: false,
            source: None,
        }
    }

    /// A refusal, which stays until somebody acts: what is refused, why, and what to do.
    pub fn refusal(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            is_lasting: true,
            source: None,
        }
    }

    /// A failure that stays until somebody acts, such as missing permissions. It is retried all the same, less often.
    #[must_use]
    pub fn lasting(self) -> Self {
        Self {
            is_lasting: true,
            ..self
        }
    }

    /// Whether somebody has to act.
    pub fn is_lasting(&self) -> bool {
        self.is_lasting
    }

    /// It and its causes in one line, less what was said already.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// An error and its causes in one line, less what was said already.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        next = error.source();
    }
    text
}
