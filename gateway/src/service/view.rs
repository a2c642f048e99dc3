//! What the service is at one moment: plain data, for metrics and readiness.

use std::sync::Arc;

use crate::engine;
use crate::publication;
use crate::publish::Published;

use super::reload;

/// What the service is at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    /// The newest snapshot.
    pub(super) published: Option<Arc<Published>>,
    pub(super) engine: engine::Status,
    /// By name, in the order of the configuration.
    pub(super) publications: Vec<(Arc<str>, publication::Status)>,
    /// Who is told by ADS; `None` if nobody is.
    #[cfg(feature = "xds")]
    pub(super) xds: Option<crate::xds::Status>,
    pub(super) reloads: reload::Status,
    /// Whether this replica leads, and whether the election can be held; `None` if there is none.
    pub(super) election: Option<(bool, bool)>,
}
