//! The reflector's rules (R), against a server that misbehaves as told.

use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use kubedex::watcher::{Change, ChangeKind, ChangesStream, InitialList, SyncError};
use kubedex::{Client, Debounce, Gvr, ObjectRef, Watcher, WatcherConfig};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::scripted::{Scripted, Stream, config_map, list, scripted, status};

pub(super) const SOON: Duration = Duration::from_secs(5);

fn config() -> WatcherConfig {
    WatcherConfig::new(Gvr::new("", "v1", "configmaps"))
        .debounce(Debounce::none())
        .seed(7)
}

pub(super) fn paged() -> WatcherConfig {
    config().initial_list(InitialList::Paged)
}

/// A watcher that has listed these objects as of version 10, and its open watch.
pub(super) async fn watching(items: &[Value]) -> (Scripted, Client, Watcher, Stream) {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, paged()).unwrap();
    server.list().await.items("10", items);
    let stream = server.watch("10").await.stream();
    watcher.wait_for_sync(SOON).await.unwrap();
    (server, client, watcher, stream)
}

/// What the store holds: name, version and content of each object.
pub(super) fn content(watcher: &Watcher) -> Vec<(String, String, String)> {
    let objects = watcher.store().list();
    let text = |object: &kubedex::Object| {
        object
            .get("data.k")
            .unwrap()
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    objects
        .iter()
        .map(|object| {
            (
                object.name().into(),
                object.resource_version().unwrap().into(),
                text(object),
            )
        })
        .collect()
}

pub(super) fn rows(rows: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    rows.iter()
        .map(|(name, version, text)| ((*name).into(), (*version).into(), (*text).into()))
        .collect()
}

/// The next changes: kind, name and uid.
async fn told(changes: &mut ChangesStream) -> Vec<(ChangeKind, String, String)> {
    let changes = changes.next().await.expect("the watcher has ended");
    let row = |change: &Change| {
        (
            change.kind(),
            change.reference().name().to_owned(),
            change.uid().unwrap_or_default().to_owned(),
        )
    };
    changes.iter().map(row).collect()
}

/// Waits until the store holds these objects; panics with what it holds instead when a minute has passed.
pub(super) async fn settles(watcher: &Watcher, expected: &[(&str, &str, &str)]) {
    let expected = rows(expected);
    let deadline = Instant::now() + Duration::from_secs(60);
    while content(watcher) != expected {
        assert!(
            Instant::now() < deadline,
            "the store holds {:?}",
            content(watcher)
        );
        tokio::time::advance(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn r1_a_streaming_list_syncs_and_goes_on_as_a_watch_on_the_same_connection() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, config()).unwrap();
    let call = server.next().await;
    assert!(
        call.uri
            .contains("sendInitialEvents=true&resourceVersionMatch=NotOlderThan"),
        "{}",
        call.uri
    );
    assert!(
        call.uri.contains("allowWatchBookmarks=true"),
        "{}",
        call.uri
    );
    let stream = call.stream();
    stream.event("ADDED", &config_map("a", "1", "x"));
    settles(&watcher, &[("a", "1", "x")]).await;
    assert!(!watcher.is_synced());
    stream.initial_events_end("9");
    watcher.wait_for_sync(SOON).await.unwrap();
    assert_eq!(watcher.status().resource_version.as_deref(), Some("9"));
    stream.event("ADDED", &config_map("b", "11", "y"));
    settles(&watcher, &[("a", "1", "x"), ("b", "11", "y")]).await;
    drop(stream);
    server.watch("11").await;
}

#[tokio::test(start_paused = true)]
async fn r1_a_refused_streaming_list_falls_back_to_pages_and_is_not_tried_again() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, config()).unwrap();
    server.next().await.refuse(422, "Invalid");
    server.list().await.items("5", &[config_map("a", "1", "x")]);
    let stream = server.watch("5").await.stream();
    watcher.wait_for_sync(SOON).await.unwrap();
    stream.event("ERROR", &status(410, "Expired"));
    server.list().await;
}

#[tokio::test(start_paused = true)]
async fn r1_an_error_event_that_refuses_the_parameters_falls_back_to_pages() {
    let (mut server, client) = scripted();
    let _watcher = Watcher::start(&client, config()).unwrap();
    let stream = server.next().await.stream();
    stream.event("ERROR", &status(422, "Invalid"));
    server.list().await;
}

#[tokio::test(start_paused = true)]
async fn r1_a_server_that_ignores_the_streaming_list_is_listed_in_pages_after_ten_seconds() {
    let (mut server, client) = scripted();
    let _watcher = Watcher::start(&client, config()).unwrap();
    let start = Instant::now();
    let stream = server.next().await.stream();
    server.list().await;
    assert_eq!(start.elapsed().as_secs(), 10);
    stream.dropped().await;
}

