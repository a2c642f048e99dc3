//! What happened, for a person to read when it went wrong.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How many lines are kept of the world and of each watcher, unless all are.
const KEPT: usize = 200;

/// How many lines a failure shows.
const SHOWN: usize = 80;

/// The first thing that was wrong in a schedule.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// What.
    pub(crate) reason: String,
    /// What the watcher that it was found in went through, and what was done to the server, the last of it.
    pub(crate) trace: Vec<String>,
}

#[derive(Debug)]
struct Line {
    number: u64,
    at: Duration,
    /// A watcher; `None` is the world.
    who: Option<usize>,
    text: String,
}

impl Line {
    fn show(&self) -> String {
        let Self { at, who, text, .. } = self;
        let who = who.map_or_else(|| "world".to_owned(), |who| format!("w{who}"));
        format!("{:>10.3} {who:<5} {text}", at.as_secs_f64())
    }
}

#[derive(Debug)]
struct Inner {
    lines: BTreeMap<Option<usize>, VecDeque<Line>>,
    count: u64,
    failure: Option<(Option<usize>, String)>,
}

impl Inner {
    fn in_order(&self) -> Vec<&Line> {
        let mut lines: Vec<&Line> = self.lines.values().flatten().collect();
        lines.sort_unstable_by_key(|line| line.number);
        lines
    }
}

/// The trace of one schedule, and its verdict.
#[derive(Debug)]
pub(super) struct Trace {
    start: Instant,
    keep_all: bool,
    inner: Mutex<Inner>,
}

impl Trace {
    pub(super) fn new(keep_all: bool) -> Self {
        Self {
            start: Instant::now(),
            keep_all,
            inner: Mutex::new(Inner {
                lines: BTreeMap::new(),
                count: 0,
                failure: None,
            }),
        }
    }

    /// Virtual time since the schedule began.
    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub(super) fn note(&self, who: Option<usize>, text: String) {
        let at = self.now();
        let mut inner = self.inner.lock();
        inner.count += 1;
        let number = inner.count;
        let lines = inner.lines.entry(who).or_default();
        if !self.keep_all {
            // A watch that is opened again and again while nothing happens is kept once.
            let mut last = lines.iter().rev().take(4);
            if text.contains("Watch(") && last.any(|line| line.text == text) {
                return;
            }
            if lines.len() == KEPT {
                lines.pop_front();
            }
        }
        lines.push_back(Line {
            number,
            at,
            who,
            text,
        });
    }

    /// Notes what is wrong; the first such note is the verdict.
    pub(super) fn fail(&self, who: Option<usize>, reason: String) {
        self.note(who, format!("WRONG: {reason}"));
        self.inner.lock().failure.get_or_insert((who, reason));
    }

    pub(super) fn has_failed(&self) -> bool {
        self.inner.lock().failure.is_some()
    }

    pub(super) fn failure(&self) -> Option<Failure> {
        let inner = self.inner.lock();
        let (who, reason) = inner.failure.clone()?;
        let of_it = |line: &&Line| who.is_none() || line.who.is_none() || line.who == who;
        let shown: Vec<&Line> = inner.in_order().into_iter().filter(of_it).collect();
        let from = shown.len().saturating_sub(SHOWN);
        let trace = shown.iter().skip(from).map(|line| line.show()).collect();
        let reason = match who {
            Some(who) => format!("watcher {who}: {reason}"),
            None => reason,
        };
        Some(Failure { reason, trace })
    }

    pub(super) fn all(&self) -> Vec<String> {
        let inner = self.inner.lock();
        inner.in_order().into_iter().map(Line::show).collect()
    }
}
