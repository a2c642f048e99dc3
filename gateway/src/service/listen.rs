//! Listeners: bound before anything starts, served by tasks that are joined.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

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
    task: JoinHandle<io::Result<()>>,
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

    /// Serves until the server is stopped.
    pub(super) fn serve(self, router: Router) -> Server {
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let serve = axum::serve(self.listener, router).with_graceful_shutdown(stopped);
        tracing::info!(address = %self.address, "{} is served", self.name);
        Server {
            name: self.name,
            address: self.address,
            stop,
            task: tokio::spawn(serve.into_future()),
        }
    }
}

impl Server {
    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, lets requests end that go on, for so long at the most, and joins the task.
    pub(super) async fn shutdown(mut self, deadline: Duration) {
        self.stop.cancel();
        match tokio::time::timeout(deadline, &mut self.task).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::error!(%error, "{} ended", self.name),
            Ok(Err(error)) => tracing::error!(%error, "the task of {} failed", self.name),
            Err(_) => {
                self.task.abort();
                // Aborted: that it was is all it says.
                let _ = (&mut self.task).await;
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
