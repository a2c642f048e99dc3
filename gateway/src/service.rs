//! The service: discovery, publications and those who ask, wired together and run until told to stop.
//!
//! ```text
//! Engine ─► Snapshots ─┬─► Publication (output, sink) ...     leader only, if so configured
//!                      ├─► http, xds                           those who ask
//!                      └─► health, metrics, admin
//! Reloader ─► Engine
//! ```
//!
//! This is the only place that knows all parts; the parts do not know each other. Nothing is published before everything
//! that exists is known, however long that takes. Every task is joined before [`Service::stop`] returns.

mod admin;
mod health;
mod listen;
mod metrics;
mod rbac;
mod reload;
mod shared;
mod slots;
mod view;

pub use listen::BindError;
pub use rbac::{Account, rbac};
pub use reload::POLL;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
#[cfg(feature = "xds")]
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use kubedex::Client;
use kubedex::leader_election::{self, LeaderElector};
use kubedex::watcher::SyncError;
use tokio::join;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Format, Parts, PublishError, ServeConfig, SinkConfig};
use crate::engine::{Engine, EngineError};
use crate::http::{Http, HttpError};
use crate::publication::{Gate, Publication, PublicationConfig};
use crate::publish::Snapshots;
#[cfg(feature = "xds")]
use crate::xds;

use listen::{Bound, Server};
use reload::Reloader;
use shared::Shared;

/// How long requests may go on once the service stops: 3 seconds.
pub const REQUESTS_DEADLINE: Duration = Duration::from_secs(3);

/// How long a last publication may take once the service stops: 10 seconds. With the other deadlines that is less than the
/// 30 seconds that Kubernetes gives a pod.
pub const FLUSH_DEADLINE: Duration = Duration::from_secs(10);

/// How long the release of leadership may take once the service stops: 5 seconds. If it fails, others wait for the lease
/// to run out.
pub const RELEASE_DEADLINE: Duration = Duration::from_secs(5);

/// Requests to reload that may wait.
const RELOADS: usize = 4;

/// A running service.
pub struct Service {
    shared: Arc<Shared>,
    reloader: JoinHandle<()>,
    health: Server,
    admin: Server,
}

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address is not to be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Discovery cannot work as it is configured.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Documents cannot be served.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Envoys cannot be told.
    #[cfg(feature = "xds")]
    #[error("xds cannot be served")]
    Xds(#[from] xds::XdsError),
    /// An output or a sink cannot work as it is configured.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The election cannot work as it is configured.
    #[error(transparent)]
    Election(#[from] leader_election::ConfigError),
}

impl StartError {
    /// Whether the configuration is to blame, and not the world.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Bind(_) | Self::Http(HttpError::Listen { .. }) => false,
            #[cfg(feature = "xds")]
            Self::Xds(xds::XdsError::Listen { .. }) => false,
            _ => true,
        }
    }
}

/// What a service starts from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The configuration file, which is read again and again.
    pub file: PathBuf,
    /// What was read from it.
    pub text: String,
}

impl Service {
    /// Starts everything; returns once it runs.
    ///
    /// # Errors
    /// When an address cannot be bound, or the configuration cannot work. A cluster that cannot be reached is none: it is
    /// tried again.
    pub async fn start(
        client: &Client,
        config: Config,
        source: Source,
    ) -> Result<Self, StartError> {
        let health = Bound::new("health", config.health.listen).await?;
        let admin = Bound::new("admin", config.admin.listen).await?;
        let mut parts = Vec::new();
        for publish in &config.publish {
            let mut built = publish.build()?;
            // The one output that has something to remember.
            if let Format::Haproxy(haproxy) = &publish.format {
                built.output = slots::haproxy(haproxy.clone())
                    .map_err(|error| publish.wrong_option(&error))?;
            }
            parts.push((publish, built));
        }
        let (engine, snapshots) = Engine::start(client, &config.engine())?;
        let engine = Arc::new(engine);
        let http = match &config.http {
            Some(serve) => Some(documents(serve, &snapshots).await?),
            None => None,
        };
        #[cfg(feature = "xds")]
        let xds = match &config.xds {
            Some(config) => {
                let server = xds::serve(config.clone(), snapshots.clone()).await?;
                tracing::info!(address = %server.local_addr(), "xds is served");
                Some(server)
            }
            None => None,
        };
        let elector = match &config.leader_election {
            Some(election) => Some(LeaderElector::start(client, election.campaign())?),
            None => None,
        };
        let publications = parts
            .into_iter()
            .map(|(publish, Parts { output, sink })| {
                let gate = match &elector {
                    Some(elector) if publish.leader_only => Gate::leader(elector.states()),
                    _ => Gate::open(),
                };
                let how = PublicationConfig {
                    name: Some(publish.name.clone()),
                    ..PublicationConfig::default()
                };
                let publication = Publication::start(output, sink, snapshots.clone(), gate, how);
                (Arc::from(publish.name.as_str()), publication)
            })
            .collect();
        let (state, configuration) = watch::channel(reload::State {
            running: Arc::new(config),
            status: reload::Status::default(),
        });
        let (reloads, requests) = mpsc::channel(RELOADS);
        let stopping = CancellationToken::new();
        let reloader = Reloader::new(
            source.file.clone(),
            &source.text,
            Arc::clone(&engine),
            state,
            requests,
        );
        let reloader = tokio::spawn(reloader.run(stopping.clone()));
        let shared = Arc::new(Shared {
            engine,
            snapshots,
            publications,
            http,
            #[cfg(feature = "xds")]
            xds: Mutex::new(xds),
            elector,
            file: source.file,
            configuration,
            reloads,
            reloader: reloader.abort_handle(),
            stopping,
        });
        Ok(Self {
            health: health.serve(health::router(Arc::clone(&shared))),
            admin: admin.serve(admin::router(Arc::clone(&shared))),
            shared,
            reloader,
        })
    }

