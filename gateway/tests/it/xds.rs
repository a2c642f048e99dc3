//! ADS over loopback, spoken with the types Envoy speaks it with.

mod client;
mod deltas;
mod listener;
mod states;
mod tls;
