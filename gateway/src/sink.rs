//! Sinks: where rendered files go.
//!
//! A sink writes what it is given and knows nothing of clusters. A write that fails leaves each file either as it was
//! or as it is to be, and may be repeated; when and how often is decided by the
//! [`publication`](crate::publication) that owns the sink.

use std::error::Error;
use std::fmt;

use async_trait::async_trait;

use crate::output::Rendering;

/// A place to write to.
#[async_trait]
pub trait Sink: fmt::Debug + Send {
    /// What it is and where, in a few words for people, without secrets, such as `directory /etc/traefik/dynamic`.
    fn describe(&self) -> String;

    /// Makes what is rendered stand.
    ///
    /// # Errors
    /// When some of it does not, or may not, stand. What was written stays, and the call may be repeated.
    ///
    /// # Cancel safety
    /// Each file is as it was or as it is to be.
    async fn write(&mut self, rendering: &Rendering) -> Result<Written, SinkError>;
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
}
