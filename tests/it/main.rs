//! The integration tests, one binary.

mod client;
mod conformance;
mod kubectl;
mod layering;
mod scripted;
mod watcher;
