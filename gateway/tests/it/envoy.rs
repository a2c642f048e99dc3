//! Envoy: the files it reads, and Envoy itself.

mod golden;
