//! Subresources: `status` and `finalize` are views of the object, `scale` is an object of its own.

use super::{Answer, Call};
use crate::fake::scale;
use crate::fake::status::ApiError;

impl Call<'_> {
    pub(super) fn subresource(&mut self) -> Result<Answer, ApiError> {
        let verb = self.info.verb.as_str();
        match self.info.subresource.as_str() {
            "status" | "finalize" | "resize" | "ephemeralcontainers" | "approval" => match verb {
                "get" => self.get(),
                "update" => self.update(),
                "patch" => self.patch(),
                _ => Err(ApiError::method_not_allowed()),
            },
            "scale" => scale::run(self),
            _ => Err(ApiError::method_not_allowed()),
        }
    }
}
