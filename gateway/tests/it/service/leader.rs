//! Two replicas, of which one writes.

use kubedex::fake::FakeCluster;

use super::cluster;
use super::process::{Service, folder, until};

#[tokio::test]
async fn only_the_leader_writes_and_the_next_one_goes_on_once_it_is_released() {
    let api = FakeCluster::new();
    api.apply(cluster::service("api")).unwrap();
    let server = api.serve().await.unwrap();
    let start = async || {
        let (folder, path) = folder(
            "cluster: {kubeconfig: '{folder}/config'}\n\
             leader_election: {lease_duration: 4s, renew_deadline: 2s, retry_period: 200ms, stop_timeout: 1s, namespace: shop}\n\
             publish:\n\
             - {format: json, directory: {path: '{folder}/led'}, leader_only: true}\n\
             - {format: json, directory: {path: '{folder}/all'}}\n",
        );
        std::fs::write(folder.path().join("config"), server.kubeconfig()).unwrap();
        Service::start_in(folder, &path).await
    };
    let first = start().await;
    until("the first one leads and writes", async || {
        first.file("led/clusters.json")
    })
    .await;
    let second = start().await;
    until("the second one writes what all write", async || {
        second.file("all/clusters.json")
    })
    .await;
    let status = second.admin("/status").await.json();
    assert_eq!(status["leader"]["leads"], false);
    assert_eq!(status["publications"][0]["phase"], "standby");
    assert!(
        second
            .health("/metrics")
            .await
            .body
            .contains("kubedex_gateway_leader 0\n")
    );
    assert!(
        first
            .health("/metrics")
            .await
            .body
            .contains("kubedex_gateway_leader 1\n")
    );
    assert!(second.file("led/clusters.json").is_none());

    first.signal("-TERM");
    let (status, log, _folder) = first.end().await;
    assert_eq!(status.code(), Some(0), "{log}");
    until("the second one leads and writes", async || {
        second.file("led/clusters.json")
    })
    .await;
    second.signal("-TERM");
    let (status, log, _folder) = second.end().await;
    assert_eq!(status.code(), Some(0), "{log}");
}
