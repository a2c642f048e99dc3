//! The way to the server and back.

use std::time::Duration;

use super::{Event, World};
use crate::leader_election::decision::{Answer, Request};
use crate::leader_election::simulation::plan::Nanos;

impl World<'_> {
    pub(super) fn send(&mut self, who: usize, request: Request, timeout: Duration) {
        self.requests += 1;
        let id = self.requests;
        let actor = &mut self.actors[who];
        actor.flight = Some(id);
        let life = actor.life;
        let expires = self.now + actor.real_span(timeout);
        let partitioned = self.now < actor.partitioned_until;
        self.push(expires, Event::Expire(who, life, id));
        let network = self.plan.network;
        if partitioned || self.chance(network.lost_request) {
            say!(self, "c{who} sends {}, which gets lost", word(&request));
            return;
        }
        let arrives = self.now + self.delay();
        say!(self, "c{who} sends {}", word(&request));
        if self.chance(network.error) && self.random.bool() {
            self.push(arrives, Event::Deliver(who, life, id, Answer::Failed, None));
            return;
        }
        if self.chance(network.duplicate) {
            let again = self.now + self.delay();
            let first = self.random.bool();
            self.push(
                arrives,
                Event::Arrive(who, life, id, request.clone(), first),
            );
            self.push(again, Event::Arrive(who, life, id, request, !first));
        } else {
            self.push(arrives, Event::Arrive(who, life, id, request, true));
        }
    }

    pub(super) fn chance(&mut self, thousandth: u32) -> bool {
        thousandth > 0 && self.random.u32(0..1000) < thousandth
    }

    pub(super) fn delay(&mut self) -> Nanos {
        let network = self.plan.network;
        let mut delay = self.random.u64(1..=network.latency.max(1));
        if self.chance(network.late) {
            delay += self.random.u64(0..network.late_by.max(1));
        }
        delay
    }

    pub(super) fn arrive(
        &mut self,
        who: usize,
        life: u32,
        id: u64,
        request: Request,
        answers: bool,
    ) {
        self.tally.requests += 1;
        let network = self.plan.network;
        let back = self.now + self.delay();
        if self.now < self.server.away_until {
            if answers && self.random.bool() {
                self.push(back, Event::Deliver(who, life, id, Answer::Failed, None));
            }
            return;
        }
        let (answer, writer) = match request {
            Request::Read => {
                let stale = self.chance(network.stale).then(|| self.random.usize(0..3));
                match self.server.read(stale) {
                    Some(stored) => (Answer::Found(stored.seen.clone()), stored.writer),
                    None => (Answer::Missing, None),
                }
            }
            write => {
                let creates = matches!(write, Request::Create(_));
                let writer = Some((who, life));
                let odd = self.random.u8(..);
                match self.server.write(self.now, writer, write, odd) {
                    Err(answer) => (answer, None),
                    Ok(applied) => {
                        self.check_write(who, life, id, &applied);
                        let created = applied.before.is_none() && !creates;
                        let seen = applied.after.seen;
                        let answer = if created {
                            Answer::Created(seen)
                        } else {
                            Answer::Written(seen)
                        };
                        (answer, writer)
                    }
                }
            }
        };
        if !answers {
            return;
        }
        if self.actors[who].slow_then_gone
            && matches!(answer, Answer::Written(_))
            && self.now < self.plan.quiet
        {
            let actor = &mut self.actors[who];
            actor.slow_then_gone = false;
            let timing = actor.plan.timing;
            let back = self.now + actor.real_span(timing.request_timeout()) * 9 / 10;
            let gone = self.now + actor.real_span(timing.lease) * 3 / 2;
            actor.partitioned_until = gone.min(self.plan.quiet);
            self.push(back, Event::Deliver(who, life, id, answer, writer));
            return;
        }
        if self.chance(network.lost_response) {
            return;
        }
        if self.now < self.actors[who].partitioned_until && self.random.bool() {
            return;
        }
        let answer = if self.chance(network.error) {
            Answer::Refused
        } else {
            answer
        };
        self.push(back, Event::Deliver(who, life, id, answer, writer));
    }
}

fn word(request: &Request) -> &'static str {
    match request {
        Request::Read => "GET",
        Request::Create(_) => "POST",
        Request::Update { .. } => "PUT",
    }
}
