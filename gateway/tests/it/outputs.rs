//! The outputs: what they write byte for byte, their laws, and what the programs that read it make of it.

mod consumer;
mod fixture;
mod golden;
mod haproxy;
mod laws;
mod nginx;
mod prometheus;
mod traefik;
