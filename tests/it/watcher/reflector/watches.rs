//! Watches: where they go on, when they wait, what ends them (R3-R9).

use std::time::Duration;

use kubedex::Watcher;
use serde_json::json;
use tokio::time::Instant;

use super::{content, paged, rows, settles, watching};
use crate::scripted::{config_map, scripted, status};

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
