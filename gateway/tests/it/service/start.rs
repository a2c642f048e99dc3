//! How it starts and how it ends.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::process::{LISTEN, Service, folder, until};
use crate::binary::run;

const DEMO: &str = "\
cluster: {demo: true}
publish:
- {format: json, directory: {path: '{folder}/json'}}
- {format: traefik, directory: {path: '{folder}/traefik'}}
";

#[tokio::test]
async fn the_demo_is_published_to_every_sink_and_ends_in_order_with_sigterm() {
    let service = Service::start(DEMO).await;
    service.ready().await;
    let document = until("the first publication", async || {
        service.file("json/clusters.json")
    })
    .await;
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["clusters"][0]["name"], "k8s/shop/api:http");
    until("the other one", async || {
        service.file("traefik/kubedex.yaml")
    })
    .await;
    until("a change", async || {
        let changed: Value = serde_json::from_str(&service.file("json/clusters.json")?).ok()?;
        (changed["hash"] != document["hash"]).then_some(())
    })
    .await;
    service.signal("-TERM");
    let (status, log, folder) = service.end().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
    assert!(folder.path().join("json/clusters.json").exists());
}

#[test]
fn a_bounded_run_ends_by_itself_and_prints_what_is_published() {
    let (_folder, path) = folder("cluster: {demo: true}\npublish: [{format: json, stdout: {}}]\n");
    let begin = Instant::now();
    let outcome = run(["run", "--for", "2s", "--config", path.to_str().unwrap()]);
    assert_eq!(outcome.code(), Some(0), "{}", outcome.stderr);
    assert!(begin.elapsed() >= Duration::from_secs(2));
    let first: Value = serde_json::from_str(outcome.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(first["clusters"].as_array().unwrap().len(), 3);
}

#[test]
fn what_is_wrong_with_the_configuration_ends_it_with_2_before_anything_starts() {
    let (folder, path) = folder(
        "cluster: {demo: true}\npublish:\n- {format: json, directory: {path: '{folder}/out', mood: 1}}\n- {format: jsn, stdout: {}}\n",
    );
    let outcome = run(["run", "--config", path.to_str().unwrap()]);
    assert_eq!(outcome.code(), Some(2));
    assert!(
        outcome.stderr.contains("publish[0].directory.mood: "),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome.stderr.contains("publish[1].format: "),
        "{}",
        outcome.stderr
    );
    assert!(!folder.path().join("out").exists());
    let (_folder, path) = self::folder(
        "cluster: {kubeconfig: /nonexistent/config}\npublish: [{format: json, stdout: {}}]\n",
    );
    let outcome = run(["run", "--config", path.to_str().unwrap()]);
    assert_eq!(outcome.code(), Some(2), "{}", outcome.stderr);
}

#[test]
fn an_address_that_is_taken_is_named_with_its_field_and_ends_it_with_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (folder, path) = folder("");
    let config = LISTEN.replacen("127.0.0.1:0", &address.to_string(), 1);
    let config =
        format!("{config}cluster: {{demo: true}}\npublish: [{{format: json, stdout: {{}}}}]\n");
    std::fs::write(&path, config).unwrap();
    let outcome = run(["run", "--config", path.to_str().unwrap()]);
    assert_eq!(outcome.code(), Some(1));
    let said = format!("health.listen: cannot listen on {address}");
    assert!(outcome.stderr.contains(&said), "{}", outcome.stderr);
    drop(folder);
}

#[tokio::test]
async fn a_second_signal_ends_at_once_what_does_not_end() {
    // The command hangs, so that the last publication does.
    let service = Service::start(
        "cluster: {demo: true}\npublish:\n- {format: json, directory: {path: '{folder}/json', \
         command: [sleep, '60'], command_timeout: 59s}}\n",
    )
    .await;
    until("a write", async || service.file("json/clusters.json")).await;
    service.signal("-INT");
    until("it stops", async || {
        service.log().contains("stopping").then_some(())
    })
    .await;
    let begin = Instant::now();
    service.signal("-INT");
    let (status, log, _folder) = service.end().await;
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("by a second signal"), "{log}");
    assert!(begin.elapsed() < Duration::from_secs(8), "at once");
}

