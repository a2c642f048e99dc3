//! Messages as they go over the wire.
//!
//! Answers carry resources that are encoded already, which are bytes here: on the wire an embedded message is no
//! different. Requests are Envoy's own types, read into what both variants of the protocol have in common.

use bytes::Bytes;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};

use super::resources::Resource;
use super::stream::{Answer, Interest, Request};

/// A `DiscoveryResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StateAnswer {
    #[prost(string, tag = "1")]
    version_info: String,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    resources: Vec<Bytes>,
    #[prost(string, tag = "4")]
    type_url: String,
    #[prost(string, tag = "5")]
    nonce: String,
}

/// A `DeltaDiscoveryResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct DeltaAnswer {
    #[prost(string, tag = "1")]
    system_version_info: String,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    resources: Vec<Bytes>,
    #[prost(string, tag = "4")]
    type_url: String,
    #[prost(string, tag = "5")]
    nonce: String,
    #[prost(string, repeated, tag = "6")]
    removed_resources: Vec<String>,
}

impl From<Answer> for StateAnswer {
    fn from(answer: Answer) -> Self {
        Self {
            version_info: answer.version.to_string(),
            resources: answer.resources.iter().map(Resource::any).collect(),
            type_url: answer.type_url.to_string(),
            nonce: answer.nonce,
        }
    }
}

impl From<Answer> for DeltaAnswer {
    fn from(answer: Answer) -> Self {
        Self {
            system_version_info: answer.version.to_string(),
            resources: answer.resources.iter().map(Resource::delta).collect(),
            type_url: answer.type_url.to_string(),
            nonce: answer.nonce,
            removed_resources: answer.removed.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Who asks, as far as it says so: a node's id, cluster and zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asker {
    pub(super) id: String,
    pub(super) cluster: String,
    pub(super) zone: String,
}

/// What both kinds of requests have.
pub(super) trait Incoming: prost::Message + Default + Send + 'static {
    /// What answers look like.
    type Answer: From<Answer> + prost::Message + Send + 'static;
    /// Whether answers carry what changed only.
    const IS_DELTA: bool;

    /// Who asks, and what for.
    fn parts(self) -> (Option<Asker>, Request);
}

type Node = envoy_types::pb::envoy::config::core::v3::Node;

fn asker(node: Option<Node>) -> Option<Asker> {
    node.map(|node| Asker {
        id: node.id,
        cluster: node.cluster,
        zone: node.locality.unwrap_or_default().zone,
    })
}

impl Incoming for DiscoveryRequest {
    type Answer = StateAnswer;
    const IS_DELTA: bool = false;

    fn parts(self) -> (Option<Asker>, Request) {
        let request = Request {
            type_url: self.type_url,
            nonce: self.response_nonce,
            error: self.error_detail.map(|status| status.message),
            interest: Interest::All(self.resource_names),
        };
        (asker(self.node), request)
    }
}

impl Incoming for DeltaDiscoveryRequest {
    type Answer = DeltaAnswer;
    const IS_DELTA: bool = true;

    fn parts(self) -> (Option<Asker>, Request) {
        let request = Request {
            type_url: self.type_url,
            nonce: self.response_nonce,
            error: self.error_detail.map(|status| status.message),
            interest: Interest::Change {
                subscribe: self.resource_names_subscribe,
                unsubscribe: self.resource_names_unsubscribe,
                versions: self.initial_resource_versions.into_iter().collect(),
            },
        };
        (asker(self.node), request)
    }
}
