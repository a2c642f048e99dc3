//! What a watch of several namespaces shows as one.

use std::sync::Arc;
use std::time::Duration;

use kubedex::indexer::{IndexSet, Record};
use kubedex::store::{MemoryStore, Store as _, StoreSchema};
use kubedex::{Gvr, Object, Watcher};
use serde_json::Value;

use super::reflector::{SOON, paged};
use crate::scripted::{Scripted, Stream, config_map, scripted};

fn of(namespace: &str, name: &str, version: &str) -> Value {
    let mut object = config_map(name, version, "x");
    object["metadata"]["namespace"] = namespace.into();
    object
}

/// A watch of `a` as of version 10 and of `b` as of version 12, with an object each.
async fn watching(store: Option<MemoryStore>) -> (Scripted, Watcher, [Stream; 2]) {
    let (mut server, client) = scripted();
    let config = paged()
        .namespaces(["a", "b"])
        .store(|schema| store.unwrap_or_else(|| MemoryStore::new(schema)));
    let watcher = Watcher::start(&client, config).unwrap();
    let (first, second) = (server.list().await, server.list().await);
    first.items("10", &[of("a", "x", "1")]);
    let of_a = server.watch("10").await.stream();
    assert_eq!(watcher.store().resource_version(), None);
    second.items("12", &[of("b", "y", "2")]);
    let of_b = server.watch("12").await.stream();
    watcher.wait_for_sync(SOON).await.unwrap();
    (server, watcher, [of_a, of_b])
}

#[tokio::test(start_paused = true)]
async fn a_store_has_reached_what_all_namespaces_have() {
    let (_server, watcher, [of_a, of_b]) = watching(None).await;
    let store = watcher.store();
    assert_eq!(store.resource_version().as_deref(), Some("10"));
    of_b.event("ADDED", &of("b", "z", "20"));
    assert!(
        !store.wait_until("20", SOON).await,
        "in a it is not known yet"
    );
    of_a.bookmark("25");
    assert!(store.wait_until("20", SOON).await);
    assert_eq!(store.resource_version().as_deref(), Some("20"));
    of_b.bookmark("100");
    of_a.bookmark("99");
    assert!(store.wait_until("99", Duration::from_secs(1)).await);
}

#[tokio::test(start_paused = true)]
async fn what_a_store_held_before_is_gone_in_all_namespaces_and_outside_of_them() {
    let indexes = Arc::new(IndexSet::default());
    let gvr = Gvr::new("", "v1", "configmaps");
    let store = MemoryStore::new(&StoreSchema::new(gvr, Arc::clone(&indexes)));
    for namespace in ["a", "b", "elsewhere"] {
        let object = Object::from_value(&of(namespace, "left", "5")).unwrap();
        store.update(Record::new(object, &indexes)).await.unwrap();
    }
    let (_server, watcher, _streams) = watching(Some(store)).await;
    let listed = watcher.store().list();
    let names: Vec<_> = listed.iter().map(Object::name).collect();
    assert_eq!(names, ["x", "y"]);
}
