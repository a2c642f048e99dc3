//! What happens in one schedule, drawn from its seed.

use std::sync::Arc;
use std::time::Duration;

use crate::leader_election::timing::Timing;

/// Nanoseconds of real time, which no candidate sees.
pub(super) type Nanos = u64;

pub(super) const SECOND: Nanos = 1_000_000_000;
const MILLI: Nanos = 1_000_000;

/// The candidates' clocks and settings.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) identity: Arc<str>,
    pub(super) timing: Timing,
    /// Local nanoseconds per million real ones.
    pub(super) rate: u64,
    /// What the local clock shows at the start.
    pub(super) offset: Nanos,
    /// How far the wall clock is off, in microseconds.
    pub(super) wall_offset: i64,
    pub(super) release: bool,
    pub(super) start: Nanos,
    /// Runs client-go's algorithm.
    pub(super) rival: bool,
}

/// What people and machines do to an election.
#[derive(Clone, Copy, Debug)]
pub(super) enum Happening {
    /// The process of a candidate is gone.
    Crash(usize),
    /// It is started, anew, or for the first time.
    Start(usize),
    /// It is asked to end.
    Stop(usize),
    /// It is asked to give leadership up.
    Resign(usize),
    /// It does not run for a while; its clock does.
    Pause(usize, Nanos),
    /// Its machine does not run for a while, and neither does its clock.
    Freeze(usize, Nanos),
    /// Its requests get lost for a while.
    Partition(usize, Nanos),
    /// The answer to its next write takes nearly as long as it may, and after that its requests get lost for a while.
    SlowThenGone(usize),
    /// The server is away for a while.
    Outage(Nanos),
    /// Somebody deletes the Lease.
    Delete,
    /// Somebody empties its holder.
    RemoveHolder,
    /// Somebody makes it look released.
    ForgeRelease,
    /// Somebody enters another holder, for so many seconds.
    ReplaceHolder(i64),
    /// Somebody changes the duration to so many seconds.
    ChangeDuration(i64),
    /// Somebody changes an annotation.
    Annotate,
}

/// How the network treats requests, in parts of a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Network {
    /// The usual way takes up to that long.
    pub(super) latency: Nanos,
    pub(super) lost_request: u32,
    pub(super) lost_response: u32,
    /// Takes up to `late_by`.
    pub(super) late: u32,
    pub(super) late_by: Nanos,
    /// Arrives twice.
    pub(super) duplicate: u32,
    /// Is answered with an error.
    pub(super) error: u32,
    /// Reads see an older state.
    pub(super) stale: u32,
}

/// One schedule.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) candidates: Vec<Candidate>,
    pub(super) happenings: Vec<(Nanos, Happening)>,
    pub(super) network: Network,
    /// From then on nothing goes wrong any more.
    pub(super) quiet: Nanos,
    pub(super) end: Nanos,
    /// Somebody deletes or edits the Lease.
    pub(super) edits: bool,
    /// Nothing but edits goes wrong, so that what follows from them can be timed.
    pub(super) undisturbed: bool,
    /// Clocks stop, which only fencing helps against.
    pub(super) freezes: bool,
    /// Some processes do not run for a while.
    pub(super) pauses: bool,
    /// Annotations change all the time, to the end.
    pub(super) annotate_every: Option<Nanos>,
    /// Work does not always end when it is told to.
    pub(super) unruly_work: bool,
}

impl Plan {
    pub(super) fn draw(random: &mut fastrand::Rng) -> Self {
        let edits = random.u8(..) < 80;
        let undisturbed = edits && random.bool();
        let freezes = !edits && random.u8(..) < 16;
        let pauses = !undisturbed && random.u8(..) < 100;
        let rivals = !edits && random.u8(..) < 80;
        let mixed = !rivals && random.u8(..) < 60;
        let duplicates = !rivals && random.u8(..) < 24;
        let common = timing(random);
        let most = if random.u8(..) < 200 { 3 } else { 5 };
        let count = random.usize(2..=most);
        let mut candidates: Vec<Candidate> = (0..count)
            .map(|index| Candidate {
                identity: if duplicates && index < 2 {
                    "twin".into()
                } else {
                    format!("c{index}").into()
                },
                timing: if mixed { timing(random) } else { common },
                rate: 1_000_000,
                offset: random.u64(0..1_000 * SECOND),
                wall_offset: random.i64(-3_600_000_000..3_600_000_000),
                release: random.u8(..) < 220,
                start: if index == 0 || random.bool() {
                    random.u64(0..SECOND)
                } else {
                    random.u64(0..60 * SECOND)
                },
                rival: rivals && index > 0 && (index == 1 || random.bool()),
            })
            .collect();
        skew(&mut candidates, random);
        let longest = candidates
            .iter()
            .map(|candidate| candidate.timing.lease)
            .max()
            .unwrap_or_default();
        let longest = nanos(longest);
        let network = if undisturbed {
            Network {
                latency: 50 * MILLI,
                ..Network::default()
            }
        } else {
            network(random, &common)
        };
        let mut plan = Self {
            candidates,
            happenings: Vec::new(),
            network,
            quiet: 4 * longest + random.u64(0..3 * longest),
            end: 0,
            edits,
            undisturbed,
            freezes,
            pauses,
            // client-go's algorithm may never get a write through between such changes.
            annotate_every: (random.u8(..) < 16)
                .then(|| random.u64(nanos(common.retry) / 2..2 * nanos(common.retry)))
                .filter(|_| !rivals),
            unruly_work: random.u8(..) < 64,
        };
        let retry = plan
            .candidates
            .iter()
            .map(|candidate| nanos(candidate.timing.retry))
            .max()
            .unwrap_or_default();
        // The last holder's lease, once more for what was edited, work that is stuck, and some looks at the Lease; all on
        // a slow clock.
        plan.end = plan.quiet + (2 * longest + longest + 12 * retry) * 5 / 4 + 15 * SECOND;
        plan.draw_happenings(random, longest);
        plan
    }

