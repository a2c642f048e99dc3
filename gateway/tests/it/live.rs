//! Discovery on a cluster, in process and under paused time.

use std::time::Duration;

use kubedex::fake::{FakeCluster, Fault};
use kubedex::{Client, Gvr};
use kubedex_gateway::discovery::Diff;
use kubedex_gateway::live::{COALESCING, Event, Live, LiveConfig, endpoint_slices, services};
use kubedex_gateway::model::ClusterChange;
use kubedex_gateway::translate::Options;
use serde_json::{Value, json};
use tokio::time::timeout;

const MINUTE: Duration = Duration::from_secs(60);

fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": name}},
        "spec": {"ports": [{"name": "http", "port": 80}], "selector": {"app": name}},
    })
}

fn slice(name: &str, service: &str, addresses: &[&str]) -> Value {
    let endpoints: Vec<_> = addresses
        .iter()
        .map(|address| json!({"addresses": [address], "conditions": {"ready": true}}))
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
        "endpoints": endpoints,
    })
}

fn cluster_of(objects: impl IntoIterator<Item = Value>) -> FakeCluster {
    let cluster = FakeCluster::new();
    for object in objects {
        cluster.apply(object).unwrap();
    }
    cluster
}

async fn start(cluster: &FakeCluster, config: LiveConfig) -> Live {
    let live = Live::start(&Client::from_kube(cluster.client()), config).unwrap();
    live.wait_for_sync(MINUTE).await.unwrap();
    live
}

async fn event(live: &mut Live) -> Event {
    let next = timeout(10 * MINUTE, live.next());
    next.await.expect("an event").expect("the watchers run")
}

async fn diff(live: &mut Live) -> Diff {
    match event(live).await {
        Event::Changed(diff) => diff,
        other => panic!("{other:?}"),
    }
}

async fn nothing(live: &mut Live) {
    let next = timeout(MINUTE, live.next()).await;
    assert!(next.is_err(), "{next:?}");
}

fn names(diff: &Diff) -> Vec<&str> {
    diff.clusters.iter().map(ClusterChange::name).collect()
}

