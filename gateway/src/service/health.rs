//! `/healthz`, `/readyz` and `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::metrics::{self, CLASSIC, OPEN_METRICS};
use super::shared::Shared;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(shared)
}

/// Whether the process does what it should; if not, a restart helps. An API server that is away is none of that.
async fn healthz(State(shared): State<Arc<Shared>>) -> (StatusCode, String) {
    match shared.unhealthy() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason + "\n"),
    }
}

/// Whether everything that existed at the start is known, and if not, what is missing.
async fn readyz(State(shared): State<Arc<Shared>>) -> (StatusCode, String) {
    if shared.is_stopping() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned());
    }
    if shared.engine.status().synced {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    let mut text = "not ready: not everything that exists is known\n".to_owned();
    if let Err(errors) = shared.engine.wait_for_sync(Duration::ZERO).await {
        for error in errors {
            text.push_str(&error.to_string());
            text.push('\n');
        }
    }
    (StatusCode::SERVICE_UNAVAILABLE, text)
}

async fn metrics(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let view = shared.view();
    let is_open = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|accept| accept.to_str().ok())
        .any(|accept| accept.contains("application/openmetrics-text"));
    let (media_type, text) = if is_open {
        (OPEN_METRICS, metrics::open_metrics(view))
    } else {
        (CLASSIC, metrics::classic(view))
    };
    ([(CONTENT_TYPE, media_type)], text).into_response()
}
