//! All resources at one moment, encoded: each once, whoever asks for it.
//!
//! What one snapshot has in common with the one before it is shared, so that a publication costs what differs. A
//! version is a hash of content alone: every replica that has the same content gives it the same version.

use std::sync::Arc;

use bytes::Bytes;
use imbl::OrdMap;
use imbl::ordmap::DiffItem;

use super::encode;
use crate::model::{ContentHash, Snapshot};

/// Clusters and their assignments at one moment. Cloning shares everything.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    /// Clusters, for CDS.
    pub(super) clusters: Resources,
    /// Cluster load assignments, for EDS: one for each cluster, and of the same name.
    pub(super) assignments: Resources,
    /// Of other types: none, ever.
    pub(super) others: Resources,
}

/// The resources of one type. Cloning shares everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Resources {
    map: OrdMap<Arc<str>, Resource>,
    version: ContentHash,
}

/// One resource, ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    version: ContentHash,
    /// A `Resource` as delta answers have it, whose last field is the resource itself.
    delta: Bytes,
    /// Where the resource itself begins, an `Any` as state-of-the-world answers have it.
    any_at: usize,
}

impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        self.version == other.version
    }
}

impl Resource {
    pub(super) fn new(version: ContentHash, delta: Bytes, any_at: usize) -> Self {
        Self {
            version,
            delta,
            any_at,
        }
    }

    /// Stands for the content.
    pub(super) fn version(&self) -> ContentHash {
        self.version
    }

    /// A `Resource` for a delta answer.
    pub(super) fn delta(&self) -> Bytes {
        self.delta.clone()
    }

    /// An `Any` for a state-of-the-world answer.
    pub(super) fn any(&self) -> Bytes {
        self.delta.slice(self.any_at..)
    }

    /// About what it takes in an answer, in bytes.
    pub(super) fn size(&self) -> usize {
        self.delta.len()
    }
}

impl Resources {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    /// The resource of that name.
    pub(super) fn get(&self, name: &str) -> Option<&Resource> {
        self.map.get(name)
    }

    /// All, sorted by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Resource)> {
        self.map.iter()
    }

    /// Stands for all content.
    pub(super) fn version(&self) -> ContentHash {
        self.version
    }

    /// Whether it is the very same state, which says more than that nothing differs.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.map.ptr_eq(&other.map)
    }

    /// The names of what differs from an earlier state. Costs about what differs.
    pub(super) fn changed_since<'a>(
        &'a self,
        earlier: &'a Self,
    ) -> impl Iterator<Item = &'a Arc<str>> {
        earlier.map.diff(&self.map).map(|item| match item {
            DiffItem::Add(name, _) | DiffItem::Remove(name, _) => name,
            DiffItem::Update { new, .. } => new.0,
        })
    }

    /// The name as it stands here, so that its bytes are shared.
    pub(super) fn shared_name(&self, name: &str) -> Option<&Arc<str>> {
        self.map.get_key_value(name).map(|(name, _)| name)
    }

    fn set(&mut self, name: &str, resource: Option<Resource>) {
        let before = match resource {
            Some(resource) => {
                self.version = self.version.with(resource.version);
                self.map.insert(name.into(), resource)
            }
            None => self.map.remove(name),
        };
        if let Some(before) = before {
            self.version = self.version.without(before.version);
        }
    }
}

/// Makes worlds from snapshots.
#[derive(Debug)]
pub(super) struct Encoder {
    upstream_ca: Option<String>,
    snapshot: Snapshot,
    world: World,
}

impl Encoder {
    /// Nothing is encoded yet. `upstream_ca` is a file in Envoy's file system.
    pub(super) fn new(upstream_ca: Option<String>) -> Self {
        Self {
            upstream_ca,
            snapshot: Snapshot::default(),
            world: World::default(),
        }
    }

    /// Encodes what differs from the last snapshot.
    pub(super) fn publish(&mut self, snapshot: &Snapshot) -> World {
        for change in snapshot.changes_since(&self.snapshot) {
            let name = change.name();
            let encoded = change
                .after()
                .and_then(|cluster| encode::both(cluster, self.upstream_ca.as_deref()));
            let (cluster, assignment) = encoded.unzip();
            self.world.clusters.set(name, cluster);
            self.world.assignments.set(name, assignment);
        }
        self.snapshot = snapshot.clone();
        self.world.clone()
    }
}