#[tokio::test(start_paused = true)]
async fn r2_pages_are_followed_and_an_expired_token_gives_one_full_list() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, paged().page_size(2)).unwrap();
    let call = server.list().await;
    assert!(
        call.uri.contains("limit=2") && !call.uri.contains("resourceVersion"),
        "{}",
        call.uri
    );
    call.json(
        200,
        &list(
            "5",
            Some("t1"),
            &[config_map("a", "1", "x"), config_map("b", "2", "x")],
        ),
    );
    let call = server.list().await;
    assert!(call.uri.contains("limit=2&continue=t1"), "{}", call.uri);
    call.refuse(410, "Expired");
    let call = server.list().await;
    assert!(
        !call.uri.contains("limit") && !call.uri.contains("continue"),
        "{}",
        call.uri
    );
    call.items("8", &[config_map("b", "7", "y"), config_map("c", "3", "x")]);
    server.watch("8").await;
    watcher.wait_for_sync(SOON).await.unwrap();
    assert_eq!(
        content(&watcher),
        rows(&[("b", "7", "y"), ("c", "3", "x")]),
        "a is gone since the first page"
    );
}

#[tokio::test(start_paused = true)]
async fn r2_a_list_is_decoded_as_it_arrives() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, paged()).unwrap();
    let stream = server.list().await.stream();
    let body = list(
        "5",
        None,
        &[config_map("a", "1", "x"), config_map("b", "2", "y")],
    )
    .to_string();
    let (head, tail) = body.split_at(body.find(r#""name":"b""#).unwrap());
    stream.write(head);
    settles(&watcher, &[("a", "1", "x")]).await;
    stream.write(tail);
    drop(stream);
    watcher.wait_for_sync(SOON).await.unwrap();
    assert_eq!(watcher.store().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn r3_a_drop_after_a_bookmark_costs_no_relist() {
    let (mut server, _client, _watcher, stream) = watching(&[]).await;
    stream.bookmark("50");
    stream.reset();
    server.watch("50").await;
}

#[tokio::test(start_paused = true)]
async fn r4_gone_relists_as_an_event_and_as_an_answer() {
    let (mut server, _client, watcher, stream) = watching(&[config_map("a", "1", "x")]).await;
    stream.event("ERROR", &status(410, "Expired"));
    server
        .list()
        .await
        .items("20", &[config_map("a", "15", "y")]);
    server.watch("20").await.refuse(410, "Expired");
    settles(&watcher, &[("a", "15", "y")]).await;
    server.list().await.items("30", &[]);
    server.watch("30").await;
    assert_eq!(content(&watcher), []);
}

#[tokio::test(start_paused = true)]
async fn r5_an_ailing_server_is_asked_again_after_the_time_it_names_without_a_relist() {
    let (mut server, _client, watcher, stream) = watching(&[config_map("a", "1", "x")]).await;
    stream.reset();
    for code in [429, 500, 503] {
        let call = server.watch("10").await;
        let asked = Instant::now();
        let mut refusal = status(code, "x");
        refusal["details"] = json!({"retryAfterSeconds": 40});
        call.json(code, &refusal);
        let next = server.watch("10").await;
        assert_eq!(asked.elapsed().as_secs(), 40);
        assert!(!watcher.status().is_connected());
        drop(next);
    }
    assert_eq!(
        content(&watcher),
        rows(&[("a", "1", "x")]),
        "the last known state stays"
    );
}

#[tokio::test(start_paused = true)]
async fn r6_r7_a_dead_server_is_asked_some_times_a_minute() {
    let (mut server, _client, watcher, stream) = watching(&[]).await;
    stream.reset();
    let mut requests = 0;
    let end = Instant::now() + Duration::from_secs(3600);
    while Instant::now() < end {
        drop(server.watch("10").await);
        requests += 1;
    }
    assert!(
        (120..=300).contains(&requests),
        "{requests} requests in an hour"
    );
    assert!(
        watcher
            .status()
            .last_error
            .unwrap()
            .to_string()
            .contains("configmaps")
    );
}

#[tokio::test(start_paused = true)]
async fn r7_watches_that_end_at_once_are_an_error_and_no_hot_loop() {
    let (mut server, _client, watcher, stream) = watching(&[]).await;
    drop(stream);
    let mut requests = 0;
    let end = Instant::now() + Duration::from_secs(600);
    while Instant::now() < end {
        drop(server.watch("10").await.stream());
        requests += 1;
    }
    assert!(requests <= 60, "{requests} requests in ten minutes");
    let error = watcher.status().last_error.unwrap().to_string();
    assert!(error.contains("ended the watch at once"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn r8_a_clean_end_after_progress_is_followed_by_a_watch_at_once() {
    let (mut server, _client, watcher, stream) = watching(&[]).await;
    stream.event("ADDED", &config_map("a", "12", "x"));
    settles(&watcher, &[("a", "12", "x")]).await;
    let ended = Instant::now();
    drop(stream);
    let call = server.watch("12").await;
    assert_eq!(ended.elapsed(), Duration::ZERO);
    assert!(
        watcher.status().is_connected(),
        "between a clean end and the next watch nothing is amiss"
    );
    let seconds: u64 = call
        .uri
        .split("timeoutSeconds=")
        .nth(1)
        .unwrap()
        .split('&')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!((300..=600).contains(&seconds), "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn r9_an_answer_that_never_comes_does_not_hang_the_watcher() {
    let (mut server, client) = scripted();
    let _watcher = Watcher::start(&client, paged()).unwrap();
    let start = Instant::now();
    let _silent = server.list().await;
    let _again = server.list().await;
    assert!(
        start.elapsed() < Duration::from_secs(70),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn r9_a_list_that_stalls_does_not_hang_the_watcher() {
    let (mut server, client) = scripted();
    let _watcher = Watcher::start(&client, paged()).unwrap();
    let stream = server.list().await.stream();
    stream.write(r#"{"kind":"ConfigMapList","items":["#);
    let start = Instant::now();
    let _again = server.list().await;
    assert!(
        start.elapsed() < Duration::from_secs(35),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn r9_a_watch_that_outlives_its_timeout_in_silence_is_given_up() {
    let (mut server, _client, _watcher, stream) = watching(&[]).await;
    let start = Instant::now();
    server.watch("10").await;
    assert!(
        (330..=635).contains(&start.elapsed().as_secs()),
        "{:?}",
        start.elapsed()
    );
    stream.dropped().await;
}

#[tokio::test(start_paused = true)]
async fn r10_an_unreadable_object_of_a_list_is_passed_over_and_keeps_its_old_state_in_a_relist() {
    let before = [
        config_map("a", "1", "x"),
        config_map("b", "2", "x"),
        config_map("c", "3", "x"),
    ];
    let (mut server, _client, watcher, stream) = watching(&before).await;
    stream.event("ERROR", &status(410, "Expired"));
    let mut unreadable = config_map("b", "15", "y");
    unreadable["data"]["deep"] = nested(200);
    server
        .list()
        .await
        .items("20", &[config_map("a", "12", "y"), unreadable.clone()]);
    let again = server.list().await;
    assert!(
        again.uri.ends_with("metadata.name%3Db"),
        "read again by itself: {}",
        again.uri
    );
    again.items("20", &[unreadable]);
    server.watch("20").await;
    assert_eq!(
        content(&watcher),
        rows(&[("a", "12", "y"), ("b", "2", "x")])
    );
    assert_eq!(watcher.status().unreadable, 1);
}

#[tokio::test(start_paused = true)]
async fn r10_an_object_that_a_list_garbled_once_is_read_again() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, paged()).unwrap();
    let mut unreadable = config_map("b", "2", "y");
    unreadable["data"]["deep"] = nested(200);
    server
        .list()
        .await
        .items("10", &[config_map("a", "1", "x"), unreadable]);
    server
        .list()
        .await
        .items("12", &[config_map("b", "12", "z")]);
    let stream = server.watch("10").await.stream();
    // What lies between is older than what was read.
    stream.event("MODIFIED", &config_map("b", "11", "y"));
    stream.event("ADDED", &config_map("c", "13", "x"));
    settles(
        &watcher,
        &[("a", "1", "x"), ("b", "12", "z"), ("c", "13", "x")],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn r10_an_unreadable_object_that_leaves_while_the_list_is_streamed_does_not_come_back() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, config()).unwrap();
    let stream = server.next().await.stream();
    stream.event("ADDED", &config_map("a", "1", "x"));
    stream.initial_events_end("5");
    watcher.wait_for_sync(SOON).await.unwrap();
    stream.event("ERROR", &status(410, "Expired"));
    let stream = server.next().await.stream();
    let mut unreadable = config_map("a", "9", "y");
    unreadable["data"]["deep"] = nested(200);
    stream.event("ADDED", &unreadable);
    server.list().await.items("10", &[]);
    stream.event("DELETED", &config_map("a", "10", "y"));
    stream.initial_events_end("11");
    settles(&watcher, &[]).await;
}

#[tokio::test(start_paused = true)]
async fn r10_without_permission_to_read_it_an_unreadable_object_blocks_nothing() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, config()).unwrap();
    let stream = server.next().await.stream();
    let mut unreadable = config_map("a", "1", "y");
    unreadable["data"]["deep"] = nested(200);
    stream.event("ADDED", &unreadable);
    server.list().await.refuse(403, "Forbidden");
    stream.event("ADDED", &config_map("b", "2", "x"));
    stream.initial_events_end("5");
    watcher.wait_for_sync(SOON).await.unwrap();
    assert_eq!(content(&watcher), rows(&[("b", "2", "x")]));
}

#[tokio::test(start_paused = true)]
async fn r10_a_reread_keeps_to_the_selectors_and_a_later_deletion_is_not_swallowed() {
    let (mut server, client) = scripted();
    let config = paged()
        .label_selector("app=x")
        .field_selector("metadata.namespace=n");
    let watcher = Watcher::start(&client, config).unwrap();
    server
        .list()
        .await
        .items("10", &[config_map("a", "1", "x")]);
    let stream = server.watch_any().await.stream();
    let mut unreadable = config_map("a", "11", "y");
    unreadable["data"]["deep"] = nested(200);
    stream.event("MODIFIED", &unreadable);
    let call = server.list().await;
    assert_eq!(
        call.uri,
        "/api/v1/namespaces/n/configmaps?labelSelector=app%3Dx&fieldSelector=metadata.namespace%3Dn%2Cmetadata.name%3Da"
    );
    call.items("15", &[config_map("a", "15", "z")]);
    settles(&watcher, &[("a", "15", "z")]).await;
    stream.event("DELETED", &config_map("a", "15", "z"));
    settles(&watcher, &[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_carries_the_version_of_what_it_deletes_is_one() {
    let (_server, _client, watcher, stream) = watching(&[]).await;
    stream.event("ADDED", &config_map("a", "12", "x"));
    settles(&watcher, &[("a", "12", "x")]).await;
    stream.event("DELETED", &config_map("a", "12", "x"));
    settles(&watcher, &[]).await;
}

#[tokio::test(start_paused = true)]
async fn r10_a_page_with_a_nameless_object_is_read_again_and_then_nothing_is_taken_for_deleted() {
    let (mut server, _client, watcher, stream) =
        watching(&[config_map("a", "1", "x"), config_map("b", "2", "x")]).await;
    stream.event("ERROR", &status(410, "Expired"));
    for _ in 0..4 {
        let items = [config_map("a", "12", "y"), json!({"spec": {}})];
        server.list().await.items("20", &items);
    }
    server.watch("20").await;
    assert_eq!(
        content(&watcher),
        rows(&[("a", "12", "y"), ("b", "2", "x")])
    );
}

#[tokio::test(start_paused = true)]
async fn r10_an_update_that_cannot_be_read_is_read_by_itself() {
    let (mut server, _client, watcher, stream) = watching(&[config_map("a", "1", "x")]).await;
    let mut unreadable = config_map("a", "12", "y");
    unreadable["data"]["deep"] = nested(200);
    stream.event("MODIFIED", &unreadable);
    let call = server.next().await;
    assert_eq!(
        call.uri,
        "/api/v1/namespaces/n/configmaps?fieldSelector=metadata.name%3Da"
    );
    call.items("14", &[config_map("a", "14", "z")]);
    settles(&watcher, &[("a", "14", "z")]).await;
    // What lies between the two is older than what is stored.
    stream.event("MODIFIED", &config_map("a", "13", "y"));
    stream.event("ADDED", &config_map("b", "15", "x"));
    settles(&watcher, &[("a", "14", "z"), ("b", "15", "x")]).await;
    drop(stream);
    server.watch("15").await;
}

#[tokio::test(start_paused = true)]
async fn r10_an_update_within_a_streaming_list_that_cannot_be_read_is_read_by_itself() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, config()).unwrap();
    let stream = server.next().await.stream();
    stream.event("ADDED", &config_map("a", "1", "x"));
    let mut unreadable = config_map("a", "5", "y");
    unreadable["data"]["deep"] = nested(200);
    stream.event("MODIFIED", &unreadable);
    let call = server.next().await;
    assert_eq!(
        call.uri,
        "/api/v1/namespaces/n/configmaps?fieldSelector=metadata.name%3Da"
    );
    call.items("14", &[config_map("a", "14", "z")]);
    stream.initial_events_end("9");
    watcher.wait_for_sync(SOON).await.unwrap();
    stream.event("MODIFIED", &config_map("a", "12", "y"));
    stream.event("ADDED", &config_map("b", "15", "x"));
    settles(&watcher, &[("a", "14", "z"), ("b", "15", "x")]).await;
}

#[tokio::test(start_paused = true)]
async fn r10_an_object_that_stays_unreadable_keeps_its_old_state_and_the_watch_goes_on() {
    let (mut server, _client, watcher, stream) = watching(&[config_map("a", "1", "x")]).await;
    let mut unreadable = config_map("a", "12", "y");
    unreadable["data"]["deep"] = nested(200);
    stream.event("MODIFIED", &unreadable);
    server.list().await.items("12", &[unreadable]);
    stream.event("ADDED", &config_map("b", "13", "x"));
    settles(&watcher, &[("a", "1", "x"), ("b", "13", "x")]).await;
}

#[tokio::test(start_paused = true)]
async fn r11_a_truncated_line_loses_nothing() {
    let (mut server, _client, watcher, stream) = watching(&[]).await;
    let line = json!({"type": "ADDED", "object": config_map("a", "12", "x")}).to_string();
    stream.write(&line[..line.len() / 2]);
    drop(stream);
    let stream = server.watch("10").await.stream();
    stream.write(line);
    drop(stream);
    settles(&watcher, &[("a", "12", "x")]).await;
    server.watch("12").await;
}

#[tokio::test(start_paused = true)]
async fn r11_a_line_that_is_garbled_twice_costs_one_relist() {
    let (mut server, _client, watcher, stream) = watching(&[config_map("a", "1", "x")]).await;
    stream.write("{\"type\":\"MODIF\u{0}garbage\n");
    let stream = server.watch("10").await.stream();
    stream.write("{\"type\":\"MODIF\u{0}garbage\n");
    server
        .list()
        .await
        .items("20", &[config_map("a", "15", "y")]);
    server.watch("20").await;
    assert_eq!(content(&watcher), rows(&[("a", "15", "y")]));
}

#[tokio::test(start_paused = true)]
async fn r12_r13_a_relist_is_a_swap_and_tells_exactly_the_differences() {
    let before = [
        config_map("a", "1", "x"),
        config_map("b", "2", "x"),
        config_map("c", "3", "x"),
        config_map("d", "4", "x"),
    ];
    let (mut server, _client, watcher, stream) = watching(&before).await;
    let mut changes = watcher.changes();
    let unchanged = watcher
        .store()
        .get_ref(&ObjectRef::namespaced("n", "a"))
        .unwrap();
    stream.event("ERROR", &status(410, "Expired"));
    let stream = server.list().await.stream();
    let mut recreated = config_map("d", "17", "x");
    recreated["metadata"]["uid"] = json!("another");
    let body = list(
        "20",
        None,
        &[
            config_map("a", "1", "x"),
            config_map("b", "12", "y"),
            recreated,
            config_map("e", "5", "x"),
        ],
    );
    let body = body.to_string();
    let (head, tail) = body.split_at(body.len() - 20);
    stream.write(head);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(watcher.store().len(), 4, "reads see the old state");
    assert_eq!(content(&watcher)[1], ("b".into(), "2".into(), "x".into()));
    stream.write(tail);
    drop(stream);
    let told = told(&mut changes).await;
    let expected = [
        (ChangeKind::Modified, "b", "uid-b"),
        (ChangeKind::Deleted, "c", "uid-c"),
        (ChangeKind::Deleted, "d", "uid-d"),
        (ChangeKind::Created, "d", "another"),
        (ChangeKind::Created, "e", "uid-e"),
    ];
    assert_eq!(
        told,
        expected.map(|(kind, name, uid)| (kind, name.to_owned(), uid.to_owned()))
    );
    let kept = watcher
        .store()
        .get_ref(&ObjectRef::namespaced("n", "a"))
        .unwrap();
    assert!(
        kept.ptr_eq(&unchanged),
        "an unchanged object keeps its stored value"
    );
    assert!(changes.next().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn r14_a_list_from_the_past_is_asked_again_and_believed_when_it_persists() {
    let (mut server, _client, watcher, stream) = watching(&[config_map("a", "1", "x")]).await;
    stream.event("MODIFIED", &config_map("a", "100", "y"));
    settles(&watcher, &[("a", "100", "y")]).await;
    stream.event("ERROR", &status(410, "Expired"));
    for _ in 0..3 {
        server
            .list()
            .await
            .items("50", &[config_map("a", "1", "x")]);
        assert_eq!(content(&watcher), rows(&[("a", "100", "y")]));
    }
    server
        .list()
        .await
        .items("50", &[config_map("a", "1", "x")]);
    server.watch("50").await;
    assert_eq!(content(&watcher), rows(&[("a", "1", "x")]));
}

#[tokio::test(start_paused = true)]
async fn r14_an_event_from_the_past_is_passed_over_if_known_and_else_causes_a_relist() {
    let (mut server, _client, watcher, stream) = watching(&[config_map("a", "1", "x")]).await;
    stream.event("MODIFIED", &config_map("a", "12", "y"));
    stream.event("MODIFIED", &config_map("a", "11", "old"));
    stream.event("MODIFIED", &config_map("a", "12", "y"));
    stream.event("ADDED", &config_map("b", "14", "x"));
    settles(&watcher, &[("a", "12", "y"), ("b", "14", "x")]).await;
    assert!(server.is_idle());
    stream.event("ADDED", &config_map("c", "13", "x"));
    server
        .list()
        .await
        .items("20", &[config_map("c", "13", "x")]);
    server.watch("20").await;
    assert_eq!(content(&watcher), rows(&[("c", "13", "x")]));
}

#[tokio::test(start_paused = true)]
async fn r15_objects_of_another_kind_are_never_stored() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, paged()).unwrap();
    server
        .list()
        .await
        .text(200, "text/html", "<html>please log in</html>");
    server.list().await.json(200, &json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "rows": [], "metadata": {"resourceVersion": "3"}}));
    let mut pod = config_map("p", "1", "x");
    pod["kind"] = json!("Pod");
    server
        .list()
        .await
        .items("10", &[pod.clone(), config_map("a", "1", "x")]);
    server.list().await.items("10", &[]);
    let stream = server.watch("10").await.stream();
    watcher.wait_for_sync(SOON).await.unwrap();
    assert_eq!(content(&watcher), rows(&[("a", "1", "x")]));
    pod["metadata"]["resourceVersion"] = json!("12");
    stream.event("ADDED", &pod);
    let call = server.list().await;
    assert!(
        call.uri.ends_with("metadata.name%3Dp"),
        "there may be one of ours behind it: {}",
        call.uri
    );
    call.items("12", &[]);
    stream.event("ADDED", &status(200, "x"));
    server.watch("12").await;
    assert_eq!(content(&watcher), rows(&[("a", "1", "x")]));
}

#[tokio::test(start_paused = true)]
async fn r16_events_before_the_end_of_a_streaming_list_are_applied_to_it() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, config()).unwrap();
    let stream = server.next().await.stream();
    stream.event("ADDED", &config_map("a", "1", "x"));
    stream.event("ADDED", &config_map("b", "2", "x"));
    stream.event("MODIFIED", &config_map("a", "5", "y"));
    stream.event("DELETED", &config_map("b", "6", "x"));
    stream.initial_events_end("7");
    watcher.wait_for_sync(SOON).await.unwrap();
    assert_eq!(content(&watcher), rows(&[("a", "5", "y")]));
    // The same in a relist.
    stream.event("ERROR", &status(410, "Expired"));
    let stream = server.next().await.stream();
    stream.event("ADDED", &config_map("a", "5", "y"));
    stream.event("ADDED", &config_map("c", "8", "x"));
    stream.event("DELETED", &config_map("a", "9", "y"));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(
        content(&watcher),
        rows(&[("a", "5", "y")]),
        "reads see the old state"
    );
    stream.initial_events_end("9");
    settles(&watcher, &[("c", "8", "x")]).await;
}

#[tokio::test(start_paused = true)]
async fn a_streaming_list_that_breaks_off_leaves_nothing_behind() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, config()).unwrap();
    let stream = server.next().await.stream();
    stream.event("ADDED", &config_map("a", "1", "x"));
    stream.event("ADDED", &config_map("b", "2", "x"));
    settles(&watcher, &[("a", "1", "x"), ("b", "2", "x")]).await;
    stream.reset();
    let stream = server.next().await.stream();
    stream.event("ADDED", &config_map("b", "2", "x"));
    stream.initial_events_end("5");
    watcher.wait_for_sync(SOON).await.unwrap();
    assert_eq!(content(&watcher), rows(&[("b", "2", "x")]));
}

#[tokio::test(start_paused = true)]
async fn s11_an_object_that_no_longer_matches_leaves_with_the_next_attempt_of_the_first_list() {
    let (mut server, client) = scripted();
    let watcher =
        Watcher::start(&client, config().client_side_field_selector("data.k=yes")).unwrap();
    let stream = server.next().await.stream();
    stream.event("ADDED", &config_map("a", "1", "yes"));
    settles(&watcher, &[("a", "1", "yes")]).await;
    stream.reset();
    let stream = server.next().await.stream();
    stream.event("ADDED", &config_map("a", "2", "no"));
    stream.initial_events_end("5");
    watcher.wait_for_sync(SOON).await.unwrap();
    assert_eq!(content(&watcher), []);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_lists_but_lets_nobody_watch_is_reported_as_one_state() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, paged()).unwrap();
    let mut status = watcher.status_changes();
    for _ in 0..5 {
        server.list().await.items("10", &[]);
        server.watch("10").await.refuse(403, "Forbidden");
    }
    server.list().await.items("10", &[]);
    server.next().await;
    assert!(!watcher.status().is_connected());
    let seen = status.borrow_and_update().clone();
    assert!(
        seen.last_error.unwrap().is_forbidden(),
        "the status that is awaited says so too"
    );
    assert_eq!(seen.resource_version.as_deref(), Some("10"));
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_comes_back_as_another_kind_is_found_out_anew() {
    let (mut server, _client, watcher, stream) = watching(&[config_map("a", "1", "x")]).await;
    server.rename_kind("Settings");
    stream.event("ERROR", &status(410, "Expired"));
    server.list().await.refuse(404, "NotFound");
    let mut renamed = config_map("a", "20", "y");
    renamed["kind"] = json!("Settings");
    server.list().await.items("30", &[renamed]);
    server.watch("30").await;
    assert_eq!(content(&watcher), rows(&[("a", "20", "y")]));
}

#[tokio::test(start_paused = true)]
async fn what_is_found_out_about_streaming_lists_holds_for_the_next_watcher() {
    let (mut server, client) = scripted();
    let _first = Watcher::start(&client, config()).unwrap();
    server.next().await.refuse(422, "Invalid");
    server.list().await.items("5", &[]);
    let _watch = server.watch("5").await;
    let _second = Watcher::start(&client, config()).unwrap();
    server.list().await;
}

#[tokio::test(start_paused = true)]
async fn r17_a_refused_credential_is_reported_and_tried_again() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, paged()).unwrap();
    server.list().await.refuse(401, "Unauthorized");
    let call = server.list().await;
    let error = watcher.status().last_error.unwrap().to_string();
    assert!(error.contains("credentials"), "{error}");
    call.items("5", &[]);
    watcher.wait_for_sync(SOON).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn r18_an_audit_finds_repairs_and_counts_a_difference() {
    let (mut server, client) = scripted();
    let watcher =
        Watcher::start(&client, paged().audit(Duration::from_secs(60)).page_size(2)).unwrap();
    server.list().await.items(
        "10",
        &[config_map("a", "1", "x"), config_map("b", "2", "x")],
    );
    let stream = server.watch("10").await.stream();
    let mut changes = watcher.changes();
    // The server forgets to tell of a change to b, of the end of a, and of c.
    stream.event("ADDED", &config_map("d", "20", "x"));
    changes.next().await.unwrap();
    let call = server.list().await;
    assert!(
        call.uri
            .contains("limit=2&resourceVersion=20&resourceVersionMatch=Exact"),
        "{}",
        call.uri
    );
    call.json(
        200,
        &list(
            "20",
            Some("t"),
            &[config_map("b", "12", "y"), config_map("c", "13", "x")],
        ),
    );
    let call = server.list().await;
    assert!(call.uri.ends_with("limit=2&continue=t"), "{}", call.uri);
    call.items("20", &[config_map("d", "20", "x")]);
    let told = told(&mut changes).await;
    let expected = [
        (ChangeKind::Deleted, "a", "uid-a"),
        (ChangeKind::Modified, "b", "uid-b"),
        (ChangeKind::Created, "c", "uid-c"),
    ];
    assert_eq!(
        told,
        expected.map(|(kind, name, uid)| (kind, name.to_owned(), uid.to_owned()))
    );
    let status = watcher.status();
    assert_eq!((status.audits, status.audit_differences), (1, 3));
    // The next one finds nothing, and the watch goes on where it was.
    server.list().await.items(
        "20",
        &[
            config_map("b", "12", "y"),
            config_map("c", "13", "x"),
            config_map("d", "20", "x"),
        ],
    );
    stream.event("DELETED", &config_map("d", "21", "x"));
    settles(&watcher, &[("b", "12", "y"), ("c", "13", "x")]).await;
    let status = watcher.status();
    assert_eq!((status.audits, status.audit_differences), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn r18_an_audit_that_cannot_be_made_changes_nothing() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, paged().audit(Duration::from_secs(60))).unwrap();
    server
        .list()
        .await
        .items("10", &[config_map("a", "1", "x")]);
    let stream = server.watch("10").await.stream();
    server.list().await.refuse(410, "Expired");
    drop(server.list().await);
    stream.event("ADDED", &config_map("b", "11", "x"));
    settles(&watcher, &[("a", "1", "x"), ("b", "11", "x")]).await;
    let status = watcher.status();
    assert_eq!((status.audits, status.is_connected()), (0, true));
}

#[tokio::test(start_paused = true)]
async fn r20_shutdown_ends_every_request_at_once() {
    let (_server, _client, watcher, stream) = watching(&[]).await;
    let start = Instant::now();
    watcher.shutdown().await;
    stream.dropped().await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(watcher.status().last_error.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_recovers_says_so_in_its_status() {
    let (mut server, _client, watcher, stream) = watching(&[]).await;
    let mut changes = watcher.status_changes();
    changes
        .wait_for(kubedex::watcher::Status::is_connected)
        .await
        .unwrap();
    stream.reset();
    drop(server.watch("10").await);
    let stream = server.watch("10").await.stream();
    assert!(!watcher.status().is_connected(), "opened is not enough");
    let opened = Instant::now();
    watcher
        .status_changes()
        .wait_for(kubedex::watcher::Status::is_connected)
        .await
        .unwrap();
    assert_eq!(opened.elapsed().as_secs(), 1);
    assert!(watcher.status().last_error.is_none());
    drop(stream);
}

#[tokio::test(start_paused = true)]
async fn a_forbidden_watch_fails_the_wait_at_once_and_heals_when_granted() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, paged()).unwrap();
    let start = Instant::now();
    server.list().await.refuse(403, "Forbidden");
    let error = watcher
        .wait_for_sync(Duration::from_secs(30))
        .await
        .unwrap_err();
    assert!(start.elapsed() < SOON);
    assert!(
        matches!(&error, SyncError::Refused(error) if error.is_forbidden()),
        "{error}"
    );
    assert!(
        error.to_string().contains("grant the verbs list and watch"),
        "{error}"
    );
    server.list().await.items("5", &[]);
    server.watch("5").await;
    watcher.wait_for_sync(SOON).await.unwrap();
}

pub(super) fn nested(depth: usize) -> Value {
    (0..depth).fold(json!(1), |inner, _| json!([inner]))
}

#[tokio::test(start_paused = true)]
async fn r18_an_audit_waits_for_the_watch_to_tell_of_what_was_found_gone() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, paged().audit(Duration::from_secs(60))).unwrap();
    let before = [config_map("a", "1", "x"), config_map("b", "2", "x")];
    server.list().await.items("10", &before);
    let stream = server.watch("10").await.stream();
    let mut unreadable = config_map("a", "11", "y");
    unreadable["data"]["deep"] = nested(200);
    stream.event("MODIFIED", &unreadable);
    server.list().await.items("12", &[]);
    // As of 11 there is an object that cannot be read any more: nothing to compare with.
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert!(server.is_idle());
    stream.event("DELETED", &config_map("a", "12", "y"));
    settles(&watcher, &[("b", "2", "x")]).await;
    let call = server.list().await;
    assert!(call.uri.contains("resourceVersion=12"), "{}", call.uri);
    call.items("12", &[config_map("b", "2", "x")]);
    while watcher.status().audits == 0 {
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    assert_eq!(watcher.status().audit_differences, 0);
}

#[tokio::test(start_paused = true)]
async fn r14_a_list_before_one_that_broke_off_is_from_the_past_even_in_the_first_sync() {
    for streaming in [false, true] {
        let (mut server, client) = scripted();
        let config = if streaming { config() } else { paged() };
        let watcher = Watcher::start(&client, config).unwrap();
        let (new, old) = (config_map("a", "25", "new"), config_map("a", "20", "old"));
        if streaming {
            let stream = server.next().await.stream();
            stream.event("ADDED", &new);
            settles(&watcher, &[("a", "25", "new")]).await;
            stream.reset();
            server.next().await.refuse(422, "Invalid");
        } else {
            let broken = server.list().await.stream();
            let body = list("30", None, &[new]).to_string();
            broken.write(&body[..body.len() - 20]);
            settles(&watcher, &[("a", "25", "new")]).await;
            broken.reset();
        }
        for _ in 0..3 {
            server.list().await.items("24", std::slice::from_ref(&old));
            assert_eq!(
                content(&watcher)[0],
                ("a".into(), "25".into(), "new".into())
            );
            assert!(!watcher.is_synced());
        }
        server
            .list()
            .await
            .items("26", &[config_map("a", "25", "new")]);
        watcher.wait_for_sync(SOON).await.unwrap();
        assert_eq!(content(&watcher), rows(&[("a", "25", "new")]));
    }
}
