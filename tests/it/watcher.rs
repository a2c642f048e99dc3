//! The watcher, from outside.

mod delivery;
mod diagnose;
mod found;
mod lifecycle;
mod namespaces;
mod reflector;
mod relist;
