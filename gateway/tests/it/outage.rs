//! `clusters` beside a real API server process's life: it is there, it is killed, it comes back. Over sockets, so in
//! real time, each wait bounded.

use std::fs;
use std::time::Duration;

use kubedex::fake::FakeCluster;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::time::timeout;

use crate::binary::command;

const PATIENCE: Duration = Duration::from_secs(60);

fn service() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "api", "namespace": "shop"},
        "spec": {"ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
    })
}

fn slice(addresses: &[&str]) -> Value {
    let endpoint = |address: &&str| json!({"addresses": [address], "conditions": {"ready": true}});
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "api-1",
            "namespace": "shop",
            "labels": {"kubernetes.io/service-name": "api"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
        "endpoints": addresses.iter().map(endpoint).collect::<Vec<_>>(),
    })
}

async fn next<R: AsyncRead + Unpin>(lines: &mut Lines<BufReader<R>>) -> String {
    let line = timeout(PATIENCE, lines.next_line()).await;
    line.expect("a line in time").unwrap().expect("a line")
}

/// The addresses of the only cluster in a line of the live view.
fn addresses(line: &str, event: &str) -> Vec<String> {
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["event"], event, "{line}");
    let endpoints = line["clusters"][0]["endpoints"].as_array().unwrap();
    endpoints
        .iter()
        .map(|endpoint| endpoint["address"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_killed_api_server_is_told_once_and_survived() {
    let cluster = FakeCluster::new();
    cluster.apply(service()).unwrap();
    cluster.apply(slice(&["10.0.0.1"])).unwrap();
    let server = cluster.serve().await.unwrap();
    let address = server.address();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    fs::write(&config, server.kubeconfig()).unwrap();

    let mut command = tokio::process::Command::from(command(["clusters", "--kubeconfig"]));
    let mut child = command.arg(&config).kill_on_drop(true).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    assert_eq!(addresses(&next(&mut stdout).await, "synced"), ["10.0.0.1"]);
    assert!(
        next(&mut stderr)
            .await
            .starts_with("watching https://127.0.0.1:")
    );
    cluster.apply(slice(&["10.0.0.1", "10.0.0.2"])).unwrap();
    assert_eq!(addresses(&next(&mut stdout).await, "changed").len(), 2);

    drop(server);
    assert!(
        next(&mut stderr)
            .await
            .starts_with("disconnected; the last state stands")
    );
    assert!(next(&mut stderr).await.starts_with("  "), "the reason");
    cluster.apply(slice(&["10.0.0.3"])).unwrap();
    // Long enough for several attempts to fail.
    let silence = timeout(Duration::from_secs(3), stderr.next_line()).await;
    assert!(silence.is_err(), "said again: {silence:?}");

    let server = cluster.serve_on(address).await.unwrap();
    assert_eq!(addresses(&next(&mut stdout).await, "changed"), ["10.0.0.3"]);
    assert_eq!(next(&mut stderr).await, "connected again");
    cluster.apply(slice(&[])).unwrap();
    assert!(addresses(&next(&mut stdout).await, "changed").is_empty());
    child.kill().await.unwrap();
    drop(server);
    let rest = timeout(PATIENCE, stderr.next_line()).await.unwrap();
    assert_eq!(rest.unwrap(), None, "nothing more was said");
}
