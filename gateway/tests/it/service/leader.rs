//! Two replicas, of which one writes.

use kubedex::fake::FakeCluster;

use super::cluster;
use super::process::{Service, folder, until};
use crate::s3::server::Server;

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

#[tokio::test]
async fn of_two_on_one_store_a_frozen_leader_never_writes_over_the_next_one() {
    let Some(store) = Server::start() else {
        return;
    };
    let api = FakeCluster::new();
    api.apply(cluster::service("api")).unwrap();
    let server = api.serve().await.unwrap();
    let start = async || {
        let s3 = store.config();
        let (endpoint, credentials) = (s3.endpoint.unwrap(), s3.credentials_file.unwrap());
        let (folder, path) = folder(&format!(
            "cluster: {{kubeconfig: '{{folder}}/config'}}\n\
             leader_election: {{lease_duration: 4s, renew_deadline: 2s, retry_period: 200ms, stop_timeout: 1s, namespace: shop}}\n\
             publish:\n\
             - format: json\n\
             \x20 leader_only: true\n\
             \x20 s3: {{bucket: gateway, prefix: gw, endpoint: '{endpoint}', allow_http: true, credentials_file: '{}'}}\n",
            credentials.display(),
        ));
        std::fs::write(folder.path().join("config"), server.kubeconfig()).unwrap();
        Service::start_in(folder, &path).await
    };
    let leads = async |service: &Service, is_leader: bool| {
        until("the lead is as it should be", async || {
            let status = service.admin("/status").await.json();
            (status["leader"]["leads"] == is_leader).then_some(())
        })
        .await;
    };
    // The text, if it names that Service, and who wrote it.
    let standing = |name: &str| {
        let answer = store.ask("GET", "/gateway/gw/clusters.json", "");
        let token = answer
            .lines()
            .find_map(|line| line.split_once("kubedex-token: "));
        let token = token.map(|(_, token)| token.trim().to_owned());
        token.filter(|_| answer.contains(&format!("k8s/shop/{name}:http")))
    };
    let first = start().await;
    let token = until("the first one writes", async || standing("api")).await;
    let second = start().await;
    second.ready().await;
    leads(&second, false).await;

    first.signal("-STOP");
    leads(&second, true).await;
    api.apply(cluster::service("web")).unwrap();
    let next = until("the second one writes", async || standing("web")).await;
    assert_ne!(token, next);

    // It wakes, believes to lead for a moment, and has something to write.
    first.signal("-CONT");
    api.apply(cluster::service("shop")).unwrap();
    leads(&first, false).await;
    let written = until("what came last stands", async || standing("shop")).await;
    assert_eq!(written, next, "the second one's");
    assert!(standing("web").is_some());

    second.signal("-TERM");
    let (status, log, _folder) = second.end().await;
    assert_eq!(status.code(), Some(0), "{log}");
    leads(&first, true).await;
    api.apply(cluster::service("last")).unwrap();
    until("the first one writes again", async || standing("last")).await;
    first.signal("-TERM");
    let (status, log, _folder) = first.end().await;
    assert_eq!(status.code(), Some(0), "{log}");
}
