//! A client of the aggregated discovery service, as Envoy is one: delta, over a socket on loopback.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::config::core::v3::address::Address;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use kubedex_gateway::model::Snapshot;
use kubedex_gateway::publish;
use kubedex_gateway::xds::{self, XdsConfig};
use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tonic::Streaming;
use tonic::transport::Channel;

use super::processor_time;

const ENDPOINTS: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";

/// Over how many deltas the mean is taken.
const DELTAS: u32 = 5_000;

/// When each writing of a cluster's endpoints arrived.
pub(crate) type Arrivals = HashMap<String, Vec<(u16, Instant)>>;

/// A subscription to the endpoints of clusters.
struct Subscription {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    answers: Streaming<DeltaDiscoveryResponse>,
}

impl Subscription {
    async fn open(server: SocketAddr, clusters: Vec<String>) -> Self {
        let channel = Channel::from_shared(format!("http://{server}")).unwrap();
        let mut client = AggregatedDiscoveryServiceClient::new(channel.connect().await.unwrap())
            .max_decoding_message_size(1 << 28);
        let (requests, receiver) = mpsc::channel::<DeltaDiscoveryRequest>(16);
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
        let requested = futures::stream::unfold(receiver, |mut receiver| async {
            Some((receiver.recv().await?, receiver))
        });
        let answers = client.delta_aggregated_resources(requested).await;
        let answers = answers.unwrap().into_inner();
        Self { requests, answers }
    }

    /// The next answer's resources, which are acknowledged.
    async fn next(&mut self) -> Vec<ClusterLoadAssignment> {
        let answer = self.answers.message().await.unwrap().unwrap();
        let assignments = answer.resources.into_iter().map(|resource| {
            let any = resource.resource.unwrap();
            ClusterLoadAssignment::decode(&any.value[..]).unwrap()
        });
        let assignments = assignments.collect();
        let acknowledgement = DeltaDiscoveryRequest {
            type_url: ENDPOINTS.to_owned(),
            response_nonce: answer.nonce,
            ..DeltaDiscoveryRequest::default()
        };
        self.requests.send(acknowledgement).await.unwrap();
        assignments
    }
}

/// Subscribes to the endpoints of these clusters and notes what comes, until told to stop. `has_all` becomes true once
/// all of them came.
pub(crate) async fn follow(
    server: SocketAddr,
    clusters: Vec<String>,
    has_all: watch::Sender<bool>,
    mut stop: watch::Receiver<bool>,
) -> Arrivals {
    let all = clusters.len();
    let mut subscription = Subscription::open(server, clusters).await;
    let mut arrivals = Arrivals::new();
    loop {
        let assignments = tokio::select! {
            assignments = subscription.next() => assignments,
            _ = stop.changed() => return arrivals,
        };
        let at = Instant::now();
        for assignment in assignments {
            let writing = port(&assignment).unwrap();
            let of_cluster = arrivals.entry(assignment.cluster_name).or_default();
            of_cluster.push((writing, at));
        }
        has_all.send_replace(arrivals.len() == all);
    }
}

/// The mean processor time that a publication takes until one client has its delta, the client's own included, with
/// everything on one thread. The two snapshots, of these clusters, are published in turn.
pub(crate) fn delta_cost(clusters: Vec<String>, snapshots: [&Snapshot; 2]) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let (publisher, published) = publish::channel();
        publisher.publish(snapshots[0].clone());
        let config = XdsConfig::new(([127, 0, 0, 1], 0).into());
        let server = xds::serve(config, published).await.unwrap();
        let mut left = clusters.len();
        let mut subscription = Subscription::open(server.local_addr(), clusters).await;
        while left > 0 {
            left -= subscription.next().await.len();
        }
        let mut turn = 0;
        let mut deltas = async |count: u32| {
            for _ in 0..count {
                turn = 1 - turn;
                publisher.publish(snapshots[turn].clone());
                assert_eq!(subscription.next().await.len(), 1, "what changed alone");
            }
        };
        deltas(100).await;
        let before = processor_time();
        deltas(DELTAS).await;
        let mean = processor_time().saturating_sub(before) / DELTAS;
        server.shutdown().await;
        mean
    })
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
