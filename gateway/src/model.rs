//! What a gateway needs to know: clusters and their endpoints, and what stood in the way of finding them.
//!
//! Plain data. It knows no Kubernetes and imports none of it, so that outputs, and clusters from elsewhere, can be
//! built on it alone. Its serde form is the one that users read in JSON.

mod cluster;
mod problem;

pub use cluster::{Cluster, Endpoint, Protocol, SessionAffinity, State};
pub use problem::{Problem, ProblemKind, Subject};
