//! How often a dead server is asked, and how long after its return a store equals it again.

use std::time::Duration;

use kubedex::fake::{FakeCluster, Fault};
use kubedex::{Client, Gvr, Watcher, WatcherConfig};
use serde_json::json;

/// How long a server is dead.
const DEAD: Duration = Duration::from_secs(600);

/// What one outage came to.
pub(crate) struct Outage {
    /// Requests of one watcher in each minute of it.
    pub(crate) requests: Vec<u64>,
    /// From the server's return until the store equals it.
    pub(crate) recovered_in: Duration,
}

/// The ways in which a server is dead.
pub(crate) const WAYS: [&str; 4] = [
    "refuses connections",
    "answers 503",
    "never answers",
    "ends each watch at once",
];

/// Lets a server be dead in one of the ways for ten virtual minutes; `None` if the watcher never recovers.
pub(crate) fn outage(way: usize, seed: u64) -> Option<Outage> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .ok()?;
    runtime.block_on(run(way, seed))
}

async fn run(way: usize, seed: u64) -> Option<Outage> {
    let maps = Gvr::new("", "v1", "configmaps");
    let cluster = FakeCluster::builder().seed(seed).build();
    let write = |version: u64| {
        let name = format!("map-{}", version % 50);
        let written = cluster.apply(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "default"}, "data": {"version": version.to_string()},
        }));
        written.ok().map(drop)
    };
    (0..100).try_for_each(write)?;
    let client = Client::from_kube(cluster.client());
    let watcher = Watcher::start(&client, WatcherConfig::new(maps.clone()).seed(seed)).ok()?;
    watcher.wait_for_sync(DEAD).await.ok()?;
    let dead = match way {
        0 => Fault::connection_refused(),
        1 => Fault::status(503),
        2 => Fault::hang(),
        _ => Fault::end_after(0).verb("watch"),
    };
    cluster.inject(dead.always());
    cluster.restart();
    let mut requests = Vec::new();
    for minute in 0..DEAD.as_secs() / 60 {
        let before = cluster.request_count();
        write(1000 + minute)?;
        tokio::time::sleep(Duration::from_secs(60)).await;
        requests.push(cluster.request_count() - before);
    }
    cluster.clear_faults();
    let returned = tokio::time::Instant::now();
    let versions = |objects: Vec<kubedex::Object>| -> Vec<String> {
        let version = |object: &kubedex::Object| object.resource_version().map(str::to_owned);
        objects.iter().filter_map(version).collect()
    };
    let expected = versions(cluster.list(&maps));
    while versions(watcher.store().list()) != expected {
        if returned.elapsed() > DEAD {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let recovered_in = returned.elapsed();
    watcher.shutdown().await;
    Some(Outage {
        requests,
        recovered_in,
    })
}
