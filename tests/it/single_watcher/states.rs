//! What the present state is, whatever the server does.

use kubedex::fake::FakeCluster;
use kubedex::watcher::{SingleWatcher, SingleWatcherConfig, SyncError};
use kubedex::{Client, Gvr, Object};
use serde_json::{Value, json};

use super::{SOON, config, recording, row, some};
use crate::scripted::{config_map, scripted, status};

fn secret(content: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "data": {"k": content},
        "metadata": {"name": "a", "namespace": "n"}})
}

#[tokio::test(start_paused = true)]
async fn w8_every_edit_of_a_secret_is_seen_and_so_are_deletion_and_return() {
    let secrets = Gvr::new("", "v1", "secrets");
    let cluster = FakeCluster::new();
    let client = Client::from_kube(cluster.client());
    let (config, mut calls) = recording(super::config_of(secrets.clone()));
    let watcher = SingleWatcher::start(&client, config).unwrap();
    watcher.wait_for_sync(SOON).await.unwrap();
    assert!(watcher.is_synced() && watcher.current().is_none());
    assert_eq!(calls.recv().await, Some((true, None)), "missing at start");
    let mut uids = Vec::new();
    for content in ["eA==", "eQ==", "eg=="] {
        let written = cluster.apply(secret(content)).unwrap();
        let version = written.resource_version().unwrap();
        assert!(written.get("metadata.generation").unwrap().is_empty());
        assert_eq!(calls.recv().await, Some((false, some(version, content))));
        assert_eq!(row(watcher.current().as_ref()), some(version, content));
        uids.push(written.uid().unwrap().to_owned());
    }
    cluster.delete(&secrets, Some("n"), "a").unwrap();
    assert_eq!(calls.recv().await, Some((false, None)));
    assert!(watcher.current().is_none());
    let written = cluster.create(secret("eA==")).unwrap();
    let version = written.resource_version().unwrap();
    assert_eq!(calls.recv().await, Some((false, some(version, "eA=="))));
    let current = watcher.current().unwrap();
    assert_eq!(current.uid(), written.uid());
    assert_ne!(current.uid(), uids.last().map(String::as_str));
    watcher.shutdown().await;
    assert!(calls.recv().await.is_none());
    assert_eq!(watcher.current(), Some(current), "the last state stays");
}

#[tokio::test(start_paused = true)]
async fn w8_what_is_there_at_the_start_is_told_with_the_sync() {
    let (mut server, client) = scripted();
    let (config, mut calls) = recording(config());
    let watcher = SingleWatcher::start(&client, config).unwrap();
    let list = server.list().await;
    assert!(
        list.uri
            .starts_with("/api/v1/namespaces/n/configmaps?fieldSelector=metadata.name%3Da&"),
        "{}",
        list.uri
    );
    assert!(!watcher.is_synced());
    list.items("10", &[config_map("a", "7", "x")]);
    let watch = server.watch("10").await;
    assert!(
        watch.uri.contains("fieldSelector=metadata.name%3Da&"),
        "{}",
        watch.uri
    );
    assert_eq!(calls.recv().await, Some((true, some("7", "x"))));
    assert_eq!(row(watcher.current().as_ref()), some("7", "x"));
    assert_eq!(watcher.status().resource_version.as_deref(), Some("10"));
    watcher.shutdown().await;
    assert!(calls.recv().await.is_none(), "it is told once");
}

#[tokio::test(start_paused = true)]
async fn w8_a_new_version_of_the_same_content_is_taken_and_not_told() {
    let (mut server, client) = scripted();
    let (config, mut calls) = recording(config().ignore_field("metadata.annotations"));
    let watcher = SingleWatcher::start(&client, config).unwrap();
    server
        .list()
        .await
        .items("10", &[config_map("a", "7", "x")]);
    let stream = server.watch("10").await.stream();
    calls.recv().await.unwrap();
    let mut changes = watcher.changes();
    let mut annotated = config_map("a", "12", "x");
    annotated["metadata"]["annotations"] = json!({"seen": "now"});
    for object in [config_map("a", "11", "x"), annotated] {
        stream.event("MODIFIED", &object);
    }
    stream.bookmark("20");
    tokio::time::sleep(SOON).await;
    assert_eq!(row(watcher.current().as_ref()), some("12", "x"));
    assert!(!changes.has_changed().unwrap());
    stream.event("MODIFIED", &config_map("a", "21", "y"));
    assert_eq!(calls.recv().await, Some((false, some("21", "y"))));
    changes.changed().await.unwrap();
    assert_eq!(row(changes.borrow().as_ref()), some("21", "y"));
}

