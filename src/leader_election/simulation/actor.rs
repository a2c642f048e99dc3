//! One candidate as the simulation has it: its clocks, its process, its work.

use std::sync::Arc;
use std::time::Duration;

use super::plan::{Candidate, Nanos};
use super::rival::Rival;
use super::world::Event;
use crate::leader_election::decision::{Machine, Now, Seen};
use crate::leader_election::record::MicroTime;

/// 2024-01-01, so that wall clocks show something.
const EPOCH: i64 = 1_704_067_200_000_000;

#[derive(Debug)]
pub(super) enum Brain {
    Off,
    Ours(Box<Machine>),
    Rival(Box<Rival>),
}

/// What a candidate holds while it leads.
#[derive(Debug)]
pub(super) struct Tenure {
    pub(super) number: u64,
    pub(super) version: Arc<str>,
    pub(super) valid_until: Duration,
    pub(super) lost: bool,
    /// When somebody took the lease away by hand.
    pub(super) evicted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manners {
    /// Ends within the stop timeout.
    Good,
    /// Ends when it is forced to.
    Stubborn,
    /// Ends some time after it was forced to.
    Stuck,
}

#[derive(Debug)]
pub(super) struct Work {
    pub(super) tenure: u64,
    pub(super) manners: Manners,
    pub(super) aborted: bool,
    /// Its process did not run for a while, so that it may be late.
    pub(super) disturbed: bool,
}

#[derive(Debug)]
pub(super) struct Actor {
    pub(super) plan: Candidate,
    pub(super) brain: Brain,
    pub(super) life: u32,
    pub(super) asked_to_stop: bool,
    pub(super) flight: Option<u64>,
    pub(super) wake: u64,
    pub(super) tenure: Option<Tenure>,
    pub(super) work: Option<Work>,
    pub(super) partitioned_until: Nanos,
    /// The answer to its next write takes long, and then there is none any more.
    pub(super) slow_then_gone: bool,
    pub(super) paused: bool,
    pub(super) inbox: Vec<Event>,
    /// The last record of somebody else that it saw, and when it first did, by its own clock.
    pub(super) sight: Option<(Duration, Seen)>,
    stopped_clock: Option<Nanos>,
    lag: Nanos,
}

impl Actor {
    pub(super) fn new(plan: Candidate) -> Self {
        Self {
            plan,
            brain: Brain::Off,
            life: 0,
            asked_to_stop: false,
            flight: None,
            wake: 0,
            tenure: None,
            work: None,
            partitioned_until: 0,
            slow_then_gone: false,
            paused: false,
            inbox: Vec::new(),
            sight: None,
            stopped_clock: None,
            lag: 0,
        }
    }

    /// Its own clock.
    pub(super) fn local(&self, now: Nanos) -> Duration {
        let ran = self.stopped_clock.unwrap_or(now) - self.lag;
        Duration::from_nanos(self.plan.offset + ran * self.plan.rate / 1_000_000)
    }

    pub(super) fn clocks(&self, now: Nanos) -> Now {
        let micros = i64::try_from(now / 1_000).unwrap_or(i64::MAX);
        Now {
            local: self.local(now),
            wall: MicroTime::from_micros(EPOCH + micros + self.plan.wall_offset),
        }
    }

    /// When its own clock will show a time, and not before.
    pub(super) fn real(&self, local: Duration) -> Nanos {
        let local = u64::try_from(local.as_nanos()).unwrap_or(u64::MAX);
        let ran = local.saturating_sub(self.plan.offset);
        (u128::from(ran) * 1_000_000)
            .div_ceil(u128::from(self.plan.rate))
            .try_into()
            .unwrap_or(u64::MAX / 2)
            + self.lag
    }

    /// How long a local duration takes.
    pub(super) fn real_span(&self, local: Duration) -> Nanos {
        let local = u64::try_from(local.as_nanos()).unwrap_or(u64::MAX / 2_000_000);
        local * 1_000_000 / self.plan.rate + 1
    }

    pub(super) fn stop_clock(&mut self, now: Nanos) {
        self.stopped_clock.get_or_insert(now);
    }

    pub(super) fn start_clock(&mut self, now: Nanos) {
        if let Some(stopped) = self.stopped_clock.take() {
            self.lag += now - stopped;
        }
    }

    /// Whether the check of its token would succeed.
    pub(super) fn has_valid_token(&self, now: Nanos) -> bool {
        self.tenure
            .as_ref()
            .is_some_and(|tenure| !tenure.lost && self.local(now) < tenure.valid_until)
    }

    pub(super) fn is_off(&self) -> bool {
        matches!(self.brain, Brain::Off)
    }

    /// The process is gone, with everything in it.
    pub(super) fn die(&mut self, now: Nanos) {
        self.start_clock(now);
        self.brain = Brain::Off;
        self.life += 1;
        self.asked_to_stop = false;
        self.flight = None;
        self.tenure = None;
        self.work = None;
        self.sight = None;
        self.inbox.clear();
        self.paused = false;
    }

    /// When to wake it, by its own clock.
    pub(super) fn wake_at(&self) -> Option<Duration> {
        match &self.brain {
            Brain::Off => None,
            Brain::Ours(machine) => machine.wake(),
            Brain::Rival(rival) => rival.wake(),
        }
    }
}
