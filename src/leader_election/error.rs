//! What can be wrong with a campaign.

/// A configuration that cannot work, found without asking a server.
#[derive(Clone, Debug, thiserror::Error)]
#[error("leader election on lease {lease:?}: invalid {field}: {reason}")]
pub struct ConfigError {
    lease: String,
    field: &'static str,
    reason: String,
}

impl ConfigError {
    pub(super) fn new(lease: &str, field: &'static str, reason: impl Into<String>) -> Self {
        Self {
            lease: lease.to_owned(),
            field,
            reason: reason.into(),
        }
    }

    /// The name of the setting that is wrong, such as `renew_deadline`.
    pub fn field(&self) -> &str {
        self.field
    }

    /// What is wrong with it.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// The elector has ended, so that what was waited for will not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the leader election has ended")]
pub struct Ended;

/// Why [`LeaderElector::run`](super::LeaderElector::run) has no result.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The work panicked. The lease was given up.
    #[error("the leader's work panicked")]
    Panicked,
}
