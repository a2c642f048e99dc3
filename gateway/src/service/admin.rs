//! The admin API: what is configured, what is published, what is wrong; and `POST /reload`.
//!
//! Answers are JSON; an error is `{"error": "..."}`. It asks nobody who they are. So that no web page in a browser on the
//! same machine gets at it, requests must name it by an address or as `localhost`, and a POST must not come from a page.

mod reload;
#[cfg(feature = "xds")]
mod xds;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use serde_json::{Value, json};

use crate::engine::Connection;
use crate::http::Http;
use crate::model::{Cluster, Problem, ResolveError};
use crate::publish::Published;

use super::shared::Shared;

/// What can be asked for.
const PATHS: [&str; 7] = [
    "GET /config",
    "GET /status",
    "GET /snapshot",
    "GET /clusters",
    "GET /clusters/{name}",
    "GET /problems",
    "POST /reload",
];

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route(
            "/",
            get(|| async { answer(StatusCode::OK, &json!({"paths": PATHS})) }),
        )
        .route("/config", get(config))
        .route("/status", get(status))
        .route("/snapshot", get(snapshot))
        .route("/clusters", get(clusters))
        .route("/clusters/{*name}", get(cluster))
        .route("/problems", get(problems))
        .route("/reload", post(reload::reload))
        .fallback(|| async {
            error(
                StatusCode::NOT_FOUND,
                "there is nothing here; GET / tells what there is",
            )
        })
        .method_not_allowed_fallback(|| async {
            error(
                StatusCode::METHOD_NOT_ALLOWED,
                "not by this method; GET / tells how",
            )
        })
        .layer(middleware::from_fn(guard))
        .with_state(shared)
}

/// An answer in JSON, ended by a line break, for those who read it in a terminal.
fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec_pretty(body) {
        Ok(mut text) => {
            text.push(b'\n');
            (status, [(CONTENT_TYPE, "application/json")], text).into_response()
        }
        Err(failed) => error(StatusCode::INTERNAL_SERVER_ERROR, &failed.to_string()),
    }
}

fn error(status: StatusCode, text: &str) -> Response {
    let body = json!({"error": text}).to_string() + "\n";
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

/// Refuses what a web page makes a browser send: under a name that leads here by a trick, or as a POST.
async fn guard(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = headers.get(HOST).map(|host| {
        let authority = host.to_str().ok()?.parse::<Authority>().ok()?;
        let name = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']');
        (name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()).then_some(())
    });
    if host == Some(None) {
        return error(
            StatusCode::FORBIDDEN,
            "name this API by an IP address or as localhost",
        );
    }
    if !request.method().is_safe() && headers.contains_key(ORIGIN) {
        return error(StatusCode::FORBIDDEN, "this is not for web pages");
    }
    next.run(request).await
}

async fn config(State(shared): State<Arc<Shared>>) -> Response {
    let state = shared.configuration.borrow().clone();
    let warnings: Vec<String> = state
        .running
        .warnings
        .iter()
        .map(ToString::to_string)
        .collect();
    let body = json!({
        "file": shared.file.display().to_string(),
        "config": state.running.effective(),
        "warnings": warnings,
        "reloads": {
            "succeeded": state.status.succeeded,
            "failed": state.status.failed,
            "error": state.status.error.as_deref(),
            "needs_restart": state.status.needs_restart,
        },
    });
    answer(StatusCode::OK, &body)
}

async fn status(State(shared): State<Arc<Shared>>) -> Response {
    let view = shared.view();
    let engine = &view.engine;
    let (connection, reason) = match &engine.connection {
        Connection::Connecting => ("connecting", None),
        Connection::Connected => ("connected", None),
        Connection::Disconnected { reason, .. } => ("disconnected", Some(reason)),
        Connection::Stopped => ("stopped", None),
    };
    let publications: Vec<Value> = view
        .publications
        .iter()
        .map(|(name, status)| {
            json!({
                "name": &**name,
                "phase": status.phase.as_str(),
                "version": status.version,
                "last_success_seconds": status.at.map(|at| at.elapsed().as_secs_f64()),
                "writes": status.writes,
                "failures": status.failures,
                "last_error": status.last_error.as_deref(),
                "problems": status.problems.len(),
            })
        })
        .collect();
    let snapshot = view.published.as_ref().map(|published| {
        json!({
            "version": published.snapshot.version(),
            "hash": published.snapshot.hash(),
            "age_seconds": published.at.elapsed().as_secs_f64(),
            "totals": published.snapshot.totals(),
        })
    });
    #[cfg(feature = "xds")]
    let xds = view.xds.as_ref().map(xds::status);
    #[cfg(not(feature = "xds"))]
    let xds: Option<Value> = None;
    let body = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "ready": engine.synced,
        "connection": connection,
        "reason": reason.map(|reason| &**reason),
        "held": engine.held,
        "switching": engine.switching,
        "switching_waits_for": engine.switching_waits_for.as_deref(),
        "leader": shared.elector.as_ref().map(|elector| json!({
            "leads": elector.is_leading(),
            "identity": elector.identity(),
            "leader": elector.leader().as_deref(),
            "last_error": elector.last_error().map(|error| error.to_string()),
        })),
        "snapshot": snapshot,
        "publications": publications,
        "http": shared.http.as_ref().map(Http::address),
        "xds": xds,
    });
    answer(StatusCode::OK, &body)
}

