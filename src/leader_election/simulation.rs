//! Elections under virtual time: several candidates, each with its own clocks, a network and a server that misbehave, people
//! who edit the Lease, and checks after every step.
//!
//! It drives the same state machine as the real component, and decides nothing itself. Everything follows from a seed, so
//! that what fails can be repeated. It stands for itself: the test suite and the example of the same name compile it.

mod actor;
mod plan;
mod rival;
mod server;
mod world;

use std::fmt;
use std::time::Duration;

use self::world::World;
use super::decision::Flaw;

/// A deliberate mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mutation {
    /// In what a candidate decides.
    Decision(Flaw),
    /// Writes go through whatever version they were made for.
    NoResourceVersion,
}

/// What happened in one schedule, or in many.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Schedules run.
    pub(crate) schedules: u64,
    /// Steps taken.
    pub(crate) events: u64,
    /// Virtual seconds.
    pub(crate) seconds: u64,
    /// Requests that reached the server.
    pub(crate) requests: u64,
    /// Times that one of our candidates became the leader.
    pub(crate) tenures: u64,
    /// Times that a client-go candidate did.
    pub(crate) rival_tenures: u64,
    /// Losses: the renew deadline passed, or somebody else was seen.
    pub(crate) losses: u64,
    /// Writes of work to the fenced resource, and how many of them came too late and were refused.
    pub(crate) fenced_writes: u64,
    /// Of these, refused.
    pub(crate) refused: u64,
    /// Deletions and edits of the Lease by hand.
    pub(crate) edits: u64,
    /// Overlaps that follow from an edit, within their bound.
    pub(crate) overlaps_after_edits: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.schedules += other.schedules;
        self.events += other.events;
        self.seconds += other.seconds;
        self.requests += other.requests;
        self.tenures += other.tenures;
        self.rival_tenures += other.rival_tenures;
        self.losses += other.losses;
        self.fenced_writes += other.fenced_writes;
        self.refused += other.refused;
        self.edits += other.edits;
        self.overlaps_after_edits += other.overlaps_after_edits;
    }
}

/// A rule that was broken.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    /// Which schedule.
    pub(crate) seed: u64,
    /// When, since its start.
    pub(crate) at: Duration,
    /// What happened that must not.
    pub(crate) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "schedule {} at {:?}: {}", self.seed, self.at, self.what)
    }
}

/// Who is told each step, and when it happened.
pub(crate) type Log<'a> = Option<&'a mut dyn FnMut(Duration, &str)>;

/// Runs the schedule of a seed. `log` is told each step, if it is given.
pub(crate) fn run(seed: u64, log: Log<'_>) -> Result<Tally, Violation> {
    World::new(seed, None, log).run()
}

/// As [`run`], with a deliberate mistake.
#[cfg(test)]
fn run_with(seed: u64, mutation: Mutation) -> Result<Tally, Violation> {
    World::new(seed, Some(mutation), None).run()
}

/// The seed of one schedule of many.
pub(crate) fn schedule_seed(base: u64, index: u64) -> u64 {
    // SplitMix64, so that neighbours have nothing in common.
    let mut mixed = base.wrapping_add(index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests;
