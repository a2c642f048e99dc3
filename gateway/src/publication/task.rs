//! The task of a publication.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::{
    Gate, LASTING_RETRY, Phase, PublicationConfig, RETRY_BASE, RETRY_CAP, Status, WRITE_TIMEOUT,
};
use crate::output::{Output, Rendering};
use crate::publish::{Published, Snapshots};
use crate::sink::blocking::{Blocking, Panicked};
use crate::sink::{Permit, Sink, SinkError, Write, Written};

pub(super) struct Task {
    name: String,
    output: Blocking<Box<dyn Output>>,
    sink: Box<dyn Sink>,
    snapshots: Snapshots,
    gate: Gate,
    config: PublicationConfig,
    report: Report,
    stop: watch::Receiver<Option<Instant>>,
    /// Whether no more snapshots will come.
    is_last: bool,
    /// The snapshot that the sink is to be written relative to; none if everything is to be written.
    base: Option<Arc<Published>>,
    /// The snapshot that the sink had last, if nothing speaks against it that it still has it.
    had: Option<Arc<Published>>,
    /// Whether it was told to end, and has heard it.
    is_ending: bool,
    /// By which right it was written.
    permit: Option<Permit>,
    /// Failures in a row.
    failed: u32,
    retry_at: Option<Instant>,
    verify_at: Option<Instant>,
    /// Whether a write may still be under way that was given up, here or by another leader.
    is_uncertain: bool,
}

/// What is said of the task. If it ends without having said so, it panicked.
struct Report {
    status: watch::Sender<Status>,
    /// What the log said last of failures in a row.
    said: Option<Arc<str>>,
}

/// How an attempt ended.
enum Attempt {
    Done(Arc<Published>, Option<Written>),
    Failed(SinkError),
    /// The right to write was lost, or it is time to end.
    Cut,
    Panicked,
}

impl Task {
    #[allow(clippy::too_many_arguments)] // called from one place, which has them all
    pub(super) fn new(
        name: String,
        output: Box<dyn Output>,
        sink: Box<dyn Sink>,
        snapshots: Snapshots,
        gate: Gate,
        config: PublicationConfig,
        status: watch::Sender<Status>,
        stop: watch::Receiver<Option<Instant>>,
    ) -> Self {
        Self {
            name,
            output: Blocking::new(output),
            sink,
            snapshots,
            gate,
            config,
            report: Report { status, said: None },
            stop,
            is_last: false,
            base: None,
            had: None,
            is_ending: false,
            permit: None,
            failed: 0,
            retry_at: None,
            verify_at: None,
            is_uncertain: false,
        }
    }

    /// Runs until it is told to stop.
    pub(super) async fn run(mut self) {
        loop {
            let may_write = self.look_at_gate().await;
            let due = self.due();
            let is_behind = may_write && self.is_behind(due.as_ref());
            self.report.idle(may_write, due.is_some(), is_behind);
            let now = Instant::now();
            if let Some(by) = *self.stop.borrow_and_update() {
                // One attempt at once, those after it as usual.
                if !self.is_ending {
                    self.is_ending = true;
                    self.retry_at = None;
                }
                let comes_too_late = self.retry_at.is_some_and(|at| at >= by);
                if !is_behind || comes_too_late || now >= by {
                    break;
                }
            }
            let waits = self.retry_at.is_some_and(|at| at > now);
            if let Some(published) = due
                && may_write
                && !waits
            {
                let attempt = self.attempt(published).await;
                if !self.conclude(attempt) {
                    break;
                }
                continue;
            }
            self.wait(may_write).await;
        }
        self.report.end();
    }

    /// Whether it may write. A right that is not the last one makes everything uncertain.
    async fn look_at_gate(&mut self) -> bool {
        let permit = self.gate.permit();
        let may_write = permit.is_some();
        if permit != self.permit {
            let token = permit.as_ref().and_then(Permit::token);
            if token.is_some() {
                tracing::info!(publication = self.name, token, "leads, and writes");
                // Who led before may still have had a write under way.
                self.is_uncertain = true;
            } else if permit.is_none() {
                tracing::info!(publication = self.name, "does not lead, and does not write");
                let released = timeout(WRITE_TIMEOUT, self.sink.release());
                let is_released = tokio::select! {
                    biased;
                    released = released => released.is_ok(),
                    () = past(&mut self.stop) => false,
                };
                if !is_released {
                    tracing::warn!(publication = self.name, "the sink does not let go");
                }
            }
            self.report.forget();
            self.base = None;
            self.had = None;
            self.permit = permit;
            self.failed = 0;
            self.retry_at = None;
        }
        may_write
    }