    /// Reads the configuration file again, soon; how that went is told by the log and the admin API.
    pub fn reload(&self) {
        let (answer, _) = oneshot::channel();
        // If several wait already, one of them will read it.
        let _ = self.shared.reloads.try_send(answer);
    }

    /// Waits until everything that exists is known, for at most `deadline`.
    ///
    /// # Errors
    /// Why it is not.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn wait_until_ready(&self, deadline: Duration) -> Result<(), Vec<SyncError>> {
        self.shared.engine.wait_for_sync(deadline).await
    }

    /// Waits until this replica leads, for at most `deadline`. Who takes part in no election never does.
    ///
    /// # Errors
    /// When the deadline passed.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn wait_until_leading(&self, deadline: Duration) -> Result<(), Elapsed> {
        let leads = async {
            if let Some(elector) = &self.shared.elector
                && elector.wait_until_leading().await.is_ok()
            {
                return;
            }
            std::future::pending::<()>().await;
        };
        timeout(deadline, leads).await
    }

    /// Where health and metrics are served.
    pub fn health_address(&self) -> SocketAddr {
        self.health.address()
    }

    /// Where the admin API is served.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    /// Stops in order: no more requests, no more discovery, a last publication, then leadership, each within its
    /// deadline. Everything has ended when it returns; whether the last snapshot stands wherever it is to stand, it says.
    ///
    /// # Cancel safety
    /// If the future is dropped, everything ends at once, as in a crash: each file is then as it was or as it was to be.
    pub async fn stop(self) -> bool {
        let shared = self.shared;
        shared.stopping.cancel();
        let http = async {
            if let Some(http) = &shared.http {
                http.shutdown().await;
            }
        };
        let xds = async {
            #[cfg(feature = "xds")]
            {
                let taken = shared
                    .xds
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
                if let Some(server) = taken {
                    server.shutdown().await;
                }
            }
        };
        join!(self.admin.shutdown(), http, xds);
        stop_reloader(self.reloader).await;
        shared.engine.shutdown().await;
        let flushes = shared.publications.iter().map(async |(name, publication)| {
            let is_written = publication.shutdown(FLUSH_DEADLINE).await;
            if !is_written {
                tracing::error!(
                    publication = &**name,
                    "the last snapshot could not be written"
                );
            }
            is_written
        });
        let are_written = join_all(flushes).await;
        if let Some(elector) = &shared.elector
            && timeout(RELEASE_DEADLINE, elector.shutdown()).await.is_err()
        {
            tracing::warn!(
                "leadership was not released in time; others wait for the lease to run out"
            );
        }
        self.health.shutdown().await;
        are_written.iter().all(|is_written| *is_written)
    }
}

/// Joins the reloader. A file system that does not answer must not keep the service from ending.
async fn stop_reloader(mut reloader: JoinHandle<()>) {
    match timeout(REQUESTS_DEADLINE, &mut reloader).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "the reloader failed"),
        Err(_) => reloader.abort(),
    }
}

/// Serves the documents.
async fn documents(serve: &ServeConfig, snapshots: &Snapshots) -> Result<Http, HttpError> {
    let outputs = serve.documents.iter().map(|document| {
        let output = document.format.build(&SinkConfig::Stdout);
        output
            .map(|output| (document.path.clone(), output))
            .map_err(|_| HttpError::Path {
                path: document.path.clone(),
                reason: "its output cannot be used",
            })
    });
    let outputs = outputs.collect::<Result<Vec<_>, _>>()?;
    let http = Http::start(serve.http, snapshots.clone(), outputs).await?;
    tracing::info!(address = %http.address(), "http is served");
    Ok(http)
}
