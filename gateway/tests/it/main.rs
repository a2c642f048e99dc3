//! The adapter from outside: the vectors, the laws of discovery, its size, and the program as users run it.

mod binary;
mod clusters;
mod config;
mod deploy;
mod engine;
mod envoy;
mod http;
mod live;
mod outage;
mod outputs;
mod properties;
mod render;
#[cfg(feature = "s3")]
mod s3;
mod scale;
mod service;
mod sinks;
mod vectors;
#[cfg(feature = "xds")]
mod xds;
