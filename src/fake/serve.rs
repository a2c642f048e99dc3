//! The cluster on a loopback socket, for kubectl and other processes.
//!
//! One port speaks TLS and plain HTTP: the first byte tells them apart. TLS is there because kubectl and client-go send
//! no token without it.

mod tls;

pub(super) use tls::Identity as TlsIdentity;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::server::{FakeService, Identity};
use super::{FakeCluster, User};

/// How long a graceful shutdown waits for answers under way; an open watch would never end by itself.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);
/// The first byte of a TLS connection.
const TLS_HANDSHAKE: u8 = 0x16;

/// A [`FakeCluster`] behind a socket. Dropping it closes the socket and all connections at once.
#[derive(Debug)]
pub struct FakeServer {
    address: SocketAddr,
    token: String,
    authority: std::sync::Arc<str>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl FakeCluster {
    /// Serves the cluster on a free port of the loopback interface.
    ///
    /// # Errors
    /// When no socket can be opened.
    pub async fn serve(&self) -> io::Result<FakeServer> {
        self.serve_on(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Serves the cluster on an address, such as the one it had before. It is a toy: keep it on loopback.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn serve_on(&self, address: SocketAddr) -> io::Result<FakeServer> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let service = FakeService {
            shared: std::sync::Arc::clone(&self.service.shared),
            identity: Identity::Token,
        };
        let identity = self.tls_identity(address)?;
        let authority = std::sync::Arc::clone(&identity.authority);
        let stop = CancellationToken::new();
        let task = tokio::spawn(accept(listener, service, identity, stop.clone()));
        Ok(FakeServer {
            address,
            token: self.admin_token(),
            authority,
            stop,
            task: Some(task),
        })
    }

    /// The cluster's certificates, the same for every server of it.
    fn tls_identity(&self, address: SocketAddr) -> io::Result<TlsIdentity> {
        let mut known = self.service.shared.tls.lock();
        if let Some(identity) = &*known {
            return Ok(identity.clone());
        }
        let identity = TlsIdentity::new(address.ip())?;
        *known = Some(identity.clone());
        Ok(identity)
    }

    /// The bearer token of the administrator; made from the seed.
    pub fn admin_token(&self) -> String {
        let mut tokens = self.service.shared.tokens.lock();
        if let Some((token, _)) = tokens.iter().find(|(_, user)| user.is_admin()) {
            return token.clone();
        }
        let token = super::clock::uid(&mut self.state().random);
        tokens.insert(token.clone(), User::admin());
        token
    }

    /// Lets a user in by a bearer token, with the rights that RBAC objects give, and no others.
    pub fn add_token(&self, token: impl Into<String>, user: &str) {
        self.service
            .shared
            .tokens
            .lock()
            .insert(token.into(), User::named(user));
    }

    /// Makes a bearer token invalid, as if it had expired.
    pub fn revoke_token(&self, token: &str) {
        self.service.shared.tokens.lock().remove(token);
    }
}

impl FakeServer {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, such as `https://127.0.0.1:40123`; the kubeconfig has it, too.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Its URL for clients without TLS.
    pub fn http_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The certificate, in PEM, that [`FakeServer::url`] is to be trusted by.
    pub fn certificate_authority(&self) -> &str {
        &self.authority
    }

    /// A kubeconfig for the administrator.
    pub fn kubeconfig(&self) -> String {
        self.kubeconfig_with(&self.token)
    }

    /// A kubeconfig for whoever has this token.
    pub fn kubeconfig_with(&self, token: &str) -> String {
        // JSON is YAML.
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{
                "name": "fake",
                "cluster": {
                    "server": self.url(),
                    "certificate-authority-data": STANDARD.encode(self.authority.as_bytes()),
                },
            }],
            "users": [{"name": "fake", "user": {"token": token}}],
            "contexts": [{
                "name": "fake",
                "context": {"cluster": "fake", "user": "fake", "namespace": "default"},
            }],
            "current-context": "fake",
        });
        format!("{config:#}\n")
    }

    /// Writes the administrator's kubeconfig, readable by its owner only.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_kubeconfig(&self, path: &Path) -> io::Result<()> {
        write_private(path, &self.kubeconfig())
    }

    /// Stops listening, lets answers under way end for half a second, and closes.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            // Its end is all that matters; it does not panic.
            let _ = task.await;
        }
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}

/// Accepts until told to stop; owns the connections, so that they end with it.
async fn accept(
    listener: TcpListener,
    service: FakeService,
    identity: TlsIdentity,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(
                        stream,
                        service.clone(),
                        identity.clone(),
                        stop.clone(),
                    ));
                }
                // Out of file descriptors: others may close some.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(
    stream: TcpStream,
    service: FakeService,
    identity: TlsIdentity,
    stop: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let mut first = [0];
    let peeked = tokio::select! {
        peeked = stream.peek(&mut first) => peeked,
        () = stop.cancelled() => return,
    };
    match peeked {
        Ok(1) if first[0] == TLS_HANDSHAKE => {
            // A handshake that fails is the client's business.
            if let Ok(stream) = identity.acceptor.accept(stream).await {
                exchange(TokioIo::new(stream), service, stop).await;
            }
        }
        Ok(1) => exchange(TokioIo::new(stream), service, stop).await,
        _ => {}
    }
}

async fn exchange<S>(stream: S, service: FakeService, stop: CancellationToken)
where
    S: Read + Write + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(stream, TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // How a connection ends is the client's business.
        _ = connection.as_mut() => return,
        () = stop.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(SHUTDOWN_GRACE, connection).await;
}
