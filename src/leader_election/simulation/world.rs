//! The course of events: a queue of them, the network between candidates and server, and the checks.

/// Logs a step, if anybody listens.
macro_rules! say {
    ($world:expr, $($text:tt)*) => {
        if let Some(log) = $world.log.as_mut() {
            log(::std::time::Duration::from_nanos($world.now), &format!($($text)*));
        }
    };
}

mod checks;
mod happenings;
mod network;
mod work;

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use super::actor::{Actor, Brain, Manners, Tenure, Work};
use super::plan::{Happening, Nanos, Plan, SECOND};
use super::rival::Order;
use super::server::{Server, Writer};
use super::{Log, Mutation, Tally, Violation};
use crate::leader_election::decision::{Answer, Effect, Request};
use crate::leader_election::fence::Fence;

/// How many steps a schedule may take: far more than the busiest one needs.
const MOST_EVENTS: u64 = 100_000;

#[derive(Clone, Debug)]
pub(super) enum Event {
    Happen(Happening),
    /// From now on nothing goes wrong.
    Settle,
    Resume(usize, u32),
    Wake(usize, u32, u64),
    /// A request reaches the server; whether it is the copy whose answer is sent back.
    Arrive(usize, u32, u64, Request, bool),
    Deliver(usize, u32, u64, Answer, Writer),
    /// The time for a request is over.
    Expire(usize, u32, u64),
    WorkActs(usize, u32, u64),
    WorkEnds(usize, u32, u64),
    /// A write of the work reaches the fenced resource.
    Fenced(usize, u64, Arc<str>),
    /// A token whose lease was taken away by hand must be gone.
    Gone(usize, u32, u64),
}

impl Event {
    /// Whose process has to run for it, and in which of its lives.
    fn process(&self) -> Option<(usize, u32)> {
        match self {
            Self::Wake(who, life, _)
            | Self::Deliver(who, life, ..)
            | Self::Expire(who, life, _)
            | Self::WorkActs(who, life, _)
            | Self::WorkEnds(who, life, _) => Some((*who, *life)),
            _ => None,
        }
    }
}

struct Entry {
    at: Nanos,
    order: u64,
    event: Event,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        // The earliest is the greatest, so that the heap gives it first.
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

pub(super) struct World<'a> {
    seed: u64,
    mutation: Option<Mutation>,
    log: Log<'a>,
    plan: Plan,
    random: fastrand::Rng,
    now: Nanos,
    queue: BinaryHeap<Entry>,
    order: u64,
    requests: u64,
    actors: Vec<Actor>,
    server: Server,
    fence: Fence,
    /// The number of the tenure whose token the resource saw last.
    fenced: u64,
    tally: Tally,
    broken: Option<String>,
}

impl<'a> World<'a> {
    pub(super) fn new(seed: u64, mutation: Option<Mutation>, log: Log<'a>) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let plan = Plan::draw(&mut random);
        let mut world = Self {
            seed,
            mutation,
            log,
            random,
            now: 0,
            queue: BinaryHeap::with_capacity(64),
            order: 0,
            requests: 0,
            actors: plan.candidates.iter().cloned().map(Actor::new).collect(),
            server: Server::new(mutation == Some(Mutation::NoResourceVersion)),
            fence: Fence::new(),
            fenced: 0,
            tally: Tally {
                schedules: 1,
                ..Tally::default()
            },
            broken: None,
            plan,
        };
        say!(world, "{:#?}", world.plan);
        for (at, happening) in world.plan.happenings.clone() {
            // Only what does no harm after that.
            let harmless = matches!(happening, Happening::Start(_) | Happening::Annotate);
            if at < world.plan.quiet || harmless {
                world.push(at, Event::Happen(happening));
            }
        }
        world.push(world.plan.quiet, Event::Settle);
        world
    }

