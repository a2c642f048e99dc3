//! Watch any Kubernetes resource by group, version and resource, keep it indexed in memory, and hear what changed.

pub mod client;
#[cfg(feature = "fake")]
pub mod fake;
pub mod indexer;
pub mod object;
pub mod resource;
pub mod selector;
pub mod store;
pub mod watcher;

#[doc(inline)]
pub use client::Client;
#[doc(inline)]
pub use object::Object;
#[doc(inline)]
pub use resource::{Gvr, ObjectRef};
#[doc(inline)]
pub use watcher::{Changes, Debounce, Watcher, WatcherConfig};
