//! The integration tests, one binary.

mod cached_store;
mod client;
mod conformance;
mod fake;
mod kubectl;
mod layering;
mod scripted;
mod watcher;
