//! What a cluster is to serve beside the built-in resources.

use crate::resource::Gvr;

/// A resource that a [`FakeCluster`](super::FakeCluster) is to serve without a CRD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceDefinition {
    pub(super) gvr: Gvr,
    pub(super) kind: String,
    pub(super) namespaced: bool,
    pub(super) status: bool,
}

impl ResourceDefinition {
    /// A namespaced resource without subresources and without a schema.
    pub fn new(gvr: Gvr, kind: impl Into<String>) -> Self {
        Self {
            gvr,
            kind: kind.into(),
            namespaced: true,
            status: false,
        }
    }

    /// Its objects live in no namespace.
    #[must_use]
    pub fn cluster_scoped(mut self) -> Self {
        self.namespaced = false;
        self
    }

    /// Its status is a subresource: writes of the object leave it alone.
    #[must_use]
    pub fn with_status(mut self) -> Self {
        self.status = true;
        self
    }
}
