//! How fast requests may be sent: a token bucket on tokio's clock.
//!
//! Each request takes the next slot in line, so that waiting is fair and costs no task. A request that is given up while
//! it waits returns its slot.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// A bucket that holds `burst` tokens and gains one each `interval`.
pub(super) struct Bucket {
    interval: Duration,
    /// How far ahead of the clock the bucket may run: what `burst` tokens are worth.
    tolerance: Duration,
    /// When the bucket will be full again, if nothing more is taken.
    full_at: Mutex<Option<Instant>>,
}

impl Bucket {
    /// A bucket of `burst` tokens, at least one, that gains `qps` tokens per second.
    ///
    /// # Errors
    /// Says what is wrong with the numbers.
    pub(super) fn new(qps: f64, burst: u32) -> Result<Self, &'static str> {
        if burst == 0 {
            return Err("a burst of 0 would let no request pass");
        }
        let interval = (qps.is_finite() && qps > 0.0)
            .then(|| Duration::try_from_secs_f64(qps.recip()).ok())
            .flatten()
            .filter(|interval| *interval <= Duration::from_secs(86_400))
            .ok_or("the rate is not a number of requests per second")?;
        Ok(Self {
            interval,
            tolerance: interval.saturating_mul(burst),
            full_at: Mutex::new(None),
        })
    }

    /// Takes a token, waiting for it if there is none.
    ///
    /// # Cancel safety
    /// A token that was waited for in vain is returned; those who wait behind keep their places.
    pub(super) async fn acquire(&self) {
        let (at, wait) = self.reserve(Instant::now());
        if wait {
            let slot = Slot {
                bucket: self,
                used: false,
            };
            sleep_until(at).await;
            slot.used();
        }
    }

    /// Takes the next token, and says when it is there, and whether that is later than now.
    fn reserve(&self, now: Instant) -> (Instant, bool) {
        let mut full_at = self.full_at.lock();
        let full = full_at.map_or(now, |full| full.max(now)) + self.interval;
        *full_at = Some(full);
        // With `tolerance` tokens in store the bucket may lag behind the clock by that much.
        let at = full.checked_sub(self.tolerance).unwrap_or(now);
        (at, at > now)
    }
}

/// A place in line.
struct Slot<'a> {
    bucket: &'a Bucket,
    used: bool,
}

impl Slot<'_> {
    fn used(mut self) {
        self.used = true;
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        if !self.used {
            let mut full_at = self.bucket.full_at.lock();
            *full_at = full_at.and_then(|full| full.checked_sub(self.bucket.interval));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_at_once_and_the_rest_at_the_rate() {
        let bucket = Bucket::new(10.0, 3).unwrap();
        let start = Instant::now();
        let mut passed = Vec::new();
        for _ in 0..6 {
            bucket.acquire().await;
            passed.push(start.elapsed().as_millis());
        }
        assert_eq!(passed, [0, 0, 0, 100, 200, 300]);
        // A pause fills the bucket, and no further than the burst.
        tokio::time::advance(Duration::from_secs(60)).await;
        let start = Instant::now();
        for _ in 0..4 {
            bucket.acquire().await;
        }
        assert_eq!(start.elapsed().as_millis(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_given_up_returns_its_token() {
        let bucket = Bucket::new(1.0, 1).unwrap();
        bucket.acquire().await;
        for _ in 0..100 {
            let waited = tokio::time::timeout(Duration::from_millis(1), bucket.acquire()).await;
            assert!(waited.is_err());
        }
        let start = Instant::now();
        bucket.acquire().await;
        assert!(
            start.elapsed() <= Duration::from_secs(1),
            "{:?}",
            start.elapsed()
        );
    }

    #[test]
    fn a_rate_that_is_none_is_refused() {
        for qps in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-9] {
            assert!(Bucket::new(qps, 1).is_err(), "{qps}");
        }
        assert!(Bucket::new(1.0, 0).is_err());
        assert!(Bucket::new(0.5, 1).is_ok());
    }
}
