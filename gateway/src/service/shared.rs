//! The parts of the service that those see who ask about it.

use std::path::PathBuf;
use std::sync::Arc;
#[cfg(feature = "xds")]
use std::sync::{Mutex, PoisonError};

use kubedex::leader_election::LeaderElector;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::engine::{Connection, Engine};
use crate::http::Http;
use crate::publication::{Phase, Publication};
use crate::publish::Snapshots;
#[cfg(feature = "xds")]
use crate::xds;

use super::reload;
use super::view::View;

/// The running parts.
pub(super) struct Shared {
    pub(super) engine: Arc<Engine>,
    pub(super) snapshots: Snapshots,
    /// In the order of the configuration.
    pub(super) publications: Vec<(Arc<str>, Publication)>,
    pub(super) http: Option<Http>,
    /// Taken by the one that stops it.
    #[cfg(feature = "xds")]
    pub(super) xds: Mutex<Option<xds::Server>>,
    pub(super) elector: Option<LeaderElector>,
    /// The configuration file.
    pub(super) file: PathBuf,
    pub(super) configuration: watch::Receiver<reload::State>,
    /// To the reloader.
    pub(super) reloads: mpsc::Sender<reload::Request>,
    /// The reloader's task.
    pub(super) reloader: AbortHandle,
    /// Cancelled when the service begins to stop.
    pub(super) stopping: CancellationToken,
}

impl Shared {
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Why a restart would help; `None` if all is well.
    pub(super) fn unhealthy(&self) -> Option<String> {
        let elector = self.elector.as_ref();
        if let Some(Err(error)) = elector.map(|elector| elector.health().check()) {
            return Some(error.to_string());
        }
        if self.is_stopping() {
            return None;
        }
        if self.engine.status().connection == Connection::Stopped {
            return Some("discovery has ended".to_owned());
        }
        if self.reloader.is_finished() {
            return Some("the configuration is not read any more".to_owned());
        }
        let ended = |publication: &Publication| publication.status().phase == Phase::Ended;
        self.publications
            .iter()
            .find(|(_, publication)| ended(publication))
            .map(|(name, _)| format!("publication {name} has ended"))
    }

    pub(super) fn view(&self) -> View {
        View {
            published: self.snapshots.newest(),
            engine: self.engine.status(),
            publications: self
                .publications
                .iter()
                .map(|(name, publication)| (Arc::clone(name), publication.status()))
                .collect(),
            #[cfg(feature = "xds")]
            xds: {
                let server = self.xds.lock().unwrap_or_else(PoisonError::into_inner);
                server.as_ref().map(xds::Server::status)
            },
            reloads: self.configuration.borrow().status.clone(),
            election: self
                .elector
                .as_ref()
                .map(|elector| (elector.is_leading(), elector.last_error().is_none())),
        }
    }
}
