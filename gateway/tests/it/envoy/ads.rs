//! Envoy by ADS.

use std::sync::atomic::Ordering;

use kubedex_gateway::model::Snapshot;
use kubedex_gateway::publish::channel;
use kubedex_gateway::xds::{Server, TlsConfig, XdsConfig, serve};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::backend::{Backend, Load, get};
use super::process::{Envoy, is_there};
use super::scenario::{self, API, Told, cluster};

const BOOTSTRAP: &str = include_str!("../../../docs/envoy/ads.yaml");
/// Goes on with the cluster that the bootstrap ends its clusters with.
const TLS: &str = include_str!("../../../docs/envoy/ads-tls.yaml");

pub(super) fn bootstrap(api_type: &str, servers: &[&Server]) -> String {
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

#[tokio::test]
async fn another_replica_takes_over_and_no_request_is_lost() {
    if !is_there() {
        return;
    }
    let mut replicas = Vec::new();
    for _ in 0..2 {
        let (publisher, snapshots) = channel();
        let config = XdsConfig::new(([127, 0, 0, 1], 0).into());
        replicas.push((publisher, serve(config, snapshots).await.unwrap()));
    }
    let servers: Vec<&Server> = replicas.iter().map(|(_, server)| server).collect();
    let bootstrap = bootstrap("DELTA_GRPC", &servers);
    let (one, two) = (Backend::start().await, Backend::start().await);
    let mut told = Told::new(|snapshot: &Snapshot| {
        for (publisher, _) in &replicas {
            publisher.publish(snapshot.clone());
        }
    });
    told.set(vec![cluster(API, &[one.address], &[])]);
    let envoy = Envoy::start(&bootstrap).await;
    envoy
        .until("the cluster is there", || async {
            let (status, _) = get(envoy.listener, "/api", "").await.ok()?;
            (status == 200).then_some(())
        })
        .await;
    let load = Load::start(envoy.listener, "/api");
    drop(told);
    let used = usize::from(replicas[0].1.status().streams == 0);
    let (_gone, server) = replicas.remove(used);
    server.shutdown().await;
    let (publisher, server) = replicas.remove(0);
    let node = envoy
        .until("Envoy comes to the other replica", || async {
            let node = server.status().nodes.first()?.clone();
            (node.clusters.acks > 0).then_some(node)
        })
        .await;
    assert_eq!(node.endpoints.sent, None, "nothing differs: {node:?}");
    let mut told = Told::new(|snapshot: &Snapshot| publisher.publish(snapshot.clone()));
    told.set(vec![cluster(API, &[two.address], &[])]);
    envoy
        .until("the new endpoint serves", || async {
            let (_, body) = get(envoy.listener, "/api", "").await.ok()?;
            body.contains(&two.address.to_string()).then_some(())
        })
        .await;
    assert!(load.answered.load(Ordering::Relaxed) > 0);
    let (_, failures) = load.stop().await;
    assert!(failures.is_empty(), "{failures:?}");
    one.stop().await;
    two.stop().await;
    server.shutdown().await;
}

#[tokio::test]
async fn envoy_and_the_server_know_each_other_by_their_certificates() {
    if !is_there() {
        return;
    }
    let (_folder, root) = Envoy::scratch();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = authority.self_signed(&key).unwrap();
    std::fs::write(root.join("ca.crt"), certificate.pem()).unwrap();
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate().unwrap();
    let mut params =
        CertificateParams::new(vec!["kubedex-gateway.kubedex.svc".to_owned()]).unwrap();
    // Of the same name as its issuer it would count as signed by itself.
    let name = &mut params.distinguished_name;
    name.push(DnType::CommonName, "kubedex-gateway");
    let certificate = params.signed_by(&key, &issuer).unwrap();
    std::fs::write(root.join("tls.crt"), certificate.pem()).unwrap();
    std::fs::write(root.join("tls.key"), key.serialize_pem()).unwrap();

    let (publisher, snapshots) = channel();
    let config = XdsConfig {
        tls: Some(TlsConfig {
            cert_file: root.join("tls.crt"),
            key_file: root.join("tls.key"),
            client_ca_file: Some(root.join("ca.crt")),
        }),
        ..XdsConfig::new(([127, 0, 0, 1], 0).into())
    };
    let server = serve(config, snapshots).await.unwrap();
    let backend = Backend::start().await;
    let mut told = Told::new(|snapshot: &Snapshot| publisher.publish(snapshot.clone()));
    told.set(vec![cluster(API, &[backend.address], &[])]);
    let bootstrap = bootstrap("DELTA_GRPC", &[&server]);
    let (before, after) = bootstrap.split_once("  listeners:\n").unwrap();
    let tls = TLS.replace("/tls/", &format!("{}/", root.display()));
    let envoy = Envoy::start(&format!("{before}{tls}  listeners:\n{after}")).await;
    envoy
        .until("the cluster is there", || async {
            let (status, _) = get(envoy.listener, "/api", "").await.ok()?;
            (status == 200).then_some(())
        })
        .await;
    server.shutdown().await;
    backend.stop().await;
}
