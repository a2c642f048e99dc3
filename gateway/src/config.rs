//! The configuration file, `gateway.yaml`.

pub mod duration;
mod percent;

pub use percent::Percent;
