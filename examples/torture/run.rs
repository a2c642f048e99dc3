//! The course of a schedule.

use std::sync::Arc;
use std::time::Duration;

use kubedex::fake::{FakeCluster, Fault};

use super::Report;
use super::plan::Plan;
use super::subject::{Expected, Subject};
use super::trace::Trace;
use super::world::World;

/// After the faults: the longest wait that a server can ask for, the longest backoff, a request without an answer, a
/// streaming list without progress, a stalled body, and some.
const SETTLE: Duration = Duration::from_secs(360);

/// How long nothing is done to see that nothing happens.
const QUIET: Duration = Duration::from_secs(120);

/// No more objects than this exist of a kind.
const MOST_OBJECTS: u64 = 18;

/// Runs one schedule.
pub(super) async fn simulate(plan: Plan, keep_trace: bool) -> Report {
    let trace = Arc::new(Trace::new(keep_trace));
    let mut run = Run::new(plan, Arc::clone(&trace));
    let converged_in = run.all().await;
    let requests = run.requests_of_stopped + run.requests();
    let writes = run.world.writes;
    let took = trace.now();
    for subject in run.subjects.drain(..) {
        subject.stop().await;
    }
    drop(run);
    Report {
        failure: trace.failure(),
        trace: if keep_trace { trace.all() } else { Vec::new() },
        requests,
        writes,
        took,
        converged_in,
    }
}

struct Run {
    plan: Plan,
    trace: Arc<Trace>,
    world: World,
    subjects: Vec<Subject>,
    /// Events came out of order, so that an audit between two may find a difference.
    reordered: bool,
    /// Which of the plan's watchers were started.
    started: usize,
    requests_of_stopped: u64,
}

impl Run {
    fn new(mut plan: Plan, trace: Arc<Trace>) -> Self {
        let cluster = FakeCluster::builder().seed(plan.seed).build();
        let late = plan.late.map(|(_, kind)| kind);
        let kinds: Vec<_> = plan
            .kinds
            .iter()
            .copied()
            .filter(|kind| Some(*kind) != late)
            .collect();
        for kind in &kinds {
            kind.register(&cluster);
        }
        if plan.cannot_stream {
            cluster.inject(unable_to_stream());
        }
        let world = World::new(cluster, Arc::clone(&trace), plan.random.fork(), kinds);
        Self {
            plan,
            trace,
            world,
            subjects: Vec::new(),
            reordered: false,
            started: 0,
            requests_of_stopped: 0,
        }
    }

    fn requests(&self) -> u64 {
        self.subjects.iter().map(Subject::requests).sum()
    }

    /// All of it; the time that convergence took.
    async fn all(&mut self) -> Duration {
        for _ in 0..self.plan.random.usize(..15) {
            self.world.write();
        }
        for operation in 0..self.plan.operations {
            self.operate(operation).await;
            for subject in &self.subjects {
                subject.check_audits(self.plan.lossy || self.reordered);
            }
            self.check_lists();
            if self.trace.has_failed() {
                return Duration::ZERO;
            }
        }
        self.start_due(usize::MAX);
        let Some(converged_in) = self.converge().await else {
            return Duration::ZERO;
        };
        self.rest().await;
        if !self.trace.has_failed() {
            self.follow().await;
        }
        converged_in
    }

