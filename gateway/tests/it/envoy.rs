//! Envoy: the files it reads, and Envoy itself.

#[cfg(feature = "xds")]
mod ads;
mod backend;
mod files;
mod golden;
#[cfg(feature = "xds")]
mod kinds;
mod process;
mod scenario;
