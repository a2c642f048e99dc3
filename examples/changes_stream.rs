//! Follows one Service, by name, as a stream of changes instead of a callback.
//!
//! Runs on an in-process fake cluster and ends by itself:
//!
//! ```sh
//! cargo run --example changes_stream --features fake
//! ```

use std::error::Error;
use std::time::Duration;

use futures::StreamExt as _;
use kubedex::fake::FakeCluster;
use kubedex::{Client, Debounce, Gvr, Watcher, WatcherConfig};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let fake = FakeCluster::new();
    let client = Client::from_kube(fake.client());
    let services = Gvr::new("", "v1", "services");

    let watcher = Watcher::start(
        &client,
        WatcherConfig::new(services.clone())
            .namespace("default")
            .field_selector("metadata.name=web")
            .debounce(Debounce::none()),
    )?;
    watcher.wait_for_sync(Duration::from_secs(30)).await?;
    println!("synced: {} services named web", watcher.store().len());

    let mut changes = watcher.changes();
    fake.create(service(80))?;
    print_next(&mut changes).await;
    fake.apply(service(8080))?;
    print_next(&mut changes).await;
    fake.delete(&services, Some("default"), "web")?;
    print_next(&mut changes).await;

    watcher.shutdown().await;
    println!("the stream has ended: {}", changes.next().await.is_none());
    Ok(())
}

async fn print_next(changes: &mut kubedex::watcher::ChangesStream) {
    for change in changes.next().await.into_iter().flatten() {
        let port = change
            .object()
            .and_then(|object| object.get("spec.ports[0].port").ok()?.first()?.as_i64());
        println!(
            "{:?} {} with port {}",
            change.kind(),
            change.reference(),
            port.unwrap_or_default()
        );
    }
}

fn service(port: u16) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": "default", "name": "web"},
        "spec": {"ports": [{"port": port}]},
    })
}
