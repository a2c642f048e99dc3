//! Assembly: discovered and static clusters under one roof.
//!
//! A name belongs to one cluster. Where a static and a discovered one both want it, the [`Origin`] that is preferred has
//! it, the clash is a [`ProblemKind::Conflict`], and once the one goes the other appears. The invariant: what is
//! assembled is what a fresh start with the same discovered and static clusters would give. Each step costs what it
//! changes. Pure: it knows neither time nor I/O.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::discovery::Diff;
use crate::model::{Cluster, Edit, Origin, Problem, ProblemKind, Snapshot, Subject};

/// All clusters, as a snapshot that is edited step by step.
#[derive(Debug)]
pub struct Assembly {
    snapshot: Snapshot,
    edit: Edit,
    prefers: Origin,
    statics: BTreeMap<Arc<str>, Arc<Cluster>>,
    /// The discovered clusters that have the name of a static one, whichever of them is used.
    contested: HashMap<Arc<str>, Arc<Cluster>>,
    edits: u64,
}

impl Assembly {
    /// Nothing so far. `prefers` has a name that both want.
    pub fn new(prefers: Origin) -> Self {
        Self {
            snapshot: Snapshot::default(),
            edit: Snapshot::default().edit(),
            prefers,
            statics: BTreeMap::new(),
            contested: HashMap::new(),
            edits: 0,
        }
    }

    /// Takes in what differs among discovered clusters and their problems.
    pub fn apply(&mut self, diff: &Diff) {
        for change in &diff.clusters {
            self.discovered(change.name(), change.after());
        }
        // What goes first, for problems that are told apart by less than all they say.
        for problem in &diff.problems_removed {
            self.edit.remove_problem(problem);
        }
        for problem in &diff.problems_added {
            self.edit.add_problem(problem.clone());
        }
    }

    /// Takes these for all that is discovered. Costs what there is and was.
    pub fn set_discovered<'a>(
        &mut self,
        clusters: &[Arc<Cluster>],
        problems: impl IntoIterator<Item = &'a Problem>,
    ) {
        let now: HashMap<&str, &Arc<Cluster>> = clusters.iter().map(|it| (&*it.name, it)).collect();
        let before: Vec<Arc<str>> = self
            .edit
            .draft()
            .clusters()
            .filter(|cluster| !self.statics.contains_key(&cluster.name))
            .map(|cluster| &cluster.name)
            .chain(self.contested.keys())
            .cloned()
            .collect();
        for name in before.iter().filter(|name| !now.contains_key(&***name)) {
            self.discovered(name, None);
        }
        for cluster in clusters {
            self.discovered(&cluster.name, Some(cluster));
        }
        let is_ours = |problem: &&Problem| !matches!(problem.kind, ProblemKind::Conflict { .. });
        let before: Vec<Problem> = self
            .edit
            .draft()
            .problems()
            .filter(is_ours)
            .cloned()
            .collect();
        for problem in &before {
            self.edit.remove_problem(problem);
        }
        for problem in problems {
            self.edit.add_problem(problem.clone());
        }
    }

    /// Takes these for all static clusters, and `prefers` for who has a name that both want. Of several with the same
    /// name the last counts.
    pub fn set_static(&mut self, statics: impl IntoIterator<Item = Arc<Cluster>>, prefers: Origin) {
        let mut before = std::mem::take(&mut self.statics);
        let switched = prefers != self.prefers;
        if switched {
            // The conflicts of before are told apart by their winner.
            for name in self.contested.keys() {
                self.edit.remove_problem(&conflict(name, self.prefers));
            }
            self.prefers = prefers;
        }
        let mut touched = Vec::new();
        for cluster in statics {
            let name = Arc::clone(&cluster.name);
            let known = before.remove(&name);
            if known.as_ref() != Some(&cluster) || (switched && self.contested.contains_key(&name))
            {
                touched.push(Arc::clone(&name));
            }
            if known.is_none() && !self.contested.contains_key(&name) {
                // So far nobody else wanted the name, so that whoever has it is discovered.
                if !self.statics.contains_key(&name)
                    && let Some(discovered) = self.edit.draft().cluster(&name)
                {
                    self.contested
                        .insert(Arc::clone(&name), Arc::clone(discovered));
                }
            }
            self.statics.insert(name, cluster);
        }
        for name in touched {
            self.settle(&name);
        }
        for name in before.into_keys() {
            self.settle(&name);
        }
    }

    /// The discovered cluster of that name is this one now.
    fn discovered(&mut self, name: &str, now: Option<&Arc<Cluster>>) {
        if !self.statics.contains_key(name) {
            match now {
                Some(cluster) => self.upsert(Arc::clone(cluster)),
                None => self.remove(name),
            }
            return;
        }
        match now {
            Some(cluster) => {
                self.contested
                    .insert(Arc::clone(&cluster.name), Arc::clone(cluster));
            }
            None => {
                self.contested.remove(name);
            }
        }
        self.settle(name);
    }

    /// Decides anew who has a name that a static cluster wants or wanted.
    fn settle(&mut self, name: &str) {
        let (wanted, prefers) = (self.statics.get(name).cloned(), self.prefers);
        let problem = conflict(name, prefers);
        match (wanted, self.contested.get(name).cloned()) {
            (Some(fixed), Some(discovered)) => {
                self.upsert(match prefers {
                    Origin::Static => fixed,
                    Origin::Discovered => discovered,
                });
                self.edit.add_problem(problem);
            }
            (Some(fixed), None) => {
                self.upsert(fixed);
                self.edit.remove_problem(&problem);
            }
            (None, Some(discovered)) => {
                self.contested.remove(name);
                self.upsert(discovered);
                self.edit.remove_problem(&problem);
            }
            (None, None) => self.remove(name),
        }
    }

    fn upsert(&mut self, cluster: Arc<Cluster>) {
        self.edits += 1;
        self.edit.upsert(cluster);
    }

    fn remove(&mut self, name: &str) {
        self.edits += 1;
        self.edit.remove(name);
    }

    /// Ends the step: the next snapshot, or `None` if it would be as the last one. The first one of all is
    /// [`Assembly::snapshot`], also if there is nothing in it.
    pub fn commit(&mut self) -> Option<Snapshot> {
        let edit = std::mem::replace(&mut self.edit, self.snapshot.edit());
        let next = edit.finish()?;
        self.edit = next.edit();
        self.snapshot = next.clone();
        Some(next)
    }

    /// What the last step came to.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// How many clusters were put in, replaced or taken out, in all.
    pub fn edits(&self) -> u64 {
        self.edits
    }
}

fn conflict(name: &str, winner: Origin) -> Problem {
    Problem {
        kind: ProblemKind::Conflict { winner },
        subject: Subject::cluster(name),
        port: None,
    }
}

#[cfg(test)]
mod tests;
