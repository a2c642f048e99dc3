//! What a client is configured from, and what is said when that is wrong. The order of the sources is tested beside the
//! code, where the environment can be replaced.

use std::time::Duration;

use kubedex::client::{Client, ClientError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::server::{Server, json, write_kubeconfig};
use super::{VERSION, get, text};

async fn broken(cluster: &str, user: &str) -> ClientError {
    let directory = tempfile::tempdir().unwrap();
    let path = write_kubeconfig(directory.path(), cluster, user);
    Client::builder()
        .kubeconfig(path)
        .build()
        .await
        .unwrap_err()
}

#[tokio::test]
async fn a_kubeconfig_that_cannot_be_used_is_named_with_the_reason() {
    let missing = Client::builder()
        .kubeconfig("/nowhere/config")
        .build()
        .await
        .unwrap_err();
    assert!(missing.is_configuration() && !missing.is_not_configured());
    assert!(missing.to_string().contains("/nowhere/config"), "{missing}");

    const GOOD: &str = "server: 'https://127.0.0.1:1'";
    for (cluster, user, reason) in [
        ("{server: '127.0.0.1:6443'}", "{}", "begins with https://"),
        ("{server: 'https://a b'}", "{}", "url"),
        (
            &format!("{{{GOOD}, certificate-authority-data: '%'}}"),
            "{}",
            "certificate",
        ),
        (
            &format!("{{{GOOD}, certificate-authority: /nowhere/ca.crt}}"),
            "{}",
            "/nowhere/ca.crt",
        ),
        (
            &format!("{{{GOOD}, certificate-authority-data: c2VjcmV0}}"),
            "{}",
            "no PEM certificate",
        ),
        (
            &format!("{{{GOOD}, proxy-url: 'ftp://jane:secret@proxy'}}"),
            "{}",
            "proxy-url",
        ),
        (
            &format!("{{{GOOD}}}"),
            "{client-certificate: /nowhere/tls.crt, client-key: /nowhere/tls.key}",
            "/nowhere/tls",
        ),
        (
            &format!("{{{GOOD}}}"),
            "{client-certificate-data: c2VjcmV0}",
            "key",
        ),
    ] {
        let error = broken(cluster, user).await;
        let text = error.to_string();
        assert!(error.is_configuration(), "{text}");
        assert!(
            text.contains(reason) && text.contains("kubeconfig, context test"),
            "{text}"
        );
        assert!(!text.contains("secret"), "{text}");
    }
    for (user, reason) in [
        ("{tokenFile: /nowhere/token}", "/nowhere/token"),
        ("{token: \"sec\\nret\"}", "header"),
        (
            "{auth-provider: {name: unheard-of, config: {key: secret}}}",
            "provider",
        ),
    ] {
        let error = broken(&format!("{{{GOOD}}}"), user).await;
        let text = error.to_string();
        assert!(error.is_credentials() && text.contains(reason), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn an_unknown_context_is_answered_with_the_known_ones() {
    let directory = tempfile::tempdir().unwrap();
    let path = write_kubeconfig(directory.path(), "{server: 'https://127.0.0.1:1'}", "{}");
    let builder = Client::builder().kubeconfig(path);
    assert!(builder.is_configured());
    let error = builder.clone().context("prod").build().await.unwrap_err();
    assert!(error.is_unknown_context() && error.is_configuration());
    assert!(
        error
            .to_string()
            .ends_with("there is no context \"prod\"; it has test"),
        "{error}"
    );
    let client = builder.context("test").build().await.unwrap();
    assert_eq!(client.default_namespace(), "default");
    assert_eq!(client.cluster_url(), Some("https://127.0.0.1:1"));
}

#[tokio::test]
async fn limits_that_make_no_sense_are_refused() {
    let builder =
        Client::builder().config(kube::Config::new("http://127.0.0.1:1".parse().unwrap()));
    for builder in [
        builder.clone().limit(0.0, 1),
        builder.clone().limit(1.0, 0),
        builder.clone().connect_timeout(Duration::ZERO),
        builder.clone().response_timeout(Duration::ZERO),
        builder.context("test"),
    ] {
        assert!(builder.build().await.unwrap_err().is_configuration());
    }
}

#[tokio::test]
async fn a_path_in_the_servers_address_is_kept() {
    let server = Server::start(|_| json(200, VERSION)).await;
    let directory = tempfile::tempdir().unwrap();
    let cluster = format!("{{server: '{}/clusters/one/'}}", server.url());
    let path = write_kubeconfig(directory.path(), &cluster, "{}");
    let client = Client::builder().kubeconfig(path).build().await.unwrap();
    text(&client, get("/version?x=1")).await;
    assert_eq!(server.seen()[0].uri, "/clusters/one/version?x=1");
}

#[tokio::test]
async fn a_cluster_is_reached_through_the_proxy_of_its_kubeconfig() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    let tunnel = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heads = Vec::new();
        for answer in [
            "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
            format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{VERSION}",
                VERSION.len()
            ),
        ] {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            heads.push(String::from_utf8(head).unwrap().to_lowercase());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        heads
    });
    let directory = tempfile::tempdir().unwrap();
    let cluster =
        format!("{{server: 'http://cluster.invalid:6443', proxy-url: 'http://jane:pass@{proxy}'}}");
    let path = write_kubeconfig(directory.path(), &cluster, "{token: for-the-cluster}");
    let client = Client::builder().kubeconfig(path).build().await.unwrap();
    assert_eq!(text(&client, get("/version")).await, VERSION);
    let heads = tunnel.await.unwrap();
    assert!(
        heads[0].starts_with("connect cluster.invalid:6443 "),
        "{}",
        heads[0]
    );
    assert!(
        heads[0].contains("proxy-authorization: basic amfuztpwyxnz"),
        "{}",
        heads[0]
    );
    assert!(
        !heads[0].contains("for-the-cluster"),
        "the proxy was told the token"
    );
    assert!(
        heads[1].starts_with("get /version ") && heads[1].contains("for-the-cluster"),
        "{}",
        heads[1]
    );
}
