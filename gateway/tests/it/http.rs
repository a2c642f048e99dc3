//! Snapshots over HTTP, on loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kubedex_gateway::http::{Http, HttpConfig, Limits, serve};
use kubedex_gateway::model::{Cluster, Protocol, Snapshot};
use kubedex_gateway::output::{File, Output, Rendering};
use kubedex_gateway::publish::{Publisher, channel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Counts how often it renders.
#[derive(Debug, Default)]
struct Counting(Arc<AtomicUsize>);

impl Output for Counting {
    fn format(&self) -> &'static str {
        "counting"
    }

    fn render(&mut self, snapshot: &Snapshot, _: Option<&Snapshot>) -> Rendering {
        self.0.fetch_add(1, Ordering::SeqCst);
        let count = snapshot.clusters().len();
        assert!(count < 10, "a test");
        Rendering {
            is_whole: true,
            files: vec![File {
                path: "count".into(),
                // The same for two snapshots that follow each other.
                bytes: (count / 2).to_string().into(),
                media_type: "application/yaml",
            }],
            ..Rendering::default()
        }
    }
}

fn config() -> HttpConfig {
    HttpConfig::new(([127, 0, 0, 1], 0).into())
}

async fn start(outputs: Vec<(String, Box<dyn Output>)>) -> (Publisher, Http) {
    let (publisher, snapshots) = channel();
    let http = Http::start(config(), snapshots, outputs).await.unwrap();
    (publisher, http)
}

fn snapshot(clusters: usize) -> Snapshot {
    let mut edit = Snapshot::default().edit();
    for number in 0..clusters {
        edit.upsert(Arc::new(Cluster::new(format!("c{number}"), Protocol::Tcp)));
    }
    edit.finish().unwrap_or_default()
}

/// What a server says until it closes.
async fn ask(http: &Http, request: &str) -> String {
    let mut stream = TcpStream::connect(http.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    read(&mut stream).await
}

async fn read(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    let read = timeout(Duration::from_secs(30), stream.read_to_string(&mut answer));
    // A connection that is reset has said what it had to say.
    let _ = read.await.expect("the server closes");
    answer
}

async fn get(http: &Http, path: &str, header: &str) -> String {
    let end = if header.is_empty() { "" } else { "\r\n" };
    ask(
        http,
        &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}{end}\r\n"),
    )
    .await
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    answer.lines().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test]
async fn the_snapshot_is_served_whole_and_then_only_when_it_differs() {
    let (publisher, http) = start(Vec::new()).await;
    let answer = get(&http, "/snapshot", "").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert_eq!(header(&answer, "retry-after"), Some("1"));

    let first = snapshot(2);
    publisher.publish(first.clone());
    let answer = get(&http, "/snapshot", "").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(header(&answer, "content-type"), Some("application/json"));
    assert_eq!(header(&answer, "cache-control"), Some("no-cache"));
    let document: serde_json::Value = serde_json::from_str(body(&answer)).unwrap();
    assert_eq!(document["version"], first.version());
    assert_eq!(document["hash"], first.hash().to_string());
    assert_eq!(document["clusters"].as_array().unwrap().len(), 2);

    let etag = header(&answer, "etag").unwrap().to_owned();
    assert!(etag.starts_with('"') && etag.len() == 34, "{etag}");
    for known in [
        etag.clone(),
        format!("W/{etag}"),
        format!("\"x\", {etag}"),
        "*".to_owned(),
    ] {
        let answer = get(&http, "/snapshot", &format!("If-None-Match: {known}")).await;
        assert!(answer.starts_with("HTTP/1.1 304"), "{known}: {answer}");
        assert_eq!((body(&answer), header(&answer, "etag")), ("", Some(&*etag)));
    }
    let head = "HEAD /snapshot HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = ask(&http, head).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && body(&answer).is_empty(),
        "{answer}"
    );
    let length = serde_json::to_vec(&first).unwrap().len() + 1;
    assert_eq!(
        header(&answer, "content-length"),
        Some(&*length.to_string())
    );

    publisher.publish(snapshot(3));
    let answer = get(&http, "/snapshot", &format!("If-None-Match: {etag}")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let post =
        "POST /snapshot HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    assert!(ask(&http, post).await.starts_with("HTTP/1.1 405"));
    assert!(get(&http, "/", "").await.starts_with("HTTP/1.1 404"));
    http.shutdown().await;
    assert!(TcpStream::connect(http.address()).await.is_err());
}

