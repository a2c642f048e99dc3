//! What changes while the engine runs: static clusters, options, and what is watched.

use kubedex::fake::Fault;
use kubedex_gateway::engine::EngineConfig;
use kubedex_gateway::guard::GuardConfig;
use kubedex_gateway::live::{COALESCING, LiveConfig};
use kubedex_gateway::model::Origin;
use kubedex_gateway::translate::Options;
use serde_json::{Value, json};

use super::{MINUTE, cluster_of, fixed, next, nothing_within, service, slice, start, state};

fn in_namespace(namespace: &str, mut object: Value) -> Value {
    object["metadata"]["namespace"] = json!(namespace);
    object
}

#[tokio::test(start_paused = true)]
async fn static_clusters_come_go_and_override_discovered_ones() {
    let cluster = cluster_of([service("api"), slice("api", [1])]);
    let (engine, mut snapshots) = start(&cluster, &EngineConfig::default());
    next(&mut snapshots).await;

    let both = [fixed("legacy", [7]), fixed("k8s/shop/api:http", [8])];
    engine.set_static(&both, Origin::Static).await.unwrap();
    let overridden = next(&mut snapshots).await;
    assert_eq!(
        state(&overridden.snapshot),
        ["k8s/shop/api:http 8", "legacy 7"]
    );
    let problems: Vec<_> = overridden
        .snapshot
        .problems()
        .map(ToString::to_string)
        .collect();
    assert_eq!(problems, ["conflict Cluster/k8s/shop/api:http"]);

    engine.set_static(&both, Origin::Discovered).await.unwrap();
    let other = next(&mut snapshots).await;
    assert_eq!(state(&other.snapshot), ["k8s/shop/api:http 1", "legacy 7"]);
    assert_eq!(other.snapshot.totals().problems, 1);

    engine.set_static(&[], Origin::Static).await.unwrap();
    let without = next(&mut snapshots).await;
    assert_eq!(state(&without.snapshot), ["k8s/shop/api:http 1"]);
    assert_eq!(without.snapshot.totals().problems, 0);

    // A list that cannot be used changes nothing.
    let broken = [fixed("x", [1, 1])];
    let error = engine
        .set_static(&broken, Origin::Static)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("static[0].endpoints[1]"),
        "{error}"
    );
    nothing_within(&mut snapshots, MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn options_change_without_another_watch() {
    let mut two = service("api");
    two["spec"]["ports"] = json!([{"name": "http", "port": 80}, {"name": "admin", "port": 9000}]);
    let cluster = cluster_of([two, slice("api", 0..20)]);
    let (engine, mut snapshots) = start(&cluster, &EngineConfig::default());
    let first = next(&mut snapshots).await;
    assert_eq!(first.snapshot.totals().clusters, 2);
    let requests = cluster.requests().len();

    // This takes most endpoints away, which is what was asked for.
    let config = EngineConfig {
        live: LiveConfig {
            options: Options {
                ports: ["admin".into()].into(),
                ..Options::default()
            },
            ..LiveConfig::default()
        },
        ..EngineConfig::default()
    };
    engine.reconfigure(&config).await.unwrap();
    assert_eq!(
        state(&next(&mut snapshots).await.snapshot),
        ["k8s/shop/api:admin "]
    );
    assert_eq!(engine.status().held, None);
    assert_eq!(cluster.requests().len(), requests);
}

#[tokio::test(start_paused = true)]
async fn other_namespaces_take_over_once_they_are_synced() {
    let cluster = cluster_of([
        service("api"),
        slice("api", 0..20),
        in_namespace("other", service("web")),
    ]);
    let shop = EngineConfig {
        live: LiveConfig {
            namespaces: vec!["shop".into()],
            ..LiveConfig::default()
        },
        statics: vec![fixed("legacy", [1])],
        ..EngineConfig::default()
    };
    let (engine, mut snapshots) = start(&cluster, &shop);
    next(&mut snapshots).await;

    let mut other = shop.clone();
    other.live.namespaces = vec!["other".into()];
    other.statics = vec![fixed("legacy", [2])];
    let slow = cluster.inject(Fault::latency(MINUTE).always());
    engine.reconfigure(&other).await.unwrap();
    let meanwhile = next(&mut snapshots).await;
    assert_eq!(
        meanwhile.snapshot.totals().ready,
        21,
        "the old watch goes on"
    );
    assert!(engine.status().switching);
    cluster.apply(slice("api", 0..19)).unwrap();
    assert_eq!(next(&mut snapshots).await.snapshot.totals().ready, 20);

    cluster.remove_fault(slow);
    let after = next(&mut snapshots).await;
    assert_eq!(state(&after.snapshot), ["k8s/other/web:http ", "legacy 2"]);
    assert!(!engine.status().switching);
    cluster
        .apply(in_namespace("other", slice("web", [3])))
        .unwrap();
    let more = next(&mut snapshots).await;
    assert_eq!(state(&more.snapshot), ["k8s/other/web:http 3", "legacy 2"]);
    engine.relist().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_is_taken_back_is_not_switched_to() {
    let cluster = cluster_of([service("api"), slice("api", [1])]);
    let (engine, mut snapshots) = start(&cluster, &EngineConfig::default());
    next(&mut snapshots).await;
    let mut other = EngineConfig::default();
    other.live.selector = Some("app=none".into());
    let slow = cluster.inject(Fault::latency(MINUTE).always());
    engine.reconfigure(&other).await.unwrap();
    assert!(engine.status().switching);
    engine.reconfigure(&EngineConfig::default()).await.unwrap();
    assert!(!engine.status().switching);
    cluster.remove_fault(slow);
    nothing_within(&mut snapshots, 10 * MINUTE).await;

    other.live.selector = Some("app in (".into());
    assert!(engine.reconfigure(&other).await.is_err());
    assert!(!engine.status().switching);
}

#[tokio::test(start_paused = true)]
async fn pace_and_guard_change_at_once() {
    let cluster = cluster_of([service("api"), slice("api", 0..20)]);
    let (engine, mut snapshots) = start(&cluster, &EngineConfig::default());
    next(&mut snapshots).await;
    let config = EngineConfig {
        coalescing: 10 * COALESCING,
        guard: GuardConfig::OFF,
        ..EngineConfig::default()
    };
    engine.reconfigure(&config).await.unwrap();
    cluster.inject(
        Fault::latency(MINUTE)
            .resource(&kubedex_gateway::live::services())
            .always(),
    );
    cluster.apply(slice("api", [])).unwrap();
    let emptied = next(&mut snapshots).await;
    assert_eq!(emptied.snapshot.totals().ready, 0);
    cluster.apply(slice("api", [1])).unwrap();
    let second = next(&mut snapshots).await;
    assert!(second.at - emptied.at >= 10 * COALESCING);
}

#[tokio::test(start_paused = true)]
async fn a_switch_says_what_it_waits_for() {
    let cluster = cluster_of([service("api"), slice("api", [1])]);
    let (engine, mut snapshots) = start(&cluster, &EngineConfig::default());
    next(&mut snapshots).await;
    let refused = cluster.inject(Fault::status(403).message("not this one").always());
    let mut other = EngineConfig::default();
    other.live.selector = Some("app=none".into());
    engine.reconfigure(&other).await.unwrap();
    let mut changes = engine.status_changes();
    let told = changes.wait_for(|status| status.switching_waits_for.is_some());
    let status = tokio::time::timeout(MINUTE, told)
        .await
        .unwrap()
        .unwrap()
        .clone();
    assert!(status.switching && status.is_connected());
    let reason = status.switching_waits_for.unwrap();
    assert!(reason.contains("not this one"), "{reason}");
    cluster.remove_fault(refused);
    let done = changes.wait_for(|status| !status.switching);
    let status = tokio::time::timeout(10 * MINUTE, done)
        .await
        .unwrap()
        .unwrap()
        .clone();
    assert_eq!(status.switching_waits_for, None);
}
