//! Another implementation among the candidates: what client-go's elector does, from its documentation and behaviour.
//!
//! It tries a write over what it last saw while it believes to hold the lease, else reads first; judges by its own lease
//! duration since it first saw a record; takes a record with its own identity for its own; gives up when a round of
//! attempts has taken the renew deadline; and its process then ends.

use std::sync::Arc;
use std::time::Duration;

use super::plan::Candidate;
use crate::leader_election::decision::{Answer, Now, Request, Seen};
use crate::leader_election::record::Record;
use crate::leader_election::timing::Timing;

#[derive(Debug)]
pub(super) enum Order {
    Send(Request, Duration),
    Led,
    Exit,
}

#[derive(Debug)]
enum Stage {
    Idle,
    Fast,
    Get,
    Put,
}

#[derive(Debug)]
pub(super) struct Rival {
    identity: Arc<str>,
    timing: Timing,
    observed: Option<Record>,
    observed_at: Duration,
    lease: Option<Seen>,
    stage: Stage,
    leading: bool,
    due: Duration,
    round_ends: Option<Duration>,
    orders: Vec<Order>,
}

impl Rival {
    pub(super) fn new(plan: &Candidate) -> Self {
        Self {
            identity: Arc::clone(&plan.identity),
            timing: plan.timing,
            observed: None,
            observed_at: Duration::ZERO,
            lease: None,
            stage: Stage::Idle,
            leading: false,
            due: Duration::ZERO,
            round_ends: None,
            orders: Vec::new(),
        }
    }

    pub(super) fn is_leading(&self) -> bool {
        self.leading
    }

    pub(super) fn orders(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.orders)
    }

    pub(super) fn wake(&self) -> Option<Duration> {
        match (&self.stage, self.round_ends) {
            (Stage::Idle, Some(ends)) => Some(ends.min(self.due)),
            (Stage::Idle, None) => Some(self.due),
            (_, ends) => ends,
        }
    }

    pub(super) fn tick(&mut self, now: Now) {
        if self.leading && self.round_ends.is_some_and(|ends| now.local >= ends) {
            self.leading = false;
            self.orders.push(Order::Exit);
            return;
        }
        if !matches!(self.stage, Stage::Idle) || now.local < self.due {
            return;
        }
        if self.leading && self.round_ends.is_none() {
            self.round_ends = Some(now.local + self.timing.renew);
        }
        match (&self.observed, &self.lease) {
            (Some(observed), Some(lease))
                if observed.holder == self.identity && self.is_valid(now) =>
            {
                let mut record = observed.clone();
                record.renewed = Some(now.wall);
                let base = Arc::clone(&lease.version);
                self.send(Stage::Fast, Request::Update { base, record });
            }
            _ => self.send(Stage::Get, Request::Read),
        }
    }

    pub(super) fn answered(&mut self, now: Now, answer: Answer, random: &mut fastrand::Rng) {
        let stage = std::mem::replace(&mut self.stage, Stage::Idle);
        match (stage, answer) {
            (Stage::Fast | Stage::Put, Answer::Written(seen) | Answer::Created(seen)) => {
                self.take_in(now, seen);
                self.done(now, true, random);
            }
            (Stage::Fast, _) => self.send(Stage::Get, Request::Read),
            (Stage::Get, Answer::Missing) => {
                let record = self.record(now, 0);
                self.send(Stage::Put, Request::Create(record));
            }
            (Stage::Get, Answer::Found(seen)) => {
                let base = Arc::clone(&seen.version);
                let is_ours = seen.record.holder == self.identity;
                let is_held = !seen.record.holder.is_empty();
                let transitions = seen.record.transitions + i64::from(!is_ours);
                let acquired = seen.record.acquired;
                self.take_in(now, seen);
                if is_held && !is_ours && self.is_valid(now) {
                    return self.done(now, false, random);
                }
                let mut record = self.record(now, transitions);
                if is_ours {
                    record.acquired = acquired;
                }
                self.send(Stage::Put, Request::Update { base, record });
            }
            _ => self.done(now, false, random),
        }
    }

    fn take_in(&mut self, now: Now, seen: Seen) {
        if self.observed.as_ref() != Some(&seen.record) {
            self.observed = Some(seen.record.clone());
            self.observed_at = now.local;
        }
        self.lease = Some(seen);
    }

    fn is_valid(&self, now: Now) -> bool {
        self.observed_at + self.timing.lease > now.local
    }

    fn done(&mut self, now: Now, success: bool, random: &mut fastrand::Rng) {
        let retry = self.timing.retry;
        if success {
            if !self.leading {
                self.leading = true;
                self.orders.push(Order::Led);
            }
            self.round_ends = None;
            self.due = now.local + retry;
        } else if self.leading {
            self.due = now.local + retry;
        } else {
            self.due = now.local + retry + retry.mul_f64(1.2 * random.f64());
        }
    }

    fn record(&self, now: Now, transitions: i64) -> Record {
        Record {
            holder: Arc::clone(&self.identity),
            seconds: Some(self.timing.lease_seconds()),
            acquired: Some(now.wall),
            renewed: Some(now.wall),
            transitions,
            other: None,
        }
    }

    fn send(&mut self, stage: Stage, request: Request) {
        self.stage = stage;
        self.orders
            .push(Order::Send(request, self.timing.renew / 2));
    }
}
