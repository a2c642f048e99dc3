//! Server-side apply.

use crate::fake::decode::Document;
use crate::fake::query::WriteOptions;
use crate::fake::rest::{Answer, Call};
use crate::fake::status::ApiError;

pub(in crate::fake) fn run(
    _call: &mut Call<'_>,
    _document: Document,
    _options: &WriteOptions,
) -> Result<Answer, ApiError> {
    Err(ApiError::method_not_allowed())
}
