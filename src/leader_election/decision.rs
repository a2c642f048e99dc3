//! What a candidate does: a state machine that is told what was answered and when, and says what to do next.
//!
//! ```text
//!   Following ── acquired ──► Leading ── lost, or asked to stop ──► Stopping ── work ended ──► Releasing ──► Following
//!       ▲                                                              │                                     or Finished
//!       └───────────────────────────── lost, work ended ───────────────┘
//! ```
//!
//! It does no I/O, reads no clock and has at most one request under way. Time is a parameter: [`Now`] has the candidate's own
//! monotonic clock, by which everything is decided, and its wall clock, which is only written into the Lease for people
//! to read. The task around it and the simulation drive the same code.

mod view;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::record::{MicroTime, Record};
use super::timing::{JITTER, Timing};
use view::{Own, View};

/// How often a release is tried before the lease is left to run out.
const RELEASE_TRIES: u8 = 3;

/// The shortest time for which a request is worth sending.
const LEAST_TIMEOUT: Duration = Duration::from_millis(1);

/// The candidate's clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// Since an arbitrary start. Never goes back, and runs while the system is suspended.
    pub(super) local: Duration,
    /// The time of day. Nothing is decided by it.
    pub(super) wall: MicroTime,
}

/// What does not change during a campaign.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Not empty.
    pub(super) identity: Arc<str>,
    /// Checked.
    pub(super) timing: Timing,
    /// Whether to empty the Lease at the end.
    pub(super) release: bool,
    /// Whether to campaign again after a loss.
    pub(super) campaign_again: bool,
}

/// A Lease as the server has it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    /// Its resource version.
    pub(super) version: Arc<str>,
    /// Its uid: another one is another Lease.
    pub(super) uid: Arc<str>,
    /// Its spec.
    pub(super) record: Record,
}

/// What to ask of the server.
#[derive(Clone, Debug)]
pub(super) enum Request {
    /// GET.
    Read,
    /// POST; succeeds only if there is none.
    Create(Record),
    /// PUT over the resource version `base`; succeeds only if that is still the current one.
    Update {
        /// The version read.
        base: Arc<str>,
        /// The new spec.
        record: Record,
    },
}

/// What the server said.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// To a read.
    Found(Seen),
    /// There is no such Lease.
    Missing,
    /// To a write: it was done.
    Written(Seen),
    /// To an update: it was done, but there had been no such Lease, so that it was created.
    Created(Seen),
    /// To a write: the Lease is another than it was made for.
    Conflict,
    /// The server said something else, such as that it does not create what was to be updated.
    Refused,
    /// No answer in time, or one that leaves open what became of the request.
    Failed,
}

/// Why leadership ended without being asked to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// No renewal was acknowledged before the renew deadline.
    Deadline,
    /// Somebody else holds the Lease; nobody, if the identity is empty.
    Taken(Arc<str>),
    /// The Lease is gone, or is another one of the same name.
    Missing,
    /// The Lease names this candidate, but it was not this candidate who wrote that.
    Foreign,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadline => f.write_str("the lease was not renewed in time"),
            Self::Taken(holder) if holder.is_empty() => f.write_str("the holder was removed"),
            Self::Taken(holder) => write!(f, "{holder:?} holds the lease"),
            Self::Missing => f.write_str("the Lease was deleted or replaced"),
            Self::Foreign => f.write_str("the Lease was changed by somebody else"),
        }
    }
}

/// What the machine wants done, in order.
#[derive(Clone, Debug)]
pub(super) enum Effect {
    /// Send this, wait at most `timeout` for the answer, and tell [`Machine::answered`].
    Send {
        /// What to send.
        request: Request,
        /// How long to wait.
        timeout: Duration,
    },
    /// Leadership begins: start the work, with a token of this resource version, valid until then.
    Started {
        /// Of the write that acquired the Lease.
        version: Arc<str>,
        /// By the local clock.
        valid_until: Duration,
    },
    /// The token is valid for longer.
    Renewed {
        /// By the local clock.
        valid_until: Duration,
    },
    /// The token is invalid from now on.
    Lost(Loss),
    /// Ask the work to end, and tell [`Machine::work_ended`] when it has; at once, if there is none.
    Cancel,
    /// The work has had its time: end it by force.
    Abort,
    /// Leadership is over and no work is left. The token is invalid.
    Stopped,
    /// Another leader is known, or none.
    Leader(Option<Arc<str>>),
    /// A holder claims an unusually long lease, which is respected.
    LongLease {
        /// Whose it is.
        holder: Arc<str>,
        /// How long it is.
        duration: Duration,
    },
    /// There is nothing left to do.
    Finished,
}

