//! `render` as a user runs it.

use std::ffi::OsStr;
use std::fs;

use serde_json::{Value, json};

use crate::binary::{run, run_with_stdin};

const SHOP: &str = "\
apiVersion: v1
kind: Service
metadata: {name: api}
spec:
  ports:
  - {name: http, port: 80, targetPort: 8080}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: api-1
  labels: {kubernetes.io/service-name: api}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints:
- addresses: [10.0.0.1]
- addresses: [10.0.0.2]
  conditions: {ready: false, serving: true, terminating: true}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
";

#[test]
fn manifests_become_clusters_in_json_and_as_a_table() {
    let json_run = run_with_stdin(&["render", "-f", "-"], SHOP);
    assert_eq!(json_run.code(), Some(0), "{}", json_run.stderr);
    assert_eq!(json_run.stderr, "");
    let state: Value = serde_json::from_str(&json_run.stdout).unwrap();
    assert_eq!(
        state,
        json!({
            "clusters": [{
                "name": "k8s/default/api:http",
                "protocol": "TCP",
                "endpoints": [{"address": "10.0.0.1", "port": 8080, "state": "ready"}],
            }],
            "problems": [],
        })
    );

    let options = [
        "render",
        "-f",
        "-",
        "-n",
        "shop",
        "-o",
        "table",
        "-v",
        "--include-draining",
    ];
    let table = run_with_stdin(&options, SHOP);
    assert_eq!(
        table.stdout,
        "\
CLUSTER            PROTO  READY  DRAINING  ENDPOINTS
k8s/shop/api:http  TCP        1         1  10.0.0.1:8080 10.0.0.2:8080

1 cluster, 1 endpoint ready, 1 draining
"
    );
    assert_eq!(
        table.stderr,
        "read: 1 Service, 1 EndpointSlice; passed over: 1 Deployment\n"
    );
}

#[test]
fn only_ports_that_are_asked_for_become_clusters() {
    for (port, expected) in [("http", 1), ("80", 0)] {
        let outcome = run_with_stdin(&["render", "-f", "-", "--port", port], SHOP);
        let state: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(
            state["clusters"].as_array().unwrap().len(),
            expected,
            "{port}"
        );
    }
}

#[test]
fn a_folder_is_read_and_of_two_objects_the_later_counts_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), SHOP).unwrap();
    fs::create_dir(folder.path().join("b")).unwrap();
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "api"},
                         "spec": {"ports": [{"name": "other", "port": 80}]}});
    fs::write(folder.path().join("b/c.json"), service.to_string()).unwrap();
    let outcome = run([
        OsStr::new("render"),
        OsStr::new("-f"),
        folder.path().as_os_str(),
    ]);
    assert_eq!(outcome.code(), Some(0));
    assert!(outcome.stdout.contains("k8s/default/api:other"));
    assert!(!outcome.stdout.contains("k8s/default/api:http"));
    let [warning] = outcome.stderr.lines().collect::<Vec<_>>()[..] else {
        panic!("{}", outcome.stderr);
    };
    assert!(warning.starts_with("warning: Service default/api in "));
    assert!(warning.contains("a.yaml (document 1, line 1)"));
    assert!(warning.ends_with("c.json (document 1, line 1)"));
}

#[test]
fn a_malformed_manifest_is_named_by_file_document_and_line_and_nothing_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.yaml");
    fs::write(&path, SHOP.replace("port: 80,", "port: http,")).unwrap();
    let missing = folder.path().join("missing.yaml");
    let outcome = run([
        "render".as_ref(),
        "-f".as_ref(),
        path.as_os_str(),
        "-f".as_ref(),
        missing.as_os_str(),
    ]);
    assert_eq!(outcome.code(), Some(2));
    assert_eq!(outcome.stdout, "");
    let lines: Vec<_> = outcome.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{}", outcome.stderr);
    assert_eq!(lines[0], "error: the manifests cannot be used");
    let place = format!(
        "  {}: document 1, line 6, column 18: Service default/api: ",
        path.display()
    );
    assert!(lines[1].starts_with(&place), "{}", lines[1]);
    assert!(lines[1].ends_with("expected a port number from 1 to 65535"));
    assert!(
        lines[2].contains("missing.yaml: cannot be read: No such file"),
        "{}",
        lines[2]
    );
}

#[test]
fn a_usage_error_has_code_2_and_help_has_code_0() {
    for arguments in [
        &[][..],
        &["render"],
        &["render", "-f", "x", "-o", "yaml"],
        &["render", "-f", "x", "-n", "Not_A_Namespace"],
        &["nonsense"],
    ] {
        let outcome = run(arguments);
        assert_eq!(outcome.code(), Some(2), "{arguments:?}");
        assert_eq!(outcome.stdout, "");
        assert!(!outcome.stderr.is_empty());
    }
    for arguments in [&["--help"][..], &["render", "--help"], &["--version"]] {
        let outcome = run(arguments);
        assert_eq!(outcome.code(), Some(0), "{arguments:?}");
        assert_eq!(outcome.stderr, "");
    }
    assert!(run(["--help"]).stdout.contains("Exit codes: 0 done;"));
    assert!(run(["render", "--help"]).stdout.contains("Examples:"));
}
