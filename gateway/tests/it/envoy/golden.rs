//! Files for Envoy as they stand in `tests/data/outputs/envoy`. With `KUBEDEX_WRITE_GOLDEN=1` they are written anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kubedex_gateway::model::{Cluster, Endpoint, Protocol, SessionAffinity, Snapshot, State};
use kubedex_gateway::output::Output;
use kubedex_gateway::output::envoy::{EnvoyFiles, EnvoyFilesConfig};

/// A cluster of each kind.
pub(super) fn of_each_kind() -> Vec<Cluster> {
    let endpoint = |address: &str, zone: Option<&str>, state| Endpoint {
        address: address.parse().unwrap(),
        port: 8080,
        state,
        zone: zone.map(Into::into),
        node: None,
    };
    let ready = |address| endpoint(address, None, State::Ready);
    let speaking = |name: &str, app_protocol: &str| Cluster {
        app_protocol: Some(app_protocol.into()),
        endpoints: vec![ready("10.0.0.1")],
        ..Cluster::new(name, Protocol::Tcp)
    };
    vec![
        Cluster::new("k8s/shop/empty:http", Protocol::Tcp),
        speaking("k8s/shop/h2c:web", "kubernetes.io/h2c"),
        speaking("k8s/shop/grpc:grpc", "grpc"),
        speaking("k8s/shop/https:443", "https"),
        speaking("k8s/shop/db:5432", "postgresql"),
        Cluster {
            endpoints: vec![ready("10.0.0.2"), ready("2001:db8::2")],
            ..Cluster::new("k8s/shop/dns:dns", Protocol::Udp)
        },
        Cluster::new("k8s/shop/signal:sctp", Protocol::Sctp),
        Cluster {
            endpoints: vec![
                endpoint("10.0.1.1", Some("a"), State::Ready),
                endpoint("10.0.2.1", Some("b"), State::Draining),
                endpoint("10.0.2.2", Some("b"), State::Ready),
                endpoint("10.0.0.9", None, State::Ready),
            ],
            ..Cluster::new("k8s/shop/zones:http", Protocol::Tcp)
        },
        Cluster {
            endpoints: vec![endpoint("10.0.0.3", None, State::Draining)],
            ..Cluster::new("k8s/shop/fallback:http", Protocol::Tcp)
        },
        Cluster {
            session_affinity: Some(SessionAffinity::ClientIp {
                timeout: Duration::from_secs(10800),
            }),
            endpoints: vec![ready("10.0.0.4")],
            ..Cluster::new("sticky \"quoted\" \u{e9}", Protocol::Tcp)
        },
    ]
}

pub(super) fn snapshot(clusters: Vec<Cluster>) -> Snapshot {
    let mut edit = Snapshot::default().edit();
    for cluster in clusters {
        edit.upsert(Arc::new(cluster));
    }
    edit.finish().unwrap_or_default()
}

#[test]
fn files_for_envoy_are_as_recorded() {
    let mut output = EnvoyFiles::new(
        EnvoyFilesConfig::default(),
        Some(Path::new("/etc/envoy/xds")),
    )
    .unwrap();
    let rendering = output.render(&snapshot(of_each_kind()), None);
    let mut files: Vec<(String, Vec<u8>)> = rendering
        .files
        .iter()
        .map(|file| (file.path.to_string(), file.bytes.to_vec()))
        .collect();
    let problems: String = rendering
        .problems
        .iter()
        .map(|problem| format!("{problem}: {}\n", problem.explanation()))
        .collect();
    files.push(("problems.txt".into(), problems.into_bytes()));

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/outputs/envoy");
    if std::env::var_os("KUBEDEX_WRITE_GOLDEN").is_some() {
        fs::create_dir_all(root.join("eds")).unwrap();
        for (path, bytes) in &files {
            fs::write(root.join(path), bytes).unwrap();
        }
    }
    let mut stand: Vec<PathBuf> = [root.clone(), root.join("eds")]
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    stand.sort();
    let mut rendered: Vec<PathBuf> = files.iter().map(|(path, _)| root.join(path)).collect();
    rendered.sort();
    assert_eq!(rendered, stand);
    for (path, bytes) in &files {
        let recorded = fs::read(root.join(path)).unwrap();
        assert_eq!(
            String::from_utf8_lossy(bytes),
            String::from_utf8_lossy(&recorded),
            "{path}"
        );
    }
}

#[test]
fn the_docs_show_the_files_that_envoy_is_started_with() {
    let docs = include_str!("../../../docs/envoy.md");
    for file in [
        include_str!("../../../docs/envoy/files.yaml"),
        include_str!("../../../docs/envoy/ads.yaml"),
        include_str!("../../../docs/envoy/ads-tls.yaml"),
        include_str!("../../../docs/envoy/udp-listener.yaml"),
    ] {
        assert!(docs.contains(&format!("\n{file}```\n")), "{file}");
    }
}
