//! What cannot be read (R10, R11, R15).

use std::time::Duration;

use kubedex::Watcher;
use serde_json::json;
use tokio::time::Instant;

use super::{SOON, config, content, nested, paged, rows, settles, watching};
use crate::scripted::{config_map, scripted, status};

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
    stream.event("DELETED", &config_map("a", "10", "y"));
    stream.initial_events_end("11");
    server.list().await.items("11", &[]);
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
    stream.event("ADDED", &config_map("b", "2", "x"));
    stream.initial_events_end("5");
    server.list().await.refuse(403, "Forbidden");
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
    stream.initial_events_end("9");
    let call = server.next().await;
    assert_eq!(
        call.uri,
        "/api/v1/namespaces/n/configmaps?fieldSelector=metadata.name%3Da"
    );
    assert!(!watcher.is_synced(), "it belongs to the list");
    call.items("14", &[config_map("a", "14", "z")]);
    watcher.wait_for_sync(SOON).await.unwrap();
    assert_eq!(content(&watcher), rows(&[("a", "14", "z")]));
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
async fn r10_an_object_that_changes_often_and_cannot_be_read_is_read_by_itself_once_a_second() {
    let (mut server, _client, watcher, stream) = watching(&[config_map("a", "1", "x")]).await;
    let unreadable = |version: u32| {
        let mut unreadable = config_map("a", &version.to_string(), "y");
        unreadable["data"]["deep"] = nested(200);
        unreadable
    };
    let begun = Instant::now();
    let (mut version, mut read) = (11, 0);
    while begun.elapsed() < Duration::from_secs(10) {
        stream.event("MODIFIED", &unreadable(version));
        version += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
        if !server.is_idle() {
            let items = [config_map("a", &(version - 1).to_string(), "z")];
            server.list().await.items(&version.to_string(), &items);
            read += 1;
        }
        // Others are not held up.
        if version == 500 {
            stream.event("ADDED", &config_map("b", "500", "x"));
            version += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert_eq!(watcher.store().len(), 2);
        }
    }
    assert!((8..=12).contains(&read), "read {read} times in 10 s");
    // The last state comes, though no event does.
    let last = (version - 1).to_string();
    let items = [config_map("a", &last, "z")];
    server.list().await.items(&version.to_string(), &items);
    settles(&watcher, &[("a", &last, "z"), ("b", "500", "x")]).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(server.is_idle());
}

#[tokio::test(start_paused = true)]
async fn r10_a_stream_of_nothing_but_what_cannot_be_read_is_not_read_one_by_one_without_end() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, config()).unwrap();
    let stream = server.next().await.stream();
    for number in 0..150 {
        let mut unreadable = config_map(&format!("o{number}"), "1", "y");
        unreadable["data"]["deep"] = nested(200);
        stream.event("ADDED", &unreadable);
    }
    stream.initial_events_end("5");
    for _ in 0..100 {
        server.list().await.items("5", &[]);
    }
    watcher.wait_for_sync(SOON).await.unwrap();
    assert!(server.is_idle());
    assert_eq!(watcher.status().unreadable, 50);
}

