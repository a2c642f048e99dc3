//! The four durations of an election, and the rules between them. Plain numbers, no I/O.

use std::time::Duration;

/// How long a lease holds after its last renewal, unless told otherwise: 15 seconds, as in client-go. A leader that crashes
/// is missed for about that long.
pub const DEFAULT_LEASE_DURATION: Duration = Duration::from_secs(15);

/// How long a leader goes on without a renewal, unless told otherwise: 10 seconds, as in client-go. It bears four failed
/// attempts at the default retry period.
pub const DEFAULT_RENEW_DEADLINE: Duration = Duration::from_secs(10);

/// How often a leader renews, unless told otherwise: 2 seconds, as in client-go. Others look after 1 to 2.2 times as long.
pub const DEFAULT_RETRY_PERIOD: Duration = Duration::from_secs(2);

/// How long the work has to end after leadership is lost, unless told otherwise: 3 seconds, which with the renew deadline
/// leaves 2 seconds of the lease, for clocks that run at different rates.
pub const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// By how much a wait between two looks at the lease may exceed the retry period, in retry periods: as in client-go, so that
/// candidates do not look all at once.
pub(super) const JITTER: f64 = 1.2;

/// The longest lease that is taken: a day. Nobody could take over before.
const MOST_LEASE_DURATION: Duration = Duration::from_secs(24 * 3600);

/// The shortest retry period that is taken: below, the elector would be a load on the server.
const LEAST_RETRY_PERIOD: Duration = Duration::from_millis(10);

/// The durations of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    /// How long others have to wait after the last renewal; whole seconds.
    pub(super) lease: Duration,
    /// How long a leader stays one without a renewal.
    pub(super) renew: Duration,
    /// How often a leader renews.
    pub(super) retry: Duration,
    /// How long the work has to end.
    pub(super) stop: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: DEFAULT_LEASE_DURATION,
            renew: DEFAULT_RENEW_DEADLINE,
            retry: DEFAULT_RETRY_PERIOD,
            stop: DEFAULT_STOP_TIMEOUT,
        }
    }
}

impl Timing {
    /// Names the setting that is wrong, and says why.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let Self {
            lease,
            renew,
            retry,
            stop,
        } = *self;
        if lease.subsec_nanos() != 0 || lease.is_zero() {
            return Err((
                "lease_duration",
                format!(
                    "{lease:?} is not one or more whole seconds, which is all that a Lease can say"
                ),
            ));
        }
        if lease > MOST_LEASE_DURATION {
            return Err(("lease_duration", format!("{lease:?} is more than a day")));
        }
        if retry < LEAST_RETRY_PERIOD {
            return Err((
                "retry_period",
                format!("{retry:?} is less than {LEAST_RETRY_PERIOD:?}"),
            ));
        }
        if retry >= lease || renew <= retry.mul_f64(JITTER) {
            return Err((
                "renew_deadline",
                format!("{renew:?} is not more than {JITTER} times the retry period, {retry:?}"),
            ));
        }
        if stop >= lease || renew >= lease || renew + stop >= lease {
            return Err((
                "renew_deadline",
                format!(
                    "{renew:?} and the stop timeout, {stop:?}, are together not less than the lease duration, {lease:?}"
                ),
            ));
        }
        Ok(())
    }

    /// By how much the clock of one candidate may run faster than that of another.
    pub(super) fn tolerated_clock_ratio(&self) -> f64 {
        self.lease.as_secs_f64() / (self.renew + self.stop).as_secs_f64()
    }

    /// The longest that one request may take.
    pub(super) fn request_timeout(&self) -> Duration {
        self.renew / 2
    }

    /// What the Lease says.
    pub(super) fn lease_seconds(&self) -> i64 {
        i64::try_from(self.lease.as_secs()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(lease: u64, renew: u64, retry: u64, stop: u64) -> Timing {
        Timing {
            lease: Duration::from_millis(lease),
            renew: Duration::from_millis(renew),
            retry: Duration::from_millis(retry),
            stop: Duration::from_millis(stop),
        }
    }

    #[test]
    fn l1_the_defaults_are_valid_and_state_their_clock_ratio() {
        let default = Timing::default();
        assert_eq!(default, timing(15_000, 10_000, 2_000, 3_000));
        assert_eq!(default.check(), Ok(()));
        assert!((default.tolerated_clock_ratio() - 15.0 / 13.0).abs() < 1e-9);
    }

    #[test]
    fn l1_what_cannot_work_is_refused_by_name() {
        for (timing, field) in [
            (timing(1_900, 1_000, 100, 100), "lease_duration"),
            (timing(0, 0, 0, 0), "lease_duration"),
            (timing(86_401_000, 10_000, 2_000, 3_000), "lease_duration"),
            (timing(15_000, 12_000, 2_000, 3_000), "renew_deadline"),
            (timing(15_000, 16_000, 2_000, 0), "renew_deadline"),
            (timing(15_000, 2_400, 2_000, 3_000), "renew_deadline"),
            (timing(15_000, 10_000, 0, 3_000), "retry_period"),
        ] {
            let (found, reason) = timing.check().unwrap_err();
            assert_eq!(found, field, "{timing:?}: {reason}");
        }
        assert_eq!(timing(15_000, 2_401, 2_000, 3_000).check(), Ok(()));
        assert_eq!(timing(15_000, 11_999, 2_000, 3_000).check(), Ok(()));
    }

    #[test]
    fn l1_durations_near_the_end_of_their_range_do_not_overflow() {
        let timing = Timing {
            lease: Duration::from_secs(10),
            renew: Duration::MAX,
            retry: Duration::MAX,
            stop: Duration::MAX,
        };
        assert!(timing.check().is_err());
    }
}
