//! States of the world.

use std::collections::BTreeSet;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::service::discovery::v3::DiscoveryResponse;
use kubedex_gateway::model::Snapshot;
use prost::Message;

use super::client::{CLUSTERS, ENDPOINTS, States, connect, server, until, with};

fn names(answer: &DiscoveryResponse) -> BTreeSet<String> {
    let name = |any: &envoy_types::pb::google::protobuf::Any| match any.type_url.as_str() {
        CLUSTERS => Cluster::decode(&*any.value).unwrap().name,
        _ => {
            ClusterLoadAssignment::decode(&*any.value)
                .unwrap()
                .cluster_name
        }
    };
    answer.resources.iter().map(name).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn clusters_come_complete_and_endpoints_as_they_change() {
    let (publisher, server) = server().await;
    let channel = connect(server.local_addr(), None).await.unwrap();
    // Before anything is published nothing is answered, not even that there is nothing.
    let mut stream = States::open(channel, States::request(CLUSTERS, &[])).await;
    until(|| (server.status().nodes.len() == 1).then_some(())).await;
    assert_eq!(server.status().nodes[0].clusters.sent, None);
    let first = with(&Snapshot::default(), &[("a", 1), ("b", 1)]);
    publisher.publish(first.clone());
    let clusters = stream.next().await;
    assert_eq!(names(&clusters), set(&["a", "b"]));
    stream.settle(&clusters, &[], None);
    stream.say(States::request(ENDPOINTS, &["a", "b", "missing"]));
    let endpoints = stream.next().await;
    assert_eq!(names(&endpoints), set(&["a", "b"]));
    let wanted = ["a", "b", "missing"];
    stream.settle(&endpoints, &wanted, None);
    stream.quiet().await;

    let second = with(&first, &[("b", 2)]);
    publisher.publish(second.clone());
    let changed = stream.next().await;
    assert_eq!(names(&changed), set(&["b"]));
    stream.settle(&changed, &wanted, None);
    let mut edit = with(&second, &[("c", 1)]).edit();
    edit.remove("a");
    publisher.publish(edit.finish().unwrap());
    let clusters = stream.next().await;
    assert_eq!(names(&clusters), set(&["b", "c"]));
    assert_ne!(clusters.version_info, "");
    stream.settle(&clusters, &[], None);
    stream.settle(&changed, &["b", "c"], None);
    let added = stream.next().await;
    assert_eq!(names(&added), set(&["c"]));
    stream.settle(&added, &["b", "c"], None);
    stream.quiet().await;
    server.shutdown().await;
}

#[tokio::test]
async fn what_is_asked_for_again_word_for_word_is_answered_again() {
    let (publisher, server) = server().await;
    publisher.publish(with(&Snapshot::default(), &[("a", 1), ("b", 1)]));
    let channel = connect(server.local_addr(), None).await.unwrap();
    let mut stream = States::open(channel, States::request(ENDPOINTS, &["a"])).await;
    let answer = stream.next().await;
    stream.settle(&answer, &["a"], None);
    stream.quiet().await;
    stream.settle(&answer, &["a"], None);
    let again = stream.next().await;
    assert_eq!(names(&again), set(&["a"]));
    // That is no answer to the newest, so it says nothing.
    stream.settle(&answer, &["a", "b"], None);
    stream.quiet().await;
    stream.settle(&again, &["a", "b"], None);
    assert_eq!(names(&stream.next().await), set(&["b"]));
    server.shutdown().await;
}

#[tokio::test]
async fn a_client_that_names_clusters_gets_those_and_leaves_the_rest() {
    let (publisher, server) = server().await;
    publisher.publish(with(&Snapshot::default(), &[("a", 1), ("b", 1), ("c", 1)]));
    let channel = connect(server.local_addr(), None).await.unwrap();
    let mut stream = States::open(channel, States::request(CLUSTERS, &[])).await;
    let all = stream.next().await;
    assert_eq!(names(&all), set(&["a", "b", "c"]));
    stream.settle(&all, &["a", "b"], None);
    let some = stream.next().await;
    assert_eq!(names(&some), set(&["a", "b"]));
    // Nothing is not everything, once something was named.
    stream.settle(&some, &[], None);
    stream.quiet().await;
    stream.settle(&some, &["*"], None);
    assert_eq!(names(&stream.next().await), set(&["a", "b", "c"]));
    server.shutdown().await;
}

#[tokio::test]
async fn a_rejected_state_is_not_sent_again_until_it_differs() {
    let (publisher, server) = server().await;
    let first = with(&Snapshot::default(), &[("a", 1)]);
    publisher.publish(first.clone());
    let channel = connect(server.local_addr(), None).await.unwrap();
    let mut stream = States::open(channel, States::request(CLUSTERS, &[])).await;
    let rejected = stream.next().await;
    stream.settle(&rejected, &[], Some("no"));
    stream.quiet().await;
    assert_eq!(server.status().nodes[0].clusters.nacks, 1);
    // Endpoints are another matter.
    publisher.publish(with(&first, &[("a", 2)]));
    stream.quiet().await;
    publisher.publish(with(&first, &[("b", 1)]));
    assert_eq!(names(&stream.next().await), set(&["a", "b"]));
    server.shutdown().await;
}