#[cfg(feature = "s3")]
#[tokio::test]
async fn files_for_envoy_and_traefik_go_to_a_folder_and_to_a_store_at_once() {
    let Some(store) = crate::s3::server::Server::start() else {
        return;
    };
    let address = store.address;
    let to_store = |prefix: &str| {
        format!(
            "s3: {{bucket: gateway, prefix: {prefix}, cluster_id: demo, endpoint: 'http://{address}', \
             allow_http: true, credentials_file: '{{folder}}/credentials'}}"
        )
    };
    let (folder, path) = folder(&format!(
        "cluster: {{demo: true}}\npublish:\n\
         - {{format: envoy, directory: {{path: '{{folder}}/envoy'}}}}\n\
         - {{format: traefik, directory: {{path: '{{folder}}/traefik'}}}}\n\
         - {{format: envoy, options: {{root: /xds}}, {}}}\n\
         - {{format: traefik, {}}}\n",
        to_store("e"),
        to_store("t"),
    ));
    let credentials = "[default]\naws_access_key_id = id\naws_secret_access_key = geheim\n";
    std::fs::write(folder.path().join("credentials"), credentials).unwrap();
    let service = Service::start_in(folder, &path).await;
    until("everything is written", async || {
        let status = service.admin("/status").await.json();
        let publications = status["publications"].as_array().unwrap().clone();
        let done = publications
            .iter()
            .all(|it| it["version"].as_u64() >= Some(2));
        (publications.len() == 4 && done).then_some(())
    })
    .await;
    assert!(service.file("envoy/cds.json").is_some());
    assert!(service.file("traefik/kubedex.yaml").is_some());
    for object in ["e/demo/cds.json", "t/demo/kubedex.yaml"] {
        let answer = store.ask("GET", &format!("/gateway/{object}"), "");
        assert!(answer.starts_with("HTTP/1.1 200"), "{object}: {answer}");
    }
    let metrics = service.health("/metrics").await.body;
    assert!(metrics.contains("publication_failures_total{publication=\"traefik-s3\"} 0\n"));
    service.signal("-TERM");
    let (status, log, _folder) = service.end().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("geheim"));
}

#[tokio::test]
async fn documents_and_envoys_are_served_beside_what_is_written() {
    let xds = if cfg!(feature = "xds") {
        "xds: {listen: '127.0.0.1:0'}\n"
    } else {
        ""
    };
    let service = Service::start(&format!(
        "cluster: {{demo: true}}\nhttp: {{listen: '127.0.0.1:0'}}\n{xds}"
    ))
    .await;
    service.ready().await;
    let status = service.admin("/status").await.json();
    let http = status["http"].as_str().unwrap().parse().unwrap();
    for path in ["/snapshot", "/traefik", "/prometheus"] {
        let answer = super::process::ask(http, "GET", path, "localhost").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert!(answer.body.contains("10.1.1."), "{path}: {}", answer.body);
    }
    if cfg!(feature = "xds") {
        assert_eq!(status["xds"]["streams"], 0);
        let metrics = service.health("/metrics").await.body;
        assert!(metrics.contains("kubedex_gateway_xds_streams 0\n"));
    }
    let problems = service.admin("/problems").await.json();
    assert_eq!(problems["http"][1]["document"], "/traefik");
    service.signal("-TERM");
    let (status, log, _folder) = service.end().await;
    assert_eq!(status.code(), Some(0), "{log}");
}

#[tokio::test]
async fn what_could_not_be_written_at_the_end_is_told_by_the_exit_code() {
    let (folder, path) = folder(
        "cluster: {demo: true}\npublish: [{format: json, directory: {path: '{folder}/file/json'}}]\n",
    );
    std::fs::write(folder.path().join("file"), "no folder").unwrap();
    let service = Service::start_in(folder, &path).await;
    service.ready().await;
    service.signal("-TERM");
    let (status, log, _folder) = service.end().await;
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(
        log.contains("the last snapshot could not be written"),
        "{log}"
    );
}
