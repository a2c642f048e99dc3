//! What an engine is to do: plain data, checked as a whole.

use std::sync::Arc;
use std::time::Duration;

use crate::guard::GuardConfig;
use crate::live::{COALESCING, LiveConfig};
use crate::model::{Cluster, Origin};
use crate::statics::{self, FieldError, StaticCluster};

/// The longest coalescing: who waits longer for news has no use for a watch.
pub const MOST_COALESCING: Duration = Duration::from_secs(60);

/// What an engine is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// What is discovered, and how clusters are made of it.
    pub live: LiveConfig,
    /// The first change is published at once, then there is at most one publication in this time; at most
    /// [`MOST_COALESCING`], 0 for none.
    pub coalescing: Duration,
    /// When a sudden loss of most endpoints is held back.
    pub guard: GuardConfig,
    /// Clusters that are not discovered.
    pub statics: Vec<StaticCluster>,
    /// Which of a static and a discovered cluster of the same name is used.
    pub static_precedence: Origin,
}

impl Default for EngineConfig {
    /// Everything is discovered; a static cluster would override a discovered one.
    fn default() -> Self {
        Self {
            live: LiveConfig::default(),
            coalescing: COALESCING,
            guard: GuardConfig::default(),
            statics: Vec::new(),
            static_precedence: Origin::Static,
        }
    }
}

impl EngineConfig {
    /// Checks what [`LiveConfig`] does not, and gives the static clusters.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub(super) fn check(&self) -> Result<Vec<Arc<Cluster>>, Vec<FieldError>> {
        let statics = statics::check(&self.statics);
        if self.coalescing <= MOST_COALESCING {
            return statics;
        }
        let mut errors = vec![FieldError {
            path: "coalescing".to_owned(),
            reason: "it is more than a minute".to_owned(),
        }];
        errors.extend(statics.err().into_iter().flatten());
        Err(errors)
    }
}
