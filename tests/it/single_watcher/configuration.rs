//! What cannot work is said, at once or by the wait for the sync (W9).

use std::time::Duration;

use kubedex::Gvr;
use kubedex::fake::{FakeCluster, Fault};
use kubedex::watcher::{SingleWatcher, SingleWatcherConfig, SyncError};

use super::{SOON, config, config_of};
use crate::scripted::{config_map, scripted};

#[tokio::test(start_paused = true)]
async fn w9_an_invalid_configuration_fails_at_once_and_names_the_field() {
    let (_server, client) = scripted();
    let maps = || Gvr::new("", "v1", "configmaps");
    let cases = [
        (config_of(Gvr::new("", "v1", "")), "gvr"),
        (config_of(Gvr::new("", "v1", "Pods")), "gvr"),
        (SingleWatcherConfig::new(maps(), "", "a"), "namespace"),
        (SingleWatcherConfig::new(maps(), "N", "a"), "namespace"),
        (SingleWatcherConfig::new(maps(), "n", ""), "name"),
        (SingleWatcherConfig::new(maps(), "n", ".."), "name"),
        (SingleWatcherConfig::new(maps(), "n", "a/b"), "name"),
        (SingleWatcherConfig::cluster_scoped(maps(), ""), "name"),
        (config().ignore_field("a..b"), "ignore_fields"),
        (config().ignore_field("metadata"), "ignore_fields"),
        (config().watch_timeout(Duration::ZERO), "watch_timeout"),
    ];
    for (config, field) in cases {
        let error = SingleWatcher::start(&client, config).unwrap_err();
        assert_eq!(error.field(), field, "{error}");
        assert!(error.to_string().contains("watcher of"), "{error}");
    }
}

#[test]
fn w9_a_watcher_outside_of_a_runtime_is_an_error() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let (_server, client) = runtime.block_on(async { scripted() });
    let error = SingleWatcher::start(&client, config()).unwrap_err();
    assert_eq!(error.field(), "runtime");
}

#[tokio::test(start_paused = true)]
async fn w9_a_scope_that_does_not_fit_fails_the_wait() {
    let (_server, client) = scripted();
    for (config, word) in [
        (
            config_of(Gvr::new("", "v1", "namespaces")),
            "cluster-scoped",
        ),
        (
            SingleWatcherConfig::cluster_scoped(Gvr::new("", "v1", "configmaps"), "a"),
            "namespace",
        ),
        (config_of(Gvr::new("", "v1", "widgets")), "widgets"),
    ] {
        let watcher = SingleWatcher::start(&client, config).unwrap();
        let error = watcher.wait_for_sync(SOON).await.unwrap_err();
        assert!(matches!(error, SyncError::Refused(_)), "{error}");
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn w9_a_refusal_fails_the_wait_and_heals() {
    let cluster = FakeCluster::new();
    let maps = Gvr::new("", "v1", "configmaps");
    let refused = cluster.inject(Fault::status(403).resource(&maps).always());
    cluster.apply(config_map("a", "", "x")).unwrap();
    let client = kubedex::Client::from_kube(cluster.client());
    let watcher = SingleWatcher::start(&client, config_of(maps)).unwrap();
    let error = watcher.wait_for_sync(SOON).await.unwrap_err();
    assert!(
        matches!(&error, SyncError::Refused(error) if error.is_forbidden()),
        "{error}"
    );
    assert!(error.to_string().contains("configmaps n/a"), "{error}");
    cluster.remove_fault(refused);
    let mut changes = watcher.changes();
    let appeared = changes.wait_for(Option::is_some);
    tokio::time::timeout(Duration::from_secs(60), appeared)
        .await
        .unwrap()
        .unwrap();
    watcher.wait_for_sync(SOON).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_own_namespace_is_the_clients() {
    let (mut server, client) = scripted();
    let maps = Gvr::new("", "v1", "configmaps");
    let config = SingleWatcherConfig::in_own_namespace(maps, "a");
    let watcher = SingleWatcher::start(&client, config).unwrap();
    assert_eq!(watcher.reference().namespace(), Some("default"));
    let uri = server.next().await.uri;
    assert!(uri.contains("/namespaces/default/"), "{uri}");
}
