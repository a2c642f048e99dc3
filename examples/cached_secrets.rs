//! Finds secrets by what is in their metadata, keeps almost nothing of them in memory, and reads the few that are needed.
//!
//! Runs on a fake cluster and ends by itself: `cargo run --example cached_secrets --features fake`.
//! On a cluster of your own, `Client::infer()` takes the place of the first lines; it needs the verbs `list`, `watch` and
//! `get` on secrets.

use std::error::Error;
use std::time::Duration;

use kubedex::fake::FakeCluster;
use kubedex::store::cached::CacheConfig;
use kubedex::{Client, Gvr, Watcher, WatcherConfig};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let cluster = FakeCluster::new();
    for i in 0..1000 {
        let team = ["shop", "bank", "post"][i % 3];
        cluster.create(json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": format!("token-{i:03}"), "namespace": team, "labels": {"team": team}},
            "data": {"token": "c2VjcmV0".repeat(500)},
        }))?;
    }
    let client = Client::from_kube(cluster.client());

    // No index looks at more than metadata, so that the watch brings nothing else.
    let secrets = Watcher::start(
        &client,
        WatcherConfig::new(Gvr::new("", "v1", "secrets"))
            .index("team", ["metadata.labels.team"])
            .cached(
                &client,
                CacheConfig::new()
                    .ttl(Duration::from_secs(60))
                    .max_bytes(1 << 20),
            ),
    )?;
    secrets.wait_for_sync(Duration::from_secs(10)).await?;
    let store = secrets.store();
    println!(
        "{} secrets are known, {} of them of the bank; {} bodies are in memory",
        store.len(),
        store.references_by("team", ["bank"])?.len(),
        store.metrics().bodies,
    );

    // The first read fetches, the second does not.
    for _ in 0..2 {
        for secret in store.get(["shop", "token-042"]).await? {
            let size = secret.get("data.token")?.as_str().map_or(0, str::len);
            let metrics = store.metrics();
            println!(
                "{} has a token of {size} characters; {} hits, {} fetches so far",
                secret.reference(),
                metrics.hits,
                metrics.fetches,
            );
        }
    }

    // Once the watch has told of a change, no read finds the old body.
    let written = cluster.apply(json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": "token-042", "namespace": "shop", "labels": {"team": "shop"}},
        "data": {"token": "cm90YXRlZA=="},
    }))?;
    let version = written.resource_version().unwrap_or_default();
    let told = store.wait_until(version, Duration::from_secs(5)).await;
    let found = store.get(["shop", "token-042"]).await?;
    let secret = found.first().ok_or("the secret is gone")?;
    println!(
        "after its rotation (told: {told}) it is {:?}; {} body was dropped",
        secret.get("data.token")?.as_str().unwrap_or_default(),
        store.metrics().invalidations,
    );

    secrets.shutdown().await;
    Ok(())
}