/// Deliberate mistakes, which the simulation has to catch. Outside of tests there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Judges expiry by the wall clock and the holder's `renewTime`.
    WallClock,
    /// Counts validity from the response instead of the request.
    ValidityFromResponse,
    /// Goes on when it sees another holder.
    NoEarlyStop,
    /// Releases while work still runs.
    EarlyRelease,
    /// Takes a foreign lease for as short as its own.
    ShortenedDuration,
    /// Takes a record for its own because it has its identity.
    TrustedIdentity,
    /// Creates a Lease that is missing although it knows of a holder.
    HastyCreate,
    /// Campaigns again while work still runs.
    EarlyCampaign,
    /// Does not stop at the renew deadline.
    NoDeadline,
    /// Takes any change of the Lease for a renewal.
    AnyChangeRenews,
}

/// One candidate.
#[derive(Debug)]
pub(super) struct Machine {
    settings: Settings,
    random: fastrand::Rng,
    state: State,
    flight: Option<Flight>,
    /// When the next request is to be sent, if none is under way.
    due: Duration,
    /// Conflicts since something last went well.
    conflicts: u32,
    view: View,
    own: Own,
    /// Of the last write, so that no two are equal.
    last_stamp: MicroTime,
    effects: VecDeque<Effect>,
    #[cfg(test)]
    pub(super) flaw: Option<Flaw>,
}

#[derive(Debug)]
enum State {
    Following,
    Leading(Tenure),
    Stopping {
        /// While the lease is still renewed, for work that winds up.
        tenure: Option<Tenure>,
        stop_by: Duration,
        aborted: bool,
        /// Whether to empty the Lease afterwards.
        release: bool,
        then: Then,
    },
    Releasing {
        tries: u8,
        until: Duration,
        then: Then,
    },
    Finished,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Campaign,
    Finish,
}

/// A lease that is held.
#[derive(Debug)]
struct Tenure {
    held: Seen,
    valid_until: Duration,
    /// After a conflict: look before the next write.
    look: bool,
}

#[derive(Debug)]
struct Flight {
    kind: Kind,
    sent: Duration,
}

#[derive(Debug)]
enum Kind {
    Read,
    Acquisition(Record),
    Renewal(Record),
    Release,
}

impl Machine {
    pub(super) fn new(settings: Settings, seed: u64) -> Self {
        Self {
            settings,
            random: fastrand::Rng::with_seed(seed),
            state: State::Following,
            flight: None,
            due: Duration::ZERO,
            conflicts: 0,
            view: View::default(),
            own: Own::default(),
            last_stamp: MicroTime::from_micros(i64::MIN),
            effects: VecDeque::new(),
            #[cfg(test)]
            flaw: None,
        }
    }

