//! Kind, scope and verbs of a resource, as the server says, and what comes near when it has none.
//!
//! One request fetches the list of a whole group version; all of it is remembered, so that a thousand resources of one
//! group cost one request. What the server lacks is never remembered.

use std::collections::{HashMap, HashSet};

use parking_lot::RwLock;
use serde::Deserialize;

use super::error::ClientError;
use super::near::Offer;
use super::{Client, path};
use crate::resource::{Gvr, is_dns_label};

/// What a server says of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiResource {
    /// The name it is asked for by.
    pub gvr: Gvr,
    /// The kind of its objects, such as `Pod`.
    pub kind: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// What can be done with it: `get`, `list`, `watch` and so on.
    pub verbs: Vec<String>,
}

impl ApiResource {
    /// Whether the server offers a verb for it. Whether this client may use it is another question.
    pub fn supports(&self, verb: &str) -> bool {
        self.verbs.iter().any(|own| own == verb)
    }

    /// Checks that a namespace, or none, makes sense for it. None is every namespace of a namespaced resource.
    ///
    /// # Errors
    /// A namespace for a cluster-scoped resource, or one that is no namespace's name (an empty one included).
    pub fn check_namespace(&self, namespace: Option<&str>) -> Result<(), ClientError> {
        let gvr = &self.gvr;
        match namespace {
            Some(namespace) if !self.namespaced => Err(ClientError::scope(
                gvr,
                format!(
                    "{gvr} is cluster-scoped: its objects have no namespace, so that {namespace:?} matches nothing; leave the namespace out"
                ),
            )),
            Some(namespace) if !is_dns_label(namespace) => Err(ClientError::scope(
                gvr,
                format!("{namespace:?} is not the name of a namespace"),
            )),
            _ => Ok(()),
        }
    }
}

/// What was discovered so far.
#[derive(Default)]
pub(super) struct Catalogue {
    resources: RwLock<HashMap<Gvr, ApiResource>>,
    /// What the server refuses streaming lists of.
    no_streaming: RwLock<HashSet<Gvr>>,
}

impl Catalogue {
    fn get(&self, gvr: &Gvr) -> Option<ApiResource> {
        self.resources.read().get(gvr).cloned()
    }

    pub(super) fn forget(&self, gvr: &Gvr) {
        self.resources.write().remove(gvr);
        self.no_streaming.write().remove(gvr);
    }

    pub(super) fn note_streaming_refused(&self, gvr: &Gvr) {
        self.no_streaming.write().insert(gvr.clone());
    }

    pub(super) fn is_streaming_refused(&self, gvr: &Gvr) -> bool {
        self.no_streaming.read().contains(gvr)
    }
}

/// The APIResourceList of one group version. Whatever else the server adds is ignored.
#[derive(Deserialize)]
struct ResourceList {
    #[serde(default)]
    resources: Vec<ListedResource>,
}

#[derive(Deserialize)]
struct ListedResource {
    name: String,
    kind: String,
    #[serde(default)]
    namespaced: bool,
    #[serde(default)]
    verbs: Vec<String>,
}

/// Asks the server, unless it was asked before.
pub(super) async fn served(
    client: &Client,
    catalogue: &Catalogue,
    gvr: &Gvr,
) -> Result<Option<ApiResource>, ClientError> {
    gvr.validate()
        .map_err(|error| ClientError::invalid("resolve", &error))?;
    if let Some(resource) = catalogue.get(gvr) {
        return Ok(Some(resource));
    }
    let list: ResourceList = match client.get_json(&path::group_version_path(gvr)).await {
        Ok(list) => list,
        Err(error) if error.is_api_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut found = None;
    let mut resources = catalogue.resources.write();
    for listed in list.resources {
        if listed.name.contains('/') {
            continue; // a subresource
        }
        let resource = ApiResource {
            gvr: Gvr::new(gvr.group(), gvr.version(), listed.name),
            kind: listed.kind,
            namespaced: listed.namespaced,
            verbs: listed.verbs,
        };
        if resource.gvr == *gvr {
            found = Some(resource.clone());
        }
        resources.insert(resource.gvr.clone(), resource);
    }
    Ok(found)
}

/// Aggregated discovery, for servers since 1.26, or the older one.
const OFFER: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// The error for a resource that the server lacks, with what comes near it as far as the server tells.
pub(super) async fn not_served(client: &Client, gvr: &Gvr) -> ClientError {
    let mut offer = Offer::default();
    for path in ["/apis", "/api"] {
        if let Ok(more) = client.get_as(path, OFFER).await {
            offer.extend(more);
        }
    }
    ClientError::not_served(gvr, offer.hint(gvr))
}