    /// One thing happens, and some time passes.
    async fn operate(&mut self, operation: usize) {
        if let Some((at, kind)) = self.plan.late
            && at == operation
        {
            self.world.add_kind(kind);
        }
        self.start_due(operation);
        self.restart_due(operation).await;
        let random = &mut self.plan.random;
        match random.u8(..100) {
            0..70 => {
                for _ in 0..random.usize(1..4) {
                    self.world.write();
                }
            }
            70..90 => self.inject(),
            90..94 => {
                self.trace.note(None, "faults end".to_owned());
                self.clear_faults();
            }
            94..96 => {
                self.trace.note(None, "compaction".to_owned());
                self.world.cluster.compact();
            }
            96..98 => {
                self.trace.note(None, "restart".to_owned());
                self.world.cluster.restart();
            }
            98 => {
                if !self.subjects.is_empty() {
                    let at = random.usize(..self.subjects.len());
                    self.subjects[at].read_stream();
                }
            }
            _ => {
                if !self.subjects.is_empty() {
                    let at = random.usize(..self.subjects.len());
                    self.subjects[at].ask_for_list(&self.world);
                }
            }
        }
        let random = &mut self.plan.random;
        let millis = match random.u8(..100) {
            0..40 => 0,
            40..70 => random.u64(1..300),
            70..90 => random.u64(300..5_000),
            _ => random.u64(5_000..40_000),
        };
        if millis == 0 {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
    }

    /// Lists that were asked for and have come show what was there when they were asked for.
    fn check_lists(&mut self) {
        let may_miss = self.plan.stale || self.plan.lossy || self.reordered;
        for subject in &mut self.subjects {
            subject.check_lists(&self.world, may_miss);
        }
    }

    fn start_due(&mut self, operation: usize) {
        for (who, plan) in self.plan.watchers.iter().enumerate() {
            let due = plan.starts == operation || operation == usize::MAX;
            if !due || self.started & (1 << who) != 0 {
                continue;
            }
            self.started |= 1 << who;
            let world = &self.world;
            let subject = Subject::start(who, plan, world, &self.trace, self.plan.lossy);
            self.subjects.extend(subject);
        }
    }

    async fn restart_due(&mut self, operation: usize) {
        let due = |subject: &Subject| subject.plan.restarts == Some(operation);
        let Some(at) = self.subjects.iter().position(due) else {
            return;
        };
        let subject = self.subjects.swap_remove(at);
        self.requests_of_stopped += subject.requests();
        let mut plan = subject.plan.clone();
        plan.restarts = None;
        subject.stop().await;
        let who = 10 + at;
        let subject = Subject::start(who, &plan, &self.world, &self.trace, self.plan.lossy);
        self.subjects.extend(subject);
    }

    fn clear_faults(&self) {
        self.world.cluster.clear_faults();
        if self.plan.cannot_stream {
            self.world.cluster.inject(unable_to_stream());
        }
    }

    /// A random fault for random requests.
    fn inject(&mut self) {
        let random = &mut self.plan.random;
        let events = random.usize(..4);
        let seconds = Duration::from_secs;
        let kinds = 20 + u8::from(self.plan.stale) * 2 + u8::from(self.plan.lossy) * 3;
        let fault = match random.u8(..kinds) {
            0 => {
                let code = [429, 503][random.usize(..2)];
                Fault::status(code).retry_after(seconds(random.u64(1..90)))
            }
            1 => Fault::status([500, 502, 504, 429][random.usize(..4)]),
            2 => Fault::status([400, 401, 403, 404, 422][random.usize(..5)]),
            3 => Fault::status(410),
            4 => Fault::latency(Duration::from_millis(random.u64(1..8_000))),
            5 => Fault::latency(seconds(random.u64(20..80))),
            6 => Fault::connection_refused(),
            7 => Fault::hang(),
            8 => Fault::reset_after(events),
            9 => Fault::end_after(events),
            10 => Fault::truncated_line(events),
            11 => Fault::truncated_line_with_newline(events),
            12 => Fault::garbage_line(events),
            13 => Fault::duplicated_event(events),
            // An object that comes after the end of its list is one that the list has lost.
            14 => {
                self.reordered = true;
                Fault::reordered_event(events)
                    .when(|request| !request.query.contains("sendInitialEvents"))
            }
            15 => Fault::error_event(events, [410, 410, 500, 429, 403][random.usize(..5)]),
            16 => Fault::silence_after(events),
            17 => Fault::compaction(),
            18 => Fault::restart(),
            19 => Fault::restart_without_memory(),
            20 | 21 if self.plan.stale => Fault::stale_list(random.u64(1..30)),
            _ => Fault::dropped_event(events),
        };
        let fault = match random.u8(..6) {
            0 | 1 => fault.verb("watch"),
            2 => fault.verb("list"),
            3 => fault.verb("get"),
            _ => fault,
        };
        let fault = match random.u8(..4) {
            0 => fault.once(),
            1 => fault.times(random.u64(2..6)),
            2 => fault.with_probability(random.f64()).always(),
            _ => fault.always(),
        };
        self.trace.note(None, format!("{fault:?}"));
        self.world.cluster.inject(fault);
    }

    fn expected(&self) -> Vec<Expected> {
        self.subjects
            .iter()
            .map(|subject| subject.expected(&self.world))
            .collect()
    }

    fn difference(&self, expected: &[Expected]) -> Option<(usize, String)> {
        let mut pairs = self.subjects.iter().zip(expected).enumerate();
        pairs.find_map(|(at, (subject, expected))| {
            subject.differs(expected).map(|difference| (at, difference))
        })
    }

    fn agree(&self, expected: &[Expected], when: &str) -> bool {
        let difference = self.difference(expected);
        if let Some((at, difference)) = &difference {
            self.subjects[*at].fail(format!("{when}: {difference}"));
        }
        difference.is_none()
    }

    /// The faults end: every store comes to equal the server.
    async fn converge(&mut self) -> Option<Duration> {
        self.trace.note(None, "faults end for good".to_owned());
        self.clear_faults();
        for subject in &self.subjects {
            subject.heal();
        }
        let expected = self.expected();
        let watches = self.subjects.iter().map(|subject| {
            let audit = subject.plan.audit.unwrap_or_default();
            subject.plan.watch_timeout * 2 + audit * 2
        });
        let limit = SETTLE + watches.max().unwrap_or_default();
        let begun = self.trace.now();
        let mut step = Duration::from_millis(50);
        loop {
            tokio::time::sleep(step).await;
            step = (step * 5 / 4).min(Duration::from_secs(2));
            if self.trace.has_failed() {
                return None;
            }
            self.check_lists();
            let is_answered = self.subjects.iter().all(Subject::is_answered);
            if is_answered && self.difference(&expected).is_none() {
                return Some(self.trace.now() - begun);
            }
            if self.trace.now() - begun > limit {
                if self.agree(&expected, "the store does not come to equal the server") {
                    let reason = "R12: a list that was asked for does not come".to_owned();
                    self.trace.fail(None, reason);
                }
                return None;
            }
        }
    }

    /// Nothing happens, and stays so.
    async fn rest(&mut self) {
        self.trace
            .note(None, "all stores equal the server".to_owned());
        // What is silent or backing off although its store is right comes back within this.
        tokio::time::sleep(SETTLE).await;
        let before: Vec<u64> = self.subjects.iter().map(Subject::requests).collect();
        tokio::time::sleep(QUIET).await;
        let expected = self.expected();
        if !self.agree(&expected, "the store differs again") {
            return;
        }
        for ((subject, expected), before) in self.subjects.iter().zip(&expected).zip(before) {
            subject.check_deep(expected).await;
            subject.check_audits(self.plan.lossy || self.reordered);
            subject.check_readers();
            let scopes = subject.plan.namespaces.len().max(1) as u64;
            let watches = QUIET.as_secs() / subject.plan.watch_timeout.as_secs() + 2;
            let audits = subject.plan.audit.map_or(0, |every| {
                // Of what the server selects, which is not known here: at most everything.
                let pages = MOST_OBJECTS / u64::from(subject.plan.page_size) + 1;
                (QUIET.as_secs() / every.as_secs() + 1) * pages
            });
            let made = subject.requests() - before;
            if made > scopes * (watches + audits) {
                subject.fail(format!("R7: {made} requests in {QUIET:?} without need"));
            }
        }
    }

    /// New writes are followed at once, and told before the end.
    async fn follow(&mut self) {
        for _ in 0..6 {
            self.world.write();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let expected = self.expected();
        if !self.agree(&expected, "a write without faults is not followed at once") {
            return;
        }
        // The shutdown that comes next tells what these change, as far as it was read.
        for _ in 0..3 {
            self.world.write();
        }
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}

/// The server knows no streaming lists.
fn unable_to_stream() -> Fault {
    Fault::status(422)
        .message(
            "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled",
        )
        .when(|request| request.query.contains("sendInitialEvents=true"))
        .always()
}
