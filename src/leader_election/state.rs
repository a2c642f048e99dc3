//! What others see of an elector: its role, the leader, and its health.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::clock::Clock;
use super::token::{FencingToken, nanos};

/// How late an elector's loop, or the end of work, may be before the health check fails: 5 seconds. A busy node delays
/// tasks by less; a probe that fails once does not restart a pod by default.
pub const HEALTH_TOLERANCE: Duration = Duration::from_secs(5);

/// How often an elector looks at its clock at the least: each second. Timers do not run while the system is suspended, the
/// clock does.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// What a candidate is at a moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Role {
    /// It campaigns.
    Following,
    /// It is the leader; the token says until when that is certain.
    Leading(FencingToken),
    /// It was the leader, and its work is ending.
    Stopping,
    /// It does not campaign any more.
    Stopped,
}

/// The state of an election as a candidate sees it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Leadership {
    /// What this candidate is.
    pub role: Role,
    /// Who holds the Lease, as far as is known; none if it is free or there is none. It may have run out.
    pub leader: Option<Arc<str>>,
}

impl Leadership {
    /// The token of a leader that is certain to be one at this moment.
    pub fn token(&self) -> Option<&FencingToken> {
        match &self.role {
            Role::Leading(token) if token.check().is_ok() => Some(token),
            _ => None,
        }
    }

    /// Whether this candidate is certain to be the leader at this moment.
    pub fn is_leading(&self) -> bool {
        self.token().is_some()
    }

    /// Whether it has ended.
    pub fn is_stopped(&self) -> bool {
        matches!(self.role, Role::Stopped)
    }
}

/// Why an elector is not healthy: its process should be restarted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unhealthy {
    /// The loop does not run: the runtime is blocked.
    #[error("leader election on {lease} has not run for {silent:?}")]
    Stalled {
        /// Which Lease.
        lease: Arc<str>,
        /// For how long.
        silent: Duration,
    },
    /// Work still runs although its time is over.
    #[error("work of the leader of {lease} still runs {late:?} after it had to end")]
    WorkOutlivesToken {
        /// Which Lease.
        lease: Arc<str>,
        /// For how long.
        late: Duration,
    },
    /// The task ended without being asked to.
    #[error("leader election on {lease} has ended without being asked to")]
    Ended {
        /// Which Lease.
        lease: Arc<str>,
    },
}

/// Tells a liveness probe whether an elector does what it should. Cheap to clone; works from any thread, also when the
/// runtime is blocked.
#[derive(Clone)]
pub struct Health {
    shared: Arc<Shared>,
}

struct Shared {
    lease: Arc<str>,
    clock: Arc<dyn Clock>,
    /// When the loop last ran, in nanoseconds of the clock.
    beat: AtomicU64,
    /// By when the work has to have ended; the greatest value if there is none.
    work_by: AtomicU64,
    ended: AtomicBool,
    orderly: AtomicBool,
}

impl Health {
    pub(super) fn new(lease: Arc<str>, clock: Arc<dyn Clock>) -> Self {
        let beat = AtomicU64::new(nanos(clock.now()));
        Self {
            shared: Arc::new(Shared {
                lease,
                clock,
                beat,
                work_by: AtomicU64::new(u64::MAX),
                ended: AtomicBool::new(false),
                orderly: AtomicBool::new(false),
            }),
        }
    }

    /// Whether all is well. Following is, and so is being unable to reach the server: a restart would not help.
    ///
    /// # Errors
    /// When the loop has stalled, or work runs past the end of its token, for more than [`HEALTH_TOLERANCE`]; or when
    /// the task has ended otherwise than by a shutdown. Right after the system was suspended it can fail once.
    pub fn check(&self) -> Result<(), Unhealthy> {
        let Shared {
            lease,
            clock,
            beat,
            work_by,
            ended,
            orderly,
        } = &*self.shared;
        let now = nanos(clock.now());
        let tolerance = nanos(HEALTH_TOLERANCE);
        let work_by = work_by.load(Ordering::Acquire);
        if now.saturating_sub(work_by) > tolerance {
            return Err(Unhealthy::WorkOutlivesToken {
                lease: Arc::clone(lease),
                late: Duration::from_nanos(now - work_by),
            });
        }
        if ended.load(Ordering::Acquire) {
            if orderly.load(Ordering::Acquire) {
                return Ok(());
            }
            return Err(Unhealthy::Ended {
                lease: Arc::clone(lease),
            });
        }
        let silent = now.saturating_sub(beat.load(Ordering::Acquire));
        if silent > tolerance + nanos(TICK) {
            return Err(Unhealthy::Stalled {
                lease: Arc::clone(lease),
                silent: Duration::from_nanos(silent),
            });
        }
        Ok(())
    }

    pub(super) fn beat(&self, now: Duration) {
        self.shared.beat.store(nanos(now), Ordering::Release);
    }

    /// By when work has to have ended.
    pub(super) fn work_by(&self, by: Option<Duration>) {
        let by = by.map_or(u64::MAX, nanos);
        self.shared.work_by.store(by, Ordering::Release);
    }

    /// The task has ended; in order if it was asked to, or dropped by its owner.
    pub(super) fn ended(&self, orderly: bool) {
        self.shared.orderly.fetch_or(orderly, Ordering::AcqRel);
        self.shared.ended.store(true, Ordering::Release);
    }
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Health({}: {:?})", self.shared.lease, self.check())
    }
}
