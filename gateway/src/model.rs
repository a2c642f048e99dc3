//! What a gateway needs to know: clusters and their endpoints, and what stood in the way of finding them.
//!
//! Plain data. It knows no Kubernetes and imports none of it, so that outputs, and clusters from elsewhere, can be
//! built on it alone. Its serde form is the one that users read in JSON.

mod change;
mod cluster;
mod hash;
mod problem;
mod reference;
mod snapshot;

pub use change::ClusterChange;
pub use cluster::{Cluster, Endpoint, Protocol, SessionAffinity, State};
pub use hash::ContentHash;
pub use problem::{Origin, Problem, ProblemKind, Subject};
pub use reference::ResolveError;
pub use snapshot::{Edit, Snapshot, Totals};
