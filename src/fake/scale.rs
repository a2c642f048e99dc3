//! The `scale` subresource.

use super::rest::{Answer, Call};
use super::status::ApiError;

pub(super) fn run(_call: &mut Call<'_>) -> Result<Answer, ApiError> {
    Err(ApiError::method_not_allowed())
}
