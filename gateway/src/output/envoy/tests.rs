use serde_json::Value;

use super::*;
use crate::model::{Endpoint, Protocol, State};

fn files() -> EnvoyFiles {
    EnvoyFiles::new(
        EnvoyFilesConfig::default(),
        Some(Path::new("/etc/envoy/xds/")),
    )
    .unwrap()
}

fn cluster(name: &str, app_protocol: Option<&str>, lasts: &[u8]) -> Arc<Cluster> {
    let endpoint = |last: &u8| Endpoint {
        address: [10, 0, 0, *last].into(),
        port: 80,
        state: State::Ready,
        zone: None,
        node: None,
    };
    Arc::new(Cluster {
        app_protocol: app_protocol.map(Into::into),
        endpoints: lasts.iter().map(endpoint).collect(),
        ..Cluster::new(name, Protocol::Tcp)
    })
}

fn with(base: &Snapshot, clusters: &[Arc<Cluster>]) -> Snapshot {
    let mut edit = base.edit();
    for cluster in clusters {
        edit.upsert(Arc::clone(cluster));
    }
    edit.finish().unwrap_or_default()
}

fn paths(rendering: &Rendering) -> Vec<&str> {
    rendering.files.iter().map(|file| &*file.path).collect()
}

#[test]
fn a_first_rendering_is_whole_and_names_files_after_they_are_there() {
    let snapshot = with(
        &Snapshot::default(),
        &[cluster("b", None, &[1]), cluster("a/b", None, &[])],
    );
    let rendering = files().render(&snapshot, None);
    assert!(rendering.is_whole && rendering.removed.is_empty());
    assert_eq!(
        paths(&rendering),
        ["eds/a%2Fb.json", "eds/b.json", "cds.json"]
    );
    let parse =
        |at: usize| -> Value { serde_json::from_slice(&rendering.files[at].bytes).unwrap() };
    let empty = &parse(0)["resources"][0];
    assert_eq!(empty["cluster_name"], "a/b");
    assert_eq!(empty["endpoints"], Value::Array(Vec::new()));
    let named = &parse(2)["resources"][0]["eds_cluster_config"]["eds_config"];
    assert_eq!(
        named["path_config_source"]["path"],
        "/etc/envoy/xds/eds/a%2Fb.json"
    );
}

#[test]
fn endpoints_alone_do_not_touch_the_clusters() {
    let first = with(
        &Snapshot::default(),
        &[cluster("a", None, &[1]), cluster("b", None, &[2])],
    );
    let second = with(&first, &[cluster("a", None, &[1, 3])]);
    let rendering = files().render(&second, Some(&first));
    assert!(!rendering.is_whole);
    assert_eq!(paths(&rendering), ["eds/a.json"]);
}

#[test]
fn settings_alone_do_not_touch_the_endpoints() {
    let first = with(&Snapshot::default(), &[cluster("a", None, &[1])]);
    let second = with(&first, &[cluster("a", Some("grpc"), &[1])]);
    let rendering = files().render(&second, Some(&first));
    assert_eq!(paths(&rendering), ["cds.json"]);
}

#[test]
fn a_cluster_that_goes_takes_its_file_with_it_after_the_clusters_are_written() {
    let first = with(
        &Snapshot::default(),
        &[cluster("a", None, &[1]), cluster("b", None, &[2])],
    );
    let mut edit = first.edit();
    edit.remove("a");
    let sctp = Cluster::new("b", Protocol::Sctp);
    edit.upsert(Arc::new(sctp));
    let second = edit.finish().unwrap();
    let mut output = files();
    let rendering = output.render(&second, Some(&first));
    assert_eq!(paths(&rendering), ["cds.json"]);
    assert_eq!(
        rendering.removed,
        [Arc::from("eds/a.json"), Arc::from("eds/b.json")]
    );
    assert_eq!(rendering.problems.len(), 1);
    assert_eq!(output.render(&second, Some(&first)), rendering);
    assert!(output.render(&first, Some(&second)).problems.is_empty());
}

#[test]
fn what_nothing_in_it_shows_is_not_written() {
    let first = with(&Snapshot::default(), &[cluster("a", None, &[1])]);
    let mut moved = (*cluster("a", None, &[1])).clone();
    moved.endpoints[0].node = Some("n2".into());
    let second = with(&first, &[Arc::new(moved)]);
    assert!(files().render(&second, Some(&first)).files.is_empty());
}

#[test]
fn a_root_must_be_known_and_absolute() {
    let new = |root: Option<&str>, directory: Option<&str>| {
        let config = EnvoyFilesConfig {
            root: root.map(Into::into),
            upstream_ca: None,
        };
        EnvoyFiles::new(config, directory.map(Path::new)).map(|it| it.root)
    };
    assert!(matches!(new(None, None), Err(EnvoyFilesError::NoRoot)));
    assert!(matches!(
        new(None, Some("xds")),
        Err(EnvoyFilesError::Relative { field: "root", .. })
    ));
    assert_eq!(new(Some("/a/"), Some("xds")).unwrap(), "/a");
    assert_eq!(new(None, Some("/b")).unwrap(), "/b");
}

#[test]
fn a_misspelt_option_is_refused() {
    let read = |text: &str| serde_saphyr::from_str::<EnvoyFilesConfig>(text);
    let config = read("root: /etc/envoy/xds\nupstream_ca: /etc/ssl/ca.pem\n").unwrap();
    assert_eq!(config.root.as_deref(), Some(Path::new("/etc/envoy/xds")));
    assert!(read("rot: /etc/envoy/xds\n").is_err());
}
