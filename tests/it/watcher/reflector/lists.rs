//! Lists: streamed, paged, swapped in (R1, R2, R12, R13, R16, S11).

use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use kubedex::watcher::ChangeKind;
use kubedex::{ObjectRef, Watcher};
use serde_json::json;
use tokio::time::Instant;

use super::{SOON, config, content, paged, rows, settles, told, watching};
use crate::scripted::{config_map, list, scripted, status};

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
async fn what_is_found_out_about_streaming_lists_holds_for_the_next_watcher() {
    let (mut server, client) = scripted();
    let _first = Watcher::start(&client, config()).unwrap();
    server.next().await.refuse(422, "Invalid");
    server.list().await.items("5", &[]);
    let _watch = server.watch("5").await;
    let _second = Watcher::start(&client, config()).unwrap();
    server.list().await;
}
