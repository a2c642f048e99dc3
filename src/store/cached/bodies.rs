//! The bodies that were recently read, by generation: within a bound, and for a time. Nothing here waits.

use std::sync::Arc;
use std::time::Duration;

use moka::notification::RemovalCause;
use moka::ops::compute::{CompResult, Op};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::config::CacheConfig;
use super::fetch::Body;
use super::metrics::Counters;

/// The longest time that the cache library takes; ours is kept beside it.
const MOST_TTL: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// What an entry of the cache takes beside its body: the library's own record of it, roughly.
const ENTRY_BYTES: usize = 256;

/// Cloning shares them.
#[derive(Clone)]
pub(super) struct Bodies {
    cache: Cache<u64, Body>,
    ttl: Duration,
    counters: Arc<Counters>,
}

impl Bodies {
    pub(super) fn new(config: &CacheConfig, counters: &Arc<Counters>) -> Self {
        let (bound, evicted) = (config.bound, Arc::clone(counters));
        let cache = Cache::builder()
            .name("kubedex bodies")
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(config.ttl.min(MOST_TTL))
            .max_capacity(bound.capacity())
            .weigher(move |_, body: &Body| bound.weight(body.object().heap_size() + ENTRY_BYTES))
            .eviction_listener(move |_, _, cause| match cause {
                RemovalCause::Size => evicted.eviction(),
                RemovalCause::Expired => evicted.expiration(),
                RemovalCause::Explicit | RemovalCause::Replaced => {}
            })
            .build();
        Self {
            cache,
            ttl: config.ttl,
            counters: Arc::clone(counters),
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.cache.entry_count()
    }

    /// How much of the bound they take.
    pub(super) fn weight(&self) -> u64 {
        self.cache.weighted_size()
    }

    /// A body that is not too old.
    pub(super) fn fresh(&self, generation: u64) -> Option<Body> {
        let body = self.cache.get(&generation)?;
        if body.is_fresh(self.ttl) {
            return Some(body);
        }
        // Another reader may have put a fresh one in its place already.
        let removed = self.cache.entry(generation).and_compute_with(|entry| {
            let is_stale = entry.is_some_and(|entry| !entry.into_value().is_fresh(self.ttl));
            if is_stale { Op::Remove } else { Op::Nop }
        });
        if matches!(removed, CompResult::Removed(_)) {
            self.counters.expiration();
        }
        None
    }

    /// A body, however old.
    pub(super) fn any(&self, generation: u64) -> Option<Body> {
        self.cache.get(&generation)
    }

    pub(super) fn put(&self, generation: u64, body: Body) {
        self.cache.insert(generation, body);
        // Otherwise the library holds to the bound only now and then.
        self.cache.run_pending_tasks();
    }

    /// Drops a body, and says whether there was one.
    pub(super) fn remove(&self, generation: u64) -> bool {
        let was_there = self.cache.remove(&generation).is_some();
        if was_there {
            // Until then the library holds on to it.
            self.cache.run_pending_tasks();
        }
        was_there
    }

    /// Drops all of them.
    pub(super) fn clear(&self) {
        self.cache.invalidate_all();
        self.cache.run_pending_tasks();
    }
}
