//! Snapshots: all clusters and problems at one moment, immutable and versioned.
//!
//! A snapshot shares all that did not change with the one before it: an edit costs the logarithm of the number of
//! clusters, and so does finding what differs between two of them. Every cluster carries the hash of its content, and
//! the snapshot's hash is made of those.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use imbl::ordmap::DiffItem;
use imbl::{OrdMap, OrdSet};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::{Cluster, ClusterChange, ContentHash, Problem, State};

/// All clusters and problems at one moment. Cloning shares everything.
///
/// In JSON it is `{version, hash, clusters, problems}`, the lists sorted.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    version: u64,
    hash: ContentHash,
    totals: Totals,
    clusters: OrdMap<Arc<str>, Member>,
    problems: OrdSet<Arc<Problem>>,
    changes: Arc<[ClusterChange]>,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Clusters.
    pub clusters: usize,
    /// Endpoints that take new traffic.
    pub ready: usize,
    /// Endpoints that are going away.
    pub draining: usize,
    /// Problems.
    pub problems: usize,
}

#[derive(Clone, Debug)]
struct Member {
    cluster: Arc<Cluster>,
    hash: ContentHash,
}

impl PartialEq for Member {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Snapshot {
    /// How many snapshots there were before it in this process; 0 for the empty one that everything starts from.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Stands for the content, clusters and problems: equal in every process that has the same.
    pub fn hash(&self) -> ContentHash {
        self.hash
    }

    /// How much there is.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// All clusters, sorted by name.
    pub fn clusters(&self) -> impl ExactSizeIterator<Item = &Arc<Cluster>> {
        self.clusters.values().map(|member| &member.cluster)
    }

    /// The cluster of that name.
    pub fn cluster(&self, name: &str) -> Option<&Arc<Cluster>> {
        self.clusters.get(name).map(|member| &member.cluster)
    }

    /// Stands for the content of the cluster of that name.
    pub fn cluster_hash(&self, name: &str) -> Option<ContentHash> {
        self.clusters.get(name).map(|member| member.hash)
    }

    /// The clusters whose names begin like that, sorted by name.
    pub fn clusters_under<'a>(&'a self, prefix: &str) -> impl Iterator<Item = &'a Arc<Cluster>> {
        self.clusters
            .range::<_, str>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(move |(name, _)| name.starts_with(prefix))
            .map(|(_, member)| &member.cluster)
    }

    /// All problems, sorted.
    pub fn problems(&self) -> impl ExactSizeIterator<Item = &Problem> {
        self.problems.iter().map(|problem| &**problem)
    }

    /// The clusters that differ from the snapshot before it, sorted by name.
    pub fn changes(&self) -> &[ClusterChange] {
        &self.changes
    }

    /// The clusters that differ from another snapshot, which need not be the one before, sorted by name. Costs about
    /// what differs if one was edited from the other.
    pub fn changes_since(&self, other: &Self) -> Vec<ClusterChange> {
        other
            .clusters
            .diff(&self.clusters)
            .map(|item| match item {
                DiffItem::Add(_, member) => ClusterChange::Added(Arc::clone(&member.cluster)),
                DiffItem::Update { old, new } => ClusterChange::Updated {
                    before: Arc::clone(&old.1.cluster),
                    after: Arc::clone(&new.1.cluster),
                },
                DiffItem::Remove(_, member) => ClusterChange::Removed(Arc::clone(&member.cluster)),
            })
            .collect()
    }

    /// Begins the next snapshot.
    pub fn edit(&self) -> Edit {
        Edit {
            base: self.clone(),
            next: self.clone(),
        }
    }
}

impl Serialize for Snapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let clusters: Vec<_> = self.clusters().collect();
        let problems: Vec<_> = self.problems().collect();
        let mut document = serializer.serialize_struct("Snapshot", 4)?;
        document.serialize_field("version", &self.version)?;
        document.serialize_field("hash", &self.hash)?;
        document.serialize_field("clusters", &clusters)?;
        document.serialize_field("problems", &problems)?;
        document.end()
    }
}

/// The next snapshot while it is made.
#[derive(Debug)]
pub struct Edit {
    base: Snapshot,
    next: Snapshot,
}

impl Edit {
    /// Adds a cluster, or replaces the one of its name.
    pub fn upsert(&mut self, cluster: Arc<Cluster>) {
        let hash = ContentHash::of("kubedex gateway cluster", &*cluster);
        let next = &mut self.next;
        next.hash = next.hash.with(hash);
        next.totals.count(&cluster, usize::wrapping_add);
        let name = Arc::clone(&cluster.name);
        if let Some(before) = next.clusters.insert(name, Member { cluster, hash }) {
            next.leave(&before);
        }
    }

    /// Removes the cluster of that name, if there is one.
    pub fn remove(&mut self, name: &str) {
        if let Some(before) = self.next.clusters.remove(name) {
            self.next.leave(&before);
        }
    }

    /// Adds a problem; that it is there already does no harm.
    pub fn add_problem(&mut self, problem: Problem) {
        let hash = problem_hash(&problem);
        if self.next.problems.insert(Arc::new(problem)).is_none() {
            self.next.hash = self.next.hash.with(hash);
            self.next.totals.problems += 1;
        }
    }

    /// Removes a problem, if it is there.
    pub fn remove_problem(&mut self, problem: &Problem) {
        if self.next.problems.remove(problem).is_some() {
            self.next.hash = self.next.hash.without(problem_hash(problem));
            self.next.totals.problems -= 1;
        }
    }

    /// How much there will be.
    pub fn totals(&self) -> Totals {
        self.next.totals
    }

