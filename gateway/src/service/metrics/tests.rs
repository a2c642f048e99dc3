use std::collections::HashMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tokio::time::Instant;

use super::*;
use crate::model::{Cluster, Protocol, Snapshot};
use crate::publication;
use crate::publish::Published;

fn view() -> View {
    let mut edit = Snapshot::default().edit();
    edit.upsert(Arc::new(Cluster::new("a", Protocol::Tcp)));
    let mut status = publication::Status {
        version: Some(1),
        at: Some(Instant::now()),
        writes: 3,
        failures: 2,
        ..publication::Status::default()
    };
    status.written.bytes = 1234;
    let mut view = View {
        published: Some(Arc::new(Published {
            snapshot: edit.finish().unwrap(),
            at: Instant::now(),
        })),
        publications: vec![
            ("json-stdout".into(), status),
            ("never".into(), publication::Status::default()),
        ],
        election: Some((true, false)),
        ..View::default()
    };
    view.reloads.failed = 1;
    #[cfg(feature = "xds")]
    {
        view.xds = Some(crate::xds::Status::default());
    }
    view
}

/// Samples by their names and labels.
fn samples(text: &str) -> HashMap<&str, &str> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .collect()
}

#[tokio::test]
async fn what_the_parts_count_is_what_is_told() {
    let text = classic(view());
    let samples = samples(&text);
    for (name, value) in [
        (
            r#"kubedex_gateway_publication_writes_total{publication="json-stdout"}"#,
            "3",
        ),
        (
            r#"kubedex_gateway_publication_failures_total{publication="json-stdout"}"#,
            "2",
        ),
        (
            r#"kubedex_gateway_publication_written_bytes_total{publication="json-stdout"}"#,
            "1234",
        ),
        (
            r#"kubedex_gateway_publication_snapshot_version{publication="json-stdout"}"#,
            "1",
        ),
        (
            r#"kubedex_gateway_publication_writes_total{publication="never"}"#,
            "0",
        ),
        (
            r#"kubedex_gateway_config_reloads_total{outcome="failed"}"#,
            "1",
        ),
        (r#"kubedex_gateway_endpoints{state="ready"}"#, "0"),
        ("kubedex_gateway_clusters", "1"),
        ("kubedex_gateway_leader", "1"),
        ("kubedex_gateway_ready", "0"),
    ] {
        assert_eq!(samples.get(name), Some(&value), "{name} in\n{text}");
    }
    let absent = r#"kubedex_gateway_publication_snapshot_version{publication="never"}"#;
    assert!(!samples.contains_key(absent));
    assert!(samples.contains_key("kubedex_gateway_snapshot_age_seconds"));
}

#[tokio::test]
async fn both_forms_have_the_same_samples_and_each_its_own_frame() {
    let view = View {
        published: None,
        ..view()
    };
    let (open, classic) = (open_metrics(view.clone()), classic(view));
    let names = |text: &str| -> Vec<String> {
        let is_sample = |line: &&str| !line.starts_with('#') && !line.contains("age_seconds");
        text.lines().filter(is_sample).map(str::to_owned).collect()
    };
    assert_eq!(names(&open), names(&classic));
    assert!(open.ends_with("# EOF\n"));
    assert!(!classic.contains("# EOF") && !classic.contains("# UNIT"));
    for line in classic.lines().filter(|line| line.starts_with("# TYPE")) {
        assert!(
            !line.ends_with(" counter") || line.contains("_total "),
            "{line}"
        );
    }
}

#[tokio::test]
async fn promtool_finds_nothing_to_say() {
    let spawned = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = spawned else {
        eprintln!("skipped: no promtool on the PATH");
        return;
    };
    let mut stdin = promtool.stdin.take().unwrap();
    stdin.write_all(classic(view()).as_bytes()).unwrap();
    drop(stdin);
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&said)
    );
}