    fn draw_happenings(&mut self, random: &mut fastrand::Rng, longest: Nanos) {
        for (index, candidate) in self.candidates.iter().enumerate() {
            self.happenings
                .push((candidate.start, Happening::Start(index)));
        }
        let count = random.usize(1..=8);
        for _ in 0..count {
            let at = random.u64(0..self.quiet);
            let who = random.usize(0..self.candidates.len());
            let long = random.u64(SECOND / 10..longest * 3 / 2);
            if self.edits && random.bool() {
                let seconds = i64::try_from(longest / SECOND).unwrap_or(1);
                let edit = match random.u8(0..8) {
                    0..=2 => Happening::Delete,
                    3 => Happening::RemoveHolder,
                    4 => Happening::ForgeRelease,
                    5 => Happening::ReplaceHolder(random.i64(1..=seconds)),
                    6 => Happening::ChangeDuration(random.i64(1..=seconds)),
                    _ => Happening::Annotate,
                };
                self.happenings.push((at, edit));
                // Somebody new comes who never saw the one before.
                if random.bool() {
                    let soon = at + random.u64(0..3 * SECOND);
                    self.happenings.push((soon, Happening::Crash(who)));
                    self.happenings.push((soon + 1, Happening::Start(who)));
                }
                continue;
            }
            match random.u8(0..11) {
                0 | 1 => {
                    self.happenings.push((at, Happening::Crash(who)));
                    let again = at + random.u64(0..longest);
                    self.happenings.push((again, Happening::Start(who)));
                }
                2 => {
                    self.happenings.push((at, Happening::Stop(who)));
                    let again = at + random.u64(0..longest);
                    self.happenings.push((again, Happening::Start(who)));
                }
                3 => self.happenings.push((at, Happening::Resign(who))),
                4 => self.happenings.push((at, Happening::Annotate)),
                _ if self.undisturbed => {}
                5 | 6 if self.pauses => {
                    self.happenings.push((at, Happening::Pause(who, long)));
                }
                7 if self.freezes => self.happenings.push((at, Happening::Freeze(who, long))),
                8 => self.happenings.push((at, Happening::Outage(long))),
                9 => self.happenings.push((at, Happening::SlowThenGone(who))),
                _ => self.happenings.push((at, Happening::Partition(who, long))),
            }
        }
        if let Some(every) = self.annotate_every {
            let mut at = every;
            while at < self.end {
                self.happenings.push((at, Happening::Annotate));
                at += every;
            }
        }
    }
}

/// A valid timing: mostly the default one.
fn timing(random: &mut fastrand::Rng) -> Timing {
    let seconds = Duration::from_secs_f64;
    match random.u8(0..8) {
        0..=4 => Timing::default(),
        5 => Timing {
            lease: seconds(30.0),
            renew: seconds(22.0),
            retry: seconds(4.0),
            stop: seconds(5.0),
        },
        6 => Timing {
            lease: seconds(4.0),
            renew: seconds(2.5),
            retry: seconds(0.5),
            stop: seconds(0.8),
        },
        // As tight as it may be.
        _ => Timing {
            lease: seconds(10.0),
            renew: seconds(8.0),
            retry: seconds(3.0),
            stop: seconds(1.8),
        },
    }
}

/// Clocks that run at different rates, up to what the durations of all bear.
fn skew(candidates: &mut [Candidate], random: &mut fastrand::Rng) {
    let ratio = candidates
        .iter()
        .map(|candidate| candidate.timing.tolerated_clock_ratio())
        .fold(f64::INFINITY, f64::min);
    let most = (ratio - 1.0) / (ratio + 1.0) * 0.99;
    for candidate in candidates {
        let by = match random.u8(0..4) {
            0 => 0.0,
            1 => most,
            2 => -most,
            _ => most * (random.f64() * 2.0 - 1.0),
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        {
            candidate.rate = ((1.0 + by) * 1e6) as u64;
        }
    }
}

fn network(random: &mut fastrand::Rng, timing: &Timing) -> Network {
    let mut often = |most: u32| {
        if random.bool() {
            0
        } else {
            random.u32(0..most)
        }
    };
    let mut network = Network {
        latency: 0,
        lost_request: often(150),
        lost_response: often(150),
        late: often(200),
        late_by: 0,
        duplicate: often(100),
        error: often(150),
        stale: often(50),
    };
    network.latency = [MILLI, 20 * MILLI, 300 * MILLI][random.usize(0..3)];
    network.late_by = random.u64(SECOND / 10..nanos(timing.lease));
    network
}

pub(super) fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
