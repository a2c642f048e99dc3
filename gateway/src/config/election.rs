//! `leader_election`: which replica writes where only one may.

use std::time::Duration;

use kubedex::leader_election::{
    DEFAULT_LEASE_DURATION, DEFAULT_RENEW_DEADLINE, DEFAULT_RETRY_PERIOD, DEFAULT_STOP_TIMEOUT,
    LeaderElectionConfig,
};
use serde::{Deserialize, Serialize};

use super::document::Document;
use super::duration;
use super::node::Path;

/// The Lease's name unless another one is configured.
pub const DEFAULT_LEASE: &str = "kubedex-gateway";

/// How the replicas agree on one that writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ElectionConfig {
    /// The Lease's name; [`DEFAULT_LEASE`] unless set.
    pub lease: String,
    /// The Lease's namespace; that of the pod, or of the kubeconfig's context, unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Who this replica is. Unless set: `POD_NAME` from the environment or else the host's name, and random digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// How long others wait after the leader's last renewal; whole seconds.
    #[serde(with = "duration::positive")]
    pub lease_duration: Duration,
    /// How long a leader stays one without a renewal.
    #[serde(with = "duration::positive")]
    pub renew_deadline: Duration,
    /// How often a leader renews, and about how often others look.
    #[serde(with = "duration::positive")]
    pub retry_period: Duration,
    /// How long a write has to end once leadership is lost.
    #[serde(with = "duration::positive")]
    pub stop_timeout: Duration,
}

impl Default for ElectionConfig {
    fn default() -> Self {
        Self {
            lease: DEFAULT_LEASE.to_owned(),
            namespace: None,
            identity: None,
            lease_duration: DEFAULT_LEASE_DURATION,
            renew_deadline: DEFAULT_RENEW_DEADLINE,
            retry_period: DEFAULT_RETRY_PERIOD,
            stop_timeout: DEFAULT_STOP_TIMEOUT,
        }
    }
}

impl ElectionConfig {
    pub(super) fn check(&self, path: &Path, document: &mut Document) {
        if let Err(error) = self.campaign().validate() {
            let field = match error.field() {
                "name" => "lease",
                field => field,
            };
            document.fault(&path.key(field), error.reason());
        }
    }

    /// The campaign that this describes.
    pub fn campaign(&self) -> LeaderElectionConfig {
        let mut config = LeaderElectionConfig::new(&self.lease)
            .lease_duration(self.lease_duration)
            .renew_deadline(self.renew_deadline)
            .retry_period(self.retry_period)
            .stop_timeout(self.stop_timeout);
        if let Some(namespace) = &self.namespace {
            config = config.namespace(namespace);
        }
        if let Some(identity) = &self.identity {
            config = config.identity(identity);
        }
        config
    }
}
