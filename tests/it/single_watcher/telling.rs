//! When callbacks are called and with what.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kubedex::watcher::{Connection, SingleWatcher, SyncError};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{SOON, config, recording, row, some};
use crate::scripted::{config_map, scripted};

#[tokio::test(start_paused = true)]
async fn w8_changes_are_told_at_once() {
    let (mut server, client) = scripted();
    let (config, mut calls) = recording(config());
    let _watcher = SingleWatcher::start(&client, config).unwrap();
    server.list().await.items("10", &[]);
    let stream = server.watch("10").await.stream();
    assert_eq!(calls.recv().await, Some((true, None)));
    for version in ["11", "12", "13"] {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let sent = Instant::now();
        stream.event("MODIFIED", &config_map("a", version, version));
        assert_eq!(calls.recv().await, Some((false, some(version, version))));
        assert_eq!(sent.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn w2_a_slow_callback_gets_the_newest_state_and_a_return_as_both() {
    let (mut server, client) = scripted();
    let (sender, mut calls) = mpsc::unbounded_channel();
    let config = config().on_change(move |object| {
        let sender = sender.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(10)).await;
            let _ = sender.send(row(object.as_ref()));
        }
    });
    let watcher = SingleWatcher::start(&client, config).unwrap();
    server.list().await.items("10", &[]);
    let stream = server.watch("10").await.stream();
    watcher.wait_for_sync(SOON).await.unwrap();
    // The first one is being told while the others come.
    let pause = || tokio::time::sleep(Duration::from_secs(1));
    stream.event("ADDED", &config_map("a", "11", "x"));
    pause().await;
    stream.event("MODIFIED", &config_map("a", "12", "y"));
    stream.event("MODIFIED", &config_map("a", "13", "z"));
    pause().await;
    assert_eq!(
        row(watcher.current().as_ref()),
        some("13", "z"),
        "the present state waits for nobody"
    );
    assert_eq!(calls.recv().await, Some(some("11", "x")));
    assert_eq!(calls.recv().await, Some(some("13", "z")));
    // What comes to nothing is not told.
    stream.event("MODIFIED", &config_map("a", "14", "busy"));
    pause().await;
    stream.event("MODIFIED", &config_map("a", "15", "v"));
    stream.event("MODIFIED", &config_map("a", "16", "busy"));
    assert_eq!(calls.recv().await, Some(some("14", "busy")));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(calls.is_empty());
    // A deletion that was over before it could be told is told.
    stream.event("MODIFIED", &config_map("a", "17", "busy again"));
    pause().await;
    stream.event("DELETED", &config_map("a", "18", "busy again"));
    let mut again = config_map("a", "19", "busy again");
    again["metadata"]["uid"] = "another".into();
    stream.event("ADDED", &again);
    assert_eq!(calls.recv().await, Some(some("17", "busy again")));
    assert_eq!(calls.recv().await, Some(None));
    assert_eq!(calls.recv().await, Some(some("19", "busy again")));
}

#[tokio::test(start_paused = true)]
async fn w7_shutdown_tells_what_was_not_told_and_can_be_called_again() {
    let (mut server, client) = scripted();
    let told = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&told);
    let config = config().on_change(move |_| {
        let told = Arc::clone(&counted);
        async move {
            tokio::time::sleep(Duration::from_secs(10)).await;
            told.fetch_add(1, Ordering::SeqCst);
        }
    });
    let watcher = SingleWatcher::start(&client, config).unwrap();
    server.list().await.items("10", &[]);
    let stream = server.watch("10").await.stream();
    watcher.wait_for_sync(SOON).await.unwrap();
    stream.event("ADDED", &config_map("a", "11", "x"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    stream.event("MODIFIED", &config_map("a", "12", "y"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    tokio::join!(watcher.shutdown(), watcher.shutdown());
    assert_eq!(told.load(Ordering::SeqCst), 2);
    assert_eq!(watcher.status().connection, Connection::Stopped);
    stream.dropped().await;
    watcher.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn w7_a_stop_before_the_sync_tells_nothing_and_ends_those_who_wait() {
    let (mut server, client) = scripted();
    let (config, mut calls) = recording(config());
    let watcher = SingleWatcher::start(&client, config).unwrap();
    let handle = watcher.sync_handle();
    let _unanswered = server.list().await;
    let (waited, ()) = tokio::join!(handle.wait_for_sync(SOON), watcher.shutdown());
    assert!(matches!(waited, Err(SyncError::Stopped { .. })));
    assert!(calls.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn dropping_it_ends_everything() {
    let (mut server, client) = scripted();
    let watcher = SingleWatcher::start(&client, config()).unwrap();
    server.list().await.items("10", &[]);
    let stream = server.watch("10").await.stream();
    watcher.wait_for_sync(SOON).await.unwrap();
    let mut changes = watcher.changes();
    drop(watcher);
    stream.dropped().await;
    assert!(changes.changed().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn w6_a_panic_in_a_callback_is_caught_and_counted() {
    let (mut server, client) = scripted();
    let (sender, mut calls) = mpsc::unbounded_channel();
    let config = config()
        .on_sync_complete_fn(|_| panic!("of the sync"))
        .on_change_fn(move |object| {
            let row = row(object.as_ref());
            assert_ne!(row, some("11", "x"), "of the first change");
            let _ = sender.send(row);
        });
    let watcher = SingleWatcher::start(&client, config).unwrap();
    server.list().await.items("10", &[]);
    let stream = server.watch("10").await.stream();
    stream.event("ADDED", &config_map("a", "11", "x"));
    tokio::time::sleep(SOON).await;
    assert_eq!(watcher.status().callback_panics, 2);
    stream.event("MODIFIED", &config_map("a", "12", "y"));
    assert_eq!(calls.recv().await, Some(some("12", "y")));
    assert!(watcher.status().is_connected());
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_printed_shows_content() {
    let (mut server, client) = scripted();
    let watcher = SingleWatcher::start(&client, config()).unwrap();
    let list = server.list().await;
    list.items("10", &[config_map("a", "7", "hunter2")]);
    watcher.wait_for_sync(SOON).await.unwrap();
    let shown = format!(
        "{watcher:?} {:?} {:?} {:?}",
        watcher.current(),
        watcher.changes(),
        watcher.status()
    );
    assert!(
        shown.contains("n/a") && !shown.contains("hunter2"),
        "{shown}"
    );
}
