//! How a publication stands, for the log, metrics and the admin API.

use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use crate::model::{ContentHash, Problem};
use crate::sink::Written;

/// How a publication stands.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// What it does at this moment.
    pub phase: Phase,
    /// Whether the sink is to have something that it has not, as far as is known.
    pub is_behind: bool,
    /// The version of the newest snapshot that the sink has; `None` before the first.
    pub version: Option<u64>,
    /// The hash of that snapshot.
    pub hash: Option<ContentHash>,
    /// When it had it.
    pub at: Option<Instant>,
    /// Writes that succeeded, added up.
    pub written: Written,
    /// How many writes succeeded.
    pub writes: u64,
    /// How many writes failed.
    pub failures: u64,
    /// Why the last write failed; `None` once one succeeded.
    pub last_error: Option<Arc<str>>,
    /// Since when writes fail; `None` once one succeeded.
    pub failing_since: Option<Instant>,
    /// What the output cannot say of the newest snapshot that was rendered, sorted.
    pub problems: Arc<[Problem]>,
}

/// What a publication does at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// It waits for the first snapshot.
    #[default]
    Waiting,
    /// Another replica leads, or none does; it does not write.
    Standby,
    /// It renders or writes.
    Writing,
    /// The sink has the newest snapshot.
    Current,
    /// The last write failed, and it is tried again.
    Failing,
    /// The last write failed for a reason that stays until somebody acts; it is tried again, less often.
    Refused,
    /// It has ended.
    Ended,
}

impl Phase {
    /// A word for it, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Standby => "standby",
            Self::Writing => "writing",
            Self::Current => "current",
            Self::Failing => "failing",
            Self::Refused => "refused",
            Self::Ended => "ended",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
