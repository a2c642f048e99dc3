//! Prometheus' own check of what is written for it.

use std::fs;
use std::process::Command;

use kubedex_gateway::model::Snapshot;
use kubedex_gateway::output::prometheus::Prometheus;

use super::{consumer, fixture};

#[test]
fn promtool_takes_the_targets_and_relabels_them_as_documented() {
    let Some(promtool) = consumer::find("promtool") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let config = consumer::snippet("yaml prometheus")
        .replace("/etc/prometheus/kubedex", &path.display().to_string());
    fs::write(path.join("prometheus.yml"), config).unwrap();
    for snapshot in [fixture::full(), Snapshot::default()] {
        consumer::write(&mut Prometheus, &snapshot, path);
        let check = ["check", "config", "prometheus.yml"];
        let said = consumer::succeeds(Command::new(&promtool).args(check).current_dir(path));
        assert!(said.contains("SUCCESS"), "{said}");
    }
    consumer::write(&mut Prometheus, &fixture::full(), path);
    let check = [
        "check",
        "service-discovery",
        "--timeout=1s",
        "prometheus.yml",
        "kubedex",
    ];
    let said = consumer::succeeds(Command::new(&promtool).args(check).current_dir(path));
    // What it logs follows.
    let mut documents = serde_json::Deserializer::from_str(&said).into_iter::<serde_json::Value>();
    let found = documents.next().unwrap().unwrap();
    let kept: Vec<_> = found
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|target| target["labels"].as_object())
        .filter_map(|labels| labels.get("service")?.as_str())
        .collect();
    let targets_of = |service: &str| kept.iter().filter(|name| **name == service).count();
    assert_eq!(targets_of("api"), 3);
    assert_eq!(targets_of("rolling"), 2, "one of three drains");
    assert_eq!(targets_of("redis"), 0, "its port is not asked for");
}
