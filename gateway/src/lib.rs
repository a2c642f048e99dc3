//! Kubernetes Services and EndpointSlices as gateway clusters, built on [`kubedex`].
//!
//! ```text
//! Services, EndpointSlices ── a Source: watched stores, or an Inventory fed from manifests
//!    │  the touched Services
//! discovery      keeps every Service's clusters, translates only what was touched
//!    │  translate: pure
//! model          clusters, endpoints, problems; knows no Kubernetes
//! ```

pub mod cli;
pub mod discovery;
pub mod live;
pub mod manifest;
pub mod model;
pub mod translate;
