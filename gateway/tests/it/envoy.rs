//! Envoy: the files it reads, and Envoy itself.

#[cfg(feature = "xds")]
mod ads;
mod backend;
mod files;
mod golden;
mod process;
mod scenario;
