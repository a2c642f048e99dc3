//! What the status tells, and the end (R17, R20).

use std::time::Duration;

use kubedex::Watcher;
use kubedex::watcher::SyncError;
use serde_json::json;
use tokio::time::Instant;

use super::{SOON, content, paged, rows, watching};
use crate::scripted::{config_map, list, scripted, status};

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
    assert_eq!(opened.elapsed(), Duration::from_secs(1));
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

#[tokio::test(start_paused = true)]
async fn w9_a_selector_that_the_server_does_not_take_fails_the_wait_at_once() {
    for (code, reason) in [(400, "BadRequest"), (422, "Invalid")] {
        let (mut server, client) = scripted();
        let watcher = Watcher::start(&client, paged().label_selector("a=b")).unwrap();
        let begun = Instant::now();
        let (waited, ()) = tokio::join!(watcher.wait_for_sync(SOON), async {
            server.list().await.refuse(code, reason);
        });
        let error = waited.unwrap_err();
        assert!(matches!(error, SyncError::Refused(_)), "{error}");
        assert!(begun.elapsed() < SOON);
    }
}

#[tokio::test(start_paused = true)]
async fn a_further_page_that_is_refused_is_no_refusal_of_the_watch() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, paged()).unwrap();
    let (waited, ()) = tokio::join!(watcher.wait_for_sync(SOON), async {
        let first = list("10", Some("next"), &[config_map("a", "1", "x")]);
        server.list().await.json(200, &first);
        server.list().await.refuse(400, "BadRequest");
        server
            .list()
            .await
            .items("11", &[config_map("a", "1", "x")]);
    });
    waited.unwrap();
}