#[tokio::test]
async fn a_document_is_rendered_once_for_each_snapshot_however_many_ask() {
    let counting = Counting::default();
    let count = Arc::clone(&counting.0);
    let (publisher, http) = start(vec![("/count".to_owned(), Box::new(counting))]).await;
    assert!(get(&http, "/count", "").await.starts_with("HTTP/1.1 503"));
    publisher.publish(snapshot(2));
    let asked = (0..20).map(|_| get(&http, "/count", ""));
    for answer in futures::future::join_all(asked).await {
        assert_eq!(
            (body(&answer), header(&answer, "content-type")),
            ("1", Some("application/yaml"))
        );
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
    let answer = get(&http, "/count", "").await;
    let known = format!("If-None-Match: {}", header(&answer, "etag").unwrap());
    // Another snapshot that reads the same is the same document.
    publisher.publish(snapshot(3));
    assert!(
        get(&http, "/count", &known)
            .await
            .starts_with("HTTP/1.1 304")
    );
    assert_eq!(count.load(Ordering::SeqCst), 2);
    // An output that panics fails one request, and not the server.
    publisher.publish(snapshot(10));
    assert!(get(&http, "/count", "").await.starts_with("HTTP/1.1 500"));
    publisher.publish(snapshot(4));
    assert_eq!(body(&get(&http, "/count", "").await), "2");
    http.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_served_is_told() {
    let (publisher, http) = start(Vec::new()).await;
    let (_, snapshots) = channel();
    let taken = HttpConfig::new(http.address());
    let error = Http::start(taken, snapshots, Vec::new()).await.unwrap_err();
    assert!(
        error.to_string().contains(&http.address().to_string()),
        "{error}"
    );
    for path in ["traefik", "/", "/a b", "/{x}", "/snapshot"] {
        let outputs: Vec<(String, Box<dyn Output>)> =
            vec![(path.to_owned(), Box::new(Counting::default()))];
        let error = Http::start(config(), publisher.subscribe(), outputs)
            .await
            .unwrap_err();
        assert!(error.to_string().contains(path), "{error}");
    }
    let read = |yaml: &str| serde_saphyr::from_str::<HttpConfig>(yaml);
    assert_eq!(read("listen: 127.0.0.1:0").unwrap(), config());
    assert!(read("listen: everywhere").is_err() && read("{}").is_err());
}

#[tokio::test]
async fn slow_and_silent_clients_are_bounded_in_number_and_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = Limits {
        connections: 2,
        head: Duration::from_millis(200),
        ..Limits::default()
    };
    let stop = CancellationToken::new();
    let router = axum::Router::new().route("/", axum::routing::get(|| async { "here" }));
    let server = tokio::spawn(serve(listener, router, limits, stop.clone()));
    // Two that say nothing, or never come to the end of their head, fill the server.
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
    // A third one is answered once they were sent away.
    let mut third = TcpStream::connect(address).await.unwrap();
    third
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    assert!(read(&mut third).await.ends_with("here"));
    read(&mut silent).await;
    read(&mut slow).await;
    // One that is idle does not keep the server from ending.
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut byte = [0];
    idle.read_exact(&mut byte).await.unwrap();
    stop.cancel();
    timeout(Duration::from_secs(30), server)
        .await
        .unwrap()
        .unwrap();
}
