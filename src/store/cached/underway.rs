//! The fetches under way, each shared by all who wait for it.
//!
//! A fetch lives as long as anybody waits for it. It is never begun anew because one of them left, so that readers with
//! little patience cannot keep those with more from an answer, and its own deadline is reached however often they change.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;

use super::fetch::{Body, Unfetched};

type Fetched = Result<Body, Unfetched>;
type Fetching = BoxFuture<'static, Fetched>;

/// The fetches of one store, by the generation that they fetch.
#[derive(Default)]
pub(super) struct Underway {
    fetches: Arc<Mutex<Fetches>>,
    /// Tells a fetch from an earlier one of the same generation.
    number: AtomicU64,
}

type Fetches = HashMap<u64, (u64, WeakShared<Fetching>)>;

impl Underway {
    /// The fetch of a generation that others wait for, or a new one.
    pub(super) fn join<F>(&self, generation: u64, begin: impl FnOnce() -> F) -> Shared<Fetching>
    where
        F: Future<Output = Fetched> + Send + 'static,
    {
        let mut fetches = self.fetches.lock();
        let running = fetches.get(&generation).map(|(_, fetch)| fetch.upgrade());
        if let Some(running) = running.flatten() {
            return running;
        }
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let ending = Ending {
            fetches: Arc::clone(&self.fetches),
            generation,
            number,
        };
        let fetch = begin();
        let fetch: Shared<Fetching> = async move {
            let _ending = ending;
            fetch.await
        }
        .boxed()
        .shared();
        if let Some(weak) = fetch.downgrade() {
            fetches.insert(generation, (number, weak));
        }
        fetch
    }
}

/// Takes a fetch out, however it ends.
struct Ending {
    fetches: Arc<Mutex<Fetches>>,
    generation: u64,
    number: u64,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let mut fetches = self.fetches.lock();
        if fetches
            .get(&self.generation)
            .is_some_and(|(number, _)| *number == self.number)
        {
            fetches.remove(&self.generation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_left_of_a_fetch_that_ended_or_was_given_up() {
        let underway = Underway::default();
        let gone = || async { Err(Unfetched::Gone) };
        assert!(underway.join(1, gone).await.is_err());
        drop(underway.join(1, gone));
        let first = underway.join(1, std::future::pending);
        let second = underway.join(1, gone);
        assert!(first.ptr_eq(&second));
        drop(first);
        assert!(underway.fetches.lock().contains_key(&1));
        drop(second);
        assert!(underway.fetches.lock().is_empty());
    }
}