    /// The snapshot that the sink is to have and has not.
    fn due(&mut self) -> Option<Arc<Published>> {
        if self.verify_at.is_some_and(|at| at <= Instant::now()) {
            self.base = None;
            self.verify_at = None;
        }
        let newest = self.snapshots.newest()?;
        match &self.base {
            Some(base) if Arc::ptr_eq(base, &newest) => None,
            _ => Some(newest),
        }
    }

    /// Whether the sink is to have something that it has not, as far as is known.
    fn is_behind(&self, due: Option<&Arc<Published>>) -> bool {
        match (due, &self.had) {
            (Some(due), Some(had)) => self.failed > 0 || !Arc::ptr_eq(due, had),
            (due, _) => due.is_some(),
        }
    }

    /// Waits until there may be something to do.
    async fn wait(&mut self, may_write: bool) {
        let at = |at: Option<Instant>| async move {
            match at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let (retry, verify) = match may_write {
            true => (self.retry_at, self.verify_at),
            false => (None, None),
        };
        let by = *self.stop.borrow();
        tokio::select! {
            next = self.snapshots.next(), if !self.is_last => self.is_last = next.is_none(),
            () = self.gate.changed() => {}
            changed = self.stop.changed() => if changed.is_err() {
                // The publication is dropped, and this task with it.
                std::future::pending::<()>().await;
            },
            () = at(retry) => self.retry_at = None,
            () = at(verify) => {}
            () = at(by) => {}
        }
    }

    /// Renders and writes a snapshot, as long as it is right to do so.
    async fn attempt(&mut self, published: Arc<Published>) -> Attempt {
        let Some(permit) = self.permit.clone() else {
            return Attempt::Cut;
        };
        self.report.begin();
        // Leadership is not handed on while a write goes on.
        let _guard = permit.guard();
        let rendering = match self.render(&published).await {
            Ok(rendering) => rendering,
            Err(Panicked) => return Attempt::Panicked,
        };
        self.report.problems(&rendering);
        if !rendering.is_whole && rendering.files.is_empty() && rendering.removed.is_empty() {
            return Attempt::Done(published, None);
        }
        let limit = self.config.write_timeout;
        let write = Write {
            rendering: Arc::new(rendering),
            snapshot: published.snapshot.hash(),
            permit: permit.clone(),
        };
        let written = timeout_at(Instant::now() + limit, self.sink.write(write));
        let outcome = tokio::select! {
            biased;
            outcome = written => outcome,
            () = self.gate.lost(&permit) => return Attempt::Cut,
            () = past(&mut self.stop) => return Attempt::Cut,
        };
        match outcome {
            Ok(Ok(written)) => Attempt::Done(published, Some(written)),
            Ok(Err(error)) => Attempt::Failed(error),
            Err(_elapsed) => {
                let what = format!("not written within {limit:?}");
                Attempt::Failed(SinkError::late(what))
            }
        }
    }

    async fn render(&mut self, published: &Arc<Published>) -> Result<Rendering, Panicked> {
        let (base, published) = (self.base.clone(), Arc::clone(published));
        let render = self.output.run(move |output, _| {
            let last = base.as_deref().map(|base| &base.snapshot);
            output.render(&published.snapshot, last)
        });
        render.await
    }

    /// Draws the consequences. Returns whether to go on.
    fn conclude(&mut self, attempt: Attempt) -> bool {
        let now = Instant::now();
        match attempt {
            Attempt::Done(published, written) => {
                self.report.done(&self.name, &published, written, now);
                self.had = Some(Arc::clone(&published));
                self.base = Some(published);
                self.failed = 0;
                self.retry_at = None;
                // By then it has arrived, if it does.
                let soon = std::mem::take(&mut self.is_uncertain).then_some(WRITE_TIMEOUT);
                let verify = self
                    .config
                    .verify_every
                    .map(|every| now + soon.unwrap_or(every));
                if soon.is_some() || self.verify_at.is_none() {
                    self.verify_at = verify;
                }
            }
            Attempt::Failed(error) => {
                self.base = None;
                self.is_uncertain = true;
                let wait = backoff(self.failed, error.is_lasting());
                self.failed = self.failed.saturating_add(1);
                self.retry_at = Some(now + wait);
                self.report.failed(&self.name, &error, now);
            }
            Attempt::Cut => {
                self.base = None;
                self.had = None;
                self.is_uncertain = true;
            }
            Attempt::Panicked => {
                self.report.output_panicked(&self.name);
                return false;
            }
        }
        true
    }
}

/// How long to wait after one more failure: any time up to a bound that doubles, so that many who failed together do not
/// come back together.
fn backoff(failed_before: u32, is_lasting: bool) -> Duration {
    if is_lasting {
        return LASTING_RETRY.mul_f64(0.5 + 0.5 * fastrand::f64());
    }
    let bound = RETRY_BASE
        .saturating_mul(1 << failed_before.min(16))
        .min(RETRY_CAP);
    bound.mul_f64(fastrand::f64())
}

/// Completes when it is told to end and the time for that is over.
async fn past(stop: &mut watch::Receiver<Option<Instant>>) {
    loop {
        let by = *stop.borrow_and_update();
        tokio::select! {
            changed = stop.changed() => if changed.is_err() {
                std::future::pending::<()>().await;
            },
            () = async {
                match by {
                    Some(by) => sleep_until(by).await,
                    None => std::future::pending().await,
                }
            } => return,
        }
    }
}

impl Report {
    fn idle(&self, may_write: bool, is_due: bool, is_behind: bool) {
        self.status.send_if_modified(|status| {
            let is_failing = status.last_error.is_some();
            let phase = match (may_write, is_due) {
                (false, _) => Phase::Standby,
                // What a failure said stands until a write succeeds.
                (true, true) => match status.phase {
                    phase @ (Phase::Failing | Phase::Refused) if is_failing => phase,
                    _ => Phase::Writing,
                },
                (true, false) if status.version.is_some() => Phase::Current,
                (true, false) => Phase::Waiting,
            };
            let differs = status.phase != phase || status.is_behind != is_behind;
            status.phase = phase;
            status.is_behind = is_behind;
            differs
        });
    }

