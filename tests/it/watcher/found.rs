//! What random schedules found (`examples/torture`), each as one small test.

use std::time::Duration;

use kubedex::Watcher;
use serde_json::Value;

use super::reflector::{content, nested, paged, rows, settles, watching};
use crate::scripted::{Call, config_map, list, scripted, status};

/// Answers a list that breaks off in its last item.
fn break_off(call: Call, version: &str, items: &[Value]) {
    let whole = list(version, None, items).to_string();
    let end = whole.rfind("uid-").unwrap();
    call.text(200, "application/json", &whole[..end]);
}

/// An update that cannot be read.
fn unreadable(name: &str, version: &str) -> Value {
    let mut object = config_map(name, version, "?");
    object["data"]["deep"] = nested(200);
    object
}

#[tokio::test(start_paused = true)]
async fn r2_nothing_stays_of_a_first_page_that_broke_off() {
    let (mut server, _client, watcher, stream) = watching(&[config_map("a", "1", "x")]).await;
    stream.event("ERROR", &status(410, "Expired"));
    let items = [config_map("a", "1", "x"), config_map("b", "12", "x")];
    break_off(server.list().await, "15", &items);
    // Meanwhile a is deleted.
    server
        .list()
        .await
        .items("20", &[config_map("b", "12", "x")]);
    server.watch("20").await;
    assert_eq!(content(&watcher), rows(&[("b", "12", "x")]));
}

#[tokio::test(start_paused = true)]
async fn r2_nothing_stays_of_a_first_sync_that_broke_off() {
    let (mut server, client) = scripted();
    let config = paged().client_side_field_selector("data.k=x");
    let watcher = Watcher::start(&client, config).unwrap();
    let all = ["a", "b", "c"].map(|name| config_map(name, "1", "x"));
    break_off(server.list().await, "5", &all);
    // Meanwhile a is deleted, and b is not selected any more.
    let items = [config_map("b", "6", "y"), config_map("c", "1", "x")];
    server.list().await.items("10", &items);
    server.watch("10").await;
    assert_eq!(content(&watcher), rows(&[("c", "1", "x")]));
}

#[tokio::test(start_paused = true)]
async fn r14_a_list_that_is_older_than_an_object_read_by_itself_is_stale() {
    let (mut server, _client, watcher, stream) = watching(&[config_map("a", "1", "x")]).await;
    stream.event("MODIFIED", &unreadable("a", "12"));
    let call = server.next().await;
    call.items("15", &[config_map("a", "15", "z")]);
    stream.event("ERROR", &status(410, "Expired"));
    server
        .list()
        .await
        .items("14", &[config_map("a", "13", "y")]);
    let call = server.list().await;
    assert_eq!(content(&watcher), rows(&[("a", "15", "z")]));
    call.items("16", &[config_map("a", "15", "z")]);
    server.watch("16").await;
}

#[tokio::test(start_paused = true)]
async fn r18_an_audit_waits_for_events_behind_an_object_read_by_itself() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, paged().audit(Duration::from_secs(20))).unwrap();
    server
        .list()
        .await
        .items("10", &[config_map("a", "1", "x")]);
    let stream = server.watch("10").await.stream();
    stream.event("MODIFIED", &unreadable("a", "12"));
    let call = server.next().await;
    call.items("15", &[config_map("a", "15", "z")]);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(
        server.is_idle(),
        "an audit at 12 would find a older than it is"
    );
    stream.bookmark("15");
    let call = server.list().await;
    assert!(call.uri.contains("resourceVersion=15"), "{}", call.uri);
    call.items("15", &[config_map("a", "15", "z")]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let status = watcher.status();
    assert_eq!((status.audits, status.audit_differences), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn r18_audits_do_not_hide_that_a_watch_is_dead() {
    let (mut server, client) = scripted();
    let config = paged()
        .audit(Duration::from_secs(20))
        .watch_timeout(Duration::from_secs(10));
    let _watcher = Watcher::start(&client, config).unwrap();
    server.list().await.items("10", &[]);
    let _silent = server.watch("10").await.stream();
    for _ in 0..2 {
        server.list().await.items("10", &[]);
    }
    server.watch("10").await;
}

#[tokio::test(start_paused = true)]
async fn r10_an_answer_about_one_object_that_breaks_off_or_is_too_old_loses_nothing() {
    let (mut server, _client, watcher, stream) = watching(&[config_map("a", "1", "x")]).await;
    stream.event("MODIFIED", &unreadable("a", "12"));
    let answer = list("12", None, &[config_map("a", "12", "y")]).to_string();
    let call = server.next().await;
    call.text(200, "application/json", &answer[..answer.len() / 2]);
    // Both are tried again, and the watch goes on.
    server.list().await.items("11", &[]);
    stream.event("ADDED", &config_map("b", "13", "x"));
    settles(&watcher, &[("a", "1", "x"), ("b", "13", "x")]).await;
    let call = server.list().await;
    call.items("13", &[config_map("a", "12", "y")]);
    settles(&watcher, &[("a", "12", "y"), ("b", "13", "x")]).await;
    assert_eq!(watcher.status().unreadable, 0);
}

#[tokio::test(start_paused = true)]
async fn r10_an_object_that_was_left_out_meanwhile_is_not_stored() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, paged().label_selector("app=x")).unwrap();
    server.list().await.items("10", &[]);
    let stream = server.watch("10").await.stream();
    stream.event("ADDED", &unreadable("a", "12"));
    let call = server.next().await;
    assert_eq!(
        call.uri,
        "/api/v1/namespaces/n/configmaps?labelSelector=app%3Dx&fieldSelector=metadata.name%3Da"
    );
    call.items("14", &[]);
    stream.event("DELETED", &config_map("a", "13", "y"));
    stream.event("ADDED", &config_map("b", "15", "x"));
    settles(&watcher, &[("b", "15", "x")]).await;
}

#[tokio::test(start_paused = true)]
async fn r18_an_audit_that_breaks_off_behind_an_unreadable_object_does_not_hinder_the_next() {
    let (mut server, client) = scripted();
    let config = paged().audit(Duration::from_secs(20));
    let watcher = Watcher::start(&client, config).unwrap();
    let items = [config_map("a", "1", "x"), config_map("b", "2", "x")];
    server.list().await.items("10", &items);
    let _stream = server.watch("10").await.stream();
    let broken = [unreadable("a", "1"), config_map("b", "2", "x")];
    break_off(server.list().await, "10", &broken);
    let call = server.list().await;
    assert!(call.uri.contains("resourceVersion=10"), "{}", call.uri);
    call.items("10", &items);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let status = watcher.status();
    assert_eq!((status.audits, status.audit_differences), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn r18_an_audit_finds_no_difference_in_what_is_known_to_be_missing_and_mends_it() {
    let (mut server, client) = scripted();
    let config = paged().audit(Duration::from_secs(20));
    let watcher = Watcher::start(&client, config).unwrap();
    server.list().await.items("10", &[]);
    let stream = server.watch("10").await.stream();
    stream.event("ADDED", &unreadable("a", "11"));
    let begun = tokio::time::Instant::now();
    loop {
        let call = server.list().await;
        if call.uri.contains("resourceVersionMatch=Exact") {
            call.items("11", &[config_map("a", "11", "y")]);
            break;
        }
        call.text(200, "application/json", "{");
    }
    assert!(begun.elapsed() < Duration::from_secs(30));
    settles(&watcher, &[("a", "11", "y")]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let status = watcher.status();
    assert_eq!((status.audits, status.audit_differences), (1, 0));
}
