//! When and what callbacks and streams are told (W).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use kubedex::watcher::{ChangeKind, InitialList};
use kubedex::{Changes, Debounce, Gvr, Watcher, WatcherConfig};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::scripted::{Scripted, Stream, config_map, scripted, status};

const SOON: Duration = Duration::from_secs(5);

fn config() -> WatcherConfig {
    WatcherConfig::new(Gvr::new("", "v1", "configmaps"))
        .initial_list(InitialList::Paged)
        .seed(7)
}

/// A call of `on_change`: milliseconds since the start, and what it was told.
type Call = (u64, Vec<(ChangeKind, String)>);

fn rows(changes: &Changes) -> Vec<(ChangeKind, String)> {
    let row =
        |change: &kubedex::watcher::Change| (change.kind(), change.reference().name().to_owned());
    changes.iter().map(row).collect()
}

/// A synced watcher over an empty collection whose calls come out of a channel, and its open watch.
async fn recorded(
    debounce: Debounce,
) -> (
    Scripted,
    Watcher,
    Stream,
    mpsc::UnboundedReceiver<Call>,
    Instant,
) {
    let (mut server, client) = scripted();
    let (sender, calls) = mpsc::unbounded_channel();
    let start = Instant::now();
    let config = config().debounce(debounce).on_change_fn(move |_, changes| {
        let millis = u64::try_from(start.elapsed().as_millis()).unwrap();
        let _ = sender.send((millis, rows(&changes)));
    });
    let watcher = Watcher::start(&client, config).unwrap();
    server.list().await.items("10", &[]);
    let stream = server.watch("10").await.stream();
    watcher.wait_for_sync(SOON).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    (server, watcher, stream, calls, start)
}

async fn at(start: Instant, millis: u64) {
    tokio::time::sleep_until(start + Duration::from_millis(millis)).await;
}

