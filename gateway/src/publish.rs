//! Publication: the one place where the newest snapshot stands, and how others hear of it.
//!
//! A publication swaps a pointer: readers never wait, and nobody sees half a snapshot. Who follows is told that there is
//! a newer one and takes the newest; what came in between is passed over, so that a slow follower holds nobody up.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::model::Snapshot;

/// Publishes snapshots. Dropping it tells the followers that no more will come.
#[derive(Debug)]
pub struct Publisher {
    newest: Arc<ArcSwapOption<Published>>,
    versions: watch::Sender<u64>,
}

/// Reads the newest snapshot, and follows. Clones are independent of each other, and to each what stands already is
/// news.
#[derive(Debug)]
pub struct Snapshots {
    newest: Arc<ArcSwapOption<Published>>,
    versions: watch::Receiver<u64>,
}

/// A snapshot, and when it was published.
#[derive(Debug)]
pub struct Published {
    /// What was published.
    pub snapshot: Snapshot,
    /// When.
    pub at: Instant,
}

/// A place to publish, and the view of those who read.
pub fn channel() -> (Publisher, Snapshots) {
    let newest = Arc::new(ArcSwapOption::empty());
    let (versions, receiver) = watch::channel(0);
    let snapshots = Snapshots {
        newest: Arc::clone(&newest),
        versions: receiver,
    };
    (Publisher { newest, versions }, snapshots)
}

impl Publisher {
    /// Makes a snapshot the newest. The first one may be that of version 0: that there is nothing is news, too.
    pub fn publish(&self, snapshot: Snapshot) {
        let at = Instant::now();
        self.newest
            .store(Some(Arc::new(Published { snapshot, at })));
        self.versions.send_modify(|publications| *publications += 1);
    }

    /// A receiver to which what stands already is news.
    fn receiver(&self) -> watch::Receiver<u64> {
        let mut receiver = self.versions.subscribe();
        if self.newest.load().is_some() {
            receiver.mark_changed();
        }
        receiver
    }

    /// A further view.
    pub fn subscribe(&self) -> Snapshots {
        Snapshots {
            newest: Arc::clone(&self.newest),
            versions: self.receiver(),
        }
    }
}

impl Clone for Snapshots {
    fn clone(&self) -> Self {
        let mut versions = self.versions.clone();
        if self.newest.load().is_some() {
            versions.mark_changed();
        }
        Self {
            newest: Arc::clone(&self.newest),
            versions,
        }
    }
}

impl Snapshots {
    /// The newest snapshot; `None` before the first publication. Never waits.
    pub fn newest(&self) -> Option<Arc<Published>> {
        self.newest.load_full()
    }

    /// Waits for a publication that this view has not returned yet, and returns the newest; the first call returns what
    /// stands already. `None` when no more will come.
    ///
    /// # Cancel safety
    /// Safe: what was not returned comes with the next call.
    pub async fn next(&mut self) -> Option<Arc<Published>> {
        loop {
            self.versions.changed().await.ok()?;
            if let Some(newest) = self.newest() {
                return Some(newest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cluster, Protocol};

    fn with(base: &Snapshot, name: &str) -> Snapshot {
        let mut edit = base.edit();
        edit.upsert(Arc::new(Cluster::new(name, Protocol::Tcp)));
        edit.finish().unwrap_or_default()
    }

    #[tokio::test]
    async fn a_slow_follower_gets_the_newest_and_everyone_hears_of_the_end() {
        let (publisher, mut follower) = channel();
        assert!(follower.newest().is_none());
        let first = with(&Snapshot::default(), "a");
        let second = with(&first, "b");
        publisher.publish(first);
        publisher.publish(second);
        assert_eq!(
            follower.next().await.map(|it| it.snapshot.version()),
            Some(2)
        );
        for mut late in [publisher.subscribe(), follower.clone()] {
            assert_eq!(late.next().await.map(|it| it.snapshot.version()), Some(2));
        }
        drop(publisher);
        assert!(follower.next().await.is_none());
        assert!(follower.newest().is_some());
    }
}