    /// The next snapshot as far as it is made; version and changes are still those of the last one.
    pub fn draft(&self) -> &Snapshot {
        &self.next
    }

    /// The next snapshot, or `None` if it would be as the last one.
    pub fn finish(self) -> Option<Snapshot> {
        let Self { base, mut next } = self;
        next.changes = next.changes_since(&base).into();
        let same_problems = base.problems.ptr_eq(&next.problems) || base.problems == next.problems;
        if next.changes.is_empty() && same_problems {
            return None;
        }
        next.version = base.version + 1;
        Some(next)
    }
}

impl Snapshot {
    /// Takes a member that is no longer in the map out of the sums.
    fn leave(&mut self, member: &Member) {
        self.hash = self.hash.without(member.hash);
        self.totals.count(&member.cluster, usize::wrapping_sub);
    }
}

impl Totals {
    fn count(&mut self, cluster: &Cluster, sum: impl Fn(usize, usize) -> usize) {
        let draining = cluster
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.state == State::Draining)
            .count();
        self.clusters = sum(self.clusters, 1);
        self.draining = sum(self.draining, draining);
        self.ready = sum(self.ready, cluster.endpoints.len() - draining);
    }
}

/// What the short form leaves out counts, too.
fn problem_hash(problem: &Problem) -> ContentHash {
    let parts = BTreeMap::from([
        ("problem", problem.to_string()),
        ("explanation", problem.explanation()),
    ]);
    ContentHash::of("kubedex gateway problem", &parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Endpoint, ProblemKind, Protocol, Subject};

    fn cluster(name: &str, addresses: &[&str]) -> Arc<Cluster> {
        let endpoint = |address: &&str| Endpoint {
            address: address.parse().unwrap(),
            port: 80,
            state: State::Ready,
            zone: None,
            node: None,
        };
        Arc::new(Cluster {
            endpoints: addresses.iter().map(endpoint).collect(),
            ..Cluster::new(name, Protocol::Tcp)
        })
    }

    fn problem(name: &str) -> Problem {
        Problem {
            kind: ProblemKind::ExternalName,
            subject: Subject {
                kind: "Service",
                namespace: "shop".into(),
                name: name.into(),
            },
            port: None,
        }
    }

    fn edited(base: &Snapshot, edit: impl FnOnce(&mut Edit)) -> Option<Snapshot> {
        let mut next = base.edit();
        edit(&mut next);
        next.finish()
    }

    #[test]
    fn a_snapshot_tells_what_differs_from_the_last_and_from_any_other() {
        let empty = Snapshot::default();
        let first = edited(&empty, |edit| {
            edit.upsert(cluster("a", &["10.0.0.1"]));
            edit.upsert(cluster("b", &["10.0.0.2", "10.0.0.3"]));
        })
        .unwrap();
        let second = edited(&first, |edit| {
            edit.remove("a");
            edit.upsert(cluster("b", &["10.0.0.2"]));
            edit.upsert(cluster("c", &[]));
        })
        .unwrap();
        assert_eq!((first.version(), second.version()), (1, 2));
        assert_eq!(second.changes(), second.changes_since(&first));
        let names = |changes: &[ClusterChange]| {
            changes
                .iter()
                .map(|change| (change.name().to_string(), change.after().is_some()))
                .collect::<Vec<_>>()
        };
        let expected = [("a", false), ("b", true), ("c", true)];
        assert_eq!(
            names(second.changes()),
            expected.map(|(name, stands)| (name.to_owned(), stands))
        );
        assert_eq!(
            names(&second.changes_since(&empty)),
            [("b".to_owned(), true), ("c".to_owned(), true)]
        );
        let totals = Totals {
            clusters: 2,
            ready: 1,
            draining: 0,
            problems: 0,
        };
        assert_eq!(second.totals(), totals);
    }

    #[test]
    fn what_comes_to_the_same_is_no_new_snapshot() {
        let first = edited(&Snapshot::default(), |edit| {
            edit.upsert(cluster("a", &["10.0.0.1"]));
            edit.add_problem(problem("x"));
        })
        .unwrap();
        let same = edited(&first, |edit| {
            edit.remove("a");
            edit.upsert(cluster("a", &["10.0.0.1"]));
            edit.remove_problem(&problem("x"));
            edit.add_problem(problem("x"));
            edit.add_problem(problem("x"));
        });
        assert!(same.is_none());
        let without = edited(&first, |edit| edit.remove_problem(&problem("x"))).unwrap();
        assert!(without.changes().is_empty());
        assert_ne!(without.hash(), first.hash());
        assert_eq!(without.totals().problems, 0);
    }

    #[test]
    fn the_hash_depends_on_content_and_not_on_history() {
        let one = edited(&Snapshot::default(), |edit| {
            edit.upsert(cluster("a", &["10.0.0.1"]));
            edit.upsert(cluster("b", &[]));
        })
        .unwrap();
        let other = edited(&one, |edit| edit.upsert(cluster("a", &["10.0.0.9"])))
            .and_then(|next| edited(&next, |edit| edit.remove("b")))
            .and_then(|next| {
                edited(&next, |edit| {
                    edit.upsert(cluster("b", &[]));
                    edit.upsert(cluster("a", &["10.0.0.1"]));
                })
            })
            .unwrap();
        assert_eq!(one.hash(), other.hash());
        assert_eq!(one.cluster_hash("a"), other.cluster_hash("a"));
        assert_ne!(one.version(), other.version());
        assert!(other.changes_since(&one).is_empty());
        let emptied = edited(&one, |edit| {
            edit.remove("a");
            edit.remove("b");
        });
        assert_eq!(emptied.unwrap().hash(), ContentHash::default());
    }
}
