//! The rules, looked at from outside.

use std::time::Duration;

use super::World;
use crate::leader_election::decision::{Answer, Seen};
use crate::leader_election::simulation::actor::Brain;
use crate::leader_election::simulation::server::{Applied, Writer};

impl World<'_> {
    /// Notes what a candidate has seen of others.
    pub(super) fn look(&mut self, who: usize, answer: &Answer, writer: Writer) {
        let (Answer::Found(seen) | Answer::Written(seen)) = answer else {
            return;
        };
        let now = self.now;
        let actor = &mut self.actors[who];
        let is_own = writer == Some((who, actor.life));
        let record = &seen.record;
        if record.is_released() {
            actor.sight = None;
        } else if !is_own && !record.holder.is_empty() {
            let is_known = actor
                .sight
                .as_ref()
                .is_some_and(|(_, known)| (&known.uid, &known.record) == (&seen.uid, record));
            if !is_known {
                actor.sight = Some((actor.local(now), seen.clone()));
            }
        }
    }

    /// No two valid tokens; after an edit, none that was not affected by it.
    pub(super) fn check_overlap(&mut self, who: usize) {
        if self.plan.freezes || !self.actors[who].has_valid_token(self.now) {
            return;
        }
        for other in 0..self.actors.len() {
            if other == who || !self.actors[other].has_valid_token(self.now) {
                continue;
            }
            let evicted = [who, other].iter().any(|&one| {
                self.actors[one]
                    .tenure
                    .as_ref()
                    .is_some_and(|tenure| tenure.evicted)
            });
            if evicted {
                self.tally.overlaps_after_edits += 1;
            } else {
                self.violate(format!("c{who} and c{other} have valid tokens at once"));
            }
        }
    }

    /// Nobody takes a lease that is held, and nobody releases what is not its own.
    pub(super) fn check_write(&mut self, who: usize, life: u32, id: u64, applied: &Applied) {
        say!(
            self,
            "the server stores {:?} by c{who} as {}",
            applied.after.seen.record.holder,
            applied.after.seen.version
        );
        let now = self.now;
        let own: Writer = Some((who, life));
        let after = &applied.after.seen.record;
        let is_rival = self.actors[who].plan.rival;
        // One that it no longer waits for was sent before it saw what it saw since.
        let is_awaited = self.actors[who].life == life && self.actors[who].flight == Some(id);
        if after.holder.is_empty() {
            if !is_rival
                && applied
                    .before
                    .as_ref()
                    .is_some_and(|before| before.writer != own)
            {
                self.violate(format!("c{who} releases a lease that it does not hold"));
            }
            return;
        }
        if is_rival {
            let other = applied
                .before
                .as_ref()
                .is_none_or(|before| before.seen.record.holder != self.actors[who].plan.identity);
            let leads = self
                .actors
                .iter()
                .position(|actor| actor.has_valid_token(now));
            if let Some(leader) = leads
                && other
                && !self.plan.freezes
            {
                self.violate(format!(
                    "client-go's c{who} acquires while c{leader} has a valid token"
                ));
            }
            return;
        }
        let actor = &self.actors[who];
        let timing = actor.plan.timing;
        match &applied.before {
            Some(before) if before.writer != own && !before.seen.record.holder.is_empty() => {
                let seconds = before.seen.record.seconds.unwrap_or(timing.lease_seconds());
                let lease = Duration::from_secs(seconds.max(0).unsigned_abs());
                if now - before.written < actor.real_span(lease) - 1 {
                    self.violate(format!(
                        "c{who} takes over from {:?} after {:?} of {lease:?}",
                        before.seen.record.holder,
                        Duration::from_nanos(now - before.written)
                    ));
                }
            }
            _ => {}
        }
        let lease = |seen: &Seen| {
            let seconds = seen.record.seconds.unwrap_or_default();
            Duration::from_secs(seconds.max(0).unsigned_abs())
        };
        let actor = &self.actors[who];
        if let Some((at, seen)) = &actor.sight
            && is_awaited
            && actor.tenure.is_none()
            && actor.local(now) < *at + lease(seen)
        {
            self.violate(format!(
                "c{who} acquires the Lease while a holder that it saw may not know that it is gone"
            ));
        }
    }

    pub(super) fn check_that_somebody_leads(&mut self) {
        let now = self.now;
        let leads = self.actors.iter().any(|actor| match &actor.brain {
            Brain::Off => false,
            Brain::Ours(machine) => machine.is_leading() && actor.has_valid_token(now),
            Brain::Rival(rival) => rival.is_leading(),
        });
        if !leads {
            self.violate("nobody leads, although somebody could".to_owned());
        }
    }
}
