//! Lists that are asked for (R12): which list answers, what it guarantees, and when it is made.

use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use kubedex::watcher::{ChangeKind, InitialList, RelistError};
use kubedex::{Debounce, Gvr, Watcher, WatcherConfig};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::reflector::{SOON, content, nested, paged, rows, watching};
use crate::scripted::{config_map, list, scripted, status};

/// Whether a future is still waiting once everybody else has had a turn.
async fn waits<T>(future: &mut (impl Future<Output = T> + Unpin)) -> bool {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    futures::poll!(future).is_pending()
}

#[tokio::test(start_paused = true)]
async fn r12_a_list_that_is_asked_for_during_a_watch_is_made_at_once_and_tells_what_differed() {
    let before = [
        config_map("a", "1", "x"),
        config_map("b", "2", "x"),
        config_map("c", "3", "x"),
    ];
    let (mut server, _client, watcher, stream) = watching(&before).await;
    let mut changes = watcher.changes();
    let asked = Instant::now();
    let mut relisted = Box::pin(watcher.relist());
    let call = server.list().await;
    assert_eq!(asked.elapsed(), Duration::ZERO);
    assert!(!call.uri.contains("resourceVersion"), "{}", call.uri);
    stream.dropped().await;
    assert!(watcher.status().is_connected(), "nothing is amiss");
    assert!(waits(&mut relisted).await);
    call.items("9", &[config_map("a", "1", "x"), config_map("b", "8", "y")]);
    // The list is older than the watch was: not before one that is not is anything believed.
    let call = server.list().await;
    assert!(waits(&mut relisted).await);
    assert_eq!(watcher.store().len(), 3);
    call.items(
        "20",
        &[config_map("a", "1", "x"), config_map("b", "12", "y")],
    );
    relisted.await.unwrap();
    assert_eq!(
        content(&watcher),
        rows(&[("a", "1", "x"), ("b", "12", "y")])
    );
    let told = changes.next().now_or_never().flatten().expect("gathered");
    let told: Vec<_> = told
        .iter()
        .map(|change| (change.kind(), change.reference().name().to_owned()))
        .collect();
    let expected = [
        (ChangeKind::Modified, "b".to_owned()),
        (ChangeKind::Deleted, "c".to_owned()),
    ];
    assert_eq!(told, expected);
    let _stream = server.watch("20").await.stream();
}

#[tokio::test(start_paused = true)]
async fn r12_a_list_that_finds_nothing_tells_nothing() {
    let (mut server, _client, watcher, _stream) = watching(&[config_map("a", "1", "x")]).await;
    let mut changes = watcher.changes();
    let relisted = watcher.relist();
    server
        .list()
        .await
        .items("10", &[config_map("a", "1", "x")]);
    relisted.await.unwrap();
    assert!(changes.next().now_or_never().is_none());
    assert_eq!(watcher.status().lists, 2);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_had_begun_answers_nobody_who_asks_later() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, paged()).unwrap();
    let mut early = Box::pin(watcher.relist());
    let first = server.list().await;
    let mut late = Box::pin(watcher.relist());
    assert!(waits(&mut early).await);
    first.items("10", &[config_map("a", "1", "x")]);
    early.await.unwrap();
    assert!(watcher.is_synced());
    assert!(waits(&mut late).await);
    // The next list is for who came late, and no watch is opened before.
    server
        .list()
        .await
        .items("11", &[config_map("a", "11", "y")]);
    late.await.unwrap();
    assert_eq!(content(&watcher), rows(&[("a", "11", "y")]));
    let _stream = server.watch("11").await.stream();
    assert!(server.is_idle());
}

#[tokio::test(start_paused = true)]
async fn many_who_ask_at_once_share_a_list_even_if_most_do_not_wait_for_it() {
    let (mut server, _client, watcher, _stream) = watching(&[]).await;
    for _ in 0..100 {
        drop(watcher.relist());
    }
    let all: Vec<_> = (0..100).map(|_| watcher.relist()).collect();
    server.list().await.items("11", &[]);
    for relisted in all {
        relisted.await.unwrap();
    }
    let _stream = server.watch("11").await.stream();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(server.is_idle());
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_asked_for_again_before_it_told_anything_answers_who_came_meanwhile() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, paged()).unwrap();
    server.list().await.refuse(503, "ServiceUnavailable");
    let relisted = watcher.relist();
    server.list().await.items("10", &[]);
    relisted.await.unwrap();
    let _stream = server.watch("10").await.stream();
}

