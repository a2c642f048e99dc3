//! What people and machines do to the election.

use std::sync::Arc;

use super::{Event, World};
use crate::leader_election::decision::{Machine, Settings};
use crate::leader_election::record::{MicroTime, Record};
use crate::leader_election::simulation::actor::Brain;
use crate::leader_election::simulation::plan::{Happening, Network, SECOND};
use crate::leader_election::simulation::rival::Rival;
use crate::leader_election::simulation::server::{Stored, released};

impl World<'_> {
    pub(super) fn happen(&mut self, happening: Happening) {
        say!(self, "{happening:?}");
        match happening {
            Happening::Crash(who) => self.crash(who),
            Happening::Start(who) => self.start(who),
            Happening::Stop(who) => self.stop(who),
            Happening::Resign(who) => {
                let now = self.actors[who].clocks(self.now);
                let paused = self.actors[who].paused;
                if let Brain::Ours(machine) = &mut self.actors[who].brain
                    && !paused
                {
                    machine.resign(now);
                    self.settle_actor(who);
                }
            }
            Happening::Pause(who, span) | Happening::Freeze(who, span) => {
                let now = self.now;
                let actor = &mut self.actors[who];
                if actor.is_off() || actor.paused {
                    return;
                }
                actor.paused = true;
                if let Some(work) = &mut actor.work {
                    work.disturbed = true;
                }
                if matches!(happening, Happening::Freeze(..)) {
                    actor.stop_clock(now);
                }
                let life = actor.life;
                let until = (now + span).min(self.plan.quiet);
                self.push(until, Event::Resume(who, life));
            }
            Happening::Partition(who, span) => {
                self.actors[who].partitioned_until = (self.now + span).min(self.plan.quiet);
            }
            Happening::SlowThenGone(who) => self.actors[who].slow_then_gone = true,
            Happening::Outage(span) => {
                self.server.away_until = (self.now + span).min(self.plan.quiet);
            }
            Happening::Annotate => self.server.annotate(),
            Happening::Delete => {
                if self.server.stored.is_some() {
                    self.evict();
                    self.server.delete();
                    self.tally.edits += 1;
                }
            }
            Happening::RemoveHolder => self.edit(|record, _| record.holder = "".into()),
            Happening::ForgeRelease => self.edit(released),
            Happening::ReplaceHolder(seconds) => self.edit(|record, _| {
                record.holder = "somebody".into();
                record.seconds = Some(seconds);
            }),
            Happening::ChangeDuration(seconds) => {
                self.edit(|record, _| record.seconds = Some(seconds));
            }
        }
    }

    pub(super) fn edit(&mut self, change: impl FnOnce(&mut Record, MicroTime)) {
        let stamp = self.actors[0].clocks(self.now).wall;
        let before = self.server.stored.clone();
        if self.server.edit(self.now, |record| change(record, stamp)) {
            self.evict_from(before.as_ref());
            self.tally.edits += 1;
        }
    }

    pub(super) fn evict(&mut self) {
        let before = self.server.stored.clone();
        self.evict_from(before.as_ref());
    }

    /// Whoever wrote the record that was taken away loses its lease.
    pub(super) fn evict_from(&mut self, before: Option<&Stored>) {
        if let Some((who, life)) = before.and_then(|stored| stored.writer)
            && self.actors[who].life == life
        {
            self.expect_end(who);
        }
    }

    /// A token whose lease is gone has to become invalid soon.
    pub(super) fn expect_end(&mut self, who: usize) {
        let now = self.now;
        let undisturbed = self.plan.undisturbed;
        let actor = &mut self.actors[who];
        let timing = actor.plan.timing;
        let bound = now + actor.real_span(timing.retry + timing.request_timeout());
        let life = actor.life;
        if let Some(tenure) = &mut actor.tenure {
            tenure.evicted = true;
            let number = tenure.number;
            if undisturbed {
                self.push(bound, Event::Gone(who, life, number));
            }
        }
    }

    pub(super) fn start(&mut self, who: usize) {
        if !self.actors[who].is_off() {
            return;
        }
        let seed = self.random.u64(..);
        let actor = &mut self.actors[who];
        actor.brain = if actor.plan.rival {
            Brain::Rival(Box::new(Rival::new(&actor.plan)))
        } else {
            let settings = Settings {
                identity: Arc::clone(&actor.plan.identity),
                timing: actor.plan.timing,
                release: actor.plan.release,
                campaign_again: true,
            };
            #[allow(unused_mut)]
            let mut machine = Machine::new(settings, seed);
            #[cfg(test)]
            {
                machine.flaw = match self.mutation {
                    Some(crate::leader_election::simulation::Mutation::Decision(flaw)) => {
                        Some(flaw)
                    }
                    _ => None,
                };
            }
            Brain::Ours(Box::new(machine))
        };
        self.tick(who);
    }

    pub(super) fn stop(&mut self, who: usize) {
        let now = self.actors[who].clocks(self.now);
        let actor = &mut self.actors[who];
        if actor.paused {
            return;
        }
        match &mut actor.brain {
            Brain::Off => {}
            Brain::Ours(machine) => {
                actor.asked_to_stop = true;
                machine.stop(now);
                self.settle_actor(who);
            }
            Brain::Rival(_) => self.crash(who),
        }
    }

    pub(super) fn crash(&mut self, who: usize) {
        let now = self.now;
        self.actors[who].die(now);
    }

    pub(super) fn settle(&mut self) {
        self.plan.network = Network {
            latency: SECOND / 50,
            ..Network::default()
        };
        let anybody = self
            .actors
            .iter()
            .any(|actor| !actor.is_off() && !actor.asked_to_stop);
        if !anybody {
            self.crash(0);
            self.start(0);
        }
    }

    pub(super) fn resume(&mut self, who: usize, life: u32) {
        self.actors[who].start_clock(self.now);
        if self.actors[who].life != life {
            return;
        }
        say!(self, "c{who} runs again");
        self.actors[who].paused = false;
        let inbox = std::mem::take(&mut self.actors[who].inbox);
        for event in inbox {
            self.handle(event);
        }
        if !self.actors[who].is_off() {
            self.tick(who);
        }
    }
}
