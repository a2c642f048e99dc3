//! How a cache of bodies is set up.

use std::time::Duration;

/// How long a body is kept, unless told otherwise: 130 seconds. A little longer than two minutes, so that what is read each
/// minute or two, as reconcilers and scrapers do, is fetched half as often as it is read at the most; and short, because what is
/// worth not keeping, such as a secret, is worth not keeping for long.
pub const DEFAULT_TTL: Duration = Duration::from_secs(130);

/// The most bytes of bodies that are kept, unless told otherwise: 64 MiB, some thousands of secrets, or sixty of the
/// largest objects that a server takes.
pub const DEFAULT_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// What bounds the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    Entries(u64),
    Bytes(u64),
}

/// How a [`CachedStore`](super::CachedStore) keeps bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct CacheConfig {
    pub(super) ttl: Duration,
    pub(super) bound: Bound,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            ttl: DEFAULT_TTL,
            bound: Bound::Bytes(DEFAULT_MAX_BYTES),
        }
    }
}

impl CacheConfig {
    /// The defaults: [`DEFAULT_TTL`], [`DEFAULT_MAX_BYTES`].
    pub fn new() -> Self {
        Self::default()
    }

    /// How long a body is kept after it was asked for, on tokio's clock, however often it is read. Zero keeps none: only
    /// readers at the same time share one.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// The most bytes of bodies to keep, in place of any other bound. What was not read for the longest time goes first.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.bound = Bound::Bytes(bytes);
        self
    }

    /// The most bodies to keep, whatever their size, in place of any other bound.
    pub fn max_entries(mut self, entries: u64) -> Self {
        self.bound = Bound::Entries(entries);
        self
    }
}

impl Bound {
    pub(super) fn capacity(self) -> u64 {
        match self {
            Self::Entries(most) | Self::Bytes(most) => most,
        }
    }

    /// What an entry of so many bytes counts.
    pub(super) fn weight(self, bytes: usize) -> u32 {
        match self {
            Self::Entries(_) => 1,
            Self::Bytes(_) => bytes.try_into().unwrap_or(u32::MAX),
        }
    }
}
