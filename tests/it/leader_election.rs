//! Leader election on the fake cluster, under paused time; the names tell the rules.

mod acquiring;
mod configuration;
mod link;
mod losing;
mod measured;
mod rival;
mod running;
mod sharing;
mod stopping;
mod watching;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use kubedex::fake::FakeCluster;
use kubedex::leader_election::{Clock, LeaderElectionConfig, LeaderElector, TokioClock};
use kubedex::{Client, Gvr};
use parking_lot::Mutex;
use serde_json::{Value, json};

use link::Link;

const SECOND: Duration = Duration::from_secs(1);

fn leases() -> Gvr {
    Gvr::new("coordination.k8s.io", "v1", "leases")
}

/// The Lease as it is stored.
fn lease(cluster: &FakeCluster) -> Value {
    let lease = cluster.get(&leases(), Some("default"), "leader");
    lease.expect("there is a Lease").to_value()
}

fn holder(cluster: &FakeCluster) -> String {
    let lease = lease(cluster);
    let holder = lease["spec"]["holderIdentity"].as_str();
    holder.unwrap_or_default().to_owned()
}

/// Changes the stored Lease by hand.
fn edit(cluster: &FakeCluster, change: impl FnOnce(&mut Value)) {
    let mut lease = lease(cluster);
    change(&mut lease);
    cluster.update(lease).unwrap();
}

/// A Lease of somebody else.
fn foreign(holder: &str, seconds: i64) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "leader", "namespace": "default"},
        "spec": {
            "holderIdentity": holder, "leaseDurationSeconds": seconds, "leaseTransitions": 7,
            "acquireTime": "2024-01-02T03:04:05.000006Z", "renewTime": "2024-01-02T03:04:05.000006Z"
        }
    })
}

fn config(identity: &str) -> LeaderElectionConfig {
    LeaderElectionConfig::new("leader")
        .namespace("default")
        .identity(identity)
        .clock(TokioClock::new())
        .seed(fastrand::Rng::with_seed(identity.len() as u64).u64(..))
}

fn start(cluster: &FakeCluster, config: LeaderElectionConfig) -> LeaderElector {
    LeaderElector::start(&Client::from_kube(cluster.client()), config).unwrap()
}

fn start_over(link: &Link, config: LeaderElectionConfig) -> LeaderElector {
    LeaderElector::start(&link.client(), config).unwrap()
}

/// Lets virtual time pass, with everything that happens in it.
async fn pass(span: Duration) {
    tokio::time::sleep(span).await;
}

/// A clock that a test can move, as a suspended system does: timers stand still meanwhile.
#[derive(Clone)]
struct MovedClock {
    tokio: TokioClock,
    ahead: Arc<AtomicI64>,
}

impl MovedClock {
    fn new() -> Self {
        Self {
            tokio: TokioClock::new(),
            ahead: Arc::default(),
        }
    }

    fn jump(&self, span: Duration) {
        let millis = i64::try_from(span.as_millis()).unwrap();
        self.ahead.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for MovedClock {
    fn now(&self) -> Duration {
        let ahead = self.ahead.load(Ordering::SeqCst);
        self.tokio.now() + Duration::from_millis(ahead.unsigned_abs())
    }
}

/// A clock that runs at another rate and shows another time.
struct SkewedClock {
    tokio: TokioClock,
    rate: f64,
    offset: Duration,
}

impl SkewedClock {
    fn new(rate: f64, offset: Duration) -> Self {
        Self {
            tokio: TokioClock::new(),
            rate,
            offset,
        }
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> Duration {
        self.offset + self.tokio.now().mul_f64(self.rate)
    }

    fn timer(&self, span: Duration) -> Duration {
        span.div_f64(self.rate)
    }
}

/// What happened, in order.
#[derive(Clone, Default)]
struct Journal(Arc<Mutex<Vec<String>>>);

impl Journal {
    fn note(&self, line: impl Into<String>) {
        self.0.lock().push(line.into());
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().clone()
    }

    /// What happened since it was last asked.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}
