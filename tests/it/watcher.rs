//! The watcher, from outside.

mod delivery;
mod lifecycle;
mod reflector;
