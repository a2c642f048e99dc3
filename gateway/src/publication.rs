//! A publication: one output written to one sink, kept up to date by a task of its own.
//!
//! A sink that fails or is slow holds up neither discovery nor other publications: what waits is the newest snapshot,
//! which takes the place of older ones that were not written. An older snapshot is never written after a newer one.
//!
//! What is written is what differs from the snapshot that the sink has. The first write of the process, and every one
//! after a failure, after leadership was regained, and from time to time, is whole: only then is it known what stands.

mod gate;
mod status;
mod task;

use std::fmt;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, timeout_at};

use crate::output::Output;
use crate::publish::Snapshots;
use crate::sink::Sink;

pub use crate::sink::WRITE_TIMEOUT;
pub use gate::Gate;
pub use status::{Phase, Status};

/// How long is waited after the first failure, at the most: half a second. It doubles with each further one.
pub const RETRY_BASE: Duration = Duration::from_millis(500);

/// How long is waited after any failure that may pass, at the most: 15 seconds.
pub const RETRY_CAP: Duration = Duration::from_secs(15);

/// How long is waited after a failure that stays until somebody acts: between half of it and all of these 60 seconds.
pub const LASTING_RETRY: Duration = Duration::from_secs(60);

/// How often everything is held against what really stands in the sink: every 5 minutes. It mends what others removed.
/// After a failure, and after leadership was gained, it is done once already when [`WRITE_TIMEOUT`] has passed: a write
/// that was given up may arrive late.
pub const VERIFY_EVERY: Duration = Duration::from_mins(5);

/// How a publication goes about it.
#[derive(Clone, Debug)]
pub struct PublicationConfig {
    /// What it is called in the log; what is written where, by default.
    pub name: Option<String>,
    /// How long one attempt to write may take; [`WRITE_TIMEOUT`] by default.
    pub write_timeout: Duration,
    /// How often everything is held against what stands; [`VERIFY_EVERY`] by default, `None` for never.
    pub verify_every: Option<Duration>,
}

impl Default for PublicationConfig {
    fn default() -> Self {
        Self {
            name: None,
            write_timeout: WRITE_TIMEOUT,
            verify_every: Some(VERIFY_EVERY),
        }
    }
}

/// A running publication.
///
/// # Shutdown
/// [`Publication::shutdown`] writes what is not yet written and joins the task. Dropping it ends the task at once; each
/// file is then as it was or as it is to be.
pub struct Publication {
    name: String,
    status: watch::Receiver<Status>,
    /// By when to have ended, once it has to.
    stop: watch::Sender<Option<Instant>>,
    /// Taken by the shutdown that joins it; others wait at the lock.
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
    abort: AbortHandle,
}

/// How much longer than its deadline a shutdown may take to end what goes on.
const GRACE: Duration = Duration::from_secs(1);

impl Publication {
    /// Starts to write the newest snapshot whenever there is one. To be called inside a tokio runtime.
    pub fn start(
        output: Box<dyn Output>,
        sink: Box<dyn Sink>,
        snapshots: Snapshots,
        gate: Gate,
        config: PublicationConfig,
    ) -> Self {
        let what = format!("{} to {}", output.format(), sink.describe());
        let name = config.name.clone().unwrap_or_else(|| what.clone());
        tracing::info!(publication = name, "publishes {what}");
        let (stop, stopped) = watch::channel(None);
        let (status, reader) = watch::channel(Status::default());
        let task = task::Task::new(
            name.clone(),
            output,
            sink,
            snapshots,
            gate,
            config,
            status,
            stopped,
        );
        let task = tokio::spawn(task.run());
        Self {
            name,
            status: reader,
            stop,
            abort: task.abort_handle(),
            task: tokio::sync::Mutex::new(Some(task)),
        }
    }

    /// What it is called; if nothing else was chosen, what is written where, for people, without secrets.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it stands at this moment.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// How it stands, each time that changes.
    ///
    /// # Cancel safety
    /// The receiver's methods are cancel safe, as tokio documents them.
    pub fn status_changes(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Writes the newest snapshot if the sink does not have it, trying again until the deadline, and joins the task.
    /// Returns whether the sink has it, or need not have it since another replica leads. May be called again.
    ///
    /// # Cancel safety
    /// The shutdown goes on if the future is dropped; it is just not waited for.
    pub async fn shutdown(&self, deadline: Duration) -> bool {
        let by = Instant::now() + deadline;
        self.stop.send_modify(|stop| *stop = Some(by));
        let mut task = self.task.lock().await;
        if let Some(running) = task.as_mut() {
            match timeout_at(by + GRACE, &mut *running).await {
                Ok(Err(error)) if error.is_panic() => {
                    tracing::error!(publication = self.name, "the publication's task panicked");
                }
                Ok(_) => {}
                Err(_elapsed) => {
                    tracing::error!(publication = self.name, "the publication is cut off");
                    running.abort();
                    *task = None;
                    return false;
                }
            }
            *task = None;
        }
        !self.status.borrow().is_behind
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

impl fmt::Debug for Publication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publication")
            .field("name", &self.name)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
