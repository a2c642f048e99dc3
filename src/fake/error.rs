//! What a cluster refuses.

/// A refusal, as the cluster's API would answer it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{operation} of {object} was refused with {code} {reason}: {message}")]
pub struct FakeError {
    pub(super) operation: &'static str,
    pub(super) object: String,
    pub(super) code: u16,
    pub(super) reason: String,
    pub(super) message: String,
}

impl FakeError {
    /// The HTTP status code, such as 404.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The `reason` of the Status, such as `NotFound`.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The `message` of the Status.
    pub fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn invalid(operation: &'static str, message: impl Into<String>) -> Self {
        Self {
            operation,
            object: "an object".to_owned(),
            code: 400,
            reason: "BadRequest".to_owned(),
            message: message.into(),
        }
    }
}