/// What is published, or why nothing is.
#[expect(clippy::result_large_err)] // it is the answer
fn published(shared: &Shared) -> Result<Arc<Published>, Response> {
    shared.snapshots.newest().ok_or_else(|| {
        let text = "nothing is published yet: not everything that exists is known; see /readyz";
        error(StatusCode::SERVICE_UNAVAILABLE, text)
    })
}

async fn snapshot(State(shared): State<Arc<Shared>>) -> Result<Response, Response> {
    let published = published(&shared)?;
    Ok(answer(StatusCode::OK, &published.snapshot))
}

async fn clusters(State(shared): State<Arc<Shared>>) -> Result<Response, Response> {
    let published = published(&shared)?;
    let names: Vec<&str> = published
        .snapshot
        .clusters()
        .map(|cluster| &*cluster.name)
        .collect();
    Ok(answer(StatusCode::OK, &json!({"clusters": names})))
}

/// One cluster, by its name or by a reference to it.
async fn cluster(
    State(shared): State<Arc<Shared>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Response> {
    let Path(name) =
        name.map_err(|rejection| error(StatusCode::BAD_REQUEST, &rejection.body_text()))?;
    let published = published(&shared)?;
    let cluster = published.snapshot.resolve(&name).map_err(|failed| {
        let status = match &failed {
            ResolveError::NotFound { .. } => StatusCode::NOT_FOUND,
            ResolveError::Ambiguous { .. } => StatusCode::CONFLICT,
            _ => StatusCode::BAD_REQUEST,
        };
        error(status, &failed.to_string())
    })?;
    #[derive(Serialize)]
    struct Body<'a> {
        #[serde(flatten)]
        cluster: &'a Cluster,
        hash: Option<String>,
    }
    let hash = published.snapshot.cluster_hash(&cluster.name);
    Ok(answer(
        StatusCode::OK,
        &Body {
            cluster,
            hash: hash.map(|hash| hash.to_string()),
        },
    ))
}

async fn problems(State(shared): State<Arc<Shared>>) -> Response {
    let view = shared.view();
    let told = |problem: &Problem| json!({"problem": problem.to_string(), "explanation": problem.explanation()});
    let of_snapshot: Vec<Value> = view
        .published
        .iter()
        .flat_map(|published| published.snapshot.problems())
        .map(told)
        .collect();
    let of_publications: Vec<Value> = view
        .publications
        .iter()
        .map(|(name, status)| {
            let problems: Vec<Value> = status.problems.iter().map(told).collect();
            json!({"publication": &**name, "problems": problems})
        })
        .collect();
    let documents = match &shared.http {
        Some(http) => http.problems().await,
        None => Vec::new(),
    };
    let of_documents: Vec<Value> = documents
        .into_iter()
        .map(|(path, problems)| {
            let problems: Vec<Value> = problems.iter().map(told).collect();
            json!({"document": path, "problems": problems})
        })
        .collect();
    #[cfg(feature = "xds")]
    let of_xds: Vec<Value> = view
        .xds
        .iter()
        .flat_map(|xds| xds.problems.iter())
        .map(told)
        .collect();
    #[cfg(not(feature = "xds"))]
    let of_xds: Vec<Value> = Vec::new();
    let body = json!({
        "snapshot": of_snapshot,
        "publications": of_publications,
        "http": of_documents,
        "xds": of_xds,
    });
    answer(StatusCode::OK, &body)
}
