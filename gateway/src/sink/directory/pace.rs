//! The pace of the command: how soon it may begin again.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Lets something begin at once, and again only when an interval has passed since it began last.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    last: Option<Instant>,
}

impl Pace {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            last: None,
        }
    }

    /// Waits until it may begin, and takes it to begin then.
    ///
    /// # Cancel safety
    /// If it is dropped, nothing has begun.
    pub(super) async fn turn(&mut self) {
        let left = self
            .last
            .map(|last| self.interval.saturating_sub(last.elapsed()));
        if let Some(left) = left.filter(|left| !left.is_zero()) {
            sleep(left).await;
        }
        self.last = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn the_first_begins_at_once_and_the_next_after_the_interval() {
        let mut pace = Pace::new(SECOND);
        let begun = Instant::now();
        for number in 0..5 {
            pace.turn().await;
            assert_eq!(begun.elapsed(), SECOND * number);
        }
        // One that comes late does not wait.
        tokio::time::advance(SECOND * 2).await;
        pace.turn().await;
        assert_eq!(begun.elapsed(), SECOND * 6);
        // One that is given up took no turn.
        assert!(timeout(SECOND / 2, pace.turn()).await.is_err());
        pace.turn().await;
        assert_eq!(begun.elapsed(), SECOND * 7);
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_interval_nothing_waits() {
        let mut pace = Pace::new(Duration::ZERO);
        let begun = Instant::now();
        pace.turn().await;
        pace.turn().await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