    /// What to do next; to be asked until there is nothing, after every other call.
    pub(super) fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Machine::tick`] is to be called at the latest, by the local clock.
    pub(super) fn wake(&self) -> Option<Duration> {
        let due = self.flight.is_none().then_some(self.due);
        match &self.state {
            State::Following | State::Releasing { .. } => due,
            State::Leading(_) if self.has(Flaw::NoDeadline) => due,
            State::Leading(tenure) => earliest(due, Some(tenure.valid_until)),
            State::Stopping {
                tenure,
                stop_by,
                aborted,
                ..
            } => {
                let stop_by = (!aborted).then_some(*stop_by);
                match tenure {
                    Some(tenure) => earliest(earliest(due, Some(tenure.valid_until)), stop_by),
                    None => stop_by,
                }
            }
            State::Finished => None,
        }
    }

    /// Whether a token that was given out is valid as far as the machine knows.
    pub(super) fn is_leading(&self) -> bool {
        matches!(self.state, State::Leading(_))
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Now) {
        self.expire(now);
        self.proceed(now);
    }

    /// Ends the campaign: the work is asked to end, the Lease is emptied, and then it is over.
    pub(super) fn stop(&mut self, now: Now) {
        self.expire(now);
        match &mut self.state {
            State::Following => {
                // An acquisition under way, or one of unknown outcome, may have made us the holder.
                let acquiring = match &self.flight {
                    Some(flight) => matches!(flight.kind, Kind::Acquisition(_)),
                    None => self.own.has_pending(),
                };
                if self.settings.release && acquiring {
                    self.begin_release(now, Then::Finish);
                } else {
                    self.finish();
                }
            }
            State::Leading(_) => self.step_down(now, Then::Finish),
            State::Stopping { then, .. } | State::Releasing { then, .. } => *then = Then::Finish,
            State::Finished => {}
        }
        self.proceed(now);
    }

    /// Gives leadership up, to campaign again later.
    pub(super) fn resign(&mut self, now: Now) {
        self.expire(now);
        if self.is_leading() {
            self.step_down(now, Then::Campaign);
        }
        self.proceed(now);
    }

    /// The work has ended after it was asked to.
    pub(super) fn work_ended(&mut self, now: Now) {
        self.expire(now);
        if let State::Stopping { release, then, .. } = self.state {
            self.effects.push_back(Effect::Stopped);
            if release || (then == Then::Finish && self.settings.release) {
                self.begin_release(now, then);
            } else {
                self.end(now, then);
            }
        }
        self.proceed(now);
    }

    /// The request under way was answered, or will not be.
    pub(super) fn answered(&mut self, now: Now, answer: Answer) {
        let Some(flight) = self.flight.take() else {
            return;
        };
        // What ran out while the answer was on its way has run out, even if the answer says otherwise: an invalid token
        // never becomes valid again.
        self.expire(now);
        match &answer {
            Answer::Found(seen) | Answer::Written(seen) | Answer::Created(seen) => {
                self.observe(now, Some(seen.clone()));
            }
            Answer::Missing => self.observe(now, None),
            Answer::Conflict | Answer::Refused | Answer::Failed => {}
        }
        match &self.state {
            State::Following => self.answered_following(now, flight, answer),
            State::Leading(_)
            | State::Stopping {
                tenure: Some(_), ..
            } => {
                self.answered_holding(now, flight, answer);
            }
            State::Releasing { .. } => self.answered_releasing(now, &flight, answer),
            State::Stopping { tenure: None, .. } | State::Finished => {}
        }
        self.proceed(now);
    }

    fn answered_following(&mut self, now: Now, flight: Flight, answer: Answer) {
        let retry_after_conflict = |machine: &mut Self| now.local + machine.conflict_delay();
        self.due = match (flight.kind, answer) {
            (Kind::Read, Answer::Found(_) | Answer::Missing) => {
                if self.is_free(now) {
                    return self.acquire(now);
                }
                self.conflicts = 0;
                now.local + self.poll_interval()
            }
            (Kind::Acquisition(record), Answer::Written(seen) | Answer::Created(seen))
                if seen.record == record =>
            {
                self.conflicts = 0;
                let valid_until = self.validity(flight.sent, now);
                if valid_until > now.local {
                    self.begin(flight.sent, seen, valid_until);
                    return;
                }
                // Acknowledged too late to be of use: acquire once more.
                now.local
            }
            (Kind::Acquisition(_), Answer::Conflict | Answer::Missing) => {
                retry_after_conflict(self)
            }
            _ => now.local + self.poll_interval(),
        };
    }

    fn answered_holding(&mut self, now: Now, flight: Flight, answer: Answer) {
        let retry = self.settings.timing.retry;
        let delay = match &answer {
            Answer::Conflict | Answer::Refused => self.conflict_delay(),
            _ => Duration::ZERO,
        };
        let valid_until = self.validity(flight.sent, now);
        let identity = Arc::clone(&self.settings.identity);
        let (State::Leading(tenure)
        | State::Stopping {
            tenure: Some(tenure),
            ..
        }) = &mut self.state
        else {
            return;
        };
        let is_same = |seen: &Seen| seen.uid == tenure.held.uid;
        match (flight.kind, answer) {
            (Kind::Renewal(record), Answer::Written(seen))
                if is_same(&seen) && seen.record == record =>
            {
                tenure.held = seen;
                tenure.valid_until = tenure.valid_until.max(valid_until);
                let valid_until = tenure.valid_until;
                self.due = flight.sent + retry;
                self.conflicts = 0;
                self.effects.push_back(Effect::Renewed { valid_until });
            }
            (Kind::Read, Answer::Found(seen))
                if is_same(&seen) && seen.record == tenure.held.record =>
            {
                // Only metadata differs, or nothing: write again, over the version read. At once: if there is to be a pause,
                // it is before the read.
                tenure.held = seen;
                tenure.look = false;
                self.due = now.local;
            }
            (Kind::Read, Answer::Found(seen))
                if is_same(&seen) && self.own.sent(&seen).is_some() =>
            {
                // A write whose answer was lost has been done: it counts from when it was sent.
                let sent = self.own.sent(&seen).unwrap_or_default();
                tenure.held = seen;
                tenure.look = false;
                let until = sent + self.settings.timing.renew;
                tenure.valid_until = tenure.valid_until.max(until);
                let valid_until = tenure.valid_until;
                self.due = now.local.max(sent + retry);
                self.effects.push_back(Effect::Renewed { valid_until });
            }
            (_, Answer::Found(seen) | Answer::Written(seen)) if is_same(&seen) => {
                if self.has(Flaw::NoEarlyStop) {
                    self.due = now.local + retry;
                    return;
                }
                let holder = seen.record.holder;
                let loss = if holder == identity {
                    Loss::Foreign
                } else {
                    Loss::Taken(holder)
                };
                self.lose(now, loss);
            }
            (_, Answer::Found(_) | Answer::Written(_) | Answer::Created(_) | Answer::Missing) => {
                if self.has(Flaw::NoEarlyStop) {
                    self.due = now.local + retry;
                    return;
                }
                self.lose(now, Loss::Missing);
            }
            // A server that is asked to update a Lease that is gone says so in many ways: look.
            (
                Kind::Renewal(_) | Kind::Acquisition(_) | Kind::Release,
                Answer::Conflict | Answer::Refused,
            ) => {
                tenure.look = true;
                self.due = now.local + delay;
            }
            (_, Answer::Conflict | Answer::Refused | Answer::Failed) => {
                self.due = now.local.max(flight.sent + retry);
            }
        }
    }

    fn answered_releasing(&mut self, now: Now, flight: &Flight, answer: Answer) {
        let pause = self.settings.timing.retry / 4;
        let wrote = match &answer {
            Answer::Found(seen) => self.own.sent(seen).is_some() && !seen.record.holder.is_empty(),
            _ => false,
        };
        let State::Releasing { tries, then, .. } = &mut self.state else {
            return;
        };
        let then = *then;
        match (&flight.kind, answer) {
            (Kind::Read, Answer::Found(seen)) if wrote => self.send_release(now, &seen),
            (Kind::Read, Answer::Found(_) | Answer::Missing)
            | (Kind::Release, Answer::Written(_) | Answer::Created(_) | Answer::Missing) => {
                self.end(now, then);
            }
            (Kind::Read, _) | (Kind::Release, Answer::Failed) => {
                *tries = tries.saturating_sub(1);
                self.due = now.local + pause;
            }
            (Kind::Release, _) => {
                *tries = tries.saturating_sub(1);
                self.due = now.local;
            }
            // A write of before has ended: now look what became of it.
            (Kind::Acquisition(_) | Kind::Renewal(_), _) => self.due = now.local,
        }
    }

    /// Stops what has run out.
    fn expire(&mut self, now: Now) {
        let ended = match &mut self.state {
            State::Leading(tenure) => now.local >= tenure.valid_until,
            State::Stopping {
                tenure,
                stop_by,
                aborted,
                ..
            } => {
                if !*aborted && now.local >= *stop_by {
                    *aborted = true;
                    self.effects.push_back(Effect::Abort);
                }
                // Renewing for work that does not end would keep everyone waiting for it.
                tenure
                    .as_ref()
                    .is_some_and(|tenure| *aborted || now.local >= tenure.valid_until)
            }
            _ => false,
        };
        if ended && !self.has(Flaw::NoDeadline) {
            self.lose(now, Loss::Deadline);
        }
    }

    /// Sends what is due.
    fn proceed(&mut self, now: Now) {
        if self.flight.is_some() || now.local < self.due {
            return;
        }
        match &self.state {
            State::Following => self.send(now, Kind::Read, Request::Read, self.timeout()),
            State::Leading(tenure)
            | State::Stopping {
                tenure: Some(tenure),
                ..
            } => {
                // Less than what is left, so that the answer can still be of use.
                let mut left = tenure
                    .valid_until
                    .saturating_sub(now.local + LEAST_TIMEOUT)
                    .min(self.timeout());
                if self.has(Flaw::NoDeadline) {
                    left = self.timeout();
                }
                if left < LEAST_TIMEOUT {
                    self.due = tenure.valid_until;
                } else if tenure.look {
                    self.send(now, Kind::Read, Request::Read, left);
                } else {
                    let mut record = tenure.held.record.clone();
                    let base = Arc::clone(&tenure.held.version);
                    let uid = Arc::clone(&tenure.held.uid);
                    record.renewed = Some(self.stamp(now));
                    self.own.writing(now.local, Some(uid), record.clone());
                    let request = Request::Update {
                        base,
                        record: record.clone(),
                    };
                    self.send(now, Kind::Renewal(record), request, left);
                }
            }
            State::Releasing { tries, until, then } => {
                if *tries == 0 || now.local >= *until {
                    self.end(now, *then);
                } else {
                    self.send(now, Kind::Read, Request::Read, self.timeout());
                }
            }
            State::Stopping { tenure: None, .. } | State::Finished => {}
        }
    }

    fn acquire(&mut self, now: Now) {
        let stamp = self.stamp(now);
        let before = self.view.current();
        let record = Record {
            holder: Arc::clone(&self.settings.identity),
            seconds: Some(self.settings.timing.lease_seconds()),
            acquired: Some(stamp),
            renewed: Some(stamp),
            transitions: before.map_or(0, |seen| seen.record.transitions.saturating_add(1)),
            other: before.and_then(|seen| seen.record.kept()),
        };
        let uid = before.map(|seen| Arc::clone(&seen.uid));
        let request = match before {
            None => Request::Create(record.clone()),
            Some(seen) => Request::Update {
                base: Arc::clone(&seen.version),
                record: record.clone(),
            },
        };
        self.own.writing(now.local, uid, record.clone());
        self.send(now, Kind::Acquisition(record), request, self.timeout());
    }

    /// Empties the Lease as client-go does: no holder, and one second, so that nobody waits.
    fn send_release(&mut self, now: Now, seen: &Seen) {
        let stamp = self.stamp(now);
        let record = Record {
            holder: "".into(),
            seconds: Some(1),
            acquired: Some(stamp),
            renewed: Some(stamp),
            transitions: seen.record.transitions,
            other: seen.record.kept(),
        };
        self.own
            .writing(now.local, Some(Arc::clone(&seen.uid)), record.clone());
        let base = Arc::clone(&seen.version);
        let request = Request::Update { base, record };
        self.send(now, Kind::Release, request, self.timeout());
    }

    fn send(&mut self, now: Now, kind: Kind, request: Request, timeout: Duration) {
        self.flight = Some(Flight {
            kind,
            sent: now.local,
        });
        self.effects.push_back(Effect::Send { request, timeout });
    }

    fn begin(&mut self, sent: Duration, seen: Seen, valid_until: Duration) {
        let version = Arc::clone(&seen.version);
        self.due = sent + self.settings.timing.retry;
        self.state = State::Leading(Tenure {
            held: seen,
            valid_until,
            look: false,
        });
        self.effects.push_back(Effect::Started {
            version,
            valid_until,
        });
    }

    /// Asks the work to end; the lease is renewed until it has.
    fn step_down(&mut self, now: Now, then: Then) {
        let State::Leading(tenure) = std::mem::replace(&mut self.state, State::Following) else {
            return;
        };
        self.effects.push_back(Effect::Cancel);
        if self.has(Flaw::EarlyRelease) {
            return self.begin_release(now, then);
        }
        self.state = State::Stopping {
            tenure: Some(tenure),
            stop_by: now.local + self.settings.timing.stop,
            aborted: false,
            release: self.settings.release,
            then,
        };
    }

    fn lose(&mut self, now: Now, loss: Loss) {
        match &mut self.state {
            State::Leading(_) => {
                let then = if self.settings.campaign_again {
                    Then::Campaign
                } else {
                    Then::Finish
                };
                self.state = State::Stopping {
                    tenure: None,
                    stop_by: now.local + self.settings.timing.stop,
                    aborted: false,
                    release: false,
                    then,
                };
                self.effects.push_back(Effect::Lost(loss));
                self.effects.push_back(Effect::Cancel);
                if self.has(Flaw::EarlyCampaign) {
                    self.end(now, then);
                }
            }
            State::Stopping { tenure, .. } if tenure.is_some() => {
                *tenure = None;
                self.effects.push_back(Effect::Lost(loss));
            }
            _ => {}
        }
    }

    fn begin_release(&mut self, now: Now, then: Then) {
        self.due = now.local;
        self.state = State::Releasing {
            tries: RELEASE_TRIES,
            until: now.local + self.timeout(),
            then,
        };
    }

    fn end(&mut self, now: Now, then: Then) {
        match then {
            Then::Campaign => {
                self.state = State::Following;
                self.due = now.local + self.poll_interval();
            }
            Then::Finish => self.finish(),
        }
    }

    fn finish(&mut self) {
        self.flight = None;
        self.state = State::Finished;
        self.effects.push_back(Effect::Finished);
    }

    /// Takes in what was read or written.
    fn observe(&mut self, now: Now, seen: Option<Seen>) {
        let wrote = seen.as_ref().is_some_and(|seen| {
            self.own.sent(seen).is_some()
                || (self.has(Flaw::TrustedIdentity) && seen.record.holder == self.settings.identity)
        });
        if let Some(seen) = &seen {
            self.own.confirm(seen);
        }
        let (own_lease, flaw) = (self.settings.timing.lease, self.flaw());
        let news = self.view.observe(now, seen, wrote, own_lease, flaw);
        self.effects.extend(news.leader.map(Effect::Leader));
        self.effects.extend(news.long);
    }

    fn is_free(&self, now: Now) -> bool {
        self.view.is_free(now.local)
    }

    /// Until when a write that was sent then and acknowledged now makes the lease ours.
    fn validity(&self, sent: Duration, now: Now) -> Duration {
        let from = if self.has(Flaw::ValidityFromResponse) {
            now.local
        } else {
            sent
        };
        from + self.settings.timing.renew
    }

    /// A time for the Lease, later than that of any write before, so that no two writes are equal.
    fn stamp(&mut self, now: Now) -> MicroTime {
        let next = MicroTime::from_micros(self.last_stamp.micros().saturating_add(1));
        self.last_stamp = now.wall.max(next);
        self.last_stamp
    }

    fn timeout(&self) -> Duration {
        self.settings.timing.request_timeout()
    }

    fn poll_interval(&mut self) -> Duration {
        let retry = self.settings.timing.retry;
        retry + retry.mul_f64(JITTER * self.random.f64())
    }

    /// The first conflict is looked into at once; who meets one after the other steps back.
    fn conflict_delay(&mut self) -> Duration {
        self.conflicts = self.conflicts.saturating_add(1);
        let retry = self.settings.timing.retry;
        match self.conflicts {
            1 => Duration::ZERO,
            more => (retry / 16)
                .saturating_mul(1 << (more - 2).min(8))
                .min(retry),
        }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw() == Some(flaw)
    }

    #[cfg(test)]
    fn flaw(&self) -> Option<Flaw> {
        self.flaw
    }

    #[cfg(not(test))]
    #[allow(clippy::unused_self)]
    fn flaw(&self) -> Option<Flaw> {
        None
    }
}

fn earliest(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests;
