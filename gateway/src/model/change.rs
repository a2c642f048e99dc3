//! What became of one cluster between two states.

use std::sync::Arc;

use super::Cluster;

/// One cluster before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterChange {
    /// It is new.
    Added(Arc<Cluster>),
    /// It differs.
    Updated {
        /// As it was.
        before: Arc<Cluster>,
        /// As it is.
        after: Arc<Cluster>,
    },
    /// It is gone.
    Removed(Arc<Cluster>),
}

impl ClusterChange {
    /// The cluster's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Added(cluster)
            | Self::Updated { after: cluster, .. }
            | Self::Removed(cluster) => &cluster.name,
        }
    }

    /// The cluster as it is now; `None` if it is gone.
    pub fn after(&self) -> Option<&Arc<Cluster>> {
        match self {
            Self::Added(after) | Self::Updated { after, .. } => Some(after),
            Self::Removed(_) => None,
        }
    }

    /// The cluster as it was; `None` if it is new.
    pub fn before(&self) -> Option<&Arc<Cluster>> {
        match self {
            Self::Removed(before) | Self::Updated { before, .. } => Some(before),
            Self::Added(_) => None,
        }
    }
}
