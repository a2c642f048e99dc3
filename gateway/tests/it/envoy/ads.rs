//! Envoy by ADS.

use kubedex_gateway::model::Snapshot;
use kubedex_gateway::publish::channel;
use kubedex_gateway::xds::{Server, XdsConfig, serve};

use super::process::{Envoy, is_there};
use super::scenario::{self, Told};

const BOOTSTRAP: &str = include_str!("../../../docs/envoy/ads.yaml");

fn bootstrap(api_type: &str, servers: &[&Server]) -> String {
    let endpoint = "        - endpoint: {address: {socket_address: {address: \
                    kubedex-gateway.kubedex.svc, port_value: 18000}}}\n";
    assert!(BOOTSTRAP.contains(endpoint));
    let endpoints: String = servers
        .iter()
        .map(|server| {
            let port = server.local_addr().port().to_string();
            endpoint
                .replace("kubedex-gateway.kubedex.svc", "127.0.0.1")
                .replace("18000", &port)
        })
        .collect();
    BOOTSTRAP
        .replace("api_type: DELTA_GRPC", &format!("api_type: {api_type}"))
        .replace(endpoint, &endpoints)
}

async fn told_by(api_type: &str) {
    if !is_there() {
        return;
    }
    let (publisher, snapshots) = channel();
    let server = serve(XdsConfig::new(([127, 0, 0, 1], 0).into()), snapshots)
        .await
        .unwrap();
    let mut told = Told::new(|snapshot: &Snapshot| publisher.publish(snapshot.clone()));
    let bootstrap = bootstrap(api_type, &[&server]);
    let envoy = scenario::run(&mut told, async || Envoy::start(&bootstrap).await).await;

    let status = envoy
        .until("everything is accepted", || async {
            let status = server.status();
            let node = status.nodes.first()?;
            let is_settled = node.clusters.acked == node.clusters.sent
                && node.endpoints.acked == node.endpoints.sent;
            is_settled.then_some(status)
        })
        .await;
    let node = &status.nodes[0];
    assert_eq!(
        (&*node.id, &*node.cluster, &*node.zone),
        ("edge-1", "edge", "a")
    );
    assert_eq!(
        (node.clusters.nacks, node.endpoints.nacks),
        (0, 0),
        "{node:?}"
    );
    assert_eq!((status.streams, node.streams), (1, 1));
    server.shutdown().await;
}

#[tokio::test]
async fn envoy_told_by_deltas_loses_no_request_while_endpoints_come_and_go() {
    told_by("DELTA_GRPC").await;
}

#[tokio::test]
async fn envoy_told_by_states_of_the_world_loses_no_request_while_endpoints_come_and_go() {
    told_by("GRPC").await;
}
