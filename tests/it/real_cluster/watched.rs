//! A watcher beside the server it watches, compared object by object.

use std::collections::BTreeMap;
use std::time::Duration;

use kubedex::watcher::InitialList;
use kubedex::{Client, Debounce, Gvr, Watcher, WatcherConfig};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::control_plane::ControlPlane;

/// How long anything may take to come out right: the longest backoff, and a server that starts on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(180);

/// The collection that most scenarios are about.
pub(super) const COLLECTION: &str = "/api/v1/namespaces/watched/configmaps";

pub(super) fn config() -> WatcherConfig {
    WatcherConfig::new(Gvr::new("", "v1", "configmaps"))
        .namespace("watched")
        .debounce(Debounce::none())
}

pub(super) fn paged() -> WatcherConfig {
    config().initial_list(InitialList::Paged)
}

pub(super) fn start(client: &Client, config: WatcherConfig) -> Watcher {
    Watcher::start(client, config).unwrap()
}

pub(super) fn config_map(name: &str, text: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": text}})
}

pub(super) async fn create(plane: &ControlPlane, name: &str, text: &str) {
    let object = config_map(name, text);
    plane.done("POST", COLLECTION, Some(&object)).await;
}

pub(super) async fn update(plane: &ControlPlane, name: &str, text: &str) {
    let path = format!("{COLLECTION}/{name}");
    plane
        .done("PUT", &path, Some(&config_map(name, text)))
        .await;
}

pub(super) async fn delete(plane: &ControlPlane, name: &str) {
    plane
        .done("DELETE", &format!("{COLLECTION}/{name}"), None)
        .await;
}

/// Waits until something holds.
pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not in {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Name, version and content of each object.
type Content = BTreeMap<String, (String, String)>;

fn row(name: &Value, version: &Value, text: &Value) -> (String, (String, String)) {
    let text_of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text_of(name), (text_of(version), text_of(text)))
}

fn stored(watcher: &Watcher) -> Content {
    let objects = watcher.store().list();
    let rows = objects.iter().map(|object| {
        let object = object.to_value();
        let metadata = &object["metadata"];
        row(
            &metadata["name"],
            &metadata["resourceVersion"],
            &object["data"]["k"],
        )
    });
    rows.collect()
}

/// Waits until a watcher of the collection holds what the server has. Nobody writes meanwhile.
pub(super) async fn comes_to_equal(plane: &ControlPlane, watcher: &Watcher) {
    let list = plane.done("GET", COLLECTION, None).await;
    let items = list["items"].as_array().unwrap();
    let rows = items.iter().map(|object| {
        let metadata = &object["metadata"];
        row(
            &metadata["name"],
            &metadata["resourceVersion"],
            &object["data"]["k"],
        )
    });
    let expected: Content = rows.collect();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let stored = stored(watcher);
        if stored == expected {
            return;
        }
        if Instant::now() > deadline {
            let differs = |a: &Content, b: &Content| -> Vec<String> {
                a.iter()
                    .filter(|(name, row)| b.get(*name) != Some(row))
                    .map(|(name, row)| format!("{name} {row:?}"))
                    .take(5)
                    .collect()
            };
            panic!(
                "the store does not come to equal the server: only there {:?}, only here {:?}; {:?}",
                differs(&expected, &stored),
                differs(&stored, &expected),
                watcher.status()
            );
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
