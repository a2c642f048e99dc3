//! Kubernetes Services and EndpointSlices as gateway clusters, built on [`kubedex`].
//!
//! ```text
//! Services, EndpointSlices ── a Source: watched stores, or an Inventory fed from manifests
//!    │  the touched Services
//! discovery      keeps every Service's clusters, translates only what was touched
//!    │  translate: pure
//! guard          holds back a sudden loss of most endpoints until a list confirms it
//!    │
//! assemble       discovered and static clusters under one roof
//!    │
//! model          clusters, endpoints, problems, snapshots; knows no Kubernetes
//!    │
//! publish        the newest snapshot, for any number of readers
//!    │
//! publication    one output written to one sink
//! ├─ output      how a snapshot reads to a consumer: pure
//! └─ sink        where it is written
//!
//! http           the newest snapshot for those who ask
//! pull           brings down what was written to a store
//! ```

pub mod assemble;
pub mod cli;
pub mod config;
pub mod discovery;
pub mod engine;
pub mod guard;
pub mod http;
pub mod live;
pub mod manifest;
pub mod model;
pub mod output;
pub mod publication;
pub mod publish;
#[cfg(feature = "s3")]
pub mod pull;
pub mod service;
pub mod sink;
pub mod statics;
pub mod translate;
#[cfg(feature = "xds")]
pub mod xds;
