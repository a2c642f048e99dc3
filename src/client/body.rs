//! Reading bodies of unknown size.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use kube::client::Body;

use super::error::ClientError;

/// Reads a whole body of at most `limit` bytes after decompression.
///
/// # Errors
/// The body is larger, or the connection ends before the body does.
///
/// # Cancel safety
/// Dropping the future drops the body, and with it the connection.
pub(crate) async fn read_body(
    operation: &str,
    body: Body,
    limit: usize,
) -> Result<Bytes, ClientError> {
    let (bytes, whole) = read_prefix(operation, body, limit).await?;
    if whole {
        Ok(bytes)
    } else {
        Err(ClientError::too_large(operation, limit))
    }
}

/// Reads a body up to `limit` bytes, and says whether that was all of it.
pub(super) async fn read_prefix(
    operation: &str,
    mut body: Body,
    limit: usize,
) -> Result<(Bytes, bool), ClientError> {
    let mut first = Bytes::new();
    let mut gathered = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ClientError::from_kube(operation, None, &error))?;
        let Ok(mut data) = frame.into_data() else {
            continue; // trailers
        };
        let room = limit - gathered.len() - first.len();
        let whole = data.len() <= room;
        data.truncate(room);
        // The usual answer is one frame, which needs no copy.
        if gathered.is_empty() && first.is_empty() {
            first = data;
        } else {
            gathered.extend_from_slice(&std::mem::take(&mut first));
            gathered.extend_from_slice(&data);
        }
        if !whole {
            return Ok((join(first, gathered), false));
        }
    }
    Ok((join(first, gathered), true))
}

fn join(first: Bytes, gathered: BytesMut) -> Bytes {
    if gathered.is_empty() {
        first
    } else {
        gathered.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_over_the_limit_is_an_error_and_one_at_the_limit_is_not() {
        let body = || Body::from(vec![b'x'; 10]);
        assert_eq!(read_body("GET /x", body(), 10).await.unwrap().len(), 10);
        let error = read_body("GET /x", body(), 9).await.unwrap_err();
        assert!(error.to_string().contains("more than 9 bytes"), "{error}");
        let (prefix, whole) = read_prefix("GET /x", body(), 4).await.unwrap();
        assert_eq!((prefix.len(), whole), (4, false));
    }
}
