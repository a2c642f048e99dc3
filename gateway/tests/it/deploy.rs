//! The manifests in `deploy/`: they are what the program needs, and no more.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use kubedex::Client;
use kubedex::fake::FakeCluster;
use kubedex_gateway::config::Config;
use kubedex_gateway::service::{Service, Source};
use serde_json::Value;

use crate::binary::run;

const ACCOUNT: &str = "system:serviceaccount:kubedex-gateway:kubedex-gateway";

fn deploy(file: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../deploy", file]
        .iter()
        .collect()
}

fn read(file: &str) -> String {
    let path = deploy(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn documents(file: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&read(file)).unwrap()
}

/// The configuration in a ConfigMap.
fn configuration(file: &str) -> String {
    let map = documents(file).remove(0);
    map["data"]["gateway.yaml"].as_str().unwrap().to_owned()
}

#[test]
fn the_roles_are_those_that_the_configuration_needs() {
    for (config, roles) in [
        ("base/configmap.yaml", &["base/rbac.yaml"][..]),
        (
            "s3/configmap.yaml",
            &["base/rbac.yaml", "s3/leases.yaml"][..],
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.yaml");
        fs::write(&path, configuration(config)).unwrap();
        let path = path.to_str().unwrap();
        let checked = run(["check", "--config", path]);
        assert_eq!(checked.code(), Some(0), "{config}: {}", checked.stderr);
        // The credentials are in the pod alone.
        let warns = |line: &str| line.starts_with("warning") && !line.contains("credentials_file");
        assert!(
            !checked.stderr.lines().any(warns),
            "{config}: {}",
            checked.stderr
        );
        let made = run(["rbac", "--config", path]);
        assert_eq!(made.code(), Some(0), "{}", made.stderr);
        // What is in several files is one stream, with one line on top of each.
        let files: Vec<String> = roles.iter().map(|file| read(file)).collect();
        let header = "# Made by `kubedex-gateway rbac`.\n";
        let written: Vec<&str> = files
            .iter()
            .map(|text| text.strip_prefix(header).unwrap())
            .collect();
        assert_eq!(
            made.stdout,
            header.to_owned() + &written.concat(),
            "write what `kubedex-gateway rbac` prints for the configuration in {config} to {roles:?}"
        );
    }
}

/// With these roles and no others the service works, election included, on a cluster that checks permissions.
#[tokio::test]
async fn the_roles_suffice() {
    for (config, roles) in [
        ("base/configmap.yaml", &["base/rbac.yaml"][..]),
        (
            "s3/configmap.yaml",
            &["base/rbac.yaml", "s3/leases.yaml"][..],
        ),
    ] {
        let cluster = FakeCluster::builder().real_time().build();
        for object in roles.iter().flat_map(|file| documents(file)) {
            cluster.apply(object).unwrap();
        }
        let text = configuration(config)
            + "health: {listen: '127.0.0.1:0'}\nadmin: {listen: '127.0.0.1:0'}\n";
        let mut config = Config::parse(config, &text).unwrap();
        let elects = config.leader_election.is_some();
        if let Some(election) = &mut config.leader_election {
            election.namespace = Some("kubedex-gateway".to_owned());
        }
        // What is published where is not what this is about.
        config.publish.clear();
        config.http = None;
        let folder = tempfile::tempdir().unwrap();
        let source = Source {
            file: folder.path().join("gateway.yaml"),
            text,
        };
        let client = Client::from_kube(cluster.client_as(ACCOUNT));
        let service = Service::start(&client, config, source).await.unwrap();
        let patience = Duration::from_secs(30);
        service.wait_until_ready(patience).await.unwrap();
        if elects {
            service.wait_until_leading(patience).await.unwrap();
        }
        service.stop().await;
    }
}

#[test]
fn the_deployment_runs_what_there_is_under_the_rules_of_restricted_pods() {
    let deployment = documents("base/deployment.yaml").remove(0);
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(deployment["spec"]["replicas"], 2);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(
        container["securityContext"]["allowPrivilegeEscalation"],
        false
    );
    let config = Config::parse("configmap.yaml", &configuration("base/configmap.yaml")).unwrap();
    let ports = container["ports"].as_array().unwrap();
    let port = |name: &str| {
        ports.iter().find(|port| port["name"] == name).unwrap()["containerPort"].as_u64()
    };
    let served = config.http.unwrap().http.listen.port();
    assert_eq!(port("http"), Some(served.into()));
    assert_eq!(port("health"), Some(config.health.listen.port().into()));
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        assert_eq!(container[probe]["httpGet"]["port"], "health");
    }
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    let budget = documents("base/pod-disruption-budget.yaml").remove(0);
    let service = documents("base/service.yaml").remove(0);
    assert_eq!(&budget["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&service["spec"]["selector"], labels);
}

#[test]
fn kubectl_builds_the_kustomizations() {
    for folder in ["base", "s3"] {
        let built = Command::new("kubectl")
            .args(["kustomize", deploy(folder).to_str().unwrap()])
            .output();
        let Ok(built) = built else {
            eprintln!("skipped: no kubectl on the PATH");
            return;
        };
        let errors = String::from_utf8_lossy(&built.stderr).into_owned();
        assert!(built.status.success(), "{errors}");
        let objects: Vec<Value> =
            serde_saphyr::from_multiple(&String::from_utf8(built.stdout).unwrap()).unwrap();
        let kinds: Vec<_> = objects
            .iter()
            .filter_map(|object| object["kind"].as_str())
            .collect();
        for kind in [
            "ClusterRole",
            "ConfigMap",
            "Deployment",
            "PodDisruptionBudget",
            "ServiceAccount",
        ] {
            assert!(kinds.contains(&kind), "{kind} in {kinds:?}");
        }
    }
}
