//! The watcher, from outside.

mod delivery;
mod diagnose;
mod lifecycle;
mod reflector;
