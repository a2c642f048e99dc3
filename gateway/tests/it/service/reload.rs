//! What a changed configuration file does.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::process::{LISTEN, Service, folder, until};

fn with_static(name: &str) -> String {
    format!(
        "cluster: {{demo: true}}\nstatic: [{{name: {name}}}]\n\
         publish: [{{format: json, directory: {{path: '{{folder}}/json'}}}}]\n"
    )
}

async fn is_published(service: &Service, name: &str) {
    let quoted = format!("\"{name}\"");
    until(&format!("{name} is published"), async || {
        service
            .file("json/clusters.json")?
            .contains(&quoted)
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_changed_file_is_taken_up_and_a_broken_one_changes_nothing_and_says_so_once() {
    let service = Service::start(&with_static("one")).await;
    is_published(&service, "one").await;
    service.configure(&with_static("two"));
    is_published(&service, "two").await;
    assert!(
        !service
            .file("json/clusters.json")
            .unwrap()
            .contains("\"one\"")
    );

    service.configure("cluster: {demo: true}\nstatick: []\n");
    until("it says so", async || {
        service.log().contains("statick").then_some(())
    })
    .await;
    let config = service.admin("/config").await.json();
    assert_eq!(config["config"]["static"][0]["name"], "two");
    let error = config["reloads"]["error"][0].as_str().unwrap();
    assert!(error.contains("line 4, column 1: statick: "), "{error}");
    let metrics = service.health("/metrics").await.body;
    for line in [
        "kubedex_gateway_config_last_reload_successful 0\n",
        "kubedex_gateway_config_reloads_total{outcome=\"failed\"} 1\n",
        "kubedex_gateway_config_reloads_total{outcome=\"ok\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    let answer = service.post("/reload").await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert_eq!(answer.json()["config"]["outcome"], "refused");
    assert_eq!(service.log().matches("statick: ").count(), 1, "said once");

    service.configure(&with_static("three"));
    let answer = service.post("/reload").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.json()["config"]["outcome"], "applied");
    is_published(&service, "three").await;
    assert!(service.admin("/config").await.json()["reloads"]["error"].is_null());
}

#[tokio::test]
async fn what_needs_a_restart_is_said_and_the_rest_is_taken_up_at_a_hangup() {
    let service = Service::start(&with_static("one")).await;
    is_published(&service, "one").await;
    let more = "- {format: traefik, directory: {path: '{folder}/traefik'}}\n";
    let publish = with_static("two")
        .replace("publish: [", "publish:\n- ")
        .replace("}}]", "}}");
    service.configure(&format!("{publish}{more}"));
    service.signal("-HUP");
    is_published(&service, "two").await;
    until("it says so", async || {
        service
            .log()
            .contains("needs a restart: publish")
            .then_some(())
    })
    .await;
    let config = service.admin("/config").await.json();
    assert_eq!(config["reloads"]["needs_restart"][0], "publish");
    assert_eq!(config["config"]["publish"].as_array().unwrap().len(), 1);
    assert!(service.file("traefik/kubedex.yaml").is_none());
}

/// What the kubelet does to a mounted ConfigMap: a new folder, and one rename of a link to it.
fn mount(volume: &Path, generation: &str, config: &str) {
    let data = volume.join(format!("..{generation}"));
    fs::create_dir(&data).unwrap();
    let config = config.replace("{folder}", volume.to_str().unwrap());
    fs::write(data.join("gateway.yaml"), format!("{LISTEN}{config}")).unwrap();
    let fresh = volume.join("..data_tmp");
    symlink(format!("..{generation}"), &fresh).unwrap();
    fs::rename(fresh, volume.join("..data")).unwrap();
}

#[tokio::test]
async fn a_config_map_that_is_swapped_by_its_link_is_taken_up() {
    let (folder, path) = folder("");
    fs::remove_file(&path).unwrap();
    let volume = folder.path().to_owned();
    mount(&volume, "2026_1", &with_static("one"));
    symlink("..data/gateway.yaml", &path).unwrap();
    let service = Service::start_in(folder, &path).await;
    is_published(&service, "one").await;
    mount(&volume, "2026_2", &with_static("two"));
    fs::remove_dir_all(volume.join("..2026_1")).unwrap();
    is_published(&service, "two").await;
    // Away for a moment, then back with another content.
    fs::remove_file(volume.join("..data")).unwrap();
    mount(&volume, "2026_3", &with_static("three"));
    is_published(&service, "three").await;
    assert!(!service.log().contains("ERROR"), "{}", service.log());
}
