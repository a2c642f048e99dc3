//! What is asked of etcd: its flags, whether it is well, and that it forgets. Its JSON gateway stands beside gRPC since 3.4.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The flags of one member that listens on loopback.
pub(super) fn flags(folder: &Path, port: u16, peer_port: u16) -> Vec<String> {
    let (client, peer) = (
        format!("http://127.0.0.1:{port}"),
        format!("http://127.0.0.1:{peer_port}"),
    );
    vec![
        "--name=default".to_owned(),
        format!("--data-dir={}", folder.join("etcd").display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
    ]
}

/// Whether it is well.
pub(super) async fn is_healthy(port: u16) -> bool {
    let health = request(port, "GET", "/health", "").await;
    health.is_ok_and(|health| health["health"] == "true")
}

/// Forgets all revisions before the present one.
pub(super) async fn compact(port: u16) {
    let any = STANDARD.encode([0]);
    let range = json!({"key": any, "range_end": any, "count_only": true}).to_string();
    let found = request(port, "POST", "/v3/kv/range", &range).await.unwrap();
    let revision = found["header"]["revision"].clone();
    assert!(revision.is_string(), "etcd says {found}");
    let compaction = json!({"revision": revision, "physical": true}).to_string();
    let done = request(port, "POST", "/v3/kv/compaction", &compaction).await;
    let done = done.unwrap();
    assert!(done["header"].is_object(), "etcd says {done}");
}

/// One request, answered with JSON.
async fn request(port: u16, method: &str, path: &str, body: &str) -> std::io::Result<Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let body = answer.split_once("\r\n\r\n").unwrap_or_default().1;
    Ok(serde_json::from_str(body)?)
}
