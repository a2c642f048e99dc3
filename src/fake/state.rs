//! Everything that one cluster knows, behind one lock.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::clock::{self, Clock};
use super::fault::Faults;
use super::meta;
use super::rbac::User;
use super::registry::Registry;
use super::serve::TlsIdentity;
use super::store::Store;

/// How many requests are remembered; older ones are only counted.
const REQUESTS_KEPT: usize = 100_000;

/// A request that the cluster saw, refused and failed ones included.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestRecord {
    /// The HTTP method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query as sent, percent-encoded; empty if there is none.
    pub query: String,
    /// Who asked; `system:anonymous` without a token.
    pub user: String,
    /// What was asked: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; the lower-case
    /// method for paths that are no resource's.
    pub verb: String,
    /// When, counted from the cluster's start on tokio's clock.
    pub at: Duration,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) store: Store,
    pub(super) registry: Registry,
    pub(super) random: fastrand::Rng,
    pub(super) clock: Clock,
    pub(super) faults: Faults,
    pub(super) requests: VecDeque<RequestRecord>,
    pub(super) request_count: u64,
    /// Unknown resources appear with their first object.
    pub(super) lenient: bool,
    /// How many service addresses and node ports were given out.
    pub(super) addresses: u32,
    /// Counts restarts: a watch of an earlier one ends.
    pub(super) epoch: u64,
    /// The revision that the list now being answered is taken from instead of the present one.
    pub(super) stale: Option<u64>,
}

/// The namespaces that every cluster has.
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

impl State {
    /// Makes the namespaces of a new cluster; past all checks, because clusters are made by the thousand.
    pub(super) fn found_namespaces(&mut self) {
        let now = self.clock.text();
        for name in NAMESPACES {
            let object = json!({
                "metadata": {
                    "name": name,
                    "uid": clock::uid(&mut self.random),
                    "creationTimestamp": now,
                    "labels": {"kubernetes.io/metadata.name": name},
                },
                "spec": {"finalizers": ["kubernetes"]},
                "status": {"phase": "Active"},
            });
            if let Value::Object(object) = object {
                self.store.put(&meta::namespaces(), name, object);
            }
        }
    }

    pub(super) fn record(&mut self, request: RequestRecord) {
        self.request_count += 1;
        if self.requests.len() == REQUESTS_KEPT {
            self.requests.pop_front();
        }
        self.requests.push_back(request);
    }

    /// The revision a list is answered at: the present one, unless a fault makes this answer stale.
    pub(super) fn stale_revision(&mut self, current: u64) -> u64 {
        let oldest = self.store.compacted;
        self.stale
            .take()
            .map_or(current, |stale| stale.clamp(oldest.min(current), current))
    }
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    /// Bearer tokens.
    pub(super) tokens: Mutex<HashMap<String, User>>,
    /// Made when the cluster is first served.
    pub(super) tls: Mutex<Option<TlsIdentity>>,
    /// Wakes every watch when the server restarts.
    pub(super) restarted: Notify,
}
