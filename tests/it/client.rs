//! The client against a web server of the test's own on loopback: what it sends, and what it makes of the answers.

mod configuration;
mod credentials;
mod discovery;
mod server;
mod tls;

use std::time::{Duration, Instant};

use http::Request;
use http_body_util::BodyExt as _;
use kube::client::Body;
use kubedex::client::{Client, ClientBuilder};

use server::{Paused, Server, answer, json};

const VERSION: &str = r#"{"gitVersion":"v1.36.0"}"#;

/// [`VERSION`], compressed.
const VERSION_GZIP: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x4a\xcf\x2c\x09\x4b\x2d\x2a\xce\xcc\xcf\x53\xb2\x52\x2a\x33\xd4\x33\x36\xd3\x33\x50\xaa\x05\x00\xc3\xd5\x43\xe3\x18\x00\x00\x00";

/// A builder for the server, without credentials.
fn builder(server: &Server) -> ClientBuilder {
    Client::builder().config(kube::Config::new(server.url().parse().unwrap()))
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

async fn text(client: &Client, request: Request<Body>) -> String {
    let body = client.send(request).await.unwrap().into_body();
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn the_user_agent_names_us_and_then_the_caller() {
    let server = Server::start(|_| json(200, VERSION)).await;
    let plain = builder(&server).build().await.unwrap();
    let named = builder(&server)
        .user_agent("my-gateway/1.4")
        .build()
        .await
        .unwrap();
    text(&plain, get("/version")).await;
    text(&named, get("/version")).await;
    named
        .kube()
        .request_text(Request::get("/version").body(vec![]).unwrap())
        .await
        .unwrap();
    let own = text(&named, {
        let mut request = get("/version");
        request
            .headers_mut()
            .insert("user-agent", "other/1".parse().unwrap());
        request
    });
    own.await;
    let ours = format!("kubedex/{}", env!("CARGO_PKG_VERSION"));
    let agents: Vec<String> = server
        .seen()
        .iter()
        .map(|seen| seen.header("user-agent").unwrap().to_owned())
        .collect();
    let with_caller = format!("{ours} my-gateway/1.4");
    assert_eq!(
        agents,
        [ours, with_caller.clone(), with_caller, "other/1".to_owned()]
    );
    let error = builder(&server)
        .user_agent("a\nb")
        .build()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("user agent"), "{error}");
}

#[tokio::test]
async fn compression_is_offered_and_undone_unless_the_request_declines_it() {
    let server = Server::start(|seen| {
        let mut answer = answer(200, "application/json", VERSION_GZIP);
        if seen.header("accept-encoding") == Some("gzip") {
            answer
                .headers_mut()
                .insert("content-encoding", "gzip".parse().unwrap());
        } else {
            *answer.body_mut() = server::answer(200, "", VERSION).into_body();
        }
        Some(answer)
    })
    .await;
    let client = builder(&server).build().await.unwrap();
    assert_eq!(text(&client, get("/version")).await, VERSION);
    let mut identity = get("/version");
    identity
        .headers_mut()
        .insert("accept-encoding", "identity".parse().unwrap());
    assert_eq!(text(&client, identity).await, VERSION);
    let asked: Vec<Option<String>> = server
        .seen()
        .iter()
        .map(|seen| seen.header("accept-encoding").map(str::to_owned))
        .collect();
    assert_eq!(
        asked,
        [Some("gzip".to_owned()), Some("identity".to_owned())]
    );
}

#[tokio::test]
async fn a_refusal_is_passed_on_and_not_retried() {
    let server = Server::start(|_| json(503, r#"{"kind":"Status","code":503}"#)).await;
    let client = builder(&server).build().await.unwrap();
    let response = client.send(get("/api/v1/pods")).await.unwrap();
    assert_eq!(response.status(), 503);
    let error = client
        .kube()
        .request_text(Request::get("/x").body(vec![]).unwrap())
        .await;
    assert!(error.is_err());
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn headers_that_do_not_come_are_an_error_and_a_slow_body_is_none() {
    let server = Server::start(|seen| match seen.uri.as_str() {
        "/hang" => None,
        _ => Some(http::Response::new(
            Paused::new(&["first,", "second"], Duration::from_millis(400)).boxed_unsync(),
        )),
    })
    .await;
    let limit = Duration::from_millis(200);
    let client = builder(&server)
        .response_timeout(limit)
        .build()
        .await
        .unwrap();
    let began = Instant::now();
    let error = client.send(get("/hang")).await.unwrap_err();
    assert!(error.is_timeout() && error.is_unreachable(), "{error}");
    assert!(
        error
            .to_string()
            .starts_with("GET /hang: no response headers"),
        "{error}"
    );
    assert!(began.elapsed() >= limit && began.elapsed() < Duration::from_secs(20));
    // For those who go through kube as well.
    let kube = client.kube();
    assert!(
        kube.request_text(Request::get("/hang").body(vec![]).unwrap())
            .await
            .is_err()
    );
    assert_eq!(text(&client, get("/slow")).await, "first,second");
}

#[tokio::test(start_paused = true)]
async fn a_callers_own_client_is_held_to_the_deadline_too() {
    let silent = tower::service_fn(|_: Request<Body>| {
        std::future::pending::<Result<http::Response<Body>, tower::BoxError>>()
    });
    let client = Client::from(kube::Client::new(silent, "web"));
    assert_eq!(client.default_namespace(), "web");
    let began = tokio::time::Instant::now();
    let error = client.send(get("/api")).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert_eq!(began.elapsed(), kubedex::client::DEFAULT_RESPONSE_TIMEOUT);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let address = Server::start(|_| None).await.address; // gone again
    let config = kube::Config::new(format!("http://{address}").parse().unwrap());
    let client = Client::builder().config(config).build().await.unwrap();
    let error = client.send(get("/version")).await.unwrap_err();
    assert!(error.is_unreachable() && !error.is_timeout());
    let text = error.to_string();
    assert!(
        text.contains(&format!("cannot reach http://{address}")),
        "{text}"
    );
    assert!(text.contains("refused"), "{text}");
}

#[tokio::test]
async fn a_rate_holds_back_requests_and_lets_watches_pass() {
    let server = Server::start(|_| json(200, VERSION)).await;
    let client = builder(&server).limit(0.01, 1).build().await.unwrap();
    text(&client, get("/api/v1/pods")).await;
    let second = tokio::time::timeout(Duration::from_millis(200), client.send(get("/version")));
    assert!(
        second.await.is_err(),
        "the second request was not held back"
    );
    text(&client, get("/api/v1/pods?watch=true&resourceVersion=1")).await;
    let uris: Vec<String> = server.seen().into_iter().map(|seen| seen.uri).collect();
    assert_eq!(
        uris,
        ["/api/v1/pods", "/api/v1/pods?watch=true&resourceVersion=1"]
    );
}

#[tokio::test]
async fn what_a_client_prints_of_itself_is_no_secret() {
    let server = Server::start(|_| json(200, VERSION)).await;
    let directory = tempfile::tempdir().unwrap();
    let path = server.kubeconfig(directory.path(), "{token: secret-token}");
    let builder = Client::builder().kubeconfig(path);
    let client = builder.clone().build().await.unwrap();
    text(&client, get("/version")).await;
    assert_eq!(
        server.seen()[0].header("authorization"),
        Some("Bearer secret-token")
    );
    let printed = format!("{client:?} {client:#?} {builder:?}");
    assert!(
        printed.contains(&server.url()) && !printed.contains("secret"),
        "{printed}"
    );
}

/// Of each connection to a port, when Linux will probe it; `None` if it will not.
#[cfg(target_os = "linux")]
fn probes_towards(port: u16) -> Vec<Option<Duration>> {
    const KEEPALIVE: &str = "02";
    const ESTABLISHED: &str = "01";
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{port:04X}");
    table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields[2].ends_with(&port) && fields[3] == ESTABLISHED)
        .map(|fields| {
            let (timer, hundredths) = fields[5].split_once(':').unwrap();
            let hundredths = u64::from_str_radix(hundredths, 16).unwrap();
            (timer == KEEPALIVE).then(|| Duration::from_millis(hundredths * 10))
        })
        .collect()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_idle_watch_is_probed_so_that_a_dead_peer_is_noticed() {
    let server = Server::start(|_| {
        Some(http::Response::new(
            Paused::new(&["begin"], Duration::from_secs(60)).boxed_unsync(),
        ))
    })
    .await;
    let client = builder(&server).build().await.unwrap();
    let mut watch = client
        .send(get("/api/v1/pods?watch=true"))
        .await
        .unwrap()
        .into_body();
    assert!(watch.frame().await.unwrap().is_ok());
    // An acknowledgement on its way has its own timer, for some milliseconds.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let probes = probes_towards(server.address.port());
        if matches!(probes[..], [Some(at)] if at <= kubedex::client::KEEPALIVE_IDLE) {
            break;
        }
        assert!(Instant::now() < deadline, "{probes:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
