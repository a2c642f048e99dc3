//! The cluster's time and randomness: tokio's clock counted from an epoch, and one seeded generator.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use tokio::time::Instant;

/// 2026-01-01T00:00:00Z: where the clock of an in-process cluster starts, so that runs repeat.
const EPOCH: i64 = 1_767_225_600;

#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
    epoch: i64,
}

impl Clock {
    /// Starts at a fixed date and moves with tokio's time.
    pub(super) fn virtual_time() -> Self {
        Self {
            start: Instant::now(),
            epoch: EPOCH,
        }
    }

    /// Starts at the present date.
    pub(super) fn real_time() -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            start: Instant::now(),
            epoch: i64::try_from(now.as_secs()).unwrap_or(EPOCH),
        }
    }

    pub(super) fn elapsed(&self) -> std::time::Duration {
        self.start.elapsed()
    }

    /// Seconds since 1970.
    pub(super) fn seconds(&self) -> i64 {
        self.epoch
            .saturating_add(i64::try_from(self.start.elapsed().as_secs()).unwrap_or(i64::MAX))
    }

    /// RFC 3339 in whole seconds.
    pub(super) fn text(&self) -> String {
        Timestamp::from_second(self.seconds())
            .unwrap_or(Timestamp::UNIX_EPOCH)
            .to_string()
    }
}

/// A random UUID of version 4.
pub(super) fn uid(random: &mut fastrand::Rng) -> String {
    let high = random.u64(..);
    let low = random.u64(..);
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | (low >> 48) & 0x3fff,
        low & 0xffff_ffff_ffff
    )
}

/// Five characters as `generateName` adds them: no vowels and no look-alikes.
pub(super) fn suffix(random: &mut fastrand::Rng) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..5)
        .map(|_| char::from(ALPHABET[random.usize(..ALPHABET.len())]))
        .collect()
}
