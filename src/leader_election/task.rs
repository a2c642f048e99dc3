//! The one task of an elector: asks the machine what to do, does it, and tells what came of it.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::clock::Clock;
use super::config::Callbacks;
use super::decision::{Answer, Effect, Machine, Now, Request};
use super::lease::{LeaseClient, Outcome, uid};
use super::record::MicroTime;
use super::state::{Health, Leadership, Role, TICK};
use super::token::FencingToken;
use crate::client::ClientError;

/// What the task and its owner share.
pub(super) struct Shared {
    pub(super) lease: Arc<str>,
    pub(super) identity: Arc<str>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) states: watch::Sender<Leadership>,
    pub(super) health: Health,
    pub(super) last_error: Mutex<Option<ClientError>>,
    pub(super) stop: CancellationToken,
    pub(super) resign: Notify,
    pub(super) work_panicked: Mutex<bool>,
}

/// The task's own.
pub(super) struct Task {
    shared: Arc<Shared>,
    machine: Machine,
    client: Arc<LeaseClient>,
    callbacks: Callbacks,
    /// Whether the campaign ends when the work does.
    ends_with_work: bool,
    stop_timeout: Duration,
    /// As last read or written.
    object: Option<Arc<Value>>,
    flight: Option<BoxFuture<'static, Outcome>>,
    token: Option<FencingToken>,
    work: Option<Work>,
}

/// Work in a task of its own.
struct Work {
    task: Option<AbortOnDropHandle<()>>,
    abort: Option<AbortHandle>,
    cancelled: bool,
}

/// What happened.
enum Happened {
    Stop,
    Resign,
    Answer(Outcome),
    WorkReturned(Result<(), JoinError>),
    WorkEnded,
    Time,
}

/// However the task ends, nobody goes on believing in it.
struct Ending {
    shared: Arc<Shared>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let asked = self.shared.stop.is_cancelled();
        self.shared.health.ended(asked);
        self.shared.states.send_if_modified(|state| {
            if let Role::Leading(token) = &state.role {
                token.stop();
                token.cancel();
            }
            let is_new = !state.is_stopped();
            state.role = Role::Stopped;
            is_new
        });
    }
}

/// Invalidates the token when the task is dropped.
impl Drop for Task {
    fn drop(&mut self) {
        if let Some(token) = &self.token {
            token.stop();
            token.cancel();
        }
    }
}

impl Task {
    pub(super) fn new(
        shared: Arc<Shared>,
        machine: Machine,
        client: LeaseClient,
        callbacks: Callbacks,
        ends_with_work: bool,
        stop_timeout: Duration,
    ) -> Self {
        Self {
            shared,
            machine,
            client: Arc::new(client),
            callbacks,
            ends_with_work,
            stop_timeout,
            object: None,
            flight: None,
            token: None,
            work: None,
        }
    }

    /// Campaigns until it is asked to stop, and then until everything has ended.
    pub(super) async fn run(mut self) {
        let ending = Ending {
            shared: Arc::clone(&self.shared),
        };
        let mut stopping = false;
        self.machine.tick(self.now());
        loop {
            while let Some(effect) = self.machine.next_effect() {
                if matches!(effect, Effect::Finished) {
                    self.shared.health.ended(true);
                    drop(ending);
                    return;
                }
                self.effect(effect);
            }
            let happened = self.wait(stopping).await;
            let now = self.now();
            self.shared.health.beat(now.local);
            match happened {
                Happened::Stop => {
                    stopping = true;
                    self.machine.stop(now);
                }
                Happened::Resign => self.machine.resign(now),
                Happened::Answer(outcome) => self.answered(now, outcome),
                Happened::WorkReturned(result) => self.work_returned(now, result),
                Happened::WorkEnded => {
                    self.work = None;
                    self.machine.work_ended(now);
                }
                Happened::Time => self.machine.tick(now),
            }
        }
    }

