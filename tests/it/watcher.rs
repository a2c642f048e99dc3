//! The watcher, from outside.

mod reflector;
