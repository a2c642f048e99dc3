//! Prometheus' own check of what is written for it.

use std::fs;
use std::process::Command;

use kubedex_gateway::model::Snapshot;
use kubedex_gateway::output::prometheus::Prometheus;

use super::{consumer, fixture};

#[test]
fn promtool_takes_the_targets() {
    let Some(promtool) = consumer::find("promtool") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let config = r#"
scrape_configs:
  - job_name: kubedex
    file_sd_configs: [{files: [targets.json]}]
    relabel_configs:
      - {source_labels: [__meta_kubedex_port], regex: "http|metrics", action: keep}
      - {source_labels: [__meta_kubedex_state], regex: ready, action: keep}
      - {source_labels: [__meta_kubedex_cluster], target_label: cluster}
"#;
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
        .filter_map(|labels| labels.get("cluster")?.as_str())
        .collect();
    assert_eq!(
        kept.iter()
            .filter(|name| **name == "k8s/shop/api:http")
            .count(),
        3
    );
    assert_eq!(
        kept.iter()
            .filter(|name| **name == "k8s/shop/rolling:http")
            .count(),
        2
    );
    assert!(!kept.contains(&"k8s/shop/redis:redis"));
}
