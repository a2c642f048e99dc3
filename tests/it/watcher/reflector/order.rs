//! What comes out of order, and what audits find (R14, R18).

use std::time::Duration;

use futures::StreamExt as _;
use kubedex::Watcher;
use kubedex::watcher::ChangeKind;

use serde_json::json;

use super::{SOON, config, content, nested, paged, rows, settles, told, watching};
use crate::scripted::{config_map, list, scripted, status};

#[tokio::test(start_paused = true)]
async fn a_deletion_that_carries_the_version_of_what_it_deletes_is_one() {
    let (_server, _client, watcher, stream) = watching(&[]).await;
    stream.event("ADDED", &config_map("a", "12", "x"));
    settles(&watcher, &[("a", "12", "x")]).await;
    stream.event("DELETED", &config_map("a", "12", "x"));
    settles(&watcher, &[]).await;
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

#[tokio::test(start_paused = true)]
async fn r14_versions_that_a_restored_server_gave_anew_are_not_taken_for_the_old_states() {
    let before = [config_map("a", "8", "x"), config_map("b", "9", "x")];
    let (mut server, _client, watcher, stream) = watching(&before).await;
    let mut changes = watcher.changes();
    stream.event("ERROR", &status(410, "Expired"));
    let restored = [config_map("a", "8", "another"), config_map("b", "9", "x")];
    for _ in 0..4 {
        server.list().await.items("9", &restored);
    }
    server.watch("9").await;
    assert_eq!(
        content(&watcher),
        rows(&[("a", "8", "another"), ("b", "9", "x")])
    );
    let expected = (ChangeKind::Modified, "a".to_owned(), "uid-a".to_owned());
    assert_eq!(told(&mut changes).await, [expected]);
}

#[tokio::test(start_paused = true)]
async fn r18_an_audit_finds_what_is_another_content_of_the_same_version() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, paged().audit(Duration::from_secs(60))).unwrap();
    let before = [config_map("a", "1", "x"), config_map("b", "2", "x")];
    server.list().await.items("10", &before);
    let _stream = server.watch("10").await.stream();
    let audited = [config_map("a", "1", "x"), config_map("b", "2", "y")];
    server.list().await.items("10", &audited);
    settles(&watcher, &[("a", "1", "x"), ("b", "2", "y")]).await;
    let status = watcher.status();
    assert_eq!((status.audits, status.audit_differences), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn r18_an_audit_with_a_nameless_object_counts_what_else_it_finds() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, paged().audit(Duration::from_secs(60))).unwrap();
    let before = [config_map("a", "1", "x"), config_map("b", "2", "x")];
    server.list().await.items("10", &before);
    let _stream = server.watch("10").await.stream();
    let audited = [
        config_map("a", "9", "y"),
        config_map("c", "8", "x"),
        json!({"spec": {}}),
    ];
    // A page with a nameless object is read again before it is taken as it is: those audits are not made.
    for _ in 0..4 {
        server.list().await.items("10", &audited);
    }
    let expected = [("a", "9", "y"), ("b", "2", "x"), ("c", "8", "x")];
    settles(&watcher, &expected).await;
    let status = watcher.status();
    assert_eq!((status.audits, status.audit_differences), (1, 2));
}
