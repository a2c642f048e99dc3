//! Reload: the configuration file is read again and again, and what can change while the service runs, changes.
//!
//! Reading instead of listening for events sees every way in which a file comes to change: an editor's rename, the swap
//! of a ConfigMap's symbolic link, a remounted volume. A content is taken once it was read twice in a row, so that a
//! file that is being written is not taken by half; when somebody asks for a reload it is taken at once.
//!
//! A configuration that cannot be used changes nothing. That it cannot is said once, and stays visible until the file can
//! be used again.

mod file;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinError;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config, ConfigError};
use crate::engine::Engine;
use crate::model::ContentHash;
use crate::sink::chain;

use file::{FileWatch, Look};

/// How often the file is read: each second. It is small, and nobody waits longer for a change than twice that.
pub const POLL: Duration = Duration::from_secs(1);

/// What is configured, and how the last reload went.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// What counts.
    pub(super) running: Arc<Config>,
    pub(super) status: Status,
}

/// How reloads went.
#[derive(Clone, Debug, Default)]
pub(super) struct Status {
    /// How many were taken up.
    pub(super) succeeded: u64,
    /// How many could not be.
    pub(super) failed: u64,
    /// Why the file as it is now cannot be used, a line for each fault; `None` if it can be.
    pub(super) error: Option<Arc<[String]>>,
    /// The sections in which the file differs from what counts, since they change with a restart only.
    pub(super) needs_restart: Vec<&'static str>,
}

/// What became of a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The file is as it was; what of it needs a restart still does.
    Unchanged { needs_restart: Vec<&'static str> },
    /// It was taken up, but for the sections that need a restart.
    Applied { needs_restart: Vec<&'static str> },
    /// It cannot be used, for these faults; nothing changed.
    Refused(Arc<[String]>),
}

/// Asks for a reload; answered when it is done.
pub(super) type Request = oneshot::Sender<Outcome>;

/// Reads the file and takes up what changed.
pub(super) struct Reloader {
    path: PathBuf,
    engine: Arc<Engine>,
    watch: FileWatch,
    state: watch::Sender<State>,
    requests: mpsc::Receiver<Request>,
}

impl Reloader {
    /// `text` is what the configuration that runs was read from.
    pub(super) fn new(
        path: PathBuf,
        text: &str,
        engine: Arc<Engine>,
        state: watch::Sender<State>,
        requests: mpsc::Receiver<Request>,
    ) -> Self {
        Self {
            path,
            engine,
            watch: FileWatch::new(hash(text)),
            state,
            requests,
        }
    }

    /// Runs until it is stopped.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut ticks = interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {
                    self.look(false).await;
                }
                Some(request) = self.requests.recv() => {
                    let outcome = self.look(true).await;
                    // Who asked may have gone.
                    let _ = request.send(outcome);
                }
            }
        }
    }

    /// Reads the file; `at_once` if somebody waits for it.
    async fn look(&mut self, at_once: bool) -> Outcome {
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || {
            config::read(&path).map(|text| (hash(&text), text))
        });
        let read = match read.await {
            Ok(read) => read,
            Err(error) => return self.unread(&error),
        };
        match self.watch.look(read, at_once) {
            Look::Same => match &self.state.borrow().status.error {
                Some(error) if at_once => Outcome::Refused(Arc::clone(error)),
                _ => self.unchanged(),
            },
            Look::Lost(error) => {
                let line = format!("{}: it cannot be read: {error}", self.path.display());
                self.refuse(Arc::new([line]))
            }
            Look::Take(text) => self.take(text).await,
        }
    }

    fn unchanged(&self) -> Outcome {
        Outcome::Unchanged {
            needs_restart: self.state.borrow().status.needs_restart.clone(),
        }
    }

    /// Reading ended without a result: it panicked, or the runtime ends.
    fn unread(&self, error: &JoinError) -> Outcome {
        if error.is_panic() {
            let line = format!("{}: reading it failed: {error}", self.path.display());
            return self.refuse(Arc::new([line]));
        }
        self.unchanged()
    }

    async fn take(&self, text: String) -> Outcome {
        let name = self.path.display().to_string();
        let parsed = tokio::task::spawn_blocking(move || Config::parse(&name, &text));
        let config = match parsed.await {
            Ok(Ok(config)) => config,
            Ok(Err(error)) => return self.refuse(lines(&error)),
            Err(error) => return self.unread(&error),
        };
        for warning in &config.warnings {
            tracing::warn!("{}: {warning}", self.path.display());
        }
        let running = Arc::clone(&self.state.borrow().running);
        let (next, needs_restart) = running.reloaded(config);
        if next.engine() != running.engine()
            && let Err(error) = self.engine.reconfigure(&next.engine()).await
        {
            let why = chain(&error);
            return self.refuse(Arc::new([format!("{}: {why}", self.path.display())]));
        }
        if needs_restart.is_empty() {
            tracing::info!("the configuration was reloaded");
        } else {
            tracing::warn!(
                "the configuration was reloaded, but for what needs a restart: {}",
                needs_restart.join(", ")
            );
        }
        self.state.send_modify(|state| {
            state.running = Arc::new(next);
            state.status.succeeded += 1;
            state.status.error = None;
            state.status.needs_restart.clone_from(&needs_restart);
        });
        Outcome::Applied { needs_restart }
    }

    fn refuse(&self, lines: Arc<[String]>) -> Outcome {
        tracing::error!("the configuration cannot be reloaded, the last one stays:");
        for line in &*lines {
            tracing::error!("{line}");
        }
        self.state.send_modify(|state| {
            state.status.failed += 1;
            state.status.error = Some(Arc::clone(&lines));
        });
        Outcome::Refused(lines)
    }
}

fn lines(error: &ConfigError) -> Arc<[String]> {
    error.lines().collect()
}

fn hash(text: &str) -> ContentHash {
    ContentHash::of_bytes(text.as_bytes())
}
