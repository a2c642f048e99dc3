//! Streams and connections: how they end, and what they may cost.

use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use kubedex_gateway::model::Snapshot;
use kubedex_gateway::publish::channel;
use kubedex_gateway::xds::{XdsConfig, XdsError, serve};
use tokio::net::TcpStream;
use tonic::Code;

use super::client::{CLUSTERS, Deltas, ENDPOINTS, States, connect, names, server, until, with};

const LISTENERS: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";

#[tokio::test]
async fn shutdown_ends_streams_and_waits_for_nobody_who_is_silent() {
    let (publisher, server) = server().await;
    publisher.publish(with(&Snapshot::default(), &[("a", 1)]));
    let address = server.local_addr();
    let silent = TcpStream::connect(address).await.unwrap();
    let channel = connect(address, None).await.unwrap();
    let mut stream = Deltas::open(channel, Deltas::request(CLUSTERS, &[])).await;
    stream.next().await;
    server.shutdown().await;
    assert_eq!(stream.raw().await.unwrap_err().code(), Code::Unavailable);
    assert!(connect(address, None).await.is_err());
    drop(silent);
}

#[tokio::test]
async fn the_last_snapshot_is_served_on_when_no_more_will_come() {
    let (publisher, server) = server().await;
    publisher.publish(with(&Snapshot::default(), &[("a", 1)]));
    let channel = connect(server.local_addr(), None).await.unwrap();
    let mut stream = Deltas::open(channel.clone(), Deltas::request(CLUSTERS, &[])).await;
    stream.next().await;
    drop(publisher);
    stream.subscribe(ENDPOINTS, &["a"]);
    assert_eq!(names(&stream.next().await), ["a"]);
    let mut late = Deltas::open(channel, Deltas::request(CLUSTERS, &[])).await;
    assert_eq!(names(&late.next().await), ["a"]);
    server.shutdown().await;
}

#[tokio::test]
async fn a_type_of_which_there_is_nothing_is_answered_so() {
    let (publisher, server) = server().await;
    publisher.publish(Snapshot::default());
    let channel = connect(server.local_addr(), None).await.unwrap();
    let mut states = States::open(channel.clone(), States::request(LISTENERS, &[])).await;
    let answer = states.next().await;
    assert_eq!(
        (answer.type_url.as_str(), answer.resources.len()),
        (LISTENERS, 0)
    );
    let mut deltas = Deltas::open(channel, Deltas::request(LISTENERS, &[])).await;
    let answer = deltas.next().await;
    assert_eq!(
        (answer.type_url.as_str(), answer.resources.len()),
        (LISTENERS, 0)
    );
    // Nor are there clusters, which is said as well.
    deltas.subscribe(CLUSTERS, &[]);
    assert_eq!(deltas.next().await.type_url, CLUSTERS);
    server.shutdown().await;
}

#[tokio::test]
async fn who_asks_for_too_much_is_turned_away() {
    let (publisher, server) = server().await;
    publisher.publish(Snapshot::default());
    let channel = connect(server.local_addr(), None).await.unwrap();
    let many: Vec<String> = (0..=100_000).map(|name| name.to_string()).collect();
    let request = DeltaDiscoveryRequest {
        resource_names_subscribe: many,
        ..Deltas::request(ENDPOINTS, &[])
    };
    let mut stream = Deltas::open(channel.clone(), request).await;
    assert_eq!(
        stream.raw().await.unwrap_err().code(),
        Code::ResourceExhausted
    );
    let mut stream = Deltas::open(channel.clone(), Deltas::request("", &[])).await;
    assert!(stream.raw().await.is_err());
    let mut stream = Deltas::open(channel, Deltas::request("t/0", &["x"])).await;
    for number in 1..=16 {
        stream.subscribe(&format!("t/{number}"), &["x"]);
    }
    let end = loop {
        match stream.raw().await {
            Ok(_) => {}
            Err(status) => break status,
        }
    };
    assert_eq!(end.code(), Code::ResourceExhausted);
    until(|| (server.status().streams == 0).then_some(())).await;
    server.shutdown().await;
}

#[tokio::test]
async fn anybody_is_served_beyond_loopback_only_on_demand() {
    let (_publisher, snapshots) = channel();
    let mut config = XdsConfig::new(([0, 0, 0, 0], 0).into());
    let refused = serve(config.clone(), snapshots.clone()).await.unwrap_err();
    assert!(matches!(refused, XdsError::Insecure { .. }), "{refused}");
    config.insecure = true;
    serve(config, snapshots).await.unwrap().shutdown().await;
}