#[tokio::test(start_paused = true)]
async fn a_further_page_that_is_asked_for_again_answers_nobody_who_came_meanwhile() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, paged().page_size(1)).unwrap();
    let page = list("10", Some("more"), &[config_map("a", "1", "x")]);
    server.list().await.json(200, &page);
    server.list().await.refuse(503, "ServiceUnavailable");
    let mut relisted = Box::pin(watcher.relist());
    let call = server.list().await;
    assert!(call.uri.contains("continue=more"), "{}", call.uri);
    call.items("10", &[config_map("b", "2", "x")]);
    watcher.wait_for_sync(SOON).await.unwrap();
    assert!(waits(&mut relisted).await);
    server.list().await.items("12", &[]);
    relisted.await.unwrap();
    assert!(watcher.store().is_empty());
}

#[tokio::test(start_paused = true)]
async fn r6_a_list_that_is_asked_for_during_a_backoff_waits_for_its_end() {
    let (mut server, _client, watcher, stream) = watching(&[config_map("a", "1", "x")]).await;
    stream.reset();
    for _ in 0..5 {
        server.watch_any().await.refuse(503, "ServiceUnavailable");
    }
    tokio::task::yield_now().await;
    let asked = Instant::now();
    let relisted = watcher.relist();
    let call = server.list().await;
    assert!(
        asked.elapsed() > Duration::from_millis(500),
        "a server that ails is not asked sooner"
    );
    call.items("12", &[]);
    relisted.await.unwrap();
    assert!(watcher.store().is_empty());
    let _stream = server.watch("12").await.stream();
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_asked_for_while_the_server_is_away_comes_when_it_is_back() {
    let (mut server, _client, watcher, stream) = watching(&[config_map("a", "1", "x")]).await;
    stream.reset();
    let mut relisted = Box::pin(watcher.relist());
    for _ in 0..20 {
        // The connection breaks.
        drop(server.list().await);
    }
    let within = tokio::time::timeout(Duration::from_millis(1), &mut relisted).await;
    assert!(within.is_err(), "the deadline is the caller's");
    server
        .list()
        .await
        .items("12", &[config_map("b", "11", "y")]);
    relisted.await.unwrap();
    assert_eq!(content(&watcher), rows(&[("b", "11", "y")]));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_asked_for_while_a_watch_is_being_opened_follows_its_answer() {
    let (mut server, _client, watcher, stream) = watching(&[]).await;
    drop(stream);
    let call = server.watch_any().await;
    let mut relisted = Box::pin(watcher.relist());
    assert!(waits(&mut relisted).await);
    let stream = call.stream();
    server
        .list()
        .await
        .items("12", &[config_map("b", "11", "y")]);
    relisted.await.unwrap();
    stream.dropped().await;
}

#[tokio::test(start_paused = true)]
async fn events_that_wait_on_the_connection_are_not_lost_by_a_list_that_is_asked_for() {
    let (mut server, _client, watcher, stream) = watching(&[]).await;
    let mut changes = watcher.changes();
    stream.event("ADDED", &config_map("a", "11", "x"));
    let relisted = watcher.relist();
    server
        .list()
        .await
        .items("12", &[config_map("a", "11", "x")]);
    relisted.await.unwrap();
    let told = changes.next().now_or_never().flatten().expect("gathered");
    assert_eq!((told.created(), told.len()), (1, 1));
    assert!(changes.next().now_or_never().is_none(), "told once");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_asked_for_may_be_streamed() {
    let (mut server, client) = scripted();
    let config = paged().initial_list(InitialList::Auto);
    let watcher = Watcher::start(&client, config).unwrap();
    let stream = server.next().await.stream();
    let mut relisted = Box::pin(watcher.relist());
    stream.event("ADDED", &config_map("a", "1", "x"));
    stream.initial_events_end("9");
    watcher.wait_for_sync(SOON).await.unwrap();
    assert!(waits(&mut relisted).await);
    let call = server.next().await;
    assert!(call.uri.contains("sendInitialEvents=true"), "{}", call.uri);
    let second = call.stream();
    stream.dropped().await;
    second.event("ADDED", &config_map("b", "10", "x"));
    assert!(waits(&mut relisted).await);
    second.initial_events_end("11");
    relisted.await.unwrap();
    assert_eq!(content(&watcher), rows(&[("b", "10", "x")]));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_asked_for_waits_for_all_namespaces() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, paged().namespaces(["m", "n"])).unwrap();
    for _ in 0..2 {
        server.list().await.items("10", &[]);
    }
    let _streams = [
        server.watch_any().await.stream(),
        server.watch_any().await.stream(),
    ];
    let mut relisted = Box::pin(watcher.relist());
    let (one, other) = (server.list().await, server.list().await);
    other.items("11", &[]);
    assert!(waits(&mut relisted).await);
    one.items("12", &[]);
    relisted.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn w7_a_list_that_is_asked_for_ends_with_the_watcher() {
    let (mut server, _client, watcher, _stream) = watching(&[]).await;
    let (before, dropped) = (watcher.relist(), watcher.relist());
    let _call = server.list().await;
    watcher.shutdown().await;
    let error = before.await.unwrap_err();
    assert!(matches!(&error, RelistError::Stopped { .. }));
    assert!(error.to_string().contains("configmaps"), "{error}");
    assert!(watcher.relist().await.is_err(), "after the shutdown, too");
    drop(watcher);
    assert!(dropped.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_asked_for_ends_with_a_watcher_that_is_dropped() {
    let (_server, _client, watcher, _stream) = watching(&[]).await;
    let relisted = watcher.relist();
    drop(watcher);
    assert!(relisted.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_callback_may_ask_for_a_list_and_is_called_with_what_it_found() {
    let (mut server, client) = scripted();
    let handle: Arc<Mutex<Option<Arc<Watcher>>>> = Arc::default();
    let calls: Arc<Mutex<Vec<String>>> = Arc::default();
    let (of_callback, log) = (Arc::clone(&handle), Arc::clone(&calls));
    let config = WatcherConfig::new(Gvr::new("", "v1", "configmaps"))
        .initial_list(InitialList::Paged)
        .debounce(Debounce::none())
        .on_change(move |_store, changes| {
            let (handle, log) = (Arc::clone(&of_callback), Arc::clone(&log));
            async move {
                let names: Vec<_> = changes.iter().map(|c| c.reference().to_string()).collect();
                log.lock().push(names.join(" "));
                let first = log.lock().len() == 1;
                let watcher = handle.lock().clone();
                if let Some(watcher) = watcher.filter(|_| first) {
                    watcher.relist().await.unwrap();
                    log.lock().push("relisted".to_owned());
                }
            }
        });
    let watcher = Arc::new(Watcher::start(&client, config).unwrap());
    *handle.lock() = Some(Arc::clone(&watcher));
    server.list().await.items("10", &[]);
    let stream = server.watch("10").await.stream();
    stream.event("ADDED", &config_map("a", "11", "x"));
    server
        .list()
        .await
        .items("12", &[config_map("b", "12", "x")]);
    let _stream = server.watch("12").await.stream();
    let told = std::future::poll_fn(|context| {
        if calls.lock().len() == 3 {
            return Poll::Ready(calls.lock().clone());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    });
    let told = tokio::time::timeout(SOON, told).await.expect("told");
    assert_eq!(told, ["n/a", "relisted", "n/a n/b"]);
    *handle.lock() = None;
    watcher.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_asked_for_is_not_answered_by_one_that_is_void() {
    let (mut server, _client, watcher, _stream) = watching(&[config_map("a", "1", "x")]).await;
    let mut relisted = Box::pin(watcher.relist());
    let page = list("12", Some("more"), &[config_map("a", "1", "x")]);
    server.list().await.json(200, &page);
    server.list().await.json(410, &status(410, "Expired"));
    let call = server.list().await;
    assert!(waits(&mut relisted).await);
    call.items("13", &[]);
    relisted.await.unwrap();
    assert!(watcher.store().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_asked_for_is_answered_once_what_could_not_be_read_in_it_was_read_by_itself()
{
    let (mut server, _client, watcher, _stream) = watching(&[config_map("a", "1", "x")]).await;
    let mut unreadable = config_map("a", "15", "y");
    unreadable["data"]["deep"] = nested(200);
    let mut relisted = Box::pin(watcher.relist());
    server
        .list()
        .await
        .items("20", std::slice::from_ref(&unreadable));
    let again = server.list().await;
    assert!(waits(&mut relisted).await);
    again.items("20", std::slice::from_ref(&unreadable));
    relisted.await.unwrap();
    assert_eq!(watcher.status().unreadable, 1);
    let _stream = server.watch("20").await.stream();
    // Once more, and reading it by itself fails at first.
    let mut relisted = Box::pin(watcher.relist());
    server.list().await.items("25", &[unreadable]);
    drop(server.list().await);
    let call = server.watch("25").await;
    assert!(waits(&mut relisted).await);
    let _stream = call.stream();
    let again = server.list().await;
    assert!(waits(&mut relisted).await);
    again.items("25", &[config_map("a", "15", "y")]);
    relisted.await.unwrap();
    assert_eq!(content(&watcher), rows(&[("a", "15", "y")]));
}
