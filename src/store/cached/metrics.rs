//! What a cache counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::config::Bound;

/// What a cache did since it was made, and what it holds: plain numbers, for any system of metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheMetrics {
    /// Bodies that were at hand when they were asked for.
    pub hits: u64,
    /// Bodies that were not. Readers that share one fetch count each.
    pub misses: u64,
    /// Requests to the server. Less than `misses` by those that were shared.
    pub fetches: u64,
    /// Fetches of which the server said that there is no such object.
    pub gone: u64,
    /// Fetches that failed.
    pub failures: u64,
    /// Bodies that were dropped to hold to the bound.
    pub evictions: u64,
    /// Bodies that were dropped because their time was over.
    pub expirations: u64,
    /// Bodies that were dropped because the watch told of a change.
    pub invalidations: u64,
    /// How long all fetches took together, without the wait for others to end.
    pub fetch_time: Duration,
    /// How long the longest one took.
    pub longest_fetch: Duration,
    /// How many bodies are kept now.
    pub bodies: u64,
    /// How many bytes they take; 0 if the bound is one of entries.
    pub bytes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    fetches: AtomicU64,
    gone: AtomicU64,
    failures: AtomicU64,
    evictions: AtomicU64,
    expirations: AtomicU64,
    invalidations: AtomicU64,
    fetch_nanos: AtomicU64,
    longest_nanos: AtomicU64,
}

impl Counters {
    pub(super) fn hit(&self) {
        self.hits.fetch_add(1, Relaxed);
    }

    pub(super) fn miss(&self) {
        self.misses.fetch_add(1, Relaxed);
    }

    pub(super) fn fetch(&self) {
        self.fetches.fetch_add(1, Relaxed);
    }

    pub(super) fn gone(&self) {
        self.gone.fetch_add(1, Relaxed);
    }

    pub(super) fn failure(&self) {
        self.failures.fetch_add(1, Relaxed);
    }

    pub(super) fn eviction(&self) {
        self.evictions.fetch_add(1, Relaxed);
    }

    pub(super) fn expiration(&self) {
        self.expirations.fetch_add(1, Relaxed);
    }

    pub(super) fn invalidation(&self) {
        self.invalidations.fetch_add(1, Relaxed);
    }

    pub(super) fn took(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.fetch_nanos.fetch_add(nanos, Relaxed);
        self.longest_nanos.fetch_max(nanos, Relaxed);
    }

    pub(super) fn snapshot(&self, bodies: u64, weight: u64, bound: Bound) -> CacheMetrics {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        CacheMetrics {
            hits: read(&self.hits),
            misses: read(&self.misses),
            fetches: read(&self.fetches),
            gone: read(&self.gone),
            failures: read(&self.failures),
            evictions: read(&self.evictions),
            expirations: read(&self.expirations),
            invalidations: read(&self.invalidations),
            fetch_time: Duration::from_nanos(read(&self.fetch_nanos)),
            longest_fetch: Duration::from_nanos(read(&self.longest_nanos)),
            bodies,
            bytes: if matches!(bound, Bound::Bytes(_)) {
                weight
            } else {
                0
            },
        }
    }
}
