//! What Envoy must do, however it is told.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kubedex_gateway::model::{Cluster, Endpoint, Protocol, SessionAffinity, Snapshot, State};

use super::backend::{Backend, Load, get};
use super::process::Envoy;

pub(super) const API: &str = "k8s/shop/api:http";
const EMPTY: &str = "k8s/shop/empty:http";
const LATE: &str = "k8s/shop/late:http";
/// How often an endpoint is replaced by another.
const ROUNDS: usize = 8;

/// A cluster with these endpoints.
pub(super) fn cluster(name: &str, ready: &[SocketAddr], draining: &[SocketAddr]) -> Cluster {
    let endpoint = |address: &SocketAddr, state| Endpoint {
        address: address.ip(),
        port: address.port(),
        state,
        zone: None,
        node: None,
    };
    let ready = ready.iter().map(|address| endpoint(address, State::Ready));
    let draining = draining
        .iter()
        .map(|address| endpoint(address, State::Draining));
    Cluster {
        endpoints: ready.chain(draining).collect(),
        ..Cluster::new(name, Protocol::Tcp)
    }
}

/// What Envoy is told.
pub(super) struct Told<P> {
    snapshot: Snapshot,
    publish: P,
}

impl<P: FnMut(&Snapshot)> Told<P> {
    pub(super) fn new(publish: P) -> Self {
        Self {
            snapshot: Snapshot::default(),
            publish,
        }
    }

    pub(super) fn set(&mut self, clusters: Vec<Cluster>) {
        let mut edit = self.snapshot.edit();
        for cluster in clusters {
            edit.upsert(Arc::new(cluster));
        }
        self.publish(edit.finish());
    }

    fn remove(&mut self, name: &str) {
        let mut edit = self.snapshot.edit();
        edit.remove(name);
        self.publish(edit.finish());
    }

    fn publish(&mut self, next: Option<Snapshot>) {
        self.snapshot = next.expect("something differs");
        (self.publish)(&self.snapshot);
    }
}

async fn has(envoy: &Envoy, name: &str, endpoints: &[SocketAddr]) {
    let wanted: BTreeSet<_> = endpoints.iter().copied().collect();
    let what = format!("{name} has {endpoints:?}");
    envoy
        .until(&what, || async {
            (envoy.endpoints(name).await? == wanted).then_some(())
        })
        .await;
}

async fn answers(envoy: &Envoy, name: &str, status: u16) {
    let what = format!("{name} answers {status}");
    envoy
        .until(&what, || async {
            let (answered, _) = get(envoy.listener, "/", name).await.ok()?;
            (answered == status).then_some(())
        })
        .await;
}

/// Some more requests are answered.
async fn goes_on(envoy: &Envoy, load: &Load) {
    let enough = load.answered.load(Ordering::Relaxed) + 20;
    envoy
        .until("requests are answered", || async {
            (load.answered.load(Ordering::Relaxed) >= enough).then_some(())
        })
        .await;
}

/// Runs Envoy through everything. `told` has been told of nothing yet.
pub(super) async fn run<P: FnMut(&Snapshot)>(
    told: &mut Told<P>,
    start: impl AsyncFnOnce() -> Envoy,
) -> Envoy {
    let mut old = Backend::start().await;
    let stays = Backend::start().await;
    told.set(vec![
        cluster(API, &[old.address, stays.address], &[]),
        cluster(EMPTY, &[], &[]),
    ]);
    let running = start().await;
    let envoy = &running;
    has(envoy, API, &[old.address, stays.address]).await;
    answers(envoy, EMPTY, 503).await;
    answers(envoy, LATE, 503).await;

    // Endpoints come and go.
    let load = Load::start(envoy.listener, "/api");
    for round in 0..ROUNDS {
        let new = Backend::start().await;
        goes_on(envoy, &load).await;
        let (drains, gone): (&[_], _) = (&[old.address], &[]);
        let draining = if round % 2 == 0 { drains } else { gone };
        let ready = [stays.address, new.address];
        told.set(vec![cluster(API, &ready, draining)]);
        has(envoy, API, &ready).await;
        if round % 2 == 0 {
            told.set(vec![cluster(API, &ready, &[])]);
            has(envoy, API, &ready).await;
        }
        old.stop().await;
        old = new;
    }

    // Settings change, and with them all endpoints.
    let other = Backend::start().await;
    told.set(vec![Cluster {
        session_affinity: Some(SessionAffinity::ClientIp {
            timeout: Duration::from_secs(600),
        }),
        ..cluster(API, &[other.address], &[])
    }]);
    envoy
        .until("the policy changes", || async {
            (envoy.policy(API).await? == "RING_HASH").then_some(())
        })
        .await;
    has(envoy, API, &[other.address]).await;
    goes_on(envoy, &load).await;
    // Settings alone.
    told.set(vec![cluster(API, &[other.address], &[])]);
    envoy
        .until("the policy changes back", || async {
            (envoy.policy(API).await? == "ROUND_ROBIN").then_some(())
        })
        .await;
    goes_on(envoy, &load).await;

    // Draining endpoints get nothing, be they ever so many; the last ones serve.
    let drains = [old.address, stays.address];
    told.set(vec![cluster(API, &[other.address], &drains)]);
    has(envoy, API, &[other.address]).await;
    for _ in 0..20 {
        let answer = get(envoy.listener, "/api", "").await.unwrap();
        assert_eq!(answer.0, 200);
        assert!(answer.1.contains(&other.address.to_string()), "{answer:?}");
    }
    told.set(vec![cluster(API, &[], &[stays.address])]);
    has(envoy, API, &[stays.address]).await;
    goes_on(envoy, &load).await;
    let (answered, failures) = load.stop().await;
    assert!(
        failures.is_empty(),
        "{} of {answered} requests failed: {failures:?}\n{}",
        failures.len(),
        envoy.log()
    );

    // Clusters come, are empty, and go.
    told.set(vec![cluster(LATE, &[other.address], &[])]);
    answers(envoy, LATE, 200).await;
    told.set(vec![
        cluster(LATE, &[], &[]),
        cluster(EMPTY, &[other.address], &[]),
    ]);
    answers(envoy, LATE, 503).await;
    answers(envoy, EMPTY, 200).await;
    told.remove(EMPTY);
    answers(envoy, EMPTY, 503).await;
    envoy
        .until("the cluster is gone", || async {
            envoy.endpoints(EMPTY).await.is_none().then_some(())
        })
        .await;
    told.set(vec![cluster(EMPTY, &[other.address], &[])]);
    answers(envoy, EMPTY, 200).await;
    for backend in [old, stays, other] {
        backend.stop().await;
    }
    running
}
