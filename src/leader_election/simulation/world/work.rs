//! The work of those who lead: it acts, it is asked to end, and it ends, sooner or later.

use std::sync::Arc;

use super::{Event, World};
use crate::leader_election::simulation::actor::{Brain, Manners};
use crate::leader_election::simulation::plan::SECOND;

impl World<'_> {
    pub(super) fn cancel(&mut self, who: usize) {
        let life = self.actors[who].life;
        let Some(work) = &self.actors[who].work else {
            self.violate(format!("c{who} has no work to cancel"));
            return;
        };
        let (tenure, manners) = (work.tenure, work.manners);
        if manners == Manners::Good {
            let actor = &self.actors[who];
            let most = actor.real_span(actor.plan.timing.stop);
            let after = if self.random.u8(0..4) == 0 {
                0
            } else {
                self.random.u64(0..most.max(1))
            };
            let at = self.now + after;
            self.push(at, Event::WorkEnds(who, life, tenure));
        }
    }

    pub(super) fn abort(&mut self, who: usize) {
        let life = self.actors[who].life;
        let Some(work) = &mut self.actors[who].work else {
            return;
        };
        work.aborted = true;
        let (tenure, manners) = (work.tenure, work.manners);
        let after = if manners == Manners::Stuck {
            self.random.u64(0..10 * SECOND)
        } else {
            0
        };
        let at = self.now + after;
        self.push(at, Event::WorkEnds(who, life, tenure));
    }

    pub(super) fn work_ends(&mut self, who: usize, tenure: u64) {
        let is_it = self.actors[who]
            .work
            .as_ref()
            .is_some_and(|work| work.tenure == tenure);
        if !is_it {
            return;
        }
        say!(self, "c{who}'s work ends");
        self.actors[who].work = None;
        let now = self.actors[who].clocks(self.now);
        if let Brain::Ours(machine) = &mut self.actors[who].brain {
            machine.work_ended(now);
            self.settle_actor(who);
        }
    }

    /// The work checks its token and writes, which may take a while to arrive.
    pub(super) fn work_acts(&mut self, who: usize, life: u32, tenure: u64) {
        let is_it = self.actors[who]
            .work
            .as_ref()
            .is_some_and(|work| work.tenure == tenure);
        if !is_it {
            return;
        }
        if self.actors[who].has_valid_token(self.now)
            && let Some(held) = &self.actors[who].tenure
        {
            let version = Arc::clone(&held.version);
            let delay = if self.random.u8(0..8) == 0 {
                self.random.u64(0..20 * SECOND)
            } else {
                0
            };
            self.push(self.now + delay, Event::Fenced(who, tenure, version));
        }
        let again = self.now + self.random.u64(SECOND / 4..3 * SECOND);
        self.push(again, Event::WorkActs(who, life, tenure));
    }

    pub(super) fn fenced_write(&mut self, who: usize, tenure: u64, version: &str) {
        self.tally.fenced_writes += 1;
        match self.fence.admit(version) {
            Ok(()) => {
                // Later tenures have greater tokens, so that nobody old gets in; edited Leases may be acquired in one
                // order and led in another.
                if tenure < self.fenced && !self.plan.edits && !self.plan.freezes {
                    self.violate(format!("the resource accepts c{who} after its successor"));
                }
                self.fenced = tenure;
            }
            Err(_) => {
                self.tally.refused += 1;
                let holds = self.actors[who]
                    .tenure
                    .as_ref()
                    .is_some_and(|held| held.number == tenure && !held.evicted);
                if holds && self.actors[who].has_valid_token(self.now) && !self.plan.freezes {
                    self.violate(format!("the resource refuses c{who}, who leads"));
                }
            }
        }
    }
}
