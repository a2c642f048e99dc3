//! A client of the aggregated discovery service, as Envoy is one: delta, over a socket on loopback.

use std::collections::HashMap;
use std::net::SocketAddr;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::config::core::v3::address::Address;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tonic::transport::Channel;

const ENDPOINTS: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";

/// When each writing of a cluster's endpoints arrived.
pub(crate) type Arrivals = HashMap<String, Vec<(u16, Instant)>>;

/// Subscribes to the endpoints of these clusters and notes what comes, until told to stop. `has_all` becomes true once
/// all of them came.
pub(crate) async fn follow(
    server: SocketAddr,
    clusters: Vec<String>,
    has_all: watch::Sender<bool>,
    mut stop: watch::Receiver<bool>,
) -> Arrivals {
    let channel = Channel::from_shared(format!("http://{server}")).unwrap();
    let mut client = AggregatedDiscoveryServiceClient::new(channel.connect().await.unwrap())
        .max_decoding_message_size(1 << 28);
    let (requests, receiver) = mpsc::channel::<DeltaDiscoveryRequest>(16);
    let all = clusters.len();
    let first = DeltaDiscoveryRequest {
        node: Some(Node {
            id: "bench".to_owned(),
            cluster: "bench".to_owned(),
            ..Node::default()
        }),
        type_url: ENDPOINTS.to_owned(),
        resource_names_subscribe: clusters,
        ..DeltaDiscoveryRequest::default()
    };
    requests.send(first).await.unwrap();
    let answers = client
        .delta_aggregated_resources(futures::stream::unfold(receiver, |mut receiver| async {
            Some((receiver.recv().await?, receiver))
        }));
    let mut answers = answers.await.unwrap().into_inner();
    let mut arrivals = Arrivals::new();
    loop {
        let answer = tokio::select! {
            answer = answers.message() => answer.unwrap().unwrap(),
            _ = stop.changed() => return arrivals,
        };
        let at = Instant::now();
        for resource in answer.resources {
            let any = resource.resource.unwrap();
            let assignment = ClusterLoadAssignment::decode(&any.value[..]).unwrap();
            let writing = port(&assignment).unwrap();
            let of_cluster = arrivals.entry(assignment.cluster_name).or_default();
            of_cluster.push((writing, at));
        }
        has_all.send_replace(arrivals.len() == all);
        let acknowledgement = DeltaDiscoveryRequest {
            type_url: ENDPOINTS.to_owned(),
            response_nonce: answer.nonce,
            ..DeltaDiscoveryRequest::default()
        };
        requests.send(acknowledgement).await.unwrap();
    }
}

/// The port of the first endpoint.
fn port(assignment: &ClusterLoadAssignment) -> Option<u16> {
    let endpoint = assignment.endpoints.first()?.lb_endpoints.first()?;
    let HostIdentifier::Endpoint(endpoint) = endpoint.host_identifier.as_ref()? else {
        return None;
    };
    let Address::SocketAddress(address) = endpoint.address.as_ref()?.address.as_ref()? else {
        return None;
    };
    match address.port_specifier.as_ref()? {
        PortSpecifier::PortValue(port) => u16::try_from(*port).ok(),
        PortSpecifier::NamedPort(_) => None,
    }
}
