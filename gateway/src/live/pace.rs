//! When the next report is due: arithmetic on instants, nothing else.

use std::time::Duration;

use tokio::time::Instant;

/// The first report is due at once, then there is at most one in an interval.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    interval: Duration,
    last: Option<Instant>,
}

impl Pace {
    /// No report so far.
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            interval,
            last: None,
        }
    }

    /// Counts from the last report on.
    pub(crate) fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// A report was made.
    pub(crate) fn made(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// Until when a report has to wait; `None` if it is due.
    pub(crate) fn waits_until(&self, now: Instant) -> Option<Instant> {
        let due = self.last?.checked_add(self.interval)?;
        (due > now).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_due_at_once_and_the_others_an_interval_apart() {
        let interval = Duration::from_millis(50);
        let start = Instant::now();
        let mut pace = Pace::new(interval);
        assert_eq!(pace.waits_until(start), None);
        pace.made(start);
        let soon = start + Duration::from_millis(1);
        assert_eq!(pace.waits_until(soon), Some(start + interval));
        assert_eq!(pace.waits_until(start + interval), None);
        pace.set_interval(Duration::ZERO);
        assert_eq!(pace.waits_until(start), None);
    }
}
