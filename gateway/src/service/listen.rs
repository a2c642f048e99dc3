//! Listeners: bound before anything starts, served by tasks that are joined.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::REQUESTS_DEADLINE;
use crate::http::{Limits, serve};

/// Connections to one listener at once: more than probes, scrapers and people need.
const CONNECTIONS: usize = 64;

/// Connections to the health listener, which anybody in the cluster can reach: those that say nothing must not keep
/// probes out.
const HEALTH_CONNECTIONS: usize = 1_024;

/// How long a request's head to it may take, and a connection may be idle.
const HEALTH_HEAD: Duration = Duration::from_secs(2);

/// A bound address that is not served yet.
#[derive(Debug)]
pub(super) struct Bound {
    name: &'static str,
    listener: TcpListener,
    address: SocketAddr,
}

/// A server in a task of its own. Dropping it ends the task at once.
#[derive(Debug)]
pub(super) struct Server {
    name: &'static str,
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// An address that cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("{field}: cannot listen on {address}")]
pub struct BindError {
    /// The field of the configuration that names it.
    field: String,
    address: SocketAddr,
    #[source]
    source: io::Error,
}

impl Bound {
    /// Binds what a section of the configuration, such as `health`, names.
    pub(super) async fn new(section: &'static str, address: SocketAddr) -> Result<Self, BindError> {
        let refused = |source| BindError {
            field: format!("{section}.listen"),
            address,
            source,
        };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let bound = listener.local_addr().map_err(refused)?;
        Ok(Self {
            name: section,
            listener,
            address: bound,
        })
    }

    fn limits(&self) -> Limits {
        let limits = Limits {
            connections: CONNECTIONS,
            drain: REQUESTS_DEADLINE,
            ..Limits::default()
        };
        match self.name {
            "health" => Limits {
                connections: HEALTH_CONNECTIONS,
                head: HEALTH_HEAD,
                ..limits
            },
            _ => limits,
        }
    }

    /// Serves until the server is stopped, so many connections at once at the most.
    pub(super) fn serve(self, router: Router) -> Server {
        let stop = CancellationToken::new();
        let limits = self.limits();
        let serve = serve(self.listener, router, limits, stop.clone());
        tracing::info!(address = %self.address, "{} is served", self.name);
        Server {
            name: self.name,
            address: self.address,
            stop,
            task: tokio::spawn(serve),
        }
    }
}

impl Server {
    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, lets requests end that go on, for [`REQUESTS_DEADLINE`] at the most, and joins the task.
    pub(super) async fn shutdown(mut self) {
        self.stop.cancel();
        if let Err(error) = (&mut self.task).await {
            tracing::error!(%error, "the task of {} failed", self.name);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
