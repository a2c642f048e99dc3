//! Stores fed by kube's own watcher.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::{WatchStreamExt as _, watcher};
use kubedex::fake::{FakeCluster, Fault};
use kubedex::indexer::{IndexSet, Indexer};
use kubedex::store::{Feed, FeedEvent, MemoryStore, StoreSchema};
use kubedex::{Gvr, Object};
use serde::Serialize;
use serde_json::json;

fn maps() -> Gvr {
    Gvr::new("", "v1", "configmaps")
}

fn put(cluster: &FakeCluster, name: &str, color: &str) {
    cluster
        .apply(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "default"}, "data": {"color": color},
        }))
        .unwrap();
}

fn translated<T>(event: watcher::Event<T>) -> FeedEvent<T> {
    match event {
        watcher::Event::Init => FeedEvent::Init,
        watcher::Event::InitApply(object) => FeedEvent::InitApply(object),
        watcher::Event::InitDone => FeedEvent::InitDone,
        watcher::Event::Apply(object) => FeedEvent::Apply(object),
        watcher::Event::Delete(object) => FeedEvent::Delete(object),
    }
}

/// Feeds the store until it equals the server, for at most ten virtual minutes; how many differences were returned.
async fn until_equal<T: Serialize>(
    feed: &mut Feed<'_, MemoryStore>,
    events: &mut (impl Stream<Item = watcher::Result<watcher::Event<T>>> + Unpin),
    (cluster, store): (&FakeCluster, &MemoryStore),
) -> usize {
    let mut differences = 0;
    let equal = async {
        while !feed.is_synced() || !same(&cluster.list(&maps()), &store.list()) {
            // What fails is tried again by the stream.
            if let Ok(event) = events.next().await.unwrap() {
                differences += feed.apply(translated(event)).await.unwrap().len();
            }
        }
    };
    let limit = Duration::from_secs(600);
    tokio::time::timeout(limit, equal)
        .await
        .expect("the store comes to equal the server");
    differences
}

fn same(server: &[Object], stored: &[Object]) -> bool {
    server.len() == stored.len()
        && server
            .iter()
            .zip(stored)
            .all(|(server, stored)| server.resource_version() == stored.resource_version())
}

async fn follow<T: Serialize>(
    cluster: &FakeCluster,
    events: impl Stream<Item = watcher::Result<watcher::Event<T>>>,
) {
    let indexes = IndexSet::default().with("color", ["data.color"]).unwrap();
    let indexer = Indexer::new(indexes, ["metadata.managedFields"], None).unwrap();
    let schema = StoreSchema::new(maps(), Arc::clone(indexer.indexes()));
    let store = MemoryStore::new(&schema);
    let mut feed = Feed::new(&store, &indexer);
    let mut events = pin!(events);

    let changed = until_equal(&mut feed, &mut events, (cluster, &store)).await;
    assert_eq!(changed, 2);
    put(cluster, "a", "green");
    put(cluster, "c", "red");
    let changed = until_equal(&mut feed, &mut events, (cluster, &store)).await;
    assert_eq!(changed, 2);
    assert_eq!(store.get_by("color", ["red"]).unwrap().len(), 2);

    // A deletion that the watch misses is found by the list.
    cluster.inject(Fault::connection_refused().verb("watch").once());
    cluster.restart();
    cluster.delete(&maps(), Some("default"), "b").unwrap();
    put(cluster, "d", "blue");
    cluster.compact();
    let changed = until_equal(&mut feed, &mut events, (cluster, &store)).await;
    assert_eq!(changed, 2);
    assert_eq!(store.get_by("color", ["red"]).unwrap()[0].name(), "c");
    assert_eq!(store.get(["default", "d"]).unwrap()[0].api_version(), "v1");
}

fn cluster() -> FakeCluster {
    let cluster = FakeCluster::new();
    put(&cluster, "a", "blue");
    put(&cluster, "b", "red");
    cluster
}

#[tokio::test(start_paused = true)]
async fn a_watcher_of_typed_objects_feeds_a_store() {
    let cluster = cluster();
    let api: kube::Api<ConfigMap> = kube::Api::all(cluster.client());
    follow(
        &cluster,
        watcher(api, watcher::Config::default()).default_backoff(),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_watcher_of_dynamic_objects_feeds_a_store() {
    let cluster = cluster();
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "ConfigMap"));
    let api: kube::Api<DynamicObject> = kube::Api::all_with(cluster.client(), &resource);
    let config = watcher::Config::default().streaming_lists();
    follow(&cluster, watcher(api, config).default_backoff()).await;
}
