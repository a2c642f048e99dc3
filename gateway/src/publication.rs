//! A publication: one output written to one sink, kept up to date by a task of its own.
//!
//! A sink that fails or is slow holds up neither discovery nor other publications: what waits is the newest snapshot,
//! which takes the place of older ones that were not written.

use std::sync::Arc;

use tokio::time::Instant;

use crate::sink::Written;

/// How a publication stands.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// The version of the newest snapshot that the sink has; `None` before the first.
    pub version: Option<u64>,
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
}
