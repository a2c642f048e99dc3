//! What a refresh changed.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Cluster, ClusterChange, Problem};
use crate::translate::Translation;

use super::Found;

/// What differs after a refresh. Clusters and problems that are as before are not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// The clusters that came, changed or went, sorted by name.
    pub clusters: Vec<ClusterChange>,
    /// The problems that came, sorted.
    pub problems_added: Vec<Problem>,
    /// The problems that went, sorted.
    pub problems_removed: Vec<Problem>,
}

impl Diff {
    /// Whether any cluster differs (X1: a problem that comes or goes is no change).
    pub fn is_change(&self) -> bool {
        !self.clusters.is_empty()
    }

    /// Whether nothing differs, problems included.
    pub fn is_empty(&self) -> bool {
        self.clusters.is_empty()
            && self.problems_added.is_empty()
            && self.problems_removed.is_empty()
    }

    /// The clusters that are new or differ, as they are now.
    pub fn upserted(&self) -> impl Iterator<Item = &Arc<Cluster>> {
        self.clusters.iter().filter_map(ClusterChange::after)
    }

    /// The names of the clusters that are gone.
    pub fn removed(&self) -> impl Iterator<Item = &str> {
        self.clusters
            .iter()
            .filter(|change| change.after().is_none())
            .map(ClusterChange::name)
    }

    /// This and then another, as one: who is told of both at once sees no state in between.
    #[must_use]
    pub fn then(self, later: Self) -> Self {
        if self.is_empty() {
            return later;
        }
        if later.is_empty() {
            return self;
        }
        /// Before and after.
        type Net = (Option<Arc<Cluster>>, Option<Arc<Cluster>>);
        let mut clusters: BTreeMap<Arc<str>, Net> = BTreeMap::new();
        for change in self.clusters.iter().chain(&later.clusters) {
            let after = change.after().cloned();
            match clusters.get_mut(change.name()) {
                Some(net) => net.1 = after,
                None => {
                    clusters.insert(change.name().into(), (change.before().cloned(), after));
                }
            }
        }
        let clusters = clusters.into_values().filter_map(|net| match net {
            (None, None) => None,
            (None, Some(after)) => Some(ClusterChange::Added(after)),
            (Some(before), None) => Some(ClusterChange::Removed(before)),
            (Some(before), Some(after)) if before == after => None,
            (Some(before), Some(after)) => Some(ClusterChange::Updated { before, after }),
        });
        let mut net = Self {
            clusters: clusters.collect(),
            problems_added: Vec::new(),
            problems_removed: Vec::new(),
        };
        // A problem comes and goes in turn, so that only one of the lists can have one of it left.
        let mut problems: BTreeMap<Problem, i8> = BTreeMap::new();
        let added = self.problems_added.into_iter().chain(later.problems_added);
        added.for_each(|problem| *problems.entry(problem).or_default() += 1);
        let removed = self.problems_removed.into_iter();
        let removed = removed.chain(later.problems_removed);
        removed.for_each(|problem| *problems.entry(problem).or_default() -= 1);
        for (problem, count) in problems {
            match count {
                1.. => net.problems_added.push(problem),
                0 => {}
                ..0 => net.problems_removed.push(problem),
            }
        }
        net
    }

    /// Adds what differs between what a Service gave before and gives now, and returns the latter; unchanged clusters
    /// stay the same allocation.
    pub(super) fn record(&mut self, before: Found, now: Translation) -> Found {
        let mut clusters = Vec::with_capacity(now.clusters.len());
        merge(
            before.clusters,
            now.clusters,
            |before, now| before.name.cmp(&now.name),
            |pair| match pair {
                (Some(before), None) => self.clusters.push(ClusterChange::Removed(before)),
                (Some(before), Some(now)) if *before == now => clusters.push(before),
                (before, Some(now)) => {
                    let after = Arc::new(now);
                    clusters.push(Arc::clone(&after));
                    self.clusters.push(match before {
                        Some(before) => ClusterChange::Updated { before, after },
                        None => ClusterChange::Added(after),
                    });
                }
                (None, None) => {}
            },
        );
        let added = now
            .problems
            .iter()
            .filter(|it| !before.problems.contains(it));
        self.problems_added.extend(added.cloned());
        let removed = before
            .problems
            .into_iter()
            .filter(|it| !now.problems.contains(it));
        self.problems_removed.extend(removed);
        Found {
            clusters,
            problems: now.problems,
        }
    }

    /// Puts everything in order, once all Services are recorded.
    pub(super) fn sort(&mut self) {
        self.clusters.sort_by(|a, b| a.name().cmp(b.name()));
        self.problems_added.sort();
        self.problems_removed.sort();
    }
}

/// Walks two sorted lists side by side: equal ones in pairs, the others alone.
fn merge<A, B>(
    left: Vec<A>,
    right: Vec<B>,
    compare: impl Fn(&A, &B) -> Ordering,
    mut visit: impl FnMut((Option<A>, Option<B>)),
) {
    let mut left = left.into_iter().peekable();
    let mut right = right.into_iter().peekable();
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => compare(a, b),
        };
        let a = order.is_le().then(|| left.next()).flatten();
        let b = order.is_ge().then(|| right.next()).flatten();
        visit((a, b));
    }
}
