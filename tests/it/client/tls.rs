//! Whom the client trusts, and how it shows who it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kubedex::client::{Client, ClientError};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::server::write_kubeconfig;
use super::{get, text};

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate and its key, in PEM.
    fn issue(&self, names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names)
            .unwrap()
            .signed_by(&key, &self.issuer)
            .unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// Answers each connection once, with the number of certificates that the client showed.
async fn serve(authority: &Authority, names: &[&str]) -> (u16, tokio::task::JoinSet<()>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let (certificate, key) = authority.issue(names);
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap())
        .unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let shown = stream.get_ref().1.peer_certificates().map_or(0, <[_]>::len);
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\n{shown}");
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (port, tasks)
}

fn file(directory: &Path, name: &str, content: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

async fn client(directory: &Path, cluster: &str, user: &str) -> Client {
    let path = write_kubeconfig(directory, cluster, user);
    Client::builder().kubeconfig(path).build().await.unwrap()
}

async fn refused(directory: &Path, cluster: &str) -> ClientError {
    let client = client(directory, cluster, "{}").await;
    client.send(get("/version")).await.unwrap_err()
}

#[tokio::test]
async fn a_server_is_trusted_by_the_configured_authority_alone() {
    let authority = Authority::new("cluster");
    let (port, _tasks) = serve(&authority, &["127.0.0.1", "cluster.internal"]).await;
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    file(directory, "ca.crt", &authority.pem);
    file(directory, "other.crt", &Authority::new("other").pem);
    let server = format!("server: 'https://127.0.0.1:{port}'");

    let good = client(
        directory,
        &format!("{{{server}, certificate-authority: ca.crt}}"),
        "{}",
    )
    .await;
    assert_eq!(text(&good, get("/version")).await, "0");
    let named =
        format!("{{{server}, certificate-authority: ca.crt, tls-server-name: cluster.internal}}");
    assert_eq!(
        text(&client(directory, &named, "{}").await, get("/version")).await,
        "0"
    );
    let careless = format!("{{{server}, insecure-skip-tls-verify: true}}");
    assert_eq!(
        text(&client(directory, &careless, "{}").await, get("/version")).await,
        "0"
    );

    for (cluster, reason) in [
        (
            format!("{{{server}, certificate-authority: other.crt}}"),
            "not issued by the configured certificate authority",
        ),
        (format!("{{{server}}}"), "certificate"),
        (
            format!(
                "{{{server}, certificate-authority: ca.crt, tls-server-name: elsewhere.internal}}"
            ),
            "elsewhere.internal",
        ),
    ] {
        let error = refused(directory, &cluster).await;
        let text = error.to_string();
        assert!(
            error.is_unreachable() && text.contains(reason),
            "{cluster}: {text}"
        );
    }
}

#[tokio::test]
async fn a_client_certificate_comes_from_files_or_from_a_plugin() {
    let authority = Authority::new("cluster");
    let (port, _tasks) = serve(&authority, &["127.0.0.1"]).await;
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    file(directory, "ca.crt", &authority.pem);
    let (certificate, key) = authority.issue(&["jane"]);
    file(directory, "tls.crt", &certificate);
    file(directory, "tls.key", &key);
    let credential = serde_json::json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": {"clientCertificateData": certificate, "clientKeyData": key}
    });
    let printed = file(directory, "credential", &credential.to_string());
    let cluster = format!("{{server: 'https://127.0.0.1:{port}', certificate-authority: ca.crt}}");
    for user in [
        "{client-certificate: tls.crt, client-key: tls.key}".to_owned(),
        format!(
            "{{exec: {{command: cat, args: ['{}'], interactiveMode: Never}}}}",
            printed.display()
        ),
    ] {
        let client = client(directory, &cluster, &user).await;
        assert_eq!(text(&client, get("/version")).await, "1", "{user}");
    }
}
