//! What a watcher says of itself when asked why it shows nothing.

use std::time::Duration;

use kubedex::fake::FakeCluster;
use kubedex::store::cached::CacheConfig;
use kubedex::watcher::{Finding, SingleWatcher, SingleWatcherConfig};
use kubedex::{Client, Gvr, ObjectRef, Watcher, WatcherConfig};
use serde_json::json;

const SOON: Duration = Duration::from_secs(5);

fn config() -> WatcherConfig {
    WatcherConfig::new(Gvr::new("", "v1", "configmaps"))
}

fn cluster() -> FakeCluster {
    let cluster = FakeCluster::new();
    cluster
        .create(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"k": "hunter2"},
            "metadata": {"name": "a", "namespace": "default", "labels": {"app": "web"}}}),
        )
        .unwrap();
    cluster
}

#[tokio::test(start_paused = true)]
async fn a_healthy_watcher_is_found_good() {
    let cluster = cluster();
    let watcher =
        Watcher::start(&cluster.client().into(), config().label_selector("app=web")).unwrap();
    watcher.wait_for_sync(SOON).await.unwrap();
    let diagnosis = watcher.diagnose().await;
    assert_eq!(diagnosis.worst(), Finding::Good, "{diagnosis}");
    let text = diagnosis.to_string();
    for part in [
        "serves /v1/configmaps as kind ConfigMap",
        "may list configmaps",
        "may watch",
        "\"app=web\" matches",
        "1 objects",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert!(!text.contains("hunter2"));
}

#[tokio::test(start_paused = true)]
async fn a_selector_that_matches_nothing_is_told_from_an_empty_collection() {
    let cluster = cluster();
    let client: Client = cluster.client().into();
    let watcher = Watcher::start(&client, config().label_selector("app=wbe")).unwrap();
    watcher.wait_for_sync(SOON).await.unwrap();
    let text = watcher.diagnose().await.to_string();
    assert!(
        text.contains("\"app=wbe\" matches nothing, though there are objects"),
        "{text}"
    );
    let watcher = Watcher::start(&client, config().namespace("empty")).unwrap();
    watcher.wait_for_sync(SOON).await.unwrap();
    let diagnosis = watcher.diagnose().await;
    assert_eq!(diagnosis.worst(), Finding::Odd);
    assert!(
        diagnosis
            .to_string()
            .contains("there are no objects in namespace empty"),
        "{diagnosis}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_is_named_with_what_to_do() {
    let cluster = cluster();
    let watcher = Watcher::start(&cluster.client_as("viewer").into(), config()).unwrap();
    watcher.wait_for_sync(SOON).await.unwrap_err();
    let diagnosis = watcher.diagnose().await;
    assert_eq!(diagnosis.worst(), Finding::Bad);
    let text = diagnosis.to_string();
    assert!(
        text.contains("may not list configmaps; grant the verb"),
        "{text}"
    );
    assert!(text.contains("viewer"), "the server's words: {text}");
}

#[tokio::test(start_paused = true)]
async fn the_minimal_rbac_of_a_watcher_is_enough_for_it() {
    let cluster = cluster();
    let viewer: Client = cluster
        .client_as("system:serviceaccount:infra:runner")
        .into();
    let watcher = Watcher::start(&viewer, config().namespaces(["default", "other"])).unwrap();
    watcher.wait_for_sync(SOON).await.unwrap_err();
    for namespace in ["default", "other"] {
        cluster.ensure_namespace(namespace);
    }
    for object in
        kubedex::watcher::minimal_rbac("runner", "infra", "runner", [watcher.permission()])
    {
        cluster.create(object).unwrap();
    }
    watcher
        .status_changes()
        .wait_for(|status| status.synced)
        .await
        .unwrap();
    let diagnosis = watcher.diagnose().await;
    assert!(!diagnosis.to_string().contains("may not"), "{diagnosis}");
    assert_eq!(watcher.store().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_is_not_served_is_all_there_is_to_say() {
    let cluster = cluster();
    let config = WatcherConfig::new(Gvr::new("example.com", "v1", "widgets"));
    let watcher = Watcher::start(&cluster.client().into(), config).unwrap();
    watcher.wait_for_sync(SOON).await.unwrap_err();
    let diagnosis = watcher.diagnose().await;
    assert_eq!(diagnosis.checks()[0].finding(), Finding::Bad);
    assert!(
        diagnosis.checks()[0].text().contains("widgets"),
        "{diagnosis}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_minimal_rbac_of_a_watcher_that_keeps_no_bodies_is_enough_to_read_them() {
    let cluster = cluster();
    let runner: Client = cluster
        .client_as("system:serviceaccount:infra:runner")
        .into();
    let config = config()
        .namespace("default")
        .cached(&runner, CacheConfig::default());
    let watcher = Watcher::start(&runner, config).unwrap();
    watcher.wait_for_sync(SOON).await.unwrap_err();
    let only_watch =
        kubedex::watcher::Permission::in_namespaces(watcher.gvr().clone(), ["default"]);
    for object in kubedex::watcher::minimal_rbac("watch", "infra", "runner", [only_watch]) {
        cluster.create(object).unwrap();
    }
    let mut status = watcher.status_changes();
    status.wait_for(|status| status.synced).await.unwrap();
    let text = watcher.diagnose().await.to_string();
    assert!(
        text.contains("may not get configmaps in namespace default"),
        "{text}"
    );
    for object in
        kubedex::watcher::minimal_rbac("runner", "infra", "runner", [watcher.permission()])
    {
        cluster.create(object).unwrap();
    }
    let reference = ObjectRef::namespaced("default", "a");
    assert!(watcher.store().get_ref(&reference).await.unwrap().is_some());
    let text = watcher.diagnose().await.to_string();
    assert!(
        text.contains("may get") && !text.contains("may not"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_minimal_rbac_of_one_object_is_enough_for_it_and_for_no_other() {
    let cluster = cluster();
    let runner: Client = cluster
        .client_as("system:serviceaccount:infra:runner")
        .into();
    let single = |name: &str| {
        let config = SingleWatcherConfig::new(Gvr::new("", "v1", "configmaps"), "default", name);
        SingleWatcher::start(&runner, config).unwrap()
    };
    let watcher = single("a");
    for object in
        kubedex::watcher::minimal_rbac("runner", "infra", "runner", [watcher.permission()])
    {
        cluster.create(object).unwrap();
    }
    let mut status = watcher.status_changes();
    status.wait_for(|status| status.synced).await.unwrap();
    assert!(watcher.current().is_some());
    let error = single("b").wait_for_sync(SOON).await.unwrap_err();
    assert!(error.to_string().contains("is forbidden"), "{error}");
    let all = Watcher::start(&runner, config().namespace("default")).unwrap();
    all.wait_for_sync(SOON).await.unwrap_err();
}
