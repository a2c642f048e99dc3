//! Drives the kubectl on the PATH against the served fake cluster. Without one the tests say so and pass.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use kubedex::fake::{FakeCluster, FakeServer};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// How long one command may take.
const PATIENCE: Duration = Duration::from_secs(60);

const WEB: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: demo}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: main, image: "registry.example/web:1"}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: demo}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80}]
"#;

struct Kubectl {
    cluster: FakeCluster,
    _server: FakeServer,
    folder: tempfile::TempDir,
}

impl Kubectl {
    /// `None`, and a line that says so, when there is no kubectl.
    async fn new(test: &str) -> Option<Self> {
        let found = Command::new("kubectl")
            .args(["version", "--client"])
            .output()
            .await;
        if !found.is_ok_and(|output| output.status.success()) {
            println!("{test}: skipped, there is no kubectl on the PATH");
            return None;
        }
        let cluster = FakeCluster::builder().strict().real_time().build();
        let server = cluster.serve().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        server
            .write_kubeconfig(&folder.path().join("kubeconfig"))
            .unwrap();
        Some(Self {
            cluster,
            _server: server,
            folder,
        })
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new("kubectl");
        command
            .args(arguments.split_whitespace())
            .env("KUBECONFIG", self.kubeconfig())
            // Its discovery cache goes there.
            .env("HOME", self.folder.path())
            .env_remove("KUBECACHEDIR")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    async fn try_run(&self, arguments: &str, input: &str) -> Output {
        let mut child = self.command(arguments).spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .await
            .unwrap();
        tokio::time::timeout(PATIENCE, child.wait_with_output())
            .await
            .unwrap_or_else(|_| panic!("kubectl {arguments} takes too long"))
            .unwrap()
    }

    /// The output of a command that must succeed.
    async fn run_with(&self, arguments: &str, input: &str) -> String {
        let output = self.try_run(arguments, input).await;
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "kubectl {arguments}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    async fn run(&self, arguments: &str) -> String {
        self.run_with(arguments, "").await
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_are_created_shown_changed_and_deleted() {
    let Some(kubectl) = Kubectl::new("objects").await else {
        return;
    };
    kubectl.run("create namespace demo").await;
    kubectl
        .run("create configmap settings -n demo --from-literal=color=blue")
        .await;
    let table = kubectl.run("get configmaps -n demo").await;
    let rows: Vec<_> = table.lines().map(words).collect();
    assert_eq!(rows[0], ["NAME", "DATA", "AGE"]);
    assert_eq!(rows[1][..2], ["settings", "1"]);
    assert!(
        kubectl
            .run("get configmap settings -n demo -o yaml")
            .await
            .contains("color: blue")
    );
    kubectl
        .run("label configmap settings -n demo team=red")
        .await;
    kubectl.run(r#"patch configmap settings -n demo --type=json -p=[{"op":"replace","path":"/data/color","value":"green"}]"#).await;
    let shown = kubectl
        .run("get configmap settings -n demo -o jsonpath={.data.color}/{.metadata.labels.team}")
        .await;
    assert_eq!(shown, "green/red");
    kubectl.run("delete configmap settings -n demo").await;
    kubectl
        .run("wait --for=delete configmap/settings -n demo --timeout=10s")
        .await;
    let gone = kubectl.try_run("get configmap settings -n demo", "").await;
    assert!(String::from_utf8_lossy(&gone.stderr).contains("NotFound"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manifests_are_applied_by_the_client_and_by_the_server() {
    let Some(kubectl) = Kubectl::new("manifests").await else {
        return;
    };
    kubectl.run("create namespace demo").await;
    assert!(
        kubectl
            .run_with("apply -f -", WEB)
            .await
            .contains("deployment.apps/web created")
    );
    assert!(
        kubectl
            .run_with("apply -f -", WEB)
            .await
            .contains("service/web unchanged")
    );
    let changed = WEB.replace("web:1", "web:2");
    assert!(
        kubectl
            .run_with("apply -f -", &changed)
            .await
            .contains("deployment.apps/web configured")
    );
    let table = kubectl.run("get deployments,services -n demo").await;
    assert!(
        table.contains("READY") && table.contains("0/2") && table.contains("80/TCP"),
        "{table}"
    );
    kubectl
        .run("scale deployment web -n demo --replicas=5")
        .await;
    kubectl
        .run("wait --for=jsonpath={.spec.replicas}=5 deployment/web -n demo --timeout=10s")
        .await;
    let conflict = kubectl
        .try_run(
            "apply --server-side --field-manager=other -f -",
            &changed.replace("web:2", "web:3"),
        )
        .await;
    let errors = String::from_utf8_lossy(&conflict.stderr);
    assert!(
        !conflict.status.success() && errors.contains("conflict"),
        "{errors}"
    );
    kubectl
        .run_with("apply --server-side --force-conflicts -f -", &changed)
        .await;
    kubectl
        .run(r#"patch service web -n demo -p {"spec":{"ports":[{"port":443,"name":"https"}]}}"#)
        .await;
    let ports = kubectl
        .run("get service web -n demo -o jsonpath={.spec.ports[*].port}")
        .await;
    assert_eq!(ports, "443 80", "a strategic patch puts what it adds first");
    let described = kubectl.run("describe service web -n demo").await;
    assert!(
        described.contains("Selector:") && described.contains("app=web"),
        "{described}"
    );
    kubectl.run("delete deployment,service web -n demo").await;
    assert!(
        kubectl
            .cluster
            .list(&kubedex::Gvr::new("apps", "v1", "deployments"))
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_shows_changes_and_rights_are_told() {
    let Some(kubectl) = Kubectl::new("watch").await else {
        return;
    };
    kubectl.run("create namespace demo").await;
    kubectl.run("create configmap first -n demo").await;
    let mut watch = kubectl
        .command("get configmaps -n demo -w --no-headers -o name")
        .spawn()
        .unwrap();
    let mut lines = {
        use tokio::io::{AsyncBufReadExt, BufReader};
        BufReader::new(watch.stdout.take().unwrap()).lines()
    };
    let next = tokio::time::timeout(PATIENCE, lines.next_line())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(next.as_deref(), Some("configmap/first"));
    kubectl.run("create configmap second -n demo").await;
    let next = tokio::time::timeout(PATIENCE, lines.next_line())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(next.as_deref(), Some("configmap/second"));
    watch.kill().await.unwrap();

    assert_eq!(kubectl.run("auth can-i list pods").await.trim(), "yes");
    kubectl.cluster.add_token("a-viewers-token", "viewer");
    let denied = kubectl
        .try_run("auth can-i list pods --token a-viewers-token", "")
        .await;
    assert_eq!(String::from_utf8_lossy(&denied.stdout).trim(), "no");
    kubectl
        .run("create role reader -n demo --verb=list --resource=configmaps")
        .await;
    kubectl
        .run("create rolebinding reader -n demo --role=reader --user=viewer")
        .await;
    let listed = kubectl
        .run("get configmaps -n demo --token a-viewers-token")
        .await;
    assert!(listed.contains("second"), "{listed}");
}