    /// Waits for the next thing to happen, for a tick at the most.
    ///
    /// # Cancel safety
    /// Safe: what is waited for stays in `self`.
    async fn wait(&mut self, stopping: bool) -> Happened {
        let now = self.shared.clock.now();
        let span = self
            .machine
            .wake()
            .map_or(TICK, |at| at.saturating_sub(now).min(TICK));
        let timer = tokio::time::sleep(self.shared.clock.timer(span));
        let flight = async {
            match &mut self.flight {
                Some(flight) => flight.await,
                None => pending().await,
            }
        };
        let (returned, is_over) = match &mut self.work {
            Some(work) => {
                let is_over = work.cancelled && work.task.is_none();
                (work.task.as_mut(), is_over)
            }
            None => (None, false),
        };
        let returned = async {
            match returned {
                Some(task) => task.await,
                None => pending().await,
            }
        };
        let token = self.token.as_ref();
        let ended = async {
            match token {
                Some(token) if is_over => token.unguarded().await,
                None if is_over => {}
                _ => pending().await,
            }
        };
        tokio::select! {
            // In this order, so that a schedule repeats exactly.
            biased;
            () = self.shared.stop.cancelled(), if !stopping => Happened::Stop,
            () = self.shared.resign.notified() => Happened::Resign,
            outcome = flight => {
                self.flight = None;
                Happened::Answer(outcome)
            }
            result = returned => Happened::WorkReturned(result),
            () = ended => Happened::WorkEnded,
            () = timer => Happened::Time,
        }
    }

    fn now(&self) -> Now {
        Now {
            local: self.shared.clock.now(),
            wall: MicroTime::now(),
        }
    }

    fn answered(&mut self, now: Now, outcome: Outcome) {
        match outcome.answer {
            Answer::Missing => self.object = None,
            _ => {
                if outcome.object.is_some() {
                    self.object = outcome.object;
                }
            }
        }
        // That there is no Lease does not say that one can be made.
        if outcome.error.is_some() || !matches!(outcome.answer, Answer::Missing) {
            self.note_error(outcome.error);
        }
        self.machine.answered(now, outcome.answer);
    }

    /// Logs a failure when it begins and when it ends.
    fn note_error(&self, error: Option<ClientError>) {
        let lease = &*self.shared.lease;
        let mut last = self.shared.last_error.lock();
        match error {
            Some(error) => {
                let is_new = last
                    .as_ref()
                    .is_none_or(|last| !is_same_state(last, &error));
                if is_new {
                    tracing::warn!(lease, %error, "the Lease cannot be reached; trying on");
                }
                *last = Some(error);
            }
            None => {
                if last.take().is_some() {
                    tracing::info!(lease, "the Lease can be reached again");
                }
            }
        }
    }

    fn work_returned(&mut self, now: Now, result: Result<(), JoinError>) {
        if let Some(work) = &mut self.work {
            work.task = None;
        }
        let lease = &*self.shared.lease;
        let panicked = result.is_err_and(|error| error.is_panic());
        if panicked {
            tracing::error!(lease, "the leader's work panicked; leadership is given up");
            *self.shared.work_panicked.lock() = true;
        }
        if self.ends_with_work {
            // Lost leadership is no end: then the work is to run again.
            if self.token.as_ref().is_none_or(|token| !token.is_lost()) {
                self.shared.stop.cancel();
            }
        } else if panicked {
            self.machine.resign(now);
        }
    }

