//! Deltas.

use std::collections::HashMap;

use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use kubedex_gateway::model::Snapshot;
use prost::Message;

use super::client::{CLUSTERS, Deltas, ENDPOINTS, connect, names, server, until, with};

#[tokio::test]
async fn only_what_changed_is_sent_and_what_goes_is_named() {
    let (publisher, server) = server().await;
    let first = with(&Snapshot::default(), &[("a", 1), ("b", 0)]);
    publisher.publish(first.clone());
    let channel = connect(server.local_addr(), None).await.unwrap();
    let mut stream = Deltas::open(channel, Deltas::request(CLUSTERS, &[])).await;
    assert_eq!(names(&stream.next().await), ["a", "b"]);
    stream.subscribe(ENDPOINTS, &["a", "b", "missing"]);
    let answer = stream.next().await;
    assert_eq!(names(&answer), ["a", "b"]);
    assert_eq!(answer.removed_resources, ["missing"]);
    let empty = answer.resources[1].resource.as_ref().unwrap();
    let empty = ClusterLoadAssignment::decode(&*empty.value).unwrap();
    assert_eq!(
        (empty.cluster_name.as_str(), empty.endpoints.len()),
        ("b", 0)
    );

    let second = with(&first, &[("a", 2)]);
    publisher.publish(second.clone());
    let answer = stream.next().await;
    assert_eq!(
        (answer.type_url.as_str(), names(&answer)),
        (ENDPOINTS, vec!["a"])
    );

    let mut edit = with(&second, &[("c", 1)]).edit();
    edit.remove("a");
    publisher.publish(edit.finish().unwrap());
    let answer = stream.next().await;
    assert_eq!(
        (answer.type_url.as_str(), names(&answer)),
        (CLUSTERS, vec!["c"])
    );
    assert_eq!(answer.removed_resources, ["a"]);
    let answer = stream.next().await;
    assert_eq!(
        (answer.type_url.as_str(), names(&answer)),
        (ENDPOINTS, vec![])
    );
    assert_eq!(answer.removed_resources, ["a"]);
    stream.quiet().await;
    server.shutdown().await;
}

#[tokio::test]
async fn what_is_asked_for_again_is_sent_again_and_what_is_left_is_not() {
    let (publisher, server) = server().await;
    let first = with(&Snapshot::default(), &[("a", 1), ("b", 1)]);
    publisher.publish(first.clone());
    let channel = connect(server.local_addr(), None).await.unwrap();
    let mut stream = Deltas::open(channel, Deltas::request(ENDPOINTS, &["a", "b"])).await;
    assert_eq!(names(&stream.next().await), ["a", "b"]);
    stream.subscribe(ENDPOINTS, &["b"]);
    assert_eq!(names(&stream.next().await), ["b"]);
    stream.say(DeltaDiscoveryRequest {
        resource_names_unsubscribe: vec!["a".to_owned()],
        ..Deltas::request(ENDPOINTS, &[])
    });
    stream.quiet().await;
    publisher.publish(with(&first, &[("a", 2), ("b", 2)]));
    assert_eq!(names(&stream.next().await), ["b"]);
    stream.quiet().await;
    server.shutdown().await;
}

#[tokio::test]
async fn another_replica_sends_only_what_differs_from_what_the_client_has() {
    let (publisher, one) = server().await;
    let first = with(&Snapshot::default(), &[("a", 1), ("b", 1), ("c", 1)]);
    publisher.publish(first.clone());
    let channel = connect(one.local_addr(), None).await.unwrap();
    let mut stream = Deltas::open(channel, Deltas::request(CLUSTERS, &[])).await;
    let clusters = stream.next().await;
    stream.subscribe(ENDPOINTS, &["a", "b", "c"]);
    let endpoints = stream.next().await;
    let versions =
        |answer: &envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryResponse| {
            let version = |it: &envoy_types::pb::envoy::service::discovery::v3::Resource| {
                (it.name.clone(), it.version.clone())
            };
            answer
                .resources
                .iter()
                .map(version)
                .collect::<HashMap<_, _>>()
        };
    let (clusters, endpoints) = (versions(&clusters), versions(&endpoints));
    one.shutdown().await;

    // The other replica came to its content in another way, and knows of something newer.
    let (publisher, two) = server().await;
    let mut edit = with(&Snapshot::default(), &[("c", 3), ("b", 2)]).edit();
    edit.remove("c");
    publisher.publish(with(&edit.finish().unwrap(), &[("a", 1)]));
    let channel = connect(two.local_addr(), None).await.unwrap();
    let begin = |type_url, names: &[&str], versions| DeltaDiscoveryRequest {
        initial_resource_versions: versions,
        ..Deltas::request(type_url, names)
    };
    let mut stream = Deltas::open(channel, begin(CLUSTERS, &[], clusters)).await;
    let answer = stream.next().await;
    assert_eq!(
        (names(&answer), answer.removed_resources.as_slice()),
        (vec![], &["c".to_owned()][..])
    );
    stream.say(begin(ENDPOINTS, &["a", "b", "c"], endpoints));
    let answer = stream.next().await;
    assert_eq!(
        (names(&answer), answer.removed_resources.as_slice()),
        (vec!["b"], &["c".to_owned()][..])
    );
    stream.quiet().await;
    two.shutdown().await;
}

#[tokio::test]
async fn a_client_that_is_slow_to_accept_is_told_the_newest_next() {
    let (publisher, server) = server().await;
    let mut snapshot = with(&Snapshot::default(), &[("a", 1)]);
    publisher.publish(snapshot.clone());
    let channel = connect(server.local_addr(), None).await.unwrap();
    let mut stream = Deltas::open(channel, Deltas::request(ENDPOINTS, &["a"])).await;
    let unanswered = stream.raw().await.unwrap().unwrap();
    for endpoints in 2..=50 {
        snapshot = with(&snapshot, &[("a", endpoints)]);
        publisher.publish(snapshot.clone());
    }
    stream.quiet().await;
    stream.settle(&unanswered, None);
    let answer = stream.next().await;
    let newest = answer.resources[0].resource.as_ref().unwrap();
    let newest = ClusterLoadAssignment::decode(&*newest.value).unwrap();
    assert_eq!(newest.endpoints[0].lb_endpoints.len(), 50);
    stream.quiet().await;
    server.shutdown().await;
}

#[tokio::test]
async fn what_is_rejected_comes_again_only_when_it_changes_and_is_in_the_status() {
    let (publisher, server) = server().await;
    let first = with(&Snapshot::default(), &[("a", 1)]);
    publisher.publish(first.clone());
    let channel = connect(server.local_addr(), None).await.unwrap();
    let mut stream = Deltas::open(channel, Deltas::request(ENDPOINTS, &["a"])).await;
    let rejected = stream.raw().await.unwrap().unwrap();
    stream.settle(&rejected, Some("not like this"));
    stream.quiet().await;
    let node = server.status().nodes[0].clone();
    assert_eq!(
        (&*node.id, node.endpoints.nacks, node.endpoints.acked),
        ("tester", 1, None)
    );
    assert_eq!(node.endpoints.last_error.as_deref(), Some("not like this"));
    publisher.publish(with(&first, &[("b", 1)]));
    stream.quiet().await;
    publisher.publish(with(&first, &[("a", 2)]));
    assert_eq!(names(&stream.next().await), ["a"]);
    let node = until(|| {
        let node = server.status().nodes[0].clone();
        (node.endpoints.acks == 1).then_some(node)
    })
    .await;
    assert_eq!(node.endpoints.last_error, None);
    assert_eq!(node.endpoints.acked, node.endpoints.sent);
    server.shutdown().await;
}