    pub(super) fn run(mut self) -> Result<Tally, Violation> {
        while let Some(Entry { at, event, .. }) = self.queue.pop() {
            if at > self.plan.end {
                break;
            }
            self.now = at;
            self.tally.events += 1;
            self.handle(event);
            if self.tally.events > MOST_EVENTS {
                self.violate("it does not come to rest".to_owned());
            }
            if self.broken.is_some() {
                break;
            }
        }
        if self.broken.is_none() {
            self.now = self.plan.end;
            self.check_that_somebody_leads();
        }
        self.tally.seconds = self.plan.end / SECOND;
        match self.broken {
            None => Ok(self.tally),
            Some(what) => Err(Violation {
                seed: self.seed,
                at: Duration::from_nanos(self.now),
                what,
            }),
        }
    }

    fn push(&mut self, at: Nanos, event: Event) {
        self.order += 1;
        self.queue.push(Entry {
            at: at.max(self.now),
            order: self.order,
            event,
        });
    }

    fn violate(&mut self, what: String) {
        say!(self, "VIOLATION: {what}");
        self.broken.get_or_insert(what);
    }

    fn handle(&mut self, event: Event) {
        if let Some((who, life)) = event.process() {
            let actor = &mut self.actors[who];
            if actor.life != life {
                return;
            }
            if actor.paused {
                actor.inbox.push(event);
                return;
            }
        }
        match event {
            Event::Happen(happening) => self.happen(happening),
            Event::Settle => self.settle(),
            Event::Resume(who, life) => self.resume(who, life),
            Event::Wake(who, _, wake) => {
                if self.actors[who].wake == wake {
                    self.tick(who);
                }
            }
            Event::Arrive(who, life, id, request, answers) => {
                self.arrive(who, life, id, request, answers);
            }
            Event::Deliver(who, _, id, answer, writer) => self.deliver(who, id, answer, writer),
            Event::Expire(who, _, id) => {
                if self.actors[who].flight == Some(id) {
                    say!(self, "c{who} waits no longer");
                    self.deliver(who, id, Answer::Failed, None);
                }
            }
            Event::WorkActs(who, life, tenure) => self.work_acts(who, life, tenure),
            Event::WorkEnds(who, _, tenure) => self.work_ends(who, tenure),
            Event::Fenced(who, tenure, version) => self.fenced_write(who, tenure, &version),
            Event::Gone(who, life, number) => {
                let actor = &self.actors[who];
                let is_it = actor.tenure.as_ref().is_some_and(|t| t.number == number);
                if actor.life == life && is_it && actor.has_valid_token(self.now) {
                    self.violate(format!(
                        "c{who} still has a valid token a retry period and a request timeout after its Lease was edited"
                    ));
                }
            }
        }
    }

    fn tick(&mut self, who: usize) {
        let now = self.actors[who].clocks(self.now);
        match &mut self.actors[who].brain {
            Brain::Off => return,
            Brain::Ours(machine) => machine.tick(now),
            Brain::Rival(rival) => rival.tick(now),
        }
        self.settle_actor(who);
    }

    fn deliver(&mut self, who: usize, id: u64, answer: Answer, writer: Writer) {
        if self.actors[who].flight != Some(id) {
            return;
        }
        say!(self, "c{who} hears {}", describe(&answer));
        self.look(who, &answer, writer);
        let now = self.actors[who].clocks(self.now);
        let actor = &mut self.actors[who];
        actor.flight = None;
        match &mut actor.brain {
            Brain::Off => return,
            Brain::Ours(machine) => machine.answered(now, answer),
            Brain::Rival(rival) => rival.answered(now, answer, &mut self.random),
        }
        self.settle_actor(who);
    }

    /// Does what a candidate wants done, and sees to it that it is woken.
    fn settle_actor(&mut self, who: usize) {
        loop {
            match &mut self.actors[who].brain {
                Brain::Off => return,
                Brain::Ours(machine) => match machine.next_effect() {
                    Some(effect) => self.effect(who, effect),
                    None => break,
                },
                Brain::Rival(rival) => {
                    for order in rival.orders() {
                        self.order_of_rival(who, order);
                    }
                    break;
                }
            }
        }
        let now = self.now;
        let actor = &mut self.actors[who];
        actor.wake += 1;
        if let Some(at) = actor.wake_at() {
            let at = actor.real(at).max(now);
            let event = Event::Wake(who, actor.life, actor.wake);
            self.push(at, event);
        }
    }

