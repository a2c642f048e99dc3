//! How long to wait after a failure: exponential, with full jitter.

use std::time::Duration;

/// The bound of the first wait: that of client-go's reflector.
const FIRST: Duration = Duration::from_millis(800);

/// The bound that no wait exceeds, however many failures there were: 30 s keeps an ailing server's load to some
/// requests per minute and watcher, and recovery within half a minute.
const MOST: Duration = Duration::from_secs(30);

/// The longest `Retry-After` that is honoured; a server that asks for more is asked again after this.
const MOST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Counts failures in a row. Only progress resets it; starting an attempt does not.
#[derive(Debug, Default)]
pub(in crate::watcher) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Counts one more failure and says how long to wait: a share `jitter` in `0.0..1.0` of the bound, which doubles
    /// with each failure; at least what the server asked for, capped.
    pub(in crate::watcher) fn fail(
        &mut self,
        jitter: f64,
        retry_after: Option<Duration>,
    ) -> Duration {
        let bound = FIRST.saturating_mul(1 << self.failures.min(16)).min(MOST);
        self.failures = self.failures.saturating_add(1);
        let wait = bound.mul_f64(jitter.clamp(0.0, 1.0));
        retry_after.map_or(wait, |asked| wait.max(asked.min(MOST_RETRY_AFTER)))
    }

    /// Notes progress.
    pub(in crate::watcher) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_the_bound_and_start_over_after_progress() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..8)
            .map(|_| backoff.fail(1.0, None).as_millis())
            .collect();
        assert_eq!(
            waits,
            [800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]
        );
        backoff.reset();
        assert_eq!(backoff.fail(1.0, None).as_millis(), 800);
    }

    #[test]
    fn jitter_is_full() {
        assert_eq!(Backoff::default().fail(0.0, None), Duration::ZERO);
        assert_eq!(Backoff::default().fail(0.5, None).as_millis(), 400);
    }

    #[test]
    fn retry_after_is_a_lower_bound_and_capped() {
        let mut backoff = Backoff::default();
        assert_eq!(
            backoff.fail(0.5, Some(Duration::from_secs(7))),
            Duration::from_secs(7)
        );
        assert_eq!(
            backoff.fail(0.0, Some(Duration::from_secs(9000))),
            MOST_RETRY_AFTER
        );
    }

    #[test]
    fn endless_failures_do_not_overflow() {
        let mut backoff = Backoff { failures: u32::MAX };
        assert_eq!(backoff.fail(1.0, None), MOST);
    }
}