#[tokio::test(start_paused = true)]
async fn r13_what_happened_in_a_gap_is_told_after_the_relist() {
    let (mut server, client) = scripted();
    let (config, mut calls) = recording(config());
    let _watcher = SingleWatcher::start(&client, config).unwrap();
    server
        .list()
        .await
        .items("10", &[config_map("a", "7", "x")]);
    assert_eq!(calls.recv().await, Some((true, some("7", "x"))));
    let mut again = config_map("a", "18", "x");
    again["metadata"]["uid"] = "another".into();
    let mut version = 10;
    for (items, told) in [
        (vec![config_map("a", "7", "x")], vec![]),
        (vec![config_map("a", "15", "y")], vec![some("15", "y")]),
        (vec![again], vec![None, some("18", "x")]),
        (vec![], vec![None]),
        (vec![], vec![]),
    ] {
        let stream = server.watch(&version.to_string()).await.stream();
        stream.event("ERROR", &status(410, "Expired"));
        version += 10;
        server.list().await.items(&version.to_string(), &items);
        for expected in told {
            assert_eq!(calls.recv().await, Some((false, expected)));
        }
    }
    server.watch("60").await;
    assert!(calls.is_empty());
}

#[tokio::test(start_paused = true)]
async fn r11_a_state_that_cannot_be_read_leaves_the_old_one() {
    let (mut server, client) = scripted();
    let watcher = SingleWatcher::start(&client, config()).unwrap();
    server
        .list()
        .await
        .items("10", &[config_map("a", "7", "x")]);
    let stream = server.watch("10").await.stream();
    stream.event("ERROR", &status(410, "Expired"));
    let mut unreadable = config_map("a", "15", "z");
    unreadable["data"] = (0..200).fold(json!(1), |inner, _| json!([inner]));
    let unreadable = [unreadable];
    server.list().await.items("20", &unreadable);
    // It is read again by itself, and no better.
    server.list().await.items("20", &unreadable);
    let stream = server.watch("20").await.stream();
    assert_eq!(row(watcher.current().as_ref()), some("7", "x"));
    stream.event("MODIFIED", &config_map("a", "21", "y"));
    let mut changes = watcher.changes();
    changes.changed().await.unwrap();
    assert_eq!(row(watcher.current().as_ref()), some("21", "y"));
}

