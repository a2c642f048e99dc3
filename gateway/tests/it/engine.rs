//! The engine against an API server in process, under paused time: what is published, when, and what is held back.

mod guarded;
mod reloaded;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use kubedex::Client;
use kubedex::fake::{FakeCluster, Fault};
use kubedex_gateway::engine::{Connection, Engine, EngineConfig, Status};
use kubedex_gateway::live::{COALESCING, endpoint_slices};
use kubedex_gateway::model::{ClusterChange, Snapshot};
use kubedex_gateway::publish::{Published, Snapshots};
use kubedex_gateway::statics::{StaticCluster, StaticEndpoint, StaticProtocol};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

const MINUTE: Duration = Duration::from_secs(60);

fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": name}},
        "spec": {"ports": [{"name": "http", "port": 80}]},
    })
}

/// A slice with one ready endpoint for each of the numbers.
fn slice(service: &str, hosts: impl IntoIterator<Item = u8>) -> Value {
    let endpoint = |host| json!({"addresses": [format!("10.0.0.{host}")]});
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{service}-1"),
            "namespace": "shop",
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": hosts.into_iter().map(endpoint).collect::<Vec<_>>(),
    })
}

fn fixed(name: &str, hosts: impl IntoIterator<Item = u8>) -> StaticCluster {
    let endpoint = |host| StaticEndpoint {
        address: IpAddr::from([192, 0, 2, host]).to_string(),
        port: 80,
        zone: None,
        node: None,
    };
    StaticCluster {
        name: name.to_owned(),
        protocol: StaticProtocol::Tcp,
        app_protocol: None,
        session_affinity: None,
        endpoints: hosts.into_iter().map(endpoint).collect(),
    }
}

fn cluster_of(objects: impl IntoIterator<Item = Value>) -> FakeCluster {
    let cluster = FakeCluster::new();
    for object in objects {
        cluster.apply(object).unwrap();
    }
    cluster
}

fn start(cluster: &FakeCluster, config: &EngineConfig) -> (Engine, Snapshots) {
    Engine::start(&Client::from_kube(cluster.client()), config).unwrap()
}

async fn next(snapshots: &mut Snapshots) -> Arc<Published> {
    let next = timeout(10 * MINUTE, snapshots.next());
    next.await.expect("a snapshot").expect("the engine runs")
}

async fn nothing_within(snapshots: &mut Snapshots, time: Duration) {
    let next = timeout(time, snapshots.next()).await;
    assert!(next.is_err(), "{next:?}");
}

/// Every cluster with the last parts of its addresses.
fn state(snapshot: &Snapshot) -> Vec<String> {
    let clusters = snapshot.clusters().map(|cluster| {
        let hosts = cluster.endpoints.iter().map(|it| it.address.to_string());
        let hosts: Vec<_> = hosts
            .map(|it| it.rsplit('.').next().unwrap().to_owned())
            .collect();
        format!("{} {}", cluster.name, hosts.join(","))
    });
    clusters.collect()
}

#[tokio::test(start_paused = true)]
async fn what_exists_is_published_first_and_then_each_change() {
    let cluster = cluster_of([service("api"), slice("api", [1]), service("web")]);
    let config = EngineConfig {
        statics: vec![fixed("legacy", [7])],
        ..EngineConfig::default()
    };
    let (engine, mut snapshots) = start(&cluster, &config);
    assert!(snapshots.newest().is_none());
    engine.wait_for_sync(MINUTE).await.unwrap();
    let first = next(&mut snapshots).await;
    assert_eq!(
        state(&first.snapshot),
        ["k8s/shop/api:http 1", "k8s/shop/web:http ", "legacy 7"]
    );
    assert_eq!(first.snapshot.version(), 1);
    assert_eq!(first.snapshot.changes().len(), 3);

    cluster.apply(slice("web", [2, 3])).unwrap();
    let second = next(&mut snapshots).await;
    let changed: Vec<_> = second
        .snapshot
        .changes()
        .iter()
        .map(ClusterChange::name)
        .collect();
    assert_eq!(changed, ["k8s/shop/web:http"]);
    assert_eq!(second.snapshot.version(), 2);
    assert_eq!(
        second.snapshot.resolve("web.shop").unwrap().endpoints.len(),
        2
    );

    let status = engine.status();
    assert!(status.is_connected() && status.synced && status.held.is_none());
    assert_eq!((status.publications, status.translations), (2, 3));
    engine.shutdown().await;
    engine.shutdown().await;
    assert_eq!(engine.status().connection, Connection::Stopped);
    assert!(snapshots.next().await.is_none());
    assert_eq!(snapshots.newest().unwrap().snapshot.version(), 2);
}

