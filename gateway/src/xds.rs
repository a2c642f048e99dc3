//! Envoy's aggregated discovery service (ADS): clusters and endpoints over gRPC, told as soon as they change.
//!
//! ```text
//! Snapshots ── resources   every changed cluster encoded once, for all clients
//!                 │  the newest, in a watch channel
//!              stream      one for each client's stream: what it asked for and what it was told; pure
//!                 │
//!              service     gRPC: state of the world, and delta
//!                 │
//!              listener    connections, TLS
//! ```
//!
//! Clusters (CDS) and endpoints (EDS) are served; of other types there is nothing, which a client that asks is told.
//! Versions are hashes of content: replicas that have the same content serve the same versions, and a client that comes
//! back, to this server or another, is told what differs. Before the first snapshot nothing is answered, so that no
//! client takes a start for an empty world; when no more snapshots come, the last one is served on.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::nodes::Nodes;
use self::resources::{Encoder, World};
use self::service::Shared;
use self::tls::Certificates;
use crate::output::envoy::Seen;
use crate::publish::Snapshots;

mod encode;
mod listener;
mod nodes;
mod resources;
mod service;
mod stream;
mod subscription;
mod tls;
mod wire;

pub use nodes::{NodeStatus, Status, TypeStatus};
pub use tls::{TlsConfig, TlsError};

/// Where and how ADS is served.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct XdsConfig {
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The server's certificate, and who may connect. Without it everything goes in clear text.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    /// Whether to serve anybody beyond loopback, too: in clear text, or without asking for a client's certificate.
    #[serde(default)]
    pub insecure: bool,
    /// A file in Envoy's file system with the certificates of the authorities, in PEM, by which the certificates of
    /// endpoints that speak TLS are checked. By default they are not checked.
    #[serde(default)]
    pub upstream_ca: Option<PathBuf>,
}

impl XdsConfig {
    /// Serves in clear text.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            tls: None,
            insecure: false,
            upstream_ca: None,
        }
    }
}

/// Why ADS cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum XdsError {
    /// Anybody could connect.
    #[error(
        "`listen` is {listen}, where anybody could connect: give `tls` with a `client_ca_file`, or set `insecure: true`"
    )]
    Insecure {
        /// The address.
        listen: SocketAddr,
    },
    /// The path is no absolute path in UTF-8.
    #[error("`upstream_ca` is {path:?}, which is not an absolute path in UTF-8")]
    UpstreamCa {
        /// What stands there.
        path: PathBuf,
    },
    /// The certificates cannot be used.
    #[error("the certificates under `tls` cannot be used")]
    Tls(#[from] TlsError),
    /// The address cannot be listened on.
    #[error("listening on {listen}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl XdsConfig {
    /// Checks all that can be checked without listening; reads the certificates.
    ///
    /// # Errors
    /// When the configuration cannot be served.
    pub fn check(&self) -> Result<(), XdsError> {
        self.certificates()?;
        self.upstream_ca().map(|_| ())
    }

    fn certificates(&self) -> Result<Option<Certificates>, XdsError> {
        let asks = self
            .tls
            .as_ref()
            .is_some_and(|tls| tls.client_ca_file.is_some());
        let listen = self.listen;
        if !asks && !self.insecure && !listen.ip().is_loopback() {
            return Err(XdsError::Insecure { listen });
        }
        Ok(self.tls.clone().map(Certificates::open).transpose()?)
    }

    fn upstream_ca(&self) -> Result<Option<String>, XdsError> {
        let Some(path) = &self.upstream_ca else {
            return Ok(None);
        };
        match path.to_str() {
            Some(text) if path.is_absolute() => Ok(Some(text.to_owned())),
            _ => Err(XdsError::UpstreamCa { path: path.clone() }),
        }
    }
}

/// A running server. Dropping it ends its tasks without waiting for them.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    nodes: Arc<Nodes>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// Begins to serve what is published.
///
/// # Errors
/// When the configuration cannot be served or the address cannot be listened on.
///
/// # Cancel safety
/// Safe: nothing runs before it returns.
pub async fn serve(config: XdsConfig, mut snapshots: Snapshots) -> Result<Server, XdsError> {
    let certificates = config.certificates()?.map(Arc::new);
    let upstream_ca = config.upstream_ca()?;
    let checks_certificates = upstream_ca.is_some();
    let listen = config.listen;
    let failed = |source| XdsError::Listen { listen, source };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let local_addr = listener.local_addr().map_err(failed)?;

    let nodes = Arc::new(Nodes::default());
    let stop = CancellationToken::new();
    let (worlds, receiver) = watch::channel(None::<World>);
    let shared = Shared {
        worlds: receiver,
        nodes: Arc::clone(&nodes),
        stop: stop.clone(),
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(listener::serve(listener, certificates, shared));
    let (noted, stopped) = (Arc::clone(&nodes), stop.clone());
    tasks.spawn(async move {
        let mut encoder = Encoder::new(upstream_ca);
        let mut seen = Seen::default();
        while let Some(Some(published)) = stopped.run_until_cancelled(snapshots.next()).await {
            let snapshot = &published.snapshot;
            noted.set_problems(seen.problems(snapshot, checks_certificates));
            worlds.send_replace(Some(encoder.publish(snapshot)));
        }
    });
    Ok(Server {
        local_addr,
        nodes,
        stop,
        tasks,
    })
}

impl Server {
    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        self.nodes.status()
    }

    /// Ends all streams, which clients take up again elsewhere, and all tasks; those that do not end within 5 s are cut
    /// off.
    ///
    /// # Cancel safety
    /// Dropping the future cuts off what has not ended.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
