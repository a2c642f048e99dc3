//! Finds out the kind and the scope of what is watched, and whether it can be watched at all.

use super::error::{Problem, WatchError};
use super::reflector::{Backoff, Target, renew_credentials};
use super::status::StatusCell;
use crate::client::{ApiResource, Client, ClientError};

/// Finds out the kind of the resource that the targets share, and that they can be watched, for as long as it takes.
pub(super) async fn discover(
    client: &Client,
    targets: &[Target],
    wait: bool,
    status: &StatusCell,
    random: &mut fastrand::Rng,
) -> String {
    let mut backoff = Backoff::default();
    loop {
        let problem = match resolve_all(client, targets, wait).await {
            Ok(kind) => return kind,
            Err(problem) => problem,
        };
        let retry_after = problem.client_error().and_then(ClientError::retry_after);
        if let Some(error) = problem.client_error() {
            renew_credentials(client, error, status).await;
        }
        // One state of the whole watcher: told once, in the first scope.
        status.failed(0, &WatchError::new(status.watcher(), "discovery", problem));
        tokio::time::sleep(backoff.fail(random.f64(), retry_after)).await;
    }
}

async fn resolve_all(client: &Client, targets: &[Target], wait: bool) -> Result<String, Problem> {
    let mut kind = String::new();
    for target in targets {
        kind = resolve(client, target, wait).await?.kind;
    }
    Ok(kind)
}

/// Asks the server about a target's resource, unless that is known. `wait`: the server may not serve it yet.
pub(super) async fn resolve(
    client: &Client,
    target: &Target,
    wait: bool,
) -> Result<ApiResource, Problem> {
    let resource = if wait {
        client
            .served(&target.gvr)
            .await?
            .ok_or(Problem::NotYetServed)?
    } else {
        client.resolve(&target.gvr).await?
    };
    let checked = match ["list", "watch"]
        .into_iter()
        .find(|verb| !resource.supports(verb))
    {
        Some(verb) => Err(Problem::NotWatchable(verb)),
        None if target.one_object && resource.namespaced && target.namespace.is_none() => {
            Err(Problem::NoNamespace)
        }
        None => resource
            .check_namespace(target.namespace.as_deref())
            .map_err(Problem::from),
    };
    match checked {
        Ok(()) => Ok(resource),
        Err(problem) => {
            // The resource may be defined anew by the time this is asked again.
            client.forget(&target.gvr);
            Err(problem)
        }
    }
}
