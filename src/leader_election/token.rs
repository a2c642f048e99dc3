//! What the leader's work holds: a fencing token that knows until when it is valid.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::clock::Clock;
use super::decision::Loss;

/// Proof of leadership, for one time of being the leader. Cloning is a reference count.
///
/// Its text, [`FencingToken::as_str`], is the resource version of the write that acquired the Lease: of two leaders, the later
/// one has the greater. Send it with every write to a resource that compares it ([`Fence`](super::Fence)), and such a
/// resource cannot be changed by a leader that does not know yet that it is none any more.
///
/// Ask [`FencingToken::check`] right before each step that must not be done twice. It reads a clock that runs while the
/// system is suspended, so that a process that has slept learns it before it acts. Between the check and the effect
/// of the step time can still pass: against that only the comparison in the resource helps.
#[derive(Clone)]
pub struct FencingToken {
    shared: Arc<Shared>,
}

struct Shared {
    lease: Arc<str>,
    lease_uid: Arc<str>,
    version: Arc<str>,
    clock: Arc<dyn Clock>,
    /// Nanoseconds of the clock.
    valid_until: AtomicU64,
    end: Mutex<Option<End>>,
    cancel: CancellationToken,
    guards: TaskTracker,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Lost(Loss),
    Stopped,
}

/// Why a token is not valid any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fencing token {token} of lease {lease} is not valid any more: {}", self.reason())]
pub struct TokenError {
    token: Arc<str>,
    lease: Arc<str>,
    end: End,
}

impl TokenError {
    /// How leadership was lost; none if it was given up.
    pub fn loss(&self) -> Option<Loss> {
        match &self.end {
            End::Lost(loss) => Some(loss.clone()),
            End::Stopped => None,
        }
    }

    fn reason(&self) -> String {
        match self.loss() {
            None => "leadership was given up".to_owned(),
            Some(loss) => loss.to_string(),
        }
    }
}

/// Keeps the lease from being released, and the candidate from campaigning again, until it is dropped.
///
/// For work that the elector does not see, such as a blocking thread. It does not keep the token valid: work that outlives
/// its token makes the health check fail.
#[derive(Debug)]
#[must_use]
pub struct WorkGuard {
    _token: TaskTrackerToken,
}

impl FencingToken {
    pub(super) fn new(
        lease: Arc<str>,
        lease_uid: Arc<str>,
        version: Arc<str>,
        clock: Arc<dyn Clock>,
        valid_until: Duration,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                lease,
                lease_uid,
                version,
                clock,
                valid_until: AtomicU64::new(nanos(valid_until)),
                end: Mutex::new(None),
                cancel: CancellationToken::new(),
                guards: TaskTracker::new(),
            }),
        }
    }

    /// The token to send with writes: a resource version.
    pub fn as_str(&self) -> &str {
        &self.shared.version
    }

    /// The uid of the Lease. Tokens of Leases with different uids may be of different clusters, and then neither is the
    /// later one.
    pub fn lease_uid(&self) -> &str {
        &self.shared.lease_uid
    }

    /// Whether the candidate is certain to be the leader at this moment.
    ///
    /// # Errors
    /// When it is not, and why. A token that was invalid once is never valid again.
    pub fn check(&self) -> Result<(), TokenError> {
        let mut end = self.shared.end.lock();
        if end.is_none() && !self.left().is_zero() {
            return Ok(());
        }
        // Once it was said, it stays so, even if a renewal is acknowledged at this moment.
        let end = end.get_or_insert(End::Lost(Loss::Deadline)).clone();
        Err(TokenError {
            token: Arc::clone(&self.shared.version),
            lease: Arc::clone(&self.shared.lease),
            end,
        })
    }

    /// For how long it is valid if the lease is not renewed any more.
    pub fn remaining(&self) -> Duration {
        if self.shared.end.lock().is_some() {
            return Duration::ZERO;
        }
        self.left()
    }

    fn left(&self) -> Duration {
        let until = Duration::from_nanos(self.shared.valid_until.load(Ordering::Acquire));
        until.saturating_sub(self.shared.clock.now())
    }

    /// Completes when the work has to end: leadership is lost, or to be given up. Work then has the stop timeout to do
    /// so. While it is given up, the token stays valid until the work has ended.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn cancelled(&self) {
        self.shared.cancel.cancelled().await;
    }

    /// Whether the work has to end.
    pub fn is_cancelled(&self) -> bool {
        self.shared.cancel.is_cancelled()
    }

    /// The same as a [`CancellationToken`], to be handed on. Cancelling it cancels nothing here.
    #[must_use]
    pub fn cancellation_token(&self) -> CancellationToken {
        self.shared.cancel.child_token()
    }

    /// Makes the elector wait for work that it does not see.
    pub fn guard(&self) -> WorkGuard {
        WorkGuard {
            _token: self.shared.guards.token(),
        }
    }

    pub(super) fn renew(&self, valid_until: Duration) {
        self.shared
            .valid_until
            .store(nanos(valid_until), Ordering::Release);
    }

    pub(super) fn lose(&self, loss: Loss) {
        self.shared.end.lock().get_or_insert(End::Lost(loss));
    }

    pub(super) fn stop(&self) {
        self.shared.end.lock().get_or_insert(End::Stopped);
    }

    /// Whether leadership was lost, and not given up.
    pub(super) fn is_lost(&self) -> bool {
        matches!(*self.shared.end.lock(), Some(End::Lost(_)))
    }

    pub(super) fn cancel(&self) {
        self.shared.cancel.cancel();
        self.shared.guards.close();
    }

    /// Completes when it is cancelled and no guard is left.
    pub(super) async fn unguarded(&self) {
        self.shared.guards.wait().await;
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FencingToken")
            .field("token", &self.shared.version)
            .field("lease", &self.shared.lease)
            .field("remaining", &self.remaining())
            .finish()
    }
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Shown(Mutex<Duration>);

    impl Clock for Shown {
        fn now(&self) -> Duration {
            *self.0.lock()
        }
    }

    #[test]
    fn l10_a_token_that_was_found_invalid_is_never_valid_again() {
        let clock = Arc::new(Shown(Mutex::new(Duration::from_secs(1))));
        let until = Duration::from_secs(10);
        let shown = Arc::clone(&clock);
        let token = FencingToken::new("ns/name".into(), "uid".into(), "5".into(), shown, until);
        assert_eq!(token.remaining(), Duration::from_secs(9));
        token.check().unwrap();
        *clock.0.lock() = until;
        let error = token.check().unwrap_err();
        assert_eq!(error.loss(), Some(Loss::Deadline));
        assert!(error.to_string().contains("ns/name"), "{error}");
        token.renew(until * 2);
        assert!(token.check().is_err() && token.is_lost() && token.remaining().is_zero());
    }
}
