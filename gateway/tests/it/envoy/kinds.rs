//! Clusters of each kind, as Envoy takes them from files and by ADS: what is spoken to their endpoints.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper_util::rt::{TokioExecutor, TokioIo};
use kubedex_gateway::model::{Cluster, Protocol, Snapshot};
use kubedex_gateway::output::envoy::{EnvoyFiles, EnvoyFilesConfig};
use kubedex_gateway::publish::channel;
use kubedex_gateway::xds::{XdsConfig, serve};
use rustls::pki_types::PrivateKeyDer;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::backend::{PATIENCE, get};
use super::process::{Envoy, is_there};
use super::scenario::cluster;
use super::{ads, files, golden};

const UDP_LISTENER: &str = include_str!("../../../docs/envoy/udp-listener.yaml");

/// Backends that speak one thing only, for as long as this is there.
struct Backends {
    tasks: JoinSet<()>,
    h2c: SocketAddr,
    https: SocketAddr,
    udp: SocketAddr,
    folder: TempDir,
}

impl Backends {
    async fn start() -> Self {
        let mut tasks = JoinSet::new();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let h2c = listener.local_addr().unwrap();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let service = hyper::service::service_fn(|_| async {
                    Ok::<_, Infallible>(http::Response::new("h2c".to_owned()))
                });
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                connections.spawn(server.serve_connection(TokioIo::new(socket), service));
            }
        });

        let authority = rcgen::generate_simple_self_signed(vec!["test".to_owned()]).unwrap();
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(authority.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![authority.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let https = listener.local_addr().unwrap();
        tasks.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(socket).await else {
                    continue;
                };
                let name = stream
                    .get_ref()
                    .1
                    .server_name()
                    .unwrap_or_default()
                    .to_owned();
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{name}",
                    name.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });

        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let udp = socket.local_addr().unwrap();
        tasks.spawn(async move {
            let mut datagram = [0; 64];
            while let Ok((length, from)) = socket.recv_from(&mut datagram).await {
                let _ = socket.send_to(&datagram[..length], from).await;
            }
        });
        Self {
            tasks,
            h2c,
            https,
            udp,
            folder,
        }
    }

    /// A cluster of each kind, some of them with backends.
    fn snapshot(&self) -> Snapshot {
        let mut clusters = golden::of_each_kind();
        let mut speaking = |name: &str, protocol: &str, app_protocol: Option<&str>, to| {
            clusters.retain(|cluster| &*cluster.name != name);
            clusters.push(Cluster {
                protocol: Protocol::from(protocol),
                app_protocol: app_protocol.map(Into::into),
                ..cluster(name, &[to], &[])
            });
        };
        speaking(
            "k8s/shop/h2c:web",
            "TCP",
            Some("kubernetes.io/h2c"),
            self.h2c,
        );
        speaking("k8s/shop/https:443", "TCP", Some("https"), self.https);
        speaking("k8s/shop/dns:dns", "UDP", None, self.udp);
        golden::snapshot(clusters)
    }

    /// Envoy has all clusters but one and speaks to each as it should.
    async fn serve_through(mut self, envoy: &Envoy, snapshot: &Snapshot) {
        for cluster in snapshot.clusters() {
            let is_there = envoy.endpoints(&cluster.name).await.is_some();
            assert_eq!(
                is_there,
                cluster.protocol != Protocol::Sctp,
                "{}",
                cluster.name
            );
        }
        for (cluster, said) in [("k8s/shop/h2c:web", "h2c"), ("k8s/shop/https:443", "test")] {
            let (status, body) = get(envoy.listener, "/", cluster).await.unwrap();
            assert_eq!(
                (status, body.contains(said)),
                (200, true),
                "{cluster}: {body}"
            );
        }
        let listener = envoy.listening("dns").await.unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.send_to(b"hello", listener).await.unwrap();
        let mut datagram = [0; 64];
        let received = timeout(PATIENCE, socket.recv_from(&mut datagram)).await;
        let (length, _) = received.expect("a datagram comes back").unwrap();
        assert_eq!(&datagram[..length], b"hello");
        self.tasks.shutdown().await;
    }
}

/// The bootstrap with one more listener.
fn with_udp(bootstrap: &str) -> String {
    format!("{bootstrap}{UDP_LISTENER}")
}

#[tokio::test]
async fn envoy_takes_clusters_of_each_kind_from_files() {
    if !is_there() {
        return;
    }
    let backends = Backends::start().await;
    let (_folder, root) = Envoy::scratch();
    let config = EnvoyFilesConfig {
        upstream_ca: Some(backends.folder.path().join("ca.pem")),
        ..EnvoyFilesConfig::default()
    };
    let mut output = EnvoyFiles::new(config, Some(&root)).unwrap();
    let snapshot = backends.snapshot();
    files::write(&root, &mut output, &snapshot, None);
    let bootstrap = files::BOOTSTRAP.replace("/etc/envoy/xds", root.to_str().unwrap());
    let envoy = Envoy::start(&with_udp(&bootstrap)).await;
    backends.serve_through(&envoy, &snapshot).await;
}

#[tokio::test]
async fn envoy_checks_certificates_of_endpoints_against_the_authorities_it_is_given() {
    if !is_there() {
        return;
    }
    let (backends, others) = (Backends::start().await, Backends::start().await);
    let (_folder, root) = Envoy::scratch();
    let config = EnvoyFilesConfig {
        upstream_ca: Some(others.folder.path().join("ca.pem")),
        ..EnvoyFilesConfig::default()
    };
    let mut output = EnvoyFiles::new(config, Some(&root)).unwrap();
    files::write(&root, &mut output, &backends.snapshot(), None);
    let bootstrap = files::BOOTSTRAP.replace("/etc/envoy/xds", root.to_str().unwrap());
    let envoy = Envoy::start(&bootstrap).await;
    let (status, body) = get(envoy.listener, "/", "k8s/shop/https:443")
        .await
        .unwrap();
    assert_eq!(status, 503, "{body}");
    let stats = envoy
        .ask("/stats?format=json&filter=fail_verify_error")
        .await;
    let stats = stats.unwrap()["stats"].to_string();
    assert!(stats.contains(r#""value":1"#), "{stats}");
}

#[tokio::test]
async fn envoy_takes_clusters_of_each_kind_by_ads() {
    if !is_there() {
        return;
    }
    let backends = Backends::start().await;
    let (publisher, snapshots) = channel();
    let config = XdsConfig {
        upstream_ca: Some(backends.folder.path().join("ca.pem")),
        ..XdsConfig::new(([127, 0, 0, 1], 0).into())
    };
    let server = serve(config, snapshots).await.unwrap();
    let snapshot = backends.snapshot();
    publisher.publish(snapshot.clone());
    let envoy = Envoy::start(&with_udp(&ads::bootstrap("DELTA_GRPC", &[&server]))).await;
    backends.serve_through(&envoy, &snapshot).await;
    let status = server.status();
    let node = &status.nodes[0];
    assert_eq!(
        (node.clusters.nacks, node.endpoints.nacks),
        (0, 0),
        "{node:?}"
    );
    assert_eq!(status.problems.len(), 2);
    server.shutdown().await;
}
