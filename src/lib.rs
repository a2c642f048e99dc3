//! Watch any Kubernetes resource by group, version and resource, keep it indexed in memory, and hear what changed.
//!
//! A [`Watcher`] lists and watches one resource, keeps its objects in a [`store`] under the index keys that a
//! [`WatcherConfig`] names, and calls you with the [`Changes`]. A [`Client`] reaches the cluster; an [`Object`] is one
//! immutable resource that reads as JSON. For unit tests there is an API server in the same process, `fake` (feature
//! `fake`).
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use kubedex::{Client, Gvr, Watcher, WatcherConfig};
//!
//! let client = Client::infer().await?;
//! let ingresses = Watcher::start(
//!     &client,
//!     WatcherConfig::new(Gvr::new("networking.k8s.io", "v1", "ingresses"))
//!         .label_selector("app=myapp")
//!         .ignore_field("metadata.managedFields")
//!         .on_change(|store, changes| async move {
//!             println!("{} changed, {} in all", changes.len(), store.len());
//!         }),
//! )?;
//! ingresses.wait_for_sync(Duration::from_secs(30)).await?;
//! for ingress in ingresses.store().get(["default"])? {
//!     for host in ingress.get("spec.rules[*].host")? {
//!         println!("{} serves {:?}", ingress.name(), host.as_str());
//!     }
//! }
//! ingresses.shutdown().await;
//! # Ok(()) }
//! ```
//!
//! # Cargo features
//!
//! - `latest` (default): selects the newest API version of `k8s-openapi`, which one crate of a program has to choose. Turn
//!   default features off to choose another.
//! - `fake`: the in-process API server, and the contract suite for authors of stores.

pub mod client;
#[cfg(feature = "fake")]
pub mod fake;
pub mod indexer;
pub mod leader_election;
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
pub use watcher::{Changes, Debounce, SingleWatcher, SingleWatcherConfig, Watcher, WatcherConfig};

/// The README's programs compile and run.
#[cfg(all(doctest, feature = "fake"))]
#[doc = include_str!("../README.md")]
pub struct ReadmeDoctests;
