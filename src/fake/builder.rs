//! How a cluster is made.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::FakeCluster;
use super::clock::Clock;
use super::fault::Faults;
use super::rbac::User;
use super::registry::Registry;
use super::server::{FakeService, Identity};
use super::state::{Shared, State};
use super::store::Store;

/// The seed of a cluster that was given none.
const DEFAULT_SEED: u64 = 0x6b_7562_6564_6578;

/// How a [`FakeCluster`] is made.
#[derive(Clone, Debug)]
pub struct FakeClusterBuilder {
    seed: u64,
    revision: u64,
    real_time: bool,
    strict: bool,
}

impl Default for FakeClusterBuilder {
    fn default() -> Self {
        Self {
            seed: DEFAULT_SEED,
            revision: 1,
            real_time: false,
            strict: false,
        }
    }
}

impl FakeClusterBuilder {
    /// Seeds UIDs, generated names and fault probabilities.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The revision that the cluster starts with, before it makes its namespaces. At least 1.
    #[must_use]
    pub fn revision(mut self, revision: u64) -> Self {
        self.revision = revision.max(1);
        self
    }

    /// Timestamps start at the present date instead of 2026-01-01; they still move with tokio's time.
    #[must_use]
    pub fn real_time(mut self) -> Self {
        self.real_time = true;
        self
    }

    /// Serves only built-in resources, those registered and those with a CRD. Otherwise an unknown resource appears
    /// with its first object.
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Makes the cluster.
    pub fn build(self) -> FakeCluster {
        let state = State {
            store: Store::new(self.revision),
            registry: Registry::default(),
            random: fastrand::Rng::with_seed(self.seed),
            clock: if self.real_time {
                Clock::real_time()
            } else {
                Clock::virtual_time()
            },
            faults: Faults::default(),
            requests: VecDeque::new(),
            request_count: 0,
            lenient: !self.strict,
            addresses: 0,
            epoch: 0,
            stale: None,
        };
        let cluster = FakeCluster {
            service: FakeService {
                shared: Arc::new(Shared {
                    state: Mutex::new(state),
                    tokens: Mutex::new(HashMap::new()),
                    tls: Mutex::new(None),
                    restarted: Notify::new(),
                }),
                identity: Identity::User(User::admin()),
            },
        };
        cluster.state().found_namespaces();
        cluster
    }
}
