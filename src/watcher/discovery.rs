//! Finds out the kind and the scope of what is watched, and whether it can be watched at all.

use super::error::Problem;
use super::reflector::Target;
use crate::client::{ApiResource, Client};

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
