//! What the configurations of sinks have in common.

use std::fmt;
use std::time::Duration;

use crate::config::duration;

/// How long one attempt to write may take: 60 seconds. The first write of thousands of files takes a while; what was
/// written when it is over stays, and the next attempt goes on from there. Each step of it has to take less.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a configuration cannot work: the field, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct ConfigError {
    field: &'static str,
    reason: String,
}

impl ConfigError {
    pub(crate) fn new(field: &'static str, reason: impl fmt::Display) -> Self {
        Self {
            field,
            reason: reason.to_string(),
        }
    }

    /// Refuses a step that may take as long as the whole write, which would always be given up before it.
    ///
    /// # Errors
    /// When it may, naming the field.
    pub(crate) fn refuse_long_step(field: &'static str, timeout: Duration) -> Result<(), Self> {
        if timeout < WRITE_TIMEOUT {
            return Ok(());
        }
        let bound = duration::print(WRITE_TIMEOUT);
        let reason =
            format!("it must be less than {bound}, after which the whole write is given up");
        Err(Self::new(field, reason))
    }

    /// As [`refuse_long_step`](Self::refuse_long_step), for two steps one after the other.
    ///
    /// # Errors
    /// When they may, naming the first one's field.
    pub(crate) fn refuse_long_steps(
        field: &'static str,
        other: &'static str,
        both: Duration,
    ) -> Result<(), Self> {
        if both < WRITE_TIMEOUT {
            return Ok(());
        }
        let bound = duration::print(WRITE_TIMEOUT);
        let reason = format!(
            "with `{other}` it must be less than {bound}, after which the whole write is given up"
        );
        Err(Self::new(field, reason))
    }

    /// The field, as it is spelled in the configuration.
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// What is wrong with it.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}
