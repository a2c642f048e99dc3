//! The watch that feeds a store without bodies: what it asks for, what it tells, and how it lists anew.

use std::time::Duration;

use futures::StreamExt as _;
use kubedex::store::cached::CacheConfig;
use kubedex::store::{CachedStore, Store as _};
use kubedex::watcher::{ChangeKind, InitialList};
use kubedex::{Client, Debounce, Gvr, Watcher, WatcherConfig};
use serde_json::{Value, json};

use super::named;
use crate::scripted::{Scripted, config_map, scripted, status};

const SOON: Duration = Duration::from_secs(5);
const METADATA: &str = "PartialObjectMetadata";

fn config(client: &Client) -> WatcherConfig<CachedStore> {
    cached(WatcherConfig::new(Gvr::new("", "v1", "configmaps")), client)
}

fn cached(config: WatcherConfig, client: &Client) -> WatcherConfig<CachedStore> {
    config
        .initial_list(InitialList::Paged)
        .debounce(Debounce::none())
        .seed(7)
        .cached(client, CacheConfig::default())
}

/// A watcher that needs bodies for its keys.
async fn by_content(items: &[Value]) -> (Scripted, Watcher<CachedStore>, crate::scripted::Stream) {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, config(&client).index("k", ["data.k"])).unwrap();
    let list = server.list().await;
    assert_eq!(list.headers["accept"], "application/json");
    list.items("10", items);
    let watch = server.watch("10").await;
    assert_eq!(watch.headers["accept"], "application/json");
    let stream = watch.stream();
    watcher.wait_for_sync(SOON).await.unwrap();
    (server, watcher, stream)
}

#[tokio::test(start_paused = true)]
async fn a_watch_asks_for_metadata_only_where_nothing_needs_more() {
    let only = |config: WatcherConfig<CachedStore>| {
        config
            .index("labels", ["metadata.labels.app"])
            .client_side_field_selector("metadata.labels.app!=x")
    };
    let (mut server, client) = scripted();
    let _watcher = Watcher::start(&client, only(config(&client))).unwrap();
    let list = server.list().await;
    let accept = list.headers["accept"].to_str().unwrap();
    assert!(accept.contains(METADATA), "{accept}");
    list.json(
        200,
        &json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "items": [],
            "metadata": {"resourceVersion": "10"}}),
    );
    let watch = server.watch("10").await;
    let accept = watch.headers["accept"].to_str().unwrap();
    assert!(accept.contains(METADATA), "{accept}");

    let (mut server, client) = scripted();
    let needing = config(&client).client_side_field_selector("data.k=x");
    let _watcher = Watcher::start(&client, needing).unwrap();
    assert_eq!(server.list().await.headers["accept"], "application/json");
}