#[tokio::test(start_paused = true)]
async fn r9_an_answer_about_one_object_that_stalls_is_a_failure_and_not_waited_for_once_per_object()
{
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, paged()).unwrap();
    let items = ["a", "b", "c"].map(|name| {
        let mut unreadable = config_map(name, "5", "y");
        unreadable["data"]["deep"] = nested(200);
        unreadable
    });
    server.list().await.items("10", &items);
    let _stalled = server.list().await.stream();
    let _stream = server.watch("10").await.stream();
    for _ in 0..3 {
        let call = server.list().await;
        let (_, name) = call.uri.rsplit_once("%3D").unwrap();
        let object = config_map(name, "5", "y");
        call.items("10", &[object]);
    }
    settles(
        &watcher,
        &[("a", "5", "y"), ("b", "5", "y"), ("c", "5", "y")],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn r10_an_object_that_was_put_off_is_read_in_time_however_busy_the_watch_is() {
    let (mut server, _client, watcher, stream) = watching(&[]).await;
    for version in ["11", "12"] {
        let mut unreadable = config_map("a", version, "y");
        unreadable["data"]["deep"] = nested(200);
        stream.event("ADDED", &unreadable);
    }
    stream.event("ADDED", &config_map("b", "13", "x"));
    server.list().await.items("11", &[]);
    settles(&watcher, &[("b", "13", "x")]).await;
    for number in 0..1000 {
        let object = config_map(&format!("o{number}"), &(20 + number).to_string(), "x");
        stream.event("ADDED", &object);
    }
    tokio::time::advance(Duration::from_secs(2)).await;
    server
        .list()
        .await
        .items("14", &[config_map("a", "12", "z")]);
    let stored = watcher.store().len();
    assert!(stored < 500, "{stored} events came before it");
}

#[tokio::test(start_paused = true)]
async fn r10_a_server_that_gives_no_lists_does_not_keep_the_watch_from_going_on() {
    let (mut server, _client, watcher, stream) = watching(&[config_map("a", "1", "x")]).await;
    let mut unreadable = config_map("a", "11", "y");
    unreadable["data"]["deep"] = nested(200);
    stream.event("MODIFIED", &unreadable);
    let begun = Instant::now();
    let mut attempts = 0;
    while begun.elapsed() < Duration::from_secs(300) {
        server.list().await.refuse(503, "ServiceUnavailable");
        attempts += 1;
        let version = (11 + attempts).to_string();
        stream.event("ADDED", &config_map("b", &version, "x"));
        settles(&watcher, &[("a", "1", "x"), ("b", &version, "x")]).await;
    }
    assert!((10..50).contains(&attempts), "{attempts} in five minutes");
    let reached = || watcher.store().resource_version();
    assert_eq!(
        reached().as_deref(),
        Some("10"),
        "no further while a state is missing"
    );
    assert_eq!(watcher.status().unreadable, 1, "told once");
    assert!(watcher.status().is_connected());
    server
        .list()
        .await
        .items("900", &[config_map("a", "11", "z")]);
    let newest = (11 + attempts).to_string();
    settles(&watcher, &[("a", "11", "z"), ("b", &newest, "x")]).await;
    assert_eq!(reached(), Some(newest));
}

#[tokio::test(start_paused = true)]
async fn r10_one_answer_that_always_stalls_is_left_until_the_next_watch() {
    let (mut server, _client, watcher, stream) = watching(&[]).await;
    let mut unreadable = config_map("a", "11", "y");
    unreadable["data"]["deep"] = nested(200);
    stream.event("ADDED", &unreadable);
    let begun = Instant::now();
    let mut stalled = Vec::new();
    for _ in 0..3 {
        stalled.push(server.list().await.stream());
    }
    stream.event("ADDED", &config_map("b", "12", "x"));
    settles(&watcher, &[("b", "12", "x")]).await;
    assert!(
        begun.elapsed() < Duration::from_secs(40),
        "{:?}",
        begun.elapsed()
    );
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(server.is_idle());
    drop(stream);
    let _stream = server.watch("12").await.stream();
    server
        .list()
        .await
        .items("12", &[config_map("a", "11", "y")]);
    settles(&watcher, &[("a", "11", "y"), ("b", "12", "x")]).await;
}

#[tokio::test(start_paused = true)]
async fn r10_more_than_there_is_room_for_costs_a_list_now_and_then() {
    let (mut server, _client, watcher, stream) = watching(&[]).await;
    let unreadable = |number: u32| {
        let mut unreadable = config_map(&format!("o{number}"), &(100 + number).to_string(), "y");
        unreadable["data"]["deep"] = nested(200);
        unreadable
    };
    let begun = Instant::now();
    let (mut number, mut alone, mut lists, mut streams) = (0, 0, 0, vec![stream]);
    while begun.elapsed() < Duration::from_secs(100) {
        for _ in 0..300 {
            streams.last().unwrap().event("ADDED", &unreadable(number));
            number += 1;
        }
        let next = Instant::now() + Duration::from_secs(10);
        while Instant::now() < next {
            tokio::time::sleep(Duration::from_millis(100)).await;
            while !server.is_idle() {
                let call = server.next().await;
                let version = (99 + number).to_string();
                if call.uri.contains("watch=") {
                    streams.push(call.stream());
                } else if call.uri.contains("metadata.name") {
                    call.items(&version, &[]);
                    alone += 1;
                } else {
                    call.items(&version, &[config_map("b", &version, "x")]);
                    lists += 1;
                }
                tokio::task::yield_now().await;
            }
        }
    }
    assert!((3..=4).contains(&lists), "{lists} lists");
    assert!(
        alone <= 200 * number / 300,
        "{alone} of {number} read by themselves"
    );
    assert_eq!(watcher.store().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn r18_an_audit_is_made_in_time_however_busy_the_watch_is() {
    let (mut server, client) = scripted();
    let config = paged().audit(Duration::from_secs(20));
    let watcher = Watcher::start(&client, config).unwrap();
    server.list().await.items("10", &[]);
    let stream = server.watch("10").await.stream();
    stream.event("ADDED", &config_map("o", "11", "x"));
    settles(&watcher, &[("o", "11", "x")]).await;
    for number in 0..1000 {
        let object = config_map(&format!("o{number}"), &(20 + number).to_string(), "x");
        stream.event("ADDED", &object);
    }
    tokio::time::advance(Duration::from_secs(21)).await;
    let call = server.list().await;
    assert!(
        call.uri.contains("resourceVersionMatch=Exact"),
        "{}",
        call.uri
    );
    let stored = watcher.store().len();
    assert!(stored < 500, "{stored} events came before it");
}