    fn begin(&self) {
        self.status.send_modify(|status| {
            if !matches!(status.phase, Phase::Failing | Phase::Refused) {
                status.phase = Phase::Writing;
            }
        });
    }

    fn problems(&self, rendering: &Rendering) {
        self.status.send_if_modified(|status| {
            let differs = !Arc::ptr_eq(&status.problems, &rendering.problems)
                && status.problems != rendering.problems;
            if differs {
                status.problems = Arc::clone(&rendering.problems);
            }
            differs
        });
    }

    fn done(&mut self, name: &str, published: &Published, written: Option<Written>, now: Instant) {
        self.status.send_modify(|status| {
            status.phase = Phase::Current;
            status.is_behind = false;
            status.version = Some(published.snapshot.version());
            status.hash = Some(published.snapshot.hash());
            status.at = Some(now);
            if let Some(written) = written {
                status.written.add(written);
                status.writes += 1;
            }
            status.last_error = None;
            status.failing_since = None;
        });
        let version = published.snapshot.version();
        if self.said.take().is_some() {
            tracing::info!(publication = name, version, "written again");
        }
        match written {
            Some(written) if written.is_change() => {
                let Written { files, removed, .. } = written;
                tracing::debug!(publication = name, version, files, removed, "written");
            }
            _ => {}
        }
    }

    fn failed(&mut self, name: &str, error: &SinkError, now: Instant) {
        let text: Arc<str> = error.chain().into();
        self.status.send_modify(|status| {
            status.phase = if error.is_lasting() {
                Phase::Refused
            } else {
                Phase::Failing
            };
            status.is_behind = true;
            status.failures += 1;
            status.last_error = Some(Arc::clone(&text));
            status.failing_since.get_or_insert(now);
        });
        if self.said.as_ref() != Some(&text) {
            if error.is_lasting() {
                tracing::error!(publication = name, error = &*text, "not written");
            } else {
                tracing::warn!(
                    publication = name,
                    error = &*text,
                    "not written, tried again"
                );
            }
            self.said = Some(text);
        }
    }

    /// What failed under another right to write says nothing of this one.
    fn forget(&mut self) {
        self.said = None;
        self.status.send_if_modified(|status| {
            status.failing_since = None;
            status.last_error.take().is_some()
        });
    }

    fn output_panicked(&self, name: &str) {
        tracing::error!(
            publication = name,
            "the output panicked; nothing more is written"
        );
        self.status.send_modify(|status| {
            status.failures += 1;
            status.is_behind = true;
            status.last_error = Some("the output panicked".into());
        });
    }

    fn end(&self) {
        self.status
            .send_modify(|status| status.phase = Phase::Ended);
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.status.send_if_modified(|status| {
            let panicked = std::thread::panicking();
            if panicked {
                status.phase = Phase::Ended;
                status.is_behind = true;
                status.last_error = Some("the sink panicked".into());
            }
            panicked
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_times_grow_up_to_a_bound() {
        for failed in 0..100 {
            let bound = RETRY_BASE * (1 << failed.min(5));
            for _ in 0..100 {
                assert!(backoff(failed, false) <= bound.min(RETRY_CAP));
                let lasting = backoff(failed, true);
                assert!(LASTING_RETRY / 2 <= lasting && lasting <= LASTING_RETRY);
            }
        }
        let most = (0..1_000).map(|_| backoff(50, false)).max().unwrap();
        assert!(most > RETRY_CAP / 2, "{most:?}");
    }
}
