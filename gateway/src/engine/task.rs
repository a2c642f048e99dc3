//! The engine's task: takes in what changed, lets the guard judge it, publishes under one pace.

use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use kubedex::Client;
use kubedex::watcher::{ConfigError, RelistError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::assemble::Assembly;
use crate::discovery::Diff;
use crate::guard::{Guard, Verdict};
use crate::live::{Link, Live, LiveConfig, News, Pace, Watchers, until};
use crate::model::{Cluster, Origin};
use crate::publish::Publisher;
use crate::translate::Options;

use super::{Connection, EngineConfig, Status, lock};

/// What the handle asks for.
pub(super) enum Command {
    Static {
        clusters: Vec<Arc<Cluster>>,
        precedence: Origin,
        done: oneshot::Sender<()>,
    },
    Reconfigure {
        config: Box<EngineConfig>,
        statics: Vec<Arc<Cluster>>,
        done: oneshot::Sender<Result<(), ConfigError>>,
    },
}

pub(super) struct Task {
    client: Client,
    live: Live,
    /// What `live` was started with, but for its options, which may have changed since.
    config: LiveConfig,
    /// Another configuration's discovery, until it is synced.
    next: Option<(Live, LiveConfig)>,
    watchers: Arc<Mutex<Arc<Watchers>>>,
    guard: Guard,
    /// The list that is to confirm what is held.
    confirming: Option<BoxFuture<'static, Result<(), RelistError>>>,
    /// How many endpoints discovered clusters have for new traffic, what is held included.
    serving: usize,
    /// What was discovered and is held back.
    held: Diff,
    assembly: Assembly,
    /// Whether something but objects has changed since the last publication.
    dirty: bool,
    pace: Pace,
    publisher: Publisher,
    status: watch::Sender<Status>,
    /// What discoveries before this one translated.
    translated: u64,
}

impl Task {
    pub(super) fn new(
        client: Client,
        live: Live,
        config: &EngineConfig,
        statics: Vec<Arc<Cluster>>,
        watchers: Arc<Mutex<Arc<Watchers>>>,
        publisher: Publisher,
        status: watch::Sender<Status>,
    ) -> Self {
        let mut assembly = Assembly::new(config.static_precedence);
        assembly.set_static(statics, config.static_precedence);
        Self {
            client,
            live,
            config: config.live.clone(),
            next: None,
            watchers,
            guard: Guard::new(config.guard),
            confirming: None,
            serving: 0,
            held: Diff::default(),
            assembly,
            dirty: false,
            pace: Pace::new(config.coalescing),
            publisher,
            status,
            translated: 0,
        }
    }

    /// Works until it is stopped, or nobody is left who could stop it.
    pub(super) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        stop: CancellationToken,
    ) {
        loop {
            let mut due = None;
            if self.dirty || self.live.has_news() {
                let now = Instant::now();
                due = self.pace.waits_until(now);
                if due.is_none() {
                    self.work(now);
                }
            }
            if self.next.as_ref().is_some_and(|(next, _)| next.has_news()) {
                self.switch().await;
                continue;
            }
            let next = async {
                match &mut self.next {
                    Some((next, _)) => next.news().await,
                    None => std::future::pending().await,
                }
            };
            let confirming = async {
                match &mut self.confirming {
                    Some(list) => list.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                command = commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => break,
                },
                list = confirming => self.confirmed(&list),
                () = until(due) => {}
                news = self.live.news() => match news {
                    Some(News::Objects) => {}
                    Some(News::Status) => self.tell(),
                    None => {
                        tracing::error!("the watchers ended, and the engine with them");
                        break;
                    }
                },
                news = next => {
                    if news.is_none() {
                        self.next = None;
                    }
                    self.tell();
                }
            }
        }
        self.confirming = None;
        if let Some((next, _)) = self.next.take() {
            next.shutdown().await;
        }
        let Self { live, status, .. } = self;
        live.shutdown().await;
        status.send_modify(|status| status.connection = Connection::Stopped);
    }

    /// Brings everything up to date and publishes what differs.
    fn work(&mut self, now: Instant) {
        self.dirty = false;
        let diff = self.live.refresh();
        // What is held is judged again since the threshold may have changed.
        if diff.is_some() || self.guard.held().is_some() {
            self.gather(diff.unwrap_or_default());
            let verdict = self.guard.judge(self.serving, now);
            self.settle(verdict);
            if verdict == Verdict::Hold {
                // Nor is held what changes all the time more often than it would be published.
                self.pace.made(now);
            }
        }
        self.publish(now);
    }

    /// Adds what was discovered to what is not taken in yet.
    fn gather(&mut self, diff: Diff) {
        for change in &diff.clusters {
            self.serving += change.after().map_or(0, |it| it.serving());
            let before = change.before().map_or(0, |it| it.serving());
            self.serving = self.serving.saturating_sub(before);
        }
        self.held = std::mem::take(&mut self.held).then(diff);
    }

    /// Does with what was discovered what the guard says.
    fn settle(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Publish => {
                self.confirming = None;
                let diff = std::mem::take(&mut self.held);
                self.assembly.apply(&diff);
            }
            Verdict::Hold if self.confirming.is_none() => {
                self.guard.list_begins();
                self.confirming = Some(Box::pin(self.live.watchers().relist()));
            }
            Verdict::Hold => {}
        }
        self.tell();
    }

    /// A list that was to confirm a loss is complete, or will never be.
    fn confirmed(&mut self, list: &Result<(), RelistError>) {
        self.confirming = None;
        if list.is_err() {
            // The watchers stopped; their end is heard of otherwise.
            return;
        }
        let now = Instant::now();
        if let Some(diff) = self.live.refresh() {
            self.gather(diff);
        }
        let verdict = self.guard.list_ends(self.serving, now);
        self.settle(verdict);
        self.dirty = true;
    }

    /// Publishes what is assembled, if it differs or is the first.
    fn publish(&mut self, now: Instant) {
        if !self.live.has_begun() {
            return;
        }
        let is_first = !self.status.borrow().synced;
        let snapshot = match self.assembly.commit() {
            Some(snapshot) => snapshot,
            None if is_first => self.assembly.snapshot().clone(),
            None => return,
        };
        self.pace.made(now);
        let translations = self.translated + self.live.discovery().recomputed();
        let edits = self.assembly.edits();
        // Who is told that everything is known finds it published.
        self.publisher.publish(snapshot);
        self.status.send_modify(|status| {
            status.synced = true;
            status.publications += 1;
            status.translations = translations;
            status.edits = edits;
        });
    }

    async fn obey(&mut self, command: Command) {
        // That nobody waits for the answer any more changes nothing.
        match command {
            Command::Static {
                clusters,
                precedence,
                done,
            } => {
                self.set_static(clusters, precedence);
                let _ = done.send(());
            }
            Command::Reconfigure {
                config,
                statics,
                done,
            } => {
                let outcome = self.reconfigure(&config, statics).await;
                let _ = done.send(outcome);
            }
        }
    }

    fn set_static(&mut self, clusters: Vec<Arc<Cluster>>, precedence: Origin) {
        self.assembly.set_static(clusters, precedence);
        self.dirty = true;
    }

    async fn reconfigure(
        &mut self,
        config: &EngineConfig,
        statics: Vec<Arc<Cluster>>,
    ) -> Result<(), ConfigError> {
        let live = config.live.clone();
        let is_same = |other: &LiveConfig| {
            (&other.namespaces, &other.selector) == (&live.namespaces, &live.selector)
        };
        // Whatever was being synced is not wanted any more, unless it is what is wanted now.
        let mut superseded = None;
        if is_same(&self.config) {
            superseded = self.next.take();
            if self.config.options != live.options {
                self.set_options(live.options.clone());
                self.config = live;
            }
        } else if !self
            .next
            .as_ref()
            .is_some_and(|(_, config)| *config == live)
        {
            let started = Live::start(&self.client, live.clone())?;
            superseded = self.next.replace((started, live));
        }
        self.guard.set_config(config.guard);
        self.pace.set_interval(config.coalescing);
        self.set_static(statics, config.static_precedence);
        if let Some((superseded, _)) = superseded {
            superseded.shutdown().await;
        }
        self.tell();
        Ok(())
    }

    /// Makes clusters another way from now on. What that changes was asked for and is not judged, unless something is
    /// held back already, from which it cannot be told apart.
    fn set_options(&mut self, options: Options) {
        let now = Instant::now();
        if let Some(diff) = self.live.refresh() {
            self.gather(diff);
            let verdict = self.guard.judge(self.serving, now);
            self.settle(verdict);
        }
        self.live.set_options(options);
        let Some(diff) = self.live.refresh() else {
            return;
        };
        self.gather(diff);
        let verdict = if self.guard.held().is_some() {
            self.guard.judge(self.serving, now)
        } else {
            self.guard.reset(self.serving, now);
            Verdict::Publish
        };
        self.settle(verdict);
    }

    /// Goes on with the other configuration's discovery, which has everything now.
    async fn switch(&mut self) {
        let Some((mut next, config)) = self.next.take() else {
            return;
        };
        // What differs from nothing is of no use to those who know what was.
        let _ = next.refresh();
        let clusters = next.discovery().clusters();
        self.serving = clusters.iter().map(|cluster| cluster.serving()).sum();
        self.assembly
            .set_discovered(&clusters, next.discovery().problems());
        (self.held, self.confirming) = (Diff::default(), None);
        self.guard.reset(self.serving, Instant::now());
        *lock(&self.watchers) = Arc::clone(next.watchers());
        let before = std::mem::replace(&mut self.live, next);
        self.translated += before.discovery().recomputed();
        self.config = config;
        self.dirty = true;
        self.tell();
        before.shutdown().await;
    }

    /// Tells how it stands.
    fn tell(&self) {
        let connection = match self.live.connection() {
            Link::Pending => Connection::Connecting,
            Link::Up => Connection::Connected,
            Link::Lost { since, reason } => Connection::Disconnected {
                since,
                reason: reason.into(),
            },
        };
        let held = self.guard.held();
        let switching = self.next.is_some();
        let waits_for: Option<Arc<str>> =
            self.next
                .as_ref()
                .and_then(|(next, _)| match next.connection() {
                    Link::Lost { reason, .. } => Some(reason.into()),
                    Link::Pending | Link::Up => None,
                });
        self.status.send_if_modified(|status| {
            match (status.held, held) {
                (None, Some(held)) => tracing::warn!(
                    before = held.before,
                    left = held.left,
                    "a sudden loss of most endpoints is held back until a list confirms it"
                ),
                (Some(_), None) => tracing::info!("nothing is held back any more"),
                _ => {}
            }
            let before = (
                std::mem::replace(&mut status.connection, connection),
                std::mem::replace(&mut status.held, held),
                std::mem::replace(&mut status.switching, switching),
                std::mem::replace(&mut status.switching_waits_for, waits_for),
            );
            if let Some(reason) = &status.switching_waits_for
                && before.3 != status.switching_waits_for
            {
                tracing::warn!(
                    reason = &**reason,
                    "the new configuration's objects cannot be read yet; what the last one found stands"
                );
            }
            before.0 != status.connection
                || before.1 != status.held
                || before.2 != status.switching
                || before.3 != status.switching_waits_for
        });
    }
}