#[tokio::test(start_paused = true)]
async fn others_are_passed_over_even_if_the_server_sends_them() {
    let (mut server, client) = scripted();
    let (config, mut calls) = recording(config());
    let watcher = SingleWatcher::start(&client, config).unwrap();
    let others = [config_map("b", "5", "b"), config_map("c", "6", "c")];
    server.list().await.items("10", &others);
    let stream = server.watch("10").await.stream();
    assert_eq!(calls.recv().await, Some((true, None)));
    stream.event("ADDED", &config_map("d", "11", "d"));
    stream.event("ADDED", &config_map("a", "12", "x"));
    stream.event("DELETED", &config_map("d", "13", "d"));
    assert_eq!(calls.recv().await, Some((false, some("12", "x"))));
    stream.bookmark("14");
    tokio::time::sleep(SOON).await;
    assert!(watcher.current().is_some() && calls.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_channel_awaits_a_state_and_ends_with_the_watcher() {
    let cluster = FakeCluster::new();
    let client = Client::from_kube(cluster.client());
    let nodes = Gvr::new("", "v1", "nodes");
    let config = SingleWatcherConfig::cluster_scoped(nodes.clone(), "worker");
    let watcher = SingleWatcher::start(&client, config).unwrap();
    assert_eq!(watcher.reference().namespace(), None);
    let mut changes = watcher.changes();
    let ready = |node: &Option<Object>| {
        node.as_ref()
            .is_some_and(|node| node.label("ready") == Some("true"))
    };
    let node = |ready: &str| {
        json!({"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": "worker", "labels": {"ready": ready}}})
    };
    let (found, ()) = tokio::join!(changes.wait_for(ready), async {
        watcher.wait_for_sync(SOON).await.unwrap();
        cluster.create(node("false")).unwrap();
        tokio::time::sleep(SOON).await;
        cluster.update(node("true")).unwrap();
    });
    assert!(ready(&found.unwrap().clone()));
    let mut late = watcher.changes();
    assert!(!late.has_changed().unwrap(), "what is at hand is seen");
    watcher.shutdown().await;
    assert!(late.changed().await.is_err());
    assert!(ready(&watcher.current()));
}

#[tokio::test(start_paused = true)]
async fn a_state_that_is_asked_for_shows_what_was_there_when_it_was_asked() {
    let (mut server, client) = scripted();
    let (config, mut calls) = recording(config());
    let watcher = SingleWatcher::start(&client, config).unwrap();
    server.list().await.items("5", &[]);
    let _stream = server.watch("5").await.stream();
    assert_eq!(calls.recv().await, Some((true, None)));
    let relisted = watcher.relist();
    let answer = [config_map("a", "7", "x")];
    server.list().await.items("8", &answer);
    relisted.await.unwrap();
    assert_eq!(row(watcher.current().as_ref()), some("7", "x"));
    assert_eq!(calls.recv().await, Some((false, some("7", "x"))));
    watcher.shutdown().await;
    assert!(watcher.relist().await.is_err());
}

/// `a`, as nobody can read it.
fn unreadable(version: &str) -> Value {
    let mut unreadable = config_map("a", version, "z");
    unreadable["data"] = (0..200).fold(json!(1), |inner, _| json!([inner]));
    unreadable
}

#[tokio::test(start_paused = true)]
async fn w8_what_cannot_be_read_at_the_start_is_not_taken_for_missing() {
    let (mut server, client) = scripted();
    let (config, mut calls) = recording(config());
    let watcher = SingleWatcher::start(&client, config).unwrap();
    for _ in 0..2 {
        server.list().await.items("10", &[unreadable("7")]);
    }
    let stream = server.watch("10").await.stream();
    stream.bookmark("11");
    let error = watcher.wait_for_sync(SOON).await.unwrap_err();
    assert!(matches!(&error, SyncError::Deadline { .. }), "{error}");
    assert!(error.to_string().contains("n/a cannot be read"), "{error}");
    assert!(!watcher.is_synced() && calls.is_empty());
    stream.event("MODIFIED", &config_map("a", "12", "x"));
    assert_eq!(calls.recv().await, Some((true, some("12", "x"))));
    watcher.wait_for_sync(SOON).await.unwrap();
    assert!(watcher.status().last_error.is_none());
}

#[tokio::test(start_paused = true)]
async fn w8_what_could_not_be_read_at_the_start_is_known_once_it_is_gone() {
    for gone_before_it_is_read_again in [false, true] {
        let (mut server, client) = scripted();
        let watcher = SingleWatcher::start(&client, config()).unwrap();
        server.list().await.items("10", &[unreadable("7")]);
        let (version, items) = if gone_before_it_is_read_again {
            ("12", vec![])
        } else {
            ("10", vec![unreadable("7")])
        };
        server.list().await.items(version, &items);
        let stream = server.watch("10").await.stream();
        assert!(!watcher.is_synced());
        stream.event("DELETED", &unreadable("12"));
        watcher.wait_for_sync(SOON).await.unwrap();
        assert!(watcher.current().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn w8_what_could_not_be_read_at_the_start_is_known_after_a_list_that_can_be() {
    let (mut server, client) = scripted();
    let watcher = SingleWatcher::start(&client, config()).unwrap();
    for _ in 0..2 {
        server.list().await.items("10", &[unreadable("7")]);
    }
    let stream = server.watch("10").await.stream();
    stream.event("ERROR", &status(410, "Expired"));
    server
        .list()
        .await
        .items("20", &[config_map("a", "15", "x")]);
    watcher.wait_for_sync(SOON).await.unwrap();
    assert_eq!(row(watcher.current().as_ref()), some("15", "x"));
}
