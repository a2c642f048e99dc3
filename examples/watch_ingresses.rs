//! Watches the ingresses of an application and says what changed.
//!
//! Without arguments it runs on an in-process fake cluster and ends by itself. With `--cluster` it watches the cluster
//! that kubectl would talk to, until it is interrupted.
//!
//! ```sh
//! cargo run --example watch_ingresses --features fake
//! ```

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use kubedex::fake::FakeCluster;
use kubedex::store::MemoryStore;
use kubedex::{Changes, Client, Debounce, Gvr, Watcher, WatcherConfig};
use serde_json::{Value, json};
use tokio::sync::mpsc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .without_time()
        .with_target(false)
        .init();
    let on_a_cluster = std::env::args().any(|argument| argument == "--cluster");
    let fake = FakeCluster::new();
    let client = if on_a_cluster {
        Client::infer().await?
    } else {
        fake.create(ingress(
            "shop",
            "web",
            &["shop.example.com", "www.example.com"],
        ))?;
        fake.create(ingress("default", "hello", &["hello.example.com"]))?;
        Client::from_kube(fake.client())
    };

    let (told, mut calls) = mpsc::unbounded_channel();
    let ingresses = Watcher::start(
        &client,
        WatcherConfig::new(Gvr::new("networking.k8s.io", "v1", "ingresses"))
            .label_selector("app=myapp")
            .index_by(["metadata.namespace", "metadata.name"])
            .index("host", ["spec.rules[*].host"])
            .ignore_field("metadata.managedFields")
            .debounce(Debounce::trailing(Duration::from_millis(500)))
            .on_change(move |store, changes| {
                let told = told.clone();
                async move {
                    if !changes.is_initial_sync() {
                        reconcile(&store, &changes);
                    }
                    let _ = told.send(());
                }
            })
            .on_sync_complete(
                |_store, count| async move { tracing::info!(count, "ingresses synced") },
            ),
    )?;
    ingresses.wait_for_sync(Duration::from_secs(30)).await?;

    for ingress in ingresses.store().get(["default"])? {
        for host in ingress.get("spec.rules[*].host")? {
            println!(
                "{} in default serves {}",
                ingress.name(),
                host.as_str().unwrap_or_default()
            );
        }
    }

    if on_a_cluster {
        tokio::signal::ctrl_c().await?;
    } else {
        fake.apply(ingress("shop", "web", &["shop.example.com"]))?;
        fake.create(ingress("shop", "api", &["api.example.com"]))?;
        calls.recv().await.ok_or("the watcher has ended")?;
        let by_host = ingresses.store().get_by("host", ["www.example.com"])?;
        println!("{} ingresses serve www.example.com now", by_host.len());
    }
    ingresses.shutdown().await;
    Ok(())
}

fn reconcile(store: &Arc<MemoryStore>, changes: &Changes) {
    println!(
        "{} created, {} modified, {} deleted",
        changes.created(),
        changes.modified(),
        changes.deleted()
    );
    for change in changes {
        println!("  {:?} {}", change.kind(), change.reference());
    }
    println!("  {} ingresses in all", store.len());
}

fn ingress(namespace: &str, name: &str, hosts: &[&str]) -> Value {
    let rules: Vec<Value> = hosts.iter().map(|host| json!({"host": host})).collect();
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"namespace": namespace, "name": name, "labels": {"app": "myapp"}},
        "spec": {"rules": rules},
    })
}