fn state(live: &Live) -> Vec<String> {
    live.discovery()
        .clusters()
        .iter()
        .map(|cluster| {
            let endpoints = cluster.endpoints.iter();
            let endpoints: Vec<_> = endpoints.map(|it| it.address.to_string()).collect();
            format!("{} {}", cluster.name, endpoints.join(","))
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn what_exists_comes_first_and_then_each_change() {
    let cluster = cluster_of([
        service("api"),
        slice("api-1", "api", &["10.0.0.1"]),
        slice("api-2", "api", &["10.0.0.2"]),
        service("web"),
    ]);
    let mut live = start(&cluster, LiveConfig::default()).await;
    let first = diff(&mut live).await;
    assert_eq!(names(&first), ["k8s/shop/api:http", "k8s/shop/web:http"]);
    assert_eq!(
        state(&live),
        ["k8s/shop/api:http 10.0.0.1,10.0.0.2", "k8s/shop/web:http "]
    );

    // Scaled up and down, and a slice lost.
    cluster
        .apply(slice("web-1", "web", &["10.0.1.1", "10.0.1.2"]))
        .unwrap();
    assert_eq!(names(&diff(&mut live).await), ["k8s/shop/web:http"]);
    cluster.apply(slice("web-1", "web", &["10.0.1.2"])).unwrap();
    assert_eq!(names(&diff(&mut live).await), ["k8s/shop/web:http"]);
    cluster
        .delete(&endpoint_slices(), Some("shop"), "api-1")
        .unwrap();
    assert_eq!(names(&diff(&mut live).await), ["k8s/shop/api:http"]);
    assert_eq!(
        state(&live),
        ["k8s/shop/api:http 10.0.0.2", "k8s/shop/web:http 10.0.1.2"]
    );

    // A slice moves from one Service to the other.
    cluster.apply(slice("api-2", "web", &["10.0.0.2"])).unwrap();
    let both = diff(&mut live).await;
    assert_eq!(names(&both), ["k8s/shop/api:http", "k8s/shop/web:http"]);

    cluster.delete(&services(), Some("shop"), "web").unwrap();
    let gone = diff(&mut live).await;
    assert_eq!(gone.removed().collect::<Vec<_>>(), ["k8s/shop/web:http"]);
    cluster.apply(service("web")).unwrap();
    diff(&mut live).await;
    assert_eq!(
        state(&live),
        ["k8s/shop/api:http ", "k8s/shop/web:http 10.0.0.2,10.0.1.2"]
    );
    live.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_cluster_has_a_first_state_too() {
    let cluster = FakeCluster::new();
    let mut live = start(&cluster, LiveConfig::default()).await;
    assert!(diff(&mut live).await.is_empty());
    nothing(&mut live).await;
    cluster.apply(service("api")).unwrap();
    assert_eq!(names(&diff(&mut live).await), ["k8s/shop/api:http"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_told_before_both_kinds_are_synced() {
    for late in [services(), endpoint_slices()] {
        let cluster = cluster_of([service("api"), slice("api-1", "api", &["10.0.0.1"])]);
        let slow = Fault::latency(Duration::from_secs(20)).resource(&late);
        cluster.inject(slow.always());
        let client = Client::from_kube(cluster.client());
        let mut live = Live::start(&client, LiveConfig::default()).unwrap();
        nothing_within(&mut live, Duration::from_secs(10)).await;
        assert_eq!(names(&diff(&mut live).await), ["k8s/shop/api:http"]);
        assert_eq!(state(&live), ["k8s/shop/api:http 10.0.0.1"]);
        assert_eq!(live.discovery().recomputed(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_cluster_depends_on_is_no_event() {
    let cluster = cluster_of([service("api"), slice("api-1", "api", &["10.0.0.1"])]);
    let mut live = start(&cluster, LiveConfig::default()).await;
    diff(&mut live).await;
    let recomputed = live.discovery().recomputed();

    let mut annotated = slice("api-1", "api", &["10.0.0.1"]);
    annotated["metadata"]["annotations"] =
        json!({"endpoints.kubernetes.io/last-change-trigger-time": "x"});
    cluster.apply(annotated).unwrap();
    let mut with_status = service("api");
    with_status["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}});
    cluster.apply(with_status).unwrap();
    nothing(&mut live).await;
    assert_eq!(live.discovery().recomputed(), recomputed);

    // This one is translated anew, and comes to the same.
    let mut labelled = service("api");
    labelled["metadata"]["labels"]["tier"] = json!("x");
    cluster.apply(labelled).unwrap();
    nothing(&mut live).await;
    assert_eq!(live.discovery().recomputed(), recomputed + 1);
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_writes_is_one_change() {
    let cluster = cluster_of([service("api")]);
    let mut live = start(&cluster, LiveConfig::default()).await;
    diff(&mut live).await;
    tokio::time::sleep(MINUTE).await;

    // The first is told at once, those that follow within the window together.
    cluster.apply(slice("api-1", "api", &["10.0.0.1"])).unwrap();
    let before = tokio::time::Instant::now();
    diff(&mut live).await;
    assert!(before.elapsed() < COALESCING);
    let recomputed = live.discovery().recomputed();
    for number in 2..20 {
        let address = format!("10.0.0.{number}");
        cluster.apply(slice("api-1", "api", &[&address])).unwrap();
    }
    diff(&mut live).await;
    assert_eq!(state(&live), ["k8s/shop/api:http 10.0.0.19"]);
    assert_eq!(live.discovery().recomputed(), recomputed + 1);
    nothing(&mut live).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_undone_within_the_window_leaves_no_trace() {
    let cluster = cluster_of([service("api"), slice("api-1", "api", &["10.0.0.1"])]);
    let mut live = start(&cluster, LiveConfig::default()).await;
    diff(&mut live).await;
    tokio::time::sleep(MINUTE).await;
    // Opens the window of the slices' watcher.
    cluster
        .apply(slice("other", "none", &["10.0.9.9"]))
        .unwrap();
    nothing_within(&mut live, Duration::from_millis(5)).await;

    // The slice flaps within it, and in between the Service changes, which is told at once.
    cluster.apply(slice("api-1", "api", &["10.0.0.2"])).unwrap();
    let mut changed = service("api");
    changed["spec"]["ports"][0]["appProtocol"] = json!("http");
    cluster.apply(changed).unwrap();
    diff(&mut live).await;
    cluster.apply(slice("api-1", "api", &["10.0.0.1"])).unwrap();
    while timeout(MINUTE, live.next()).await.is_ok() {}
    assert_eq!(state(&live), ["k8s/shop/api:http 10.0.0.1"]);
}

async fn nothing_within(live: &mut Live, time: Duration) {
    let next = timeout(time, live.next()).await;
    assert!(next.is_err(), "{next:?}");
}

#[tokio::test(start_paused = true)]
async fn the_selector_is_on_services_and_slices_join_only_those() {
    let cluster = cluster_of([
        service("api"),
        slice("api-1", "api", &["10.0.0.1"]),
        service("web"),
        slice("web-1", "web", &["10.0.0.2"]),
    ]);
    let config = LiveConfig {
        selector: Some("app=api".into()),
        ..LiveConfig::default()
    };
    let mut live = start(&cluster, config).await;
    diff(&mut live).await;
    assert_eq!(state(&live), ["k8s/shop/api:http 10.0.0.1"]);

    cluster.apply(slice("web-1", "web", &["10.0.0.3"])).unwrap();
    nothing(&mut live).await;

    // It leaves the selection, and comes back.
    let mut other = service("api");
    other["metadata"]["labels"]["app"] = json!("other");
    cluster.apply(other).unwrap();
    assert_eq!(diff(&mut live).await.removed().count(), 1);
    cluster.apply(service("api")).unwrap();
    diff(&mut live).await;
    assert_eq!(state(&live), ["k8s/shop/api:http 10.0.0.1"]);
}

#[tokio::test(start_paused = true)]
async fn only_the_named_namespaces_are_watched() {
    let mut elsewhere = service("api");
    elsewhere["metadata"]["namespace"] = json!("elsewhere");
    let mut third = service("api");
    third["metadata"]["namespace"] = json!("third");
    let cluster = cluster_of([service("api"), elsewhere, third]);
    let config = LiveConfig {
        namespaces: vec!["shop".into(), "third".into()],
        ..LiveConfig::default()
    };
    let mut live = start(&cluster, config).await;
    let first = diff(&mut live).await;
    assert_eq!(names(&first), ["k8s/shop/api:http", "k8s/third/api:http"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_server_leaves_the_last_state_and_is_told_once_and_so_is_its_return() {
    let cluster = cluster_of([service("api"), slice("api-1", "api", &["10.0.0.1"])]);
    let mut live = start(&cluster, LiveConfig::default()).await;
    diff(&mut live).await;
    nothing(&mut live).await;

    let down = cluster.inject(Fault::connection_refused().always());
    cluster.restart();
    let Event::Disconnected(reason) = event(&mut live).await else {
        panic!("not told");
    };
    assert!(!reason.is_empty());
    nothing(&mut live).await;
    assert_eq!(state(&live), ["k8s/shop/api:http 10.0.0.1"]);

    // What happens meanwhile is found when it is back.
    cluster.apply(slice("api-1", "api", &["10.0.0.2"])).unwrap();
    cluster.apply(slice("api-2", "api", &["10.0.0.3"])).unwrap();
    cluster.remove_fault(down);
    let (mut connected, mut changed) = (0, 0);
    while let Ok(next) = timeout(10 * MINUTE, live.next()).await {
        match next.unwrap() {
            Event::Connected => connected += 1,
            Event::Changed(_) => changed += 1,
            Event::Disconnected(again) => panic!("told again: {again}"),
        }
    }
    assert_eq!(connected, 1);
    assert!(changed >= 1);
    assert_eq!(state(&live), ["k8s/shop/api:http 10.0.0.2,10.0.0.3"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_fails_the_first_sync_and_a_bad_configuration_the_start() {
    let cluster = cluster_of([service("api")]);
    cluster.inject(Fault::status(403).resource(&endpoint_slices()).always());
    let client = Client::from_kube(cluster.client());
    let live = Live::start(&client, LiveConfig::default()).unwrap();
    let errors = live.wait_for_sync(MINUTE).await.unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].to_string().contains("endpointslices"));

    let config = LiveConfig {
        selector: Some("app in (".into()),
        ..LiveConfig::default()
    };
    assert!(Live::start(&client, config).is_err());
}

#[tokio::test(start_paused = true)]
async fn one_slice_of_ten_thousand_services_recomputes_one_service() {
    const SERVICES: usize = 10_000;
    let cluster = FakeCluster::new();
    for number in 0..SERVICES {
        let name = format!("web-{number}");
        cluster.apply(service(&name)).unwrap();
        for part in 1..=2 {
            let part_name = format!("{name}-{part}");
            let address = format!("10.{part}.0.1");
            cluster
                .apply(slice(&part_name, &name, &[&address]))
                .unwrap();
        }
    }
    let mut live = start(&cluster, LiveConfig::default()).await;
    assert_eq!(diff(&mut live).await.upserted().count(), SERVICES);
    assert_eq!(live.discovery().recomputed(), SERVICES as u64);

    cluster
        .apply(slice("web-4711-2", "web-4711", &["10.2.0.2"]))
        .unwrap();
    assert_eq!(names(&diff(&mut live).await), ["k8s/shop/web-4711:http"]);
    assert_eq!(live.discovery().recomputed(), SERVICES as u64 + 1);
}

#[tokio::test(start_paused = true)]
async fn options_reach_the_translation() {
    let cluster = cluster_of([service("api"), slice("api-1", "api", &["10.0.0.1"])]);
    let config = LiveConfig {
        options: Options {
            ip_family: Some(kubedex_gateway::translate::IpFamily::V6),
            ..Options::default()
        },
        ..LiveConfig::default()
    };
    let mut live = start(&cluster, config).await;
    diff(&mut live).await;
    assert_eq!(state(&live), ["k8s/shop/api:http "]);
}

#[test]
fn the_watched_resources_are_named_as_the_api_does() {
    assert_eq!(services(), "v1/services".parse::<Gvr>().unwrap());
    assert_eq!(
        endpoint_slices().to_string(),
        "discovery.k8s.io/v1/endpointslices"
    );
}
