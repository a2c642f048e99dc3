//! `POST /reload`: read the configuration again, list everything again, and say how both went.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use kubedex::watcher::RelistError;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{answer, error};
use crate::engine::Status;
use crate::service::reload::Outcome;
use crate::service::shared::Shared;

/// How long the one who asks waits for the list: 30 seconds. It goes on after that.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn reload(State(shared): State<Arc<Shared>>) -> Response {
    let (sender, outcome) = oneshot::channel();
    if shared.reloads.try_send(sender).is_err() {
        let text = if shared.is_stopping() {
            "the service stops"
        } else {
            "several reloads are going on already; try again"
        };
        return error(StatusCode::SERVICE_UNAVAILABLE, text);
    }
    let Ok(outcome) = outcome.await else {
        return error(StatusCode::SERVICE_UNAVAILABLE, "the service stops");
    };
    let (config, refused) = match outcome {
        Outcome::Unchanged { needs_restart } => {
            let outcome = json!({"outcome": "unchanged", "needs_restart": needs_restart});
            (outcome, false)
        }
        Outcome::Applied { needs_restart } => {
            let outcome = json!({"outcome": "applied", "needs_restart": needs_restart});
            (outcome, false)
        }
        Outcome::Refused(lines) => (json!({"outcome": "refused", "faults": &*lines}), true),
    };
    let listed = async {
        shared.engine.relist().await?;
        let mut changes = shared.engine.status_changes();
        let is_settled =
            |status: &Status| !status.switching || status.switching_waits_for.is_some();
        // It fails when the engine ends, which the list would have told.
        let _ = changes.wait_for(is_settled).await;
        Ok::<(), RelistError>(())
    };
    let (list, late) = match timeout(PATIENCE, listed).await {
        Ok(Ok(())) => {
            let engine = shared.engine.status();
            if engine.switching {
                let reason = engine.switching_waits_for.as_deref();
                let text = format!(
                    "complete for what is published; what is configured now is not read yet: {}",
                    reason.unwrap_or("its watchers are not synced")
                );
                (list("late", &text), true)
            } else {
                (json!({"outcome": "complete"}), false)
            }
        }
        Ok(Err(failed)) => (list("failed", &failed.to_string()), true),
        Err(_) => {
            let text = format!("not complete after {PATIENCE:?}; it goes on");
            (list("late", &text), true)
        }
    };
    let status = match (refused, late) {
        (true, _) => StatusCode::UNPROCESSABLE_ENTITY,
        (_, true) => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::OK,
    };
    answer(status, &json!({"config": config, "list": list}))
}

fn list(outcome: &str, reason: &str) -> Value {
    json!({"outcome": outcome, "reason": reason})
}