#[tokio::test(start_paused = true)]
async fn that_there_is_nothing_is_published_too() {
    let cluster = FakeCluster::new();
    let (_engine, mut snapshots) = start(&cluster, &EngineConfig::default());
    let first = next(&mut snapshots).await;
    assert_eq!(first.snapshot.version(), 0);
    assert_eq!(first.snapshot.clusters().len(), 0);
    nothing_within(&mut snapshots, MINUTE).await;
    cluster.apply(service("api")).unwrap();
    assert_eq!(next(&mut snapshots).await.snapshot.version(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_published_before_both_kinds_are_synced() {
    let cluster = cluster_of([service("api"), slice("api", [1])]);
    let slow = Fault::latency(Duration::from_secs(20)).resource(&endpoint_slices());
    cluster.inject(slow.always());
    let config = EngineConfig {
        statics: vec![fixed("legacy", [7])],
        ..EngineConfig::default()
    };
    let (engine, mut snapshots) = start(&cluster, &config);
    let statics = [fixed("legacy", [8])];
    let set = engine.set_static(&statics, config.static_precedence);
    set.await.unwrap();
    nothing_within(&mut snapshots, Duration::from_secs(10)).await;
    assert!(!engine.status().synced);
    let first = next(&mut snapshots).await;
    assert_eq!(state(&first.snapshot), ["k8s/shop/api:http 1", "legacy 8"]);
}

#[tokio::test(start_paused = true)]
async fn without_an_api_server_nothing_is_published_and_the_reason_is_told() {
    let cluster = cluster_of([service("api")]);
    let down = cluster.inject(Fault::connection_refused().always());
    let (engine, mut snapshots) = start(&cluster, &EngineConfig::default());
    assert_eq!(engine.wait_for_sync(MINUTE).await.unwrap_err().len(), 2);
    let Connection::Disconnected { reason, .. } = engine.status().connection else {
        panic!("{:?}", engine.status());
    };
    assert!(!reason.is_empty());
    nothing_within(&mut snapshots, 10 * MINUTE).await;
    cluster.remove_fault(down);
    assert_eq!(
        state(&next(&mut snapshots).await.snapshot),
        ["k8s/shop/api:http "]
    );
    let mut status = engine.status_changes();
    let connected = status.wait_for(Status::is_connected);
    timeout(MINUTE, connected).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn while_the_api_server_is_away_the_last_snapshot_stands() {
    let cluster = cluster_of([service("api"), slice("api", [1])]);
    let (engine, mut snapshots) = start(&cluster, &EngineConfig::default());
    next(&mut snapshots).await;
    let mut status = engine.status_changes();

    let down = cluster.inject(Fault::connection_refused().always());
    cluster.restart();
    let lost = status.wait_for(|it| matches!(it.connection, Connection::Disconnected { .. }));
    timeout(10 * MINUTE, lost).await.unwrap().unwrap();
    cluster.apply(slice("api", [2])).unwrap();
    nothing_within(&mut snapshots, 10 * MINUTE).await;
    let newest = snapshots.newest().unwrap();
    assert_eq!(state(&newest.snapshot), ["k8s/shop/api:http 1"]);

    cluster.remove_fault(down);
    let found = next(&mut snapshots).await;
    assert_eq!(state(&found.snapshot), ["k8s/shop/api:http 2"]);
    let back = status.wait_for(Status::is_connected);
    timeout(10 * MINUTE, back).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_first_change_is_published_at_once_and_then_there_is_one_in_each_window() {
    let cluster = cluster_of([service("api"), service("web")]);
    let (engine, mut snapshots) = start(&cluster, &EngineConfig::default());
    next(&mut snapshots).await;
    tokio::time::sleep(MINUTE).await;

    let start = Instant::now();
    cluster.apply(slice("api", [1])).unwrap();
    let first = next(&mut snapshots).await;
    assert!(
        first.at - start < Duration::from_millis(5),
        "{:?}",
        first.at - start
    );

    // A rollout's writes to both kinds, a while after each other.
    for host in 2..12 {
        cluster.apply(slice("api", [host])).unwrap();
        cluster.apply(slice("web", [host])).unwrap();
        cluster.apply(service(&format!("new-{host}"))).unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let second = next(&mut snapshots).await;
    assert!(second.at - first.at >= COALESCING);
    assert!(second.at - first.at < COALESCING + Duration::from_millis(5));
    assert_eq!(second.snapshot.version(), first.snapshot.version() + 1);
    assert_eq!(second.snapshot.totals().clusters, 12);
    nothing_within(&mut snapshots, MINUTE).await;

    // Endless churn is bounded by the windows there are.
    let (begun, before) = (Instant::now(), engine.status().publications);
    for round in 0..1_000_u32 {
        let host = u8::try_from(round % 250).unwrap();
        cluster.apply(slice("api", [host])).unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let windows = begun.elapsed().as_millis() / COALESCING.as_millis() + 1;
    let publications = u128::from(engine.status().publications - before);
    assert!(
        publications <= windows,
        "{publications} in {windows} windows"
    );
    assert!(
        publications >= windows - 2,
        "{publications} in {windows} windows"
    );
}

#[tokio::test(start_paused = true)]
async fn what_comes_to_the_same_is_not_published() {
    let cluster = cluster_of([service("api"), slice("api", [1])]);
    let (_engine, mut snapshots) = start(&cluster, &EngineConfig::default());
    next(&mut snapshots).await;
    let mut labelled = service("api");
    labelled["metadata"]["labels"]["tier"] = json!("x");
    cluster.apply(labelled).unwrap();
    nothing_within(&mut snapshots, MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn one_slice_among_ten_thousand_services_is_one_translation_and_one_edit() {
    const SERVICES: usize = 10_000;
    let cluster = FakeCluster::new();
    for number in 0..SERVICES {
        let name = format!("web-{number}");
        cluster.apply(service(&name)).unwrap();
        cluster.apply(slice(&name, [1])).unwrap();
    }
    let (engine, mut snapshots) = start(&cluster, &EngineConfig::default());
    let first = next(&mut snapshots).await;
    assert_eq!(first.snapshot.totals().ready, SERVICES);
    let before = engine.status();
    assert_eq!(before.translations, SERVICES as u64);
    assert_eq!(before.edits, SERVICES as u64);

    cluster.apply(slice("web-4711", [2])).unwrap();
    let second = next(&mut snapshots).await;
    let after = engine.status();
    assert_eq!(after.translations, before.translations + 1);
    assert_eq!(after.edits, before.edits + 1);
    assert_eq!(second.snapshot.changes().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_list_can_be_asked_for_and_awaited() {
    let cluster = cluster_of([service("api")]);
    let (engine, mut snapshots) = start(&cluster, &EngineConfig::default());
    next(&mut snapshots).await;
    engine.relist().await.unwrap();
    cluster.inject(Fault::hang().always());
    let list = engine.relist();
    engine.shutdown().await;
    assert!(list.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_engine_ends_its_followers() {
    let cluster = cluster_of([service("api")]);
    let (engine, mut snapshots) = start(&cluster, &EngineConfig::default());
    next(&mut snapshots).await;
    drop(engine);
    assert!(timeout(MINUTE, snapshots.next()).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_cannot_work_is_refused_with_its_fields() {
    let cluster = FakeCluster::new();
    let config = EngineConfig {
        coalescing: 2 * MINUTE,
        statics: vec![fixed("a", [1]), fixed("a", [1, 1])],
        ..EngineConfig::default()
    };
    let client = Client::from_kube(cluster.client());
    let error = Engine::start(&client, &config).unwrap_err().to_string();
    for part in [
        "coalescing: ",
        "static[1].name: ",
        "static[1].endpoints[1]: ",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_task_that_is_cut_off_counts_as_stopped() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let first = runtime();
    let engine = first.block_on(async {
        let cluster = FakeCluster::builder().real_time().build();
        let client = Client::from_kube(cluster.client());
        let (engine, _snapshots) = Engine::start(&client, &EngineConfig::default()).unwrap();
        engine.wait_for_sync(MINUTE).await.unwrap();
        engine
    });
    assert_eq!(engine.status().connection, Connection::Connected);
    drop(first);
    assert_eq!(engine.status().connection, Connection::Stopped);
}