#[tokio::test(start_paused = true)]
async fn the_bodies_of_a_metadata_watch_are_whole() {
    let cluster = kubedex::fake::FakeCluster::new();
    let secret = |name: &str, content: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "stringData": {"k": content},
            "metadata": {"name": name, "namespace": "shop", "labels": {"app": name}}})
    };
    cluster.create(secret("a", "x")).unwrap();
    let client = Client::from_kube(cluster.client());
    let secrets = WatcherConfig::new(Gvr::new("", "v1", "secrets"))
        .index("app", ["metadata.labels.app"])
        .ignore_field("metadata.managedFields");
    let watcher = Watcher::start(&client, cached(secrets, &client)).unwrap();
    let mut changes = watcher.changes();
    watcher.wait_for_sync(SOON).await.unwrap();
    let store = watcher.store();
    let found = store.get_by("app", ["a"]).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].kind(), "Secret");
    assert_eq!(found[0].get("type").unwrap().as_str(), Some("Opaque"));
    cluster.create(secret("b", "y")).unwrap();
    let told = changes.next().await.unwrap();
    let change = told.iter().next().unwrap();
    assert_eq!(change.kind(), ChangeKind::Created);
    assert!(change.object().is_none(), "the store has no body to tell");
    assert!(change.new_keys().unwrap().of(1).eq([["b"]]));
    assert_eq!(store.get(["shop"]).await.unwrap().len(), 2);
    cluster.update(secret("b", "z")).unwrap();
    assert_eq!(changes.next().await.unwrap().modified(), 1);
    cluster
        .delete(&Gvr::new("", "v1", "secrets"), Some("shop"), "b")
        .unwrap();
    let told = changes.next().await.unwrap();
    assert_eq!(told.deleted(), 1);
    assert!(told.iter().next().unwrap().object().is_some());
    assert_eq!(store.get(["shop"]).await.unwrap().len(), 1);
    let metrics = store.metrics();
    assert_eq!((metrics.fetches, metrics.hits), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn keys_of_whole_objects_are_kept_and_their_bodies_are_not() {
    let (mut server, watcher, stream) = by_content(&[config_map("a", "1", "x")]).await;
    let mut changes = watcher.changes();
    let store = watcher.store();
    assert_eq!(store.references_by("k", ["x"]).unwrap(), [named("a")]);
    assert!(store.known(&named("a")).unwrap().object().is_none());
    stream.event("MODIFIED", &config_map("a", "11", "y"));
    let told = changes.next().await.unwrap();
    assert_eq!(told.modified(), 1);
    assert!(told.iter().next().unwrap().object().is_none());
    stream.event("MODIFIED", &config_map("a", "12", "y"));
    stream.event("DELETED", &config_map("a", "13", "y"));
    let told = changes.next().await.unwrap();
    let change = told.iter().next().unwrap();
    assert_eq!(change.kind(), ChangeKind::Deleted, "12 changed no content");
    let last = change.object().unwrap().get("data.k").unwrap();
    assert_eq!(last.as_str(), Some("y"), "the server said what it was");
    assert!(change.old_keys().unwrap().of(1).eq([["y"]]));
    assert!(server.is_idle(), "none of this fetched anything");
    stream.event("ADDED", &config_map("b", "14", "z"));
    changes.next().await.unwrap();
    let (read, ()) = tokio::join!(store.get_by("k", ["z"]), async {
        server.next().await.json(200, &config_map("b", "14", "z"));
    });
    assert_eq!(read.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn r12_a_relist_tells_the_differences_and_keeps_the_bodies_of_what_is_the_same() {
    let before = ["same", "changed", "gone", "again"].map(|name| config_map(name, "1", "x"));
    let (mut server, watcher, stream) = by_content(&before).await;
    let mut changes = watcher.changes();
    let store = watcher.store();
    let (read, ()) = tokio::join!(store.get(["n", "same"]), async {
        server.next().await.json(200, &config_map("same", "1", "x"));
    });
    read.unwrap();
    stream.event("ERROR", &status(410, "Expired"));
    let mut again = config_map("again", "18", "x");
    again["metadata"]["uid"] = "another".into();
    let after = [
        config_map("same", "1", "x"),
        config_map("changed", "17", "y"),
        again,
        config_map("new", "19", "x"),
    ];
    server.list().await.items("20", &after);
    let told = changes.next().await.unwrap();
    let rows: Vec<_> = told
        .iter()
        .map(|change| (change.kind(), change.reference().name()))
        .collect();
    let expected = [
        (ChangeKind::Deleted, "again"),
        (ChangeKind::Created, "again"),
        (ChangeKind::Modified, "changed"),
        (ChangeKind::Deleted, "gone"),
        (ChangeKind::Created, "new"),
    ];
    assert_eq!(rows, expected);
    assert_eq!(store.references_by("k", ["y"]).unwrap(), [named("changed")]);
    assert_eq!(store.get(["n", "same"]).await.unwrap().len(), 1);
    assert_eq!(store.metrics().fetches, 1, "it was still at hand");
}

#[tokio::test(start_paused = true)]
async fn r11_what_a_relist_cannot_read_keeps_its_old_state() {
    let before = ["a", "b", "c"].map(|name| config_map(name, "1", name));
    let (mut server, watcher, stream) = by_content(&before).await;
    stream.event("ERROR", &status(410, "Expired"));
    let mut unreadable = config_map("b", "15", "z");
    unreadable["data"] = (0..200).fold(json!(1), |inner, _| json!([inner]));
    server
        .list()
        .await
        .items("20", &[config_map("a", "1", "a"), unreadable.clone()]);
    server.list().await.items("20", &[unreadable]);
    server.watch("20").await;
    let store = watcher.store();
    assert_eq!(store.references(), [named("a"), named("b")], "c is gone");
    assert_eq!(store.references_by("k", ["b"]).unwrap(), [named("b")]);
    let known = store.known(&named("b")).unwrap();
    assert_eq!(known.resource_version(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn r11_a_relist_with_something_nameless_deletes_nothing() {
    let before = ["a", "b"].map(|name| config_map(name, "1", name));
    let (mut server, watcher, stream) = by_content(&before).await;
    stream.event("ERROR", &status(410, "Expired"));
    let nameless = json!({"metadata": {"labels": 7}});
    // Read again three times, then taken as it is.
    for _ in 0..4 {
        let items = [config_map("a", "15", "z"), nameless.clone()];
        server.list().await.items("20", &items);
    }
    server.watch("20").await;
    let store = watcher.store();
    assert_eq!(store.references(), [named("a"), named("b")]);
    assert_eq!(store.references_by("k", ["z"]).unwrap(), [named("a")]);
    assert_eq!(store.references_by("k", ["a"]).unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn r13_a_deletion_names_what_was_stored_even_if_another_of_its_name_came_unread() {
    let (mut server, client) = scripted();
    let selected = config(&client).client_side_field_selector("data.k=x");
    let watcher = Watcher::start(&client, selected).unwrap();
    let items = [config_map("a", "1", "x"), config_map("b", "2", "x")];
    server.list().await.items("10", &items);
    let stream = server.watch("10").await.stream();
    watcher.wait_for_sync(SOON).await.unwrap();
    let mut changes = watcher.changes();
    let other = |name: &str, version: &str| {
        let mut other = config_map(name, version, "z");
        other["metadata"]["uid"] = json!("another");
        other
    };
    let mut uids_told = async |name: &str| {
        let told = changes.next().await.unwrap();
        let change = told.iter().next().unwrap();
        assert_eq!(change.kind(), ChangeKind::Deleted);
        assert_eq!(change.reference().name(), name);
        let body = change.object().and_then(kubedex::Object::uid);
        (change.uid().map(str::to_owned), body.map(str::to_owned))
    };
    // It leaves the selector, as another object.
    let mut unreadable = other("a", "11");
    unreadable["apiVersion"] = json!("none");
    stream.event("MODIFIED", &unreadable);
    server.list().await.items("12", &[other("a", "12")]);
    assert_eq!(uids_told("a").await, (Some("uid-a".to_owned()), None));
    // It is deleted, after another came that could not be read.
    let mut unreadable = other("b", "13");
    unreadable["apiVersion"] = json!("none");
    stream.event("MODIFIED", &unreadable);
    server.list().await.items("13", &[unreadable]);
    stream.event("DELETED", &other("b", "14"));
    assert_eq!(uids_told("b").await, (Some("uid-b".to_owned()), None));
}

#[tokio::test(start_paused = true)]
async fn r14_a_body_is_not_kept_for_a_version_that_a_restored_server_gave_anew() {
    let before = ["a", "b"].map(|name| config_map(name, "9", "x"));
    let (mut server, watcher, stream) = by_content(&before).await;
    let store = watcher.store();
    let (read, ()) = tokio::join!(store.list(), async {
        for before in &before {
            server.next().await.json(200, before);
        }
    });
    assert_eq!(read.unwrap().len(), 2);
    stream.event("ERROR", &status(410, "Expired"));
    let restored = [config_map("a", "9", "another"), before[1].clone()];
    for _ in 0..4 {
        server.list().await.items("9", &restored);
    }
    server.watch("9").await;
    assert_eq!(store.references_by("k", ["another"]).unwrap(), [named("a")]);
    assert_eq!(store.metrics().invalidations, 1);
    let (read, ()) = tokio::join!(store.list(), async {
        for restored in &restored {
            server.next().await.json(200, restored);
        }
    });
    let contents: Vec<_> = read
        .unwrap()
        .iter()
        .map(|body| body.get("data.k").unwrap().as_str().unwrap().to_owned())
        .collect();
    assert_eq!(contents, ["another", "x"]);
}

#[tokio::test(start_paused = true)]
async fn r14_a_body_from_after_the_backup_that_a_server_was_restored_from_is_dropped() {
    let before = [config_map("a", "9", "x")];
    let (mut server, watcher, stream) = by_content(&before).await;
    let store = watcher.store();
    let reference = named("a");
    let read = async |server: &mut Scripted, answer| {
        let (read, ()) = tokio::join!(store.get_ref(&reference), async {
            server.next().await.json(200, answer);
        });
        read.unwrap().unwrap().resource_version().map(str::to_owned)
    };
    // It was changed at 12, which is lost before the watch tells of it.
    let lost = config_map("a", "12", "later");
    let later = read(&mut server, &lost).await;
    assert_eq!(later.as_deref(), Some("12"));
    stream.event("ERROR", &status(410, "Expired"));
    for _ in 0..4 {
        server.list().await.items("9", &before);
    }
    server.watch("9").await;
    let restored = read(&mut server, &before[0]).await;
    assert_eq!(restored.as_deref(), Some("9"));
}