    fn effect(&mut self, effect: Effect) {
        let lease = Arc::clone(&self.shared.lease);
        let identity = Arc::clone(&self.shared.identity);
        match effect {
            Effect::Send { request, timeout } => self.send(request, timeout),
            Effect::Started {
                version,
                valid_until,
            } => {
                tracing::info!(
                    lease = &*lease,
                    identity = &*identity,
                    token = &*version,
                    "leading"
                );
                self.start(version, valid_until);
            }
            Effect::Renewed { valid_until } => {
                if let Some(token) = &self.token {
                    token.renew(valid_until);
                    if !token.is_cancelled() {
                        let by = valid_until + self.stop_timeout;
                        self.shared.health.work_by(Some(by));
                    }
                    if token.is_lost() {
                        // Somebody was told that it had run out, a moment before the renewal was acknowledged.
                        self.machine.resign(self.now());
                    }
                }
            }
            Effect::Lost(loss) => {
                tracing::warn!(lease = &*lease, identity = &*identity, %loss, "leadership is lost");
                if let Some(token) = &self.token {
                    token.lose(loss);
                }
            }
            Effect::Cancel => {
                self.set_role(Role::Stopping);
                let by = self.shared.clock.now() + self.stop_timeout;
                self.shared.health.work_by(Some(by));
                if let Some(token) = &self.token {
                    token.cancel();
                }
                if let Some(work) = &mut self.work {
                    work.cancelled = true;
                }
            }
            Effect::Abort => {
                if let Some(abort) = self.work.as_ref().and_then(|work| work.abort.as_ref()) {
                    tracing::warn!(
                        lease = &*lease,
                        "the leader's work has not ended within the stop timeout and is aborted"
                    );
                    abort.abort();
                }
            }
            Effect::Stopped => {
                if let Some(token) = self.token.take() {
                    token.stop();
                }
                self.shared.health.work_by(None);
                tracing::info!(
                    lease = &*lease,
                    identity = &*identity,
                    "not leading any more"
                );
                if let Some(on_stopped) = &self.callbacks.on_stopped {
                    guard(&lease, "on_stopped_leading", on_stopped);
                }
                self.set_role(Role::Following);
            }
            Effect::Leader(leader) => {
                self.shared
                    .states
                    .send_modify(|state| state.leader.clone_from(&leader));
                if let Some(leader) = leader {
                    tracing::info!(lease = &*lease, leader = &*leader, "new leader");
                    if let Some(on_new_leader) = &self.callbacks.on_new_leader {
                        guard(&lease, "on_new_leader", || on_new_leader(&leader));
                    }
                }
            }
            Effect::LongLease { holder, duration } => {
                tracing::warn!(
                    lease = &*lease,
                    holder = &*holder,
                    ?duration,
                    "the holder claims an unusually long lease; if it fails, nobody takes over before"
                );
            }
            Effect::Finished => {}
        }
    }

    fn send(&mut self, request: Request, timeout: Duration) {
        let client = Arc::clone(&self.client);
        let last = self.object.clone();
        let timeout = self.shared.clock.timer(timeout);
        self.flight = Some(Box::pin(async move {
            let performed = tokio::time::timeout(timeout, client.perform(request, last)).await;
            performed.unwrap_or_else(|_| client.timed_out(timeout))
        }));
    }

    fn start(&mut self, version: Arc<str>, valid_until: Duration) {
        let token = FencingToken::new(
            Arc::clone(&self.shared.lease),
            self.object.as_deref().map(uid).unwrap_or_default().into(),
            version,
            Arc::clone(&self.shared.clock),
            valid_until,
        );
        let by = valid_until + self.stop_timeout;
        self.shared.health.work_by(Some(by));
        self.set_role(Role::Leading(token.clone()));
        let task = self.callbacks.on_started.as_ref().map(|on_started| {
            // A closure that panics before there is a future counts as a future that does.
            let work = catch_unwind(AssertUnwindSafe(|| on_started(token.clone())));
            let work =
                work.unwrap_or_else(|panic| Box::pin(async { std::panic::resume_unwind(panic) }));
            AbortOnDropHandle::new(tokio::spawn(work))
        });
        self.work = Some(Work {
            abort: task.as_ref().map(AbortOnDropHandle::abort_handle),
            task,
            cancelled: false,
        });
        self.token = Some(token);
    }

    fn set_role(&self, role: Role) {
        self.shared.states.send_modify(|state| state.role = role);
    }
}

/// Whether two errors are the same state, so that it is told once: the words may differ in details.
fn is_same_state(a: &ClientError, b: &ClientError) -> bool {
    let state = |error: &ClientError| (error.code(), error.is_timeout(), error.is_unreachable());
    state(a) == state(b)
}

fn guard(lease: &str, name: &'static str, call: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(call)).is_err() {
        tracing::error!(
            lease,
            callback = name,
            "a callback panicked; the election goes on"
        );
    }
}
