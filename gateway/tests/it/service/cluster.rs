//! Beside an API server that comes and goes.

use kubedex::fake::FakeCluster;
use serde_json::{Value, json};

use super::process::{Service, folder, until};

pub(super) fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
    })
}

#[tokio::test]
async fn nothing_is_published_before_everything_is_known_and_what_is_stays_without_a_server() {
    let cluster = FakeCluster::new();
    cluster.apply(service("api")).unwrap();
    let server = cluster.serve().await.unwrap();
    let (address, kubeconfig) = (server.address(), server.kubeconfig());
    drop(server);

    let (folder, path) = folder(
        "cluster: {kubeconfig: '{folder}/config'}\n\
         publish: [{format: json, directory: {path: '{folder}/json'}}]\n",
    );
    std::fs::write(folder.path().join("config"), kubeconfig).unwrap();
    let gateway = Service::start_in(folder, &path).await;
    let answer = gateway.health("/readyz").await;
    assert_eq!(answer.status, 503);
    for resource in ["services", "endpointslices"] {
        assert!(answer.body.contains(resource), "{}", answer.body);
    }
    assert_eq!(gateway.health("/healthz").await.status, 200);
    assert_eq!(gateway.admin("/snapshot").await.status, 503);
    assert!(
        gateway
            .health("/metrics")
            .await
            .body
            .contains("kubedex_gateway_ready 0\n")
    );
    assert!(gateway.file("json/clusters.json").is_none());

    let server = cluster.serve_on(address).await.unwrap();
    gateway.ready().await;
    let before = until("a publication", async || gateway.file("json/clusters.json")).await;
    assert!(before.contains("k8s/shop/api:http"));

    drop(server);
    until("it notices", async || {
        let metrics = gateway.health("/metrics").await.body;
        metrics
            .contains("kubedex_gateway_connected 0\n")
            .then_some(())
    })
    .await;
    assert_eq!(
        gateway.health("/readyz").await.status,
        200,
        "what was known stands"
    );
    assert_eq!(gateway.file("json/clusters.json"), Some(before));
    let status = gateway.admin("/status").await.json();
    assert_eq!(status["connection"], "disconnected");
    assert!(!status["reason"].as_str().unwrap().is_empty());

    let server = cluster.serve_on(address).await.unwrap();
    cluster.apply(service("web")).unwrap();
    until("the news", async || {
        gateway
            .file("json/clusters.json")?
            .contains("k8s/shop/web:http")
            .then_some(())
    })
    .await;
    gateway.signal("-TERM");
    let (status, log, _folder) = gateway.end().await;
    assert_eq!(status.code(), Some(0), "{log}");
    drop(server);
}
