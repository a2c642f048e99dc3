//! By which clock an elector judges.

use std::fmt;
use std::time::Duration;

/// A candidate's clock.
///
/// All that an elector decides follows from the differences between the times of one such clock; times of two are never
/// compared. There is no reason to set another one than the default, [`BootClock`], except in tests: under paused
/// time an elector needs [`TokioClock`], or one that runs in proportion to it.
pub trait Clock: Send + Sync + 'static {
    /// The time since an arbitrary start. It never goes back, and should run while the system is suspended.
    fn now(&self) -> Duration;

    /// How long tokio's timers have to run for a span of this clock; the same, unless this clock is made to run at another
    /// rate. Waking too early is harmless.
    fn timer(&self, span: Duration) -> Duration {
        span
    }
}

/// The system's monotonic clock that also runs while the system is suspended: `CLOCK_BOOTTIME` on Linux.
///
/// Other systems: `CLOCK_MONOTONIC` on macOS, which does so too, and elsewhere the standard library's `Instant`, which may
/// not.
#[derive(Clone, Copy, Debug, Default)]
pub struct BootClock;

impl Clock for BootClock {
    fn now(&self) -> Duration {
        now()
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn now() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    #[cfg(not(target_vendor = "apple"))]
    const CLOCK: ClockId = ClockId::Boottime;
    #[cfg(target_vendor = "apple")]
    const CLOCK: ClockId = ClockId::Monotonic;
    let time = clock_gettime(CLOCK);
    // Neither is negative: the clock starts with the system.
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn now() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// Tokio's clock: for tests under paused time. It does not run while the system is suspended.
#[derive(Clone, Copy)]
pub struct TokioClock {
    start: tokio::time::Instant,
}

impl TokioClock {
    /// A clock that starts now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            start: tokio::time::Instant::now(),
        }
    }
}

impl Default for TokioClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TokioClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioClock").finish_non_exhaustive()
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_runs_and_never_goes_back() {
        let first = BootClock.now();
        assert!(first > Duration::ZERO);
        let mut last = first;
        for _ in 0..1000 {
            let now = BootClock.now();
            assert!(now >= last);
            last = now;
        }
        assert!(last > first);
    }

    #[tokio::test(start_paused = true)]
    async fn the_tokio_clock_runs_with_paused_time() {
        let clock = TokioClock::new();
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(clock.now(), Duration::from_secs(7));
    }
}
