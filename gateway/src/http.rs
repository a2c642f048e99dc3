//! Snapshots over HTTP: `/snapshot`, and documents such as `/traefik` and `/prometheus`, for consumers that ask.
//!
//! A document is rendered once for each snapshot, when somebody asks, and shared by all who do. Its strong ETag stands
//! for its bytes, so that who asks again with `If-None-Match` gets 304 until it differs. Before the first snapshot the
//! answer is 503. Connections are bounded in number and in time; nothing is read from a request but its head.

mod document;
mod etag;
mod server;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::model::Problem;
use crate::output::Output;
use crate::publish::Snapshots;
use document::{Document, SnapshotJson};

pub use server::{Limits, serve};

/// The path of the snapshot itself.
pub const SNAPSHOT: &str = "/snapshot";

/// How many connections there may be at once: 256. Those that come meanwhile wait to be accepted.
pub const MAX_CONNECTIONS: usize = 256;

/// How long shutdown waits for answers that are under way: 5 seconds.
pub const DRAIN: Duration = Duration::from_secs(5);

/// Where to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// The address and port to listen on.
    pub listen: SocketAddr,
    /// How many connections there may be at once; [`MAX_CONNECTIONS`] by default.
    #[serde(default = "max_connections")]
    pub max_connections: usize,
}

fn max_connections() -> usize {
    MAX_CONNECTIONS
}

impl HttpConfig {
    /// Serves there.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            max_connections: MAX_CONNECTIONS,
        }
    }
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The address cannot be had.
    #[error("http.listen: cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Two documents have the same path, or one is no path.
    #[error("http: {path:?} cannot be served: {reason}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// A running server.
///
/// # Shutdown
/// [`Http::shutdown`] lets answers that are under way come to their end and joins everything. Dropping it ends all
/// connections at once.
pub struct Http {
    address: SocketAddr,
    documents: Vec<Arc<Document>>,
    stop: CancellationToken,
    /// Taken by the shutdown that joins it; others wait at the lock.
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
    abort: tokio::task::AbortHandle,
}

impl Http {
    /// Serves the newest snapshot at [`SNAPSHOT`], and each of the outputs at its path: the first file that it renders.
    ///
    /// # Errors
    /// When the address cannot be had, or a path is none or is used twice.
    ///
    /// # Cancel safety
    /// Nothing is served.
    pub async fn start(
        config: HttpConfig,
        snapshots: Snapshots,
        outputs: Vec<(String, Box<dyn Output>)>,
    ) -> Result<Self, HttpError> {
        let mut documents = vec![Arc::new(Document::new(
            SNAPSHOT.to_owned(),
            Box::new(SnapshotJson),
            snapshots.clone(),
        ))];
        for (path, output) in outputs {
            let wrong = |path: String, reason| HttpError::Path { path, reason };
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte);
            if !path.starts_with('/') || path.len() < 2 || !path.bytes().all(is_plain) {
                return Err(wrong(path, "write a path such as /traefik"));
            }
            if documents.iter().any(|document| document.path() == path) {
                return Err(wrong(path, "the path is used already"));
            }
            documents.push(Arc::new(Document::new(path, output, snapshots.clone())));
        }
        let mut router = Router::new();
        for document in &documents {
            let handler = get(answer).with_state(Arc::clone(document));
            router = router.route(document.path(), handler);
        }
        let failed = |source| HttpError::Listen {
            address: config.listen,
            source,
        };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let limits = Limits {
            connections: config.max_connections.max(1),
            ..Limits::default()
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, router, limits, stop.clone()));
        Ok(Self {
            address,
            documents,
            stop,
            abort: task.abort_handle(),
            task: tokio::sync::Mutex::new(Some(task)),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the outputs cannot say of the newest snapshot, by path.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn problems(&self) -> Vec<(&str, Arc<[Problem]>)> {
        let mut problems = Vec::new();
        for document in self.documents.iter() {
            // One that cannot be rendered is told by its own path; the last one's problems stand.
            let _ = document.newest().await;
            problems.push((document.path(), document.problems()));
        }
        problems
    }

    /// Stops to listen, lets answers come to their end, for [`DRAIN`] at the most, and joins. May be called again.
    ///
    /// # Cancel safety
    /// The shutdown goes on if the future is dropped; it is just not waited for.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        let mut task = self.task.lock().await;
        if let Some(running) = task.as_mut() {
            if let Err(error) = running.await
                && error.is_panic()
            {
                tracing::error!(address = %self.address, "the HTTP server panicked");
            }
            *task = None;
        }
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Answers a request for a document.
async fn answer(State(document): State<Arc<Document>>, headers: HeaderMap) -> Response {
    let page = match document.newest().await {
        Ok(Some(page)) => page,
        Ok(None) => {
            let retry = [(RETRY_AFTER, "1"), (CACHE_CONTROL, "no-store")];
            let text = "nothing is published yet\n";
            return (StatusCode::SERVICE_UNAVAILABLE, retry, text).into_response();
        }
        Err(error) => {
            tracing::error!(path = document.path(), %error, "a document is not rendered");
            let text = "the document cannot be rendered\n";
            return (StatusCode::INTERNAL_SERVER_ERROR, text).into_response();
        }
    };
    let known = headers.get_all(IF_NONE_MATCH);
    let is_known = etag::matches(
        known.iter().map(HeaderValue::as_bytes),
        page.etag.as_bytes(),
    );
    let mut response = match is_known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => page.bytes.clone().into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(ETAG, page.etag.clone());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if !is_known {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(page.media_type));
    }
    response
}
