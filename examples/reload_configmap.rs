//! Keeps a program's settings up to date from one ConfigMap: present or not, deleted or made anew, without a restart.
//!
//! Runs on a fake cluster and ends by itself: `cargo run --example reload_configmap --features fake`.
//! On a cluster of your own, `Client::infer()` takes the place of the first lines, and `SingleWatcherConfig::in_own_namespace`
//! finds the ConfigMap next to the program.

use std::error::Error;
use std::time::Duration;

use kubedex::fake::FakeCluster;
use kubedex::watcher::{SingleWatcher, SingleWatcherConfig};
use kubedex::{Client, Gvr, Object};
use serde::Deserialize;
use serde_json::json;

/// What the program needs of the ConfigMap.
#[derive(Debug, Default, Deserialize)]
struct Settings {
    #[serde(default)]
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Data {
    greeting: String,
}

impl Default for Data {
    fn default() -> Self {
        Self {
            greeting: "Hello (by default)".to_owned(),
        }
    }
}

/// The settings of a ConfigMap; the default ones if there is none.
fn settings(object: Option<&Object>) -> Result<Settings, kubedex::object::ParseError> {
    object.map_or_else(|| Ok(Settings::default()), Object::parse)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let cluster = FakeCluster::new();
    let client = Client::from_kube(cluster.client());
    let maps = Gvr::new("", "v1", "configmaps");

    let watcher = SingleWatcher::start(
        &client,
        SingleWatcherConfig::new(maps.clone(), "default", "settings").on_change_fn(|object| {
            match object {
                Some(object) => println!(
                    "  told: settings at version {:?}",
                    object.resource_version()
                ),
                None => println!("  told: settings were deleted"),
            }
        }),
    )?;
    let mut changes = watcher.changes();
    watcher.wait_for_sync(Duration::from_secs(10)).await?;
    println!(
        "at the start: {}",
        settings(watcher.current().as_ref())?.data.greeting
    );

    // What somebody does to the ConfigMap meanwhile.
    let operator = tokio::spawn(async move {
        let map = |greeting: &str| {
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"greeting": greeting},
                "metadata": {"name": "settings", "namespace": "default"}})
        };
        let pause = || tokio::time::sleep(Duration::from_millis(200));
        for greeting in ["Good morning", "Good evening"] {
            cluster.apply(map(greeting))?;
            pause().await;
        }
        cluster.delete(&maps, Some("default"), "settings")?;
        pause().await;
        cluster.create(map("Welcome back"))?;
        Ok::<_, kubedex::fake::FakeError>(cluster)
    });

    // The program's own loop: whatever it does, it takes the newest settings when there are other ones.
    for _ in 0..4 {
        changes.changed().await?;
        let newest = changes.borrow_and_update().clone();
        match settings(newest.as_ref()) {
            Ok(settings) => println!("from now on: {}", settings.data.greeting),
            Err(error) => println!("these settings cannot be read and are passed over: {error}"),
        }
    }
    operator.await??;
    watcher.shutdown().await;
    Ok(())
}
