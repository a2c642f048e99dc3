//! When the gathered changes are due: arithmetic on instants, nothing else.

use std::time::Duration;

use tokio::time::Instant;

/// The default quiet time after a change before the callback is called: long enough to gather a rollout's burst, short
/// enough to go unnoticed by a person.
pub const DEFAULT_INTERVAL: Duration = Duration::from_millis(500);

/// The default bound on how long endless churn can put a call off.
pub const DEFAULT_MAX_WAIT: Duration = Duration::from_secs(5);

/// The longest interval or bound that is taken: nobody waits longer for news, and instants stay far from overflow.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

const TOO_LONG: &str = "a duration is longer than a day";

/// How changes are gathered before a callback hears of them.
///
/// Callbacks of one watcher never overlap, whatever is chosen: while one runs, changes gather.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Debounce(Mode);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Trailing {
        interval: Duration,
        max_wait: Duration,
    },
    Leading {
        interval: Duration,
    },
    None,
}

impl Debounce {
    /// Calls once no change has come for `interval` (above zero, at most a day), but never later than [`DEFAULT_MAX_WAIT`] (or `interval`, if
    /// that is longer) after the first change gathered.
    #[must_use]
    pub const fn trailing(interval: Duration) -> Self {
        let max_wait = if interval.as_nanos() > DEFAULT_MAX_WAIT.as_nanos() {
            interval
        } else {
            DEFAULT_MAX_WAIT
        };
        Self(Mode::Trailing { interval, max_wait })
    }

    /// Calls at the first change, then at most once per `interval`; the last change is never lost. `interval` is
    /// above zero and at most a day.
    #[must_use]
    pub const fn leading(interval: Duration) -> Self {
        Self(Mode::Leading { interval })
    }

    /// Calls as soon as there is a change and no call is running.
    #[must_use]
    pub const fn none() -> Self {
        Self(Mode::None)
    }

    /// Changes the longest time a trailing debounce may put a call off; no less than the interval. Without meaning
    /// for the others.
    #[must_use]
    pub const fn max_wait(self, max_wait: Duration) -> Self {
        match self.0 {
            Mode::Trailing { interval, .. } => Self(Mode::Trailing { interval, max_wait }),
            Mode::Leading { .. } | Mode::None => self,
        }
    }

    /// What is wrong with the durations, if anything.
    pub(crate) fn check(self) -> Result<(), &'static str> {
        match self.0 {
            Mode::Trailing { interval, max_wait } if interval.max(max_wait) > LONGEST => {
                Err(TOO_LONG)
            }
            Mode::Leading { interval } if interval > LONGEST => Err(TOO_LONG),
            Mode::Trailing { interval, .. } | Mode::Leading { interval } if interval.is_zero() => {
                Err("the interval is zero; use Debounce::none() to be called at once")
            }
            Mode::Trailing { interval, max_wait } if max_wait < interval => {
                Err("max_wait is shorter than the interval")
            }
            _ => Ok(()),
        }
    }

    /// When the changes gathered since `first`, the newest of them at `last`, are due, the previous call having been
    /// made at `previous`.
    pub(crate) fn due(self, first: Instant, last: Instant, previous: Option<Instant>) -> Instant {
        match self.0 {
            Mode::Trailing { interval, max_wait } => (last + interval).min(first + max_wait),
            Mode::Leading { interval } => {
                previous.map_or(first, |previous| first.max(previous + interval))
            }
            Mode::None => first,
        }
    }
}

impl Default for Debounce {
    /// Trailing, [`DEFAULT_INTERVAL`].
    fn default() -> Self {
        Self::trailing(DEFAULT_INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn trailing_is_restarted_by_each_change() {
        let start = Instant::now();
        let debounce = Debounce::trailing(Duration::from_millis(500));
        assert_eq!(debounce.due(start, start, None), at(start, 500));
        assert_eq!(debounce.due(start, at(start, 200), None), at(start, 700));
    }

    #[test]
    fn trailing_is_never_put_off_past_max_wait() {
        let start = Instant::now();
        let debounce = Debounce::default();
        assert_eq!(debounce.due(start, at(start, 4900), None), at(start, 5000));
    }

    #[test]
    fn leading_calls_at_once_and_then_once_per_interval() {
        let start = Instant::now();
        let debounce = Debounce::leading(Duration::from_millis(500));
        assert_eq!(debounce.due(start, start, None), start);
        assert_eq!(
            debounce.due(at(start, 100), at(start, 400), Some(start)),
            at(start, 500)
        );
        assert_eq!(
            debounce.due(at(start, 900), at(start, 900), Some(start)),
            at(start, 900)
        );
    }

    #[test]
    fn durations_that_make_no_sense_are_refused() {
        assert!(Debounce::trailing(Duration::ZERO).check().is_err());
        assert!(Debounce::leading(Duration::ZERO).check().is_err());
        assert!(
            Debounce::default()
                .max_wait(Duration::from_millis(1))
                .check()
                .is_err()
        );
        assert!(Debounce::trailing(Duration::from_secs(60)).check().is_ok());
        assert!(Debounce::trailing(Duration::MAX).check().is_err());
        assert!(Debounce::leading(Duration::MAX).check().is_err());
        assert!(Debounce::default().max_wait(Duration::MAX).check().is_err());
        assert!(Debounce::none().check().is_ok());
    }
}
