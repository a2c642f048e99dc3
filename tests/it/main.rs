//! The integration tests, one binary.

mod cached_store;
mod client;
mod conformance;
mod fake;
#[cfg(feature = "__fuzzing")]
mod fuzz;
mod interop;
mod kubectl;
mod layering;
mod leader_election;
#[cfg(unix)]
mod real_cluster;
mod scripted;
mod single_watcher;
mod store;
mod torture;
mod watcher;