fn created(names: &[&str]) -> Vec<(ChangeKind, String)> {
    names
        .iter()
        .map(|name| (ChangeKind::Created, (*name).to_owned()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn w1_trailing_changes_are_told_once_they_pause() {
    let (_server, _watcher, stream, mut calls, start) =
        recorded(Debounce::trailing(Duration::from_millis(500))).await;
    for (millis, name, version) in [(0, "a", "11"), (100, "b", "12"), (200, "c", "13")] {
        at(start, millis).await;
        stream.event("ADDED", &config_map(name, version, "x"));
    }
    assert_eq!(
        calls.recv().await.unwrap(),
        (700, created(&["a", "b", "c"]))
    );
    assert!(calls.recv().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn w1_endless_churn_cannot_put_a_call_off_past_max_wait() {
    let (_server, _watcher, stream, mut calls, start) =
        recorded(Debounce::trailing(Duration::from_millis(500))).await;
    for step in 0..200u64 {
        at(start, step * 100).await;
        stream.event(
            "MODIFIED",
            &config_map("a", &(11 + step).to_string(), &step.to_string()),
        );
    }
    at(start, 30_000).await;
    let mut times = Vec::new();
    while let Some(Some((millis, _))) = calls.recv().now_or_never() {
        times.push(millis);
    }
    assert_eq!(times.first(), Some(&5000));
    assert!(
        times.windows(2).all(|pair| pair[1] - pair[0] <= 5100),
        "{times:?}"
    );
    let last = *times.last().unwrap();
    assert!(
        (19_900..=20_400).contains(&last),
        "the last change, at 19,900, is told in time: {last}"
    );
}

#[tokio::test(start_paused = true)]
async fn w1_leading_tells_the_first_change_at_once_and_loses_none() {
    let (_server, _watcher, stream, mut calls, start) =
        recorded(Debounce::leading(Duration::from_millis(500))).await;
    for (millis, name, version) in [
        (0, "a", "11"),
        (100, "b", "12"),
        (200, "c", "13"),
        (2000, "d", "14"),
    ] {
        at(start, millis).await;
        stream.event("ADDED", &config_map(name, version, "x"));
    }
    assert_eq!(calls.recv().await.unwrap(), (0, created(&["a"])));
    assert_eq!(calls.recv().await.unwrap(), (500, created(&["b", "c"])));
    assert_eq!(calls.recv().await.unwrap(), (2000, created(&["d"])));
}

#[tokio::test(start_paused = true)]
async fn w2_calls_never_overlap_and_changes_gather_while_one_runs() {
    let (mut server, client) = scripted();
    let running = Arc::new(AtomicBool::new(false));
    let (sender, mut calls) = mpsc::unbounded_channel();
    let config = config()
        .debounce(Debounce::none())
        .on_change(move |_, changes| {
            let (running, sender) = (Arc::clone(&running), sender.clone());
            async move {
                assert!(!running.swap(true, Ordering::SeqCst), "two calls at once");
                tokio::time::sleep(Duration::from_secs(10)).await;
                running.store(false, Ordering::SeqCst);
                let _ = sender.send(rows(&changes));
            }
        });
    let watcher = Watcher::start(&client, config).unwrap();
    server.list().await.items("10", &[]);
    let stream = server.watch("10").await.stream();
    stream.event("ADDED", &config_map("a", "11", "x"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    stream.event("ADDED", &config_map("b", "12", "x"));
    stream.event("ADDED", &config_map("c", "13", "x"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        watcher.store().len(),
        3,
        "a slow callback does not hold up the store"
    );
    assert_eq!(calls.recv().await.unwrap(), created(&["a"]));
    assert_eq!(calls.recv().await.unwrap(), created(&["b", "c"]));
    assert_eq!(watcher.status().callback_panics, 0);
}

#[tokio::test(start_paused = true)]
async fn w3_changes_of_one_object_are_told_as_their_net_effect() {
    let (_server, _watcher, stream, mut calls, _start) =
        recorded(Debounce::trailing(Duration::from_millis(500))).await;
    stream.event("ADDED", &config_map("kept", "11", "x"));
    stream.event("ADDED", &config_map("recreated", "12", "x"));
    stream.event("ADDED", &config_map("modified", "13", "x"));
    calls.recv().await.unwrap();
    stream.event("ADDED", &config_map("fleeting", "14", "x"));
    stream.event("DELETED", &config_map("fleeting", "15", "x"));
    stream.event("DELETED", &config_map("recreated", "16", "x"));
    let mut again = config_map("recreated", "17", "x");
    again["metadata"]["uid"] = "another".into();
    stream.event("ADDED", &again);
    stream.event("MODIFIED", &config_map("modified", "18", "y"));
    stream.event("MODIFIED", &config_map("modified", "19", "z"));
    stream.event("MODIFIED", &config_map("kept", "20", "x"));
    let expected = [
        (ChangeKind::Modified, "modified".to_owned()),
        (ChangeKind::Deleted, "recreated".to_owned()),
        (ChangeKind::Created, "recreated".to_owned()),
    ];
    assert_eq!(calls.recv().await.unwrap().1, expected);
}

#[tokio::test(start_paused = true)]
async fn w4_the_end_of_the_sync_is_told_once_and_before_everything_else() {
    for count in [0, 3] {
        let (mut server, client) = scripted();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (on_sync, on_change) = (Arc::clone(&log), Arc::clone(&log));
        let config = config()
            .debounce(Debounce::none())
            .on_sync_complete_fn(move |store, count| {
                on_sync
                    .lock()
                    .push(format!("synced {count} of {}", store.len()));
            })
            .on_change_fn(move |_, changes| {
                on_change.lock().push(format!(
                    "{} changes, initial: {}",
                    changes.len(),
                    changes.is_initial_sync()
                ));
            });
        let watcher = Watcher::start(&client, config).unwrap();
        let items: Vec<_> = (0..count)
            .map(|i| config_map(&format!("o{i}"), &format!("{}", i + 1), "x"))
            .collect();
        server.list().await.items("10", &items);
        let stream = server.watch("10").await.stream();
        stream.event("ADDED", &config_map("z", "11", "x"));
        stream.event("ERROR", &status(410, "Expired"));
        server
            .list()
            .await
            .items("20", &[config_map("z", "11", "x")]);
        server.watch("20").await;
        watcher.shutdown().await;
        let mut expected = vec![
            format!("synced {count} of {count}"),
            "1 changes, initial: false".to_owned(),
        ];
        if count > 0 {
            expected.push(format!("{count} changes, initial: false"));
        }
        assert_eq!(*log.lock(), expected, "a relist is no second initial sync");
    }
}

#[tokio::test(start_paused = true)]
async fn changes_during_the_sync_are_told_if_wanted_and_marked() {
    let (mut server, client) = scripted();
    let log = Arc::new(Mutex::new(Vec::new()));
    let (on_sync, on_change) = (Arc::clone(&log), Arc::clone(&log));
    let config = config()
        .debounce(Debounce::trailing(Duration::from_millis(500)))
        .call_on_change_during_sync(true)
        .on_sync_complete_fn(move |_, count| on_sync.lock().push(format!("synced {count}")))
        .on_change_fn(move |_, changes| {
            on_change.lock().push(format!(
                "{} created, initial: {}",
                changes.created(),
                changes.is_initial_sync()
            ));
        });
    let watcher = Watcher::start(&client, config).unwrap();
    server.list().await.items(
        "10",
        &[config_map("a", "1", "x"), config_map("b", "2", "x")],
    );
    let stream = server.watch("10").await.stream();
    stream.event("ADDED", &config_map("c", "11", "x"));
    watcher.wait_for_sync(SOON).await.unwrap();
    tokio::time::sleep(SOON).await;
    assert_eq!(
        *log.lock(),
        [
            "2 created, initial: true",
            "synced 2",
            "1 created, initial: false"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn w6_a_panic_in_a_callback_is_caught_and_counted() {
    let (mut server, client) = scripted();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let config = config().debounce(Debounce::none()).on_change(move |_, _| {
        let call = counted.fetch_add(1, Ordering::SeqCst);
        async move { assert!(call > 0, "the first call fails") }
    });
    let watcher = Watcher::start(&client, config).unwrap();
    server.list().await.items("10", &[]);
    let stream = server.watch("10").await.stream();
    stream.event("ADDED", &config_map("a", "11", "x"));
    watcher
        .status_changes()
        .wait_for(|status| status.callback_panics == 1)
        .await
        .unwrap();
    stream.event("ADDED", &config_map("b", "12", "x"));
    tokio::time::sleep(SOON).await;
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    assert_eq!(watcher.store().len(), 2);
    assert!(watcher.status().is_connected());
}

#[tokio::test(start_paused = true)]
async fn streams_gather_each_for_itself_and_end_with_the_watcher() {
    let (_server, watcher, stream, mut calls, _start) =
        recorded(Debounce::trailing(Duration::from_millis(500))).await;
    let (mut first, mut second) = (watcher.changes(), watcher.changes());
    stream.event("ADDED", &config_map("a", "11", "x"));
    assert_eq!(rows(&first.next().await.unwrap()), created(&["a"]));
    calls.recv().await.unwrap();
    stream.event("ADDED", &config_map("b", "12", "x"));
    assert_eq!(rows(&first.next().await.unwrap()), created(&["b"]));
    assert_eq!(
        rows(&second.next().await.unwrap()),
        created(&["a", "b"]),
        "the slow one gets both at once"
    );
    watcher.shutdown().await;
    assert!(first.next().await.is_none());
    assert!(second.next().await.is_none());
    assert!(second.next().await.is_none(), "and stays ended");
    assert!(
        watcher.changes().next().await.is_none(),
        "one taken after the end has ended"
    );
}

#[tokio::test(start_paused = true)]
async fn reads_in_a_callback_show_at_least_its_changes() {
    let (mut server, client) = scripted();
    let (sender, mut seen) = mpsc::unbounded_channel();
    let config = config()
        .debounce(Debounce::none())
        .on_change_fn(move |store, changes| {
            let all = changes.iter().all(|change| {
                store.get_ref(change.reference()).is_some()
                    == (change.kind() != ChangeKind::Deleted)
            });
            let _ = sender.send(all);
        });
    let _watcher = Watcher::start(&client, config).unwrap();
    server.list().await.items("10", &[]);
    let stream = server.watch("10").await.stream();
    stream.event("ADDED", &config_map("a", "11", "x"));
    assert!(seen.recv().await.unwrap());
    stream.event("DELETED", &config_map("a", "12", "x"));
    assert!(seen.recv().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_a_running_callback_may_have_read_is_told_even_if_it_is_undone() {
    let (mut server, client) = scripted();
    let (sender, mut calls) = mpsc::unbounded_channel();
    let config = config()
        .debounce(Debounce::none())
        .on_change(move |_, changes| {
            let sender = sender.clone();
            async move {
                tokio::time::sleep(Duration::from_secs(10)).await;
                let _ = sender.send(rows(&changes));
            }
        });
    let _watcher = Watcher::start(&client, config).unwrap();
    server
        .list()
        .await
        .items("10", &[config_map("a", "1", "x")]);
    let stream = server.watch("10").await.stream();
    stream.event("ADDED", &config_map("b", "11", "x"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    // While the callback runs, it may read these two states, which it is never told of as such.
    stream.event("MODIFIED", &config_map("a", "12", "y"));
    stream.event("ADDED", &config_map("c", "13", "x"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    stream.event("MODIFIED", &config_map("a", "14", "x"));
    stream.event("DELETED", &config_map("c", "15", "x"));
    assert_eq!(calls.recv().await.unwrap(), created(&["b"]));
    let expected = [
        (ChangeKind::Modified, "a".to_owned()),
        (ChangeKind::Deleted, "c".to_owned()),
    ];
    assert_eq!(calls.recv().await.unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_carries_the_last_known_object() {
    let (_server, watcher, stream, _calls, _start) = recorded(Debounce::none()).await;
    let mut changes = watcher.changes();
    stream.event("ADDED", &config_map("a", "11", "last words"));
    changes.next().await.unwrap();
    stream.event("DELETED", &config_map("a", "12", "last words"));
    let told = changes.next().await.unwrap();
    let change = told.iter().next().unwrap();
    assert_eq!(
        change.object().unwrap().get("data.k").unwrap().as_str(),
        Some("last words")
    );
    assert!(change.new_keys().is_none());
    assert!(change.old_keys().unwrap().primary().eq([["n", "a"]]));
}
