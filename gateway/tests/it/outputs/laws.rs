//! What holds for every output: the same content gives the same bytes, whatever led to it, and nothing is left out in
//! silence.

use std::sync::Arc;

use kubedex_gateway::model::{ProblemKind, Snapshot, Subject};
use kubedex_gateway::output::Output;
use kubedex_gateway::output::backends::Backends;
use kubedex_gateway::output::haproxy::{Haproxy, HaproxyConfig, Slots};
use kubedex_gateway::output::json::Json;
use kubedex_gateway::output::nginx::Nginx;
use kubedex_gateway::output::prometheus::Prometheus;
use kubedex_gateway::output::traefik::Traefik;

use super::fixture;

fn all() -> Vec<Box<dyn Output>> {
    vec![
        Box::new(Json),
        Box::new(Backends::default()),
        Box::new(Traefik::default()),
        Box::new(Prometheus),
        Box::new(Nginx::default()),
        Box::new(Haproxy::new(HaproxyConfig::default(), Slots::default()).unwrap()),
    ]
}

/// The same content by a detour, at a later version.
fn by_a_detour(snapshot: &Snapshot) -> Snapshot {
    let mut next = snapshot.clone();
    for cluster in snapshot.clusters() {
        let mut edit = next.edit();
        edit.remove(&cluster.name);
        next = edit.finish().unwrap();
    }
    let mut edit = next.edit();
    let mut clusters: Vec<_> = snapshot.clusters().collect();
    clusters.reverse();
    for cluster in clusters {
        edit.upsert(Arc::clone(cluster));
    }
    edit.finish().unwrap()
}

#[test]
fn the_same_content_gives_the_same_bytes_whatever_led_to_it() {
    let snapshot = fixture::full();
    let other = by_a_detour(&snapshot);
    assert_ne!(snapshot.version(), other.version());
    for (mut one, mut two) in all().into_iter().zip(all()) {
        assert_eq!(
            one.render(&snapshot, None),
            two.render(&other, None),
            "{}",
            one.format()
        );
    }
}

#[test]
fn every_problem_names_its_output_and_a_cluster_and_they_are_sorted() {
    let snapshot = fixture::full();
    for mut output in all() {
        let rendering = output.render(&snapshot, None);
        assert!(rendering.problems.is_sorted(), "{}", output.format());
        for problem in rendering.problems.iter() {
            let ProblemKind::Inexpressible { output: named, .. } = &problem.kind else {
                panic!("{problem}");
            };
            assert_eq!(*named, output.format());
            let name = &problem.subject.name;
            assert!(snapshot.cluster(name).is_some(), "{problem}");
            assert_eq!(problem.subject, Subject::cluster(name));
        }
    }
}

#[test]
fn a_cluster_that_is_not_in_the_files_is_a_problem() {
    // Each has an address that no other has.
    let snapshot = fixture::full();
    for mut output in all() {
        let rendering = output.render(&snapshot, None);
        let text: String = rendering
            .files
            .iter()
            .map(|file| String::from_utf8(file.bytes.to_vec()).unwrap())
            .collect();
        for cluster in snapshot.clusters() {
            let Some(endpoint) = cluster.endpoints.first() else {
                continue;
            };
            let is_told = rendering
                .problems
                .iter()
                .any(|problem| *problem.subject.name == *cluster.name);
            assert!(
                text.contains(&endpoint.address.to_string()) || is_told,
                "{}: {}",
                output.format(),
                cluster.name
            );
        }
    }
}

#[test]
fn ten_thousand_clusters_are_rendered_whole() {
    let snapshot = fixture::many(10_000);
    for mut output in all() {
        let rendering = output.render(&snapshot, None);
        assert_eq!(*rendering.problems, [], "{}", output.format());
        let bytes: usize = rendering.files.iter().map(|file| file.bytes.len()).sum();
        assert!(bytes > 30_000 * 15, "{}: {bytes} bytes", output.format());
    }
}
