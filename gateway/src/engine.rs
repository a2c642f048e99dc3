//! The engine: discovers, guards, assembles and publishes.
//!
//! ```text
//! Live ─ Diff ─► guard ─► assembly (with static clusters) ─► Publisher ─► Snapshots
//! ```
//!
//! All of it is one task, which the [`Engine`] owns; watchers run beside it. Changes of any origin are published under
//! one pace: the first at once, then at most one snapshot in the coalescing time.
//!
//! Nothing is published before all watchers are synced; then what there is is, also if it is nothing. While the API
//! server is away the last snapshot stands. After a start without an API server nothing is published at all, so that
//! consumers keep what an earlier process gave them.

mod config;
mod status;
mod task;

pub use config::{EngineConfig, MOST_COALESCING};
pub use status::{Connection, Status};

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kubedex::Client;
use kubedex::watcher::{ConfigError, RelistError, SyncError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::live::{Live, Watchers};
use crate::model::Origin;
use crate::publish::{self, Snapshots};
use crate::statics::{self, FieldError, StaticCluster};
use task::{Command, Task};

/// Reconfigurations that may wait to be taken in; who has one more waits.
const COMMANDS: usize = 4;

/// A running engine.
///
/// # Shutdown
/// [`Engine::shutdown`] stops and joins everything. Dropping the engine cancels it at once. Either way those who follow
/// its snapshots are told that no more will come, and the last one stays readable.
pub struct Engine {
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<Status>,
    watchers: Arc<Mutex<Arc<Watchers>>>,
    stop: CancellationToken,
    abort: AbortHandle,
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

/// Why an engine does not start, or does not take a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Values of the configuration cannot be used.
    #[error("the configuration cannot be used: {}", fields(.0))]
    Fields(Vec<FieldError>),
    /// The watchers do not start.
    #[error("the watch cannot be set up")]
    Watch(#[from] ConfigError),
    /// The engine was stopped.
    #[error("the engine was stopped")]
    Stopped,
}

fn fields(errors: &[FieldError]) -> String {
    let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

impl Engine {
    /// Starts. Must be called within a tokio runtime, whose time it uses.
    ///
    /// # Errors
    /// When the configuration cannot work. What only a server can tell shows in [`Engine::status`] and fails
    /// [`Engine::wait_for_sync`].
    pub fn start(client: &Client, config: &EngineConfig) -> Result<(Self, Snapshots), EngineError> {
        let statics = config.check().map_err(EngineError::Fields)?;
        let live = Live::start(client, config.live.clone())?;
        let watchers = Arc::new(Mutex::new(Arc::clone(live.watchers())));
        let (publisher, snapshots) = publish::channel();
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let (status_sender, status) = watch::channel(Status::default());
        let stop = CancellationToken::new();
        let task = Task::new(
            client.clone(),
            live,
            config,
            statics,
            Arc::clone(&watchers),
            publisher,
            status_sender,
        );
        let task = tokio::spawn(task.run(receiver, stop.clone()));
        let engine = Self {
            commands,
            status,
            watchers,
            stop,
            abort: task.abort_handle(),
            task: tokio::sync::Mutex::new(Some(task)),
        };
        Ok((engine, snapshots))
    }

    /// Waits until everything that exists is known, for at most `deadline`. The first snapshot follows at once.
    ///
    /// # Errors
    /// Why it is not, for each watcher that is not synced within the deadline.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn wait_for_sync(&self, deadline: Duration) -> Result<(), Vec<SyncError>> {
        let watchers = Arc::clone(&lock(&self.watchers));
        watchers.wait_for_sync(deadline).await
    }

    /// How it is doing.
    pub fn status(&self) -> Status {
        let mut status = self.status.borrow().clone();
        if self.abort.is_finished() {
            // However it ended: a task that panicked, or was cut off with its runtime, has nothing more to tell.
            status.connection = Connection::Stopped;
        }
        status
    }

    /// The status, each time it changes.
    ///
    /// # Cancel safety
    /// The receiver's methods are cancel safe, as tokio documents them.
    pub fn status_changes(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Takes these for all static clusters. What is discovered and how stays. They are published under the common pace,
    /// also while something discovered is held back.
    ///
    /// # Errors
    /// When one of them cannot be used, or the engine was stopped; nothing changes then.
    ///
    /// # Cancel safety
    /// Either nothing changes or all of it does.
    pub async fn set_static(
        &self,
        clusters: &[StaticCluster],
        precedence: Origin,
    ) -> Result<(), EngineError> {
        let clusters = statics::check(clusters).map_err(EngineError::Fields)?;
        self.command(|done| Command::Static {
            clusters,
            precedence,
            done,
        })
        .await
    }

    /// Takes another configuration. Where other objects are to be watched, new watchers start, and what the old ones
    /// found stands until these are synced; what they find then is published as it is, without the guard, since it was
    /// asked for. Everything else changes at once.
    ///
    /// # Errors
    /// When the configuration cannot work, or the engine was stopped; nothing changes then.
    ///
    /// # Cancel safety
    /// Either nothing changes or all of it does.
    pub async fn reconfigure(&self, config: &EngineConfig) -> Result<(), EngineError> {
        let statics = config.check().map_err(EngineError::Fields)?;
        let config = Box::new(config.clone());
        let outcome = self.command(|done| Command::Reconfigure {
            config,
            statics,
            done,
        });
        Ok(outcome.await??)
    }

    /// Has the task do something, and waits until it is done.
    async fn command<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, EngineError> {
        let (done, answered) = oneshot::channel();
        let sent = self.commands.send(command(done)).await;
        sent.map_err(|_| EngineError::Stopped)?;
        answered.await.map_err(|_| EngineError::Stopped)
    }

    /// Asks for a list of everything now; the future is ready once it is complete. What it changed is published under
    /// the common pace. While the API server is away it waits.
    ///
    /// # Errors
    /// When the engine is stopped before.
    ///
    /// # Cancel safety
    /// Safe; the list is made even if the future is dropped.
    pub fn relist(&self) -> impl Future<Output = Result<(), RelistError>> + Send + use<> {
        lock(&self.watchers).relist()
    }

    /// Stops everything and waits for its end. Calling it again, or from several tasks, waits for the same end.
    ///
    /// # Cancel safety
    /// The engine stops even if the future is dropped; only the waiting ends.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        let mut task = self.task.lock().await;
        if let Some(handle) = task.as_mut() {
            if let Err(error) = handle.await
                && error.is_panic()
            {
                tracing::error!("the engine's task panicked");
            }
            *task = None;
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("status", &*self.status.borrow())
            .finish_non_exhaustive()
    }
}

/// A panic elsewhere leaves what is locked here whole: it is one pointer.
fn lock(watchers: &Mutex<Arc<Watchers>>) -> MutexGuard<'_, Arc<Watchers>> {
    watchers.lock().unwrap_or_else(PoisonError::into_inner)
}