    fn order_of_rival(&mut self, who: usize, order: Order) {
        match order {
            Order::Send(request, timeout) => self.send(who, request, timeout),
            Order::Led => {
                say!(self, "c{who} leads, by client-go's rules");
                self.tally.rival_tenures += 1;
            }
            Order::Exit => {
                say!(self, "c{who} lost, by client-go's rules");
                self.crash(who);
                let again = self.now + self.random.u64(SECOND / 10..5 * SECOND);
                self.push(again, Event::Happen(Happening::Start(who)));
            }
        }
    }

    fn effect(&mut self, who: usize, effect: Effect) {
        match effect {
            Effect::Send { request, timeout } => self.send(who, request, timeout),
            Effect::Started {
                version,
                valid_until,
            } => self.started(who, version, valid_until),
            Effect::Renewed { valid_until } => {
                if let Some(tenure) = &mut self.actors[who].tenure {
                    if tenure.lost {
                        self.violate(format!("c{who} renews a lease that it lost"));
                        return;
                    }
                    tenure.valid_until = valid_until;
                }
                self.check_overlap(who);
            }
            Effect::Lost(loss) => {
                say!(self, "c{who} loses: {loss:?}");
                self.tally.losses += 1;
                if let Some(tenure) = &mut self.actors[who].tenure {
                    tenure.lost = true;
                }
            }
            Effect::Cancel => self.cancel(who),
            Effect::Abort => self.abort(who),
            Effect::Stopped => {
                if self.actors[who].work.is_some() || self.actors[who].tenure.is_none() {
                    self.violate(format!(
                        "c{who} says that it stopped while work runs, or did not lead"
                    ));
                }
                self.actors[who].tenure = None;
            }
            Effect::Finished => {
                say!(self, "c{who} is done");
                if self.actors[who].work.is_some() {
                    self.violate(format!("c{who} is done while work runs"));
                }
                self.crash(who);
            }
            Effect::Leader(_) | Effect::LongLease { .. } => {}
        }
    }

    fn started(&mut self, who: usize, version: Arc<str>, valid_until: Duration) {
        self.tally.tenures += 1;
        let number = self.tally.tenures;
        say!(self, "c{who} leads with token {version}");
        if self.actors[who].work.is_some() {
            self.violate(format!("c{who} leads again while work of before runs"));
            return;
        }
        let manners = match self.random.u8(0..16) {
            0 | 1 if self.plan.unruly_work => Manners::Stubborn,
            2 if self.plan.unruly_work => Manners::Stuck,
            _ => Manners::Good,
        };
        let actor = &mut self.actors[who];
        actor.tenure = Some(Tenure {
            number,
            version,
            valid_until,
            lost: false,
            evicted: false,
        });
        actor.work = Some(Work {
            tenure: number,
            manners,
            aborted: false,
            disturbed: false,
        });
        let life = actor.life;
        let still = self
            .server
            .stored
            .as_ref()
            .is_some_and(|stored| stored.writer == Some((who, life)));
        if !still && self.plan.edits {
            // Edited while the answer was on its way.
            self.expect_end(who);
        }
        self.check_overlap(who);
        for (other, actor) in self.actors.iter().enumerate() {
            let works = actor
                .work
                .as_ref()
                .is_some_and(|work| !work.aborted && !work.disturbed);
            if other != who && works && !self.plan.edits && !self.plan.freezes {
                return self.violate(format!("c{who} leads while the work of c{other} runs"));
            }
        }
        let soon = self.now + self.random.u64(1..SECOND);
        self.push(soon, Event::WorkActs(who, life, number));
    }
}

fn describe(answer: &Answer) -> String {
    match answer {
        Answer::Found(seen) => format!("{:?} holds it as {}", seen.record.holder, seen.version),
        Answer::Written(seen) => format!("written as {}", seen.version),
        Answer::Created(seen) => format!("created as {}", seen.version),
        Answer::Missing => "it is missing".to_owned(),
        Answer::Conflict => "conflict".to_owned(),
        Answer::Refused => "an error".to_owned(),
        Answer::Failed => "nothing of use".to_owned(),
    }
}
