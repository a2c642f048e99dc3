//! The cluster on a loopback socket, for kubectl and other processes.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

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

/// A [`FakeCluster`] behind a socket. Dropping it closes the socket and all connections at once.
#[derive(Debug)]
pub struct FakeServer {
    address: SocketAddr,
    token: String,
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

    /// Serves the cluster on an address. There is no TLS: keep it on loopback.
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
        let stop = CancellationToken::new();
        let task = tokio::spawn(accept(listener, service, stop.clone()));
        Ok(FakeServer {
            address,
            token: self.admin_token(),
            stop,
            task: Some(task),
        })
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

    /// Its URL, such as `http://127.0.0.1:40123`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
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
            "clusters": [{"name": "fake", "cluster": {"server": self.url()}}],
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
async fn accept(listener: TcpListener, service: FakeService, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, service.clone(), stop.clone()));
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

fn connection(
    stream: TcpStream,
    service: FakeService,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send {
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    async move {
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            // How a connection ends is the client's business.
            _ = connection.as_mut() => return,
            () = stop.cancelled() => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(SHUTDOWN_GRACE, connection).await;
    }
}
