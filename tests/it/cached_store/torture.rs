//! Readers beside a watch, while the server is slow, fails, and changes what is read.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kubedex::fake::{FakeCluster, Fault};
use kubedex::resource::compare_resource_versions;
use kubedex::store::cached::CacheConfig;
use kubedex::store::{CachedStore, Store as _};
use kubedex::{Client, Gvr, Object, ObjectRef, Watcher, WatcherConfig};
use serde_json::json;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn number(version: Option<&str>) -> u64 {
    version.and_then(|version| version.parse().ok()).unwrap()
}

/// Reads over and over. Each read is at least as new as what the watch had told when it began, no object ever goes back,
/// and none that the watch tells deleted is returned.
async fn read(store: Arc<CachedStore>, seed: u64, reads: usize) -> usize {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut seen: HashMap<(ObjectRef, String), u64> = HashMap::new();
    let mut bodies = 0;
    for _ in 0..reads {
        let reference = ObjectRef::namespaced("default", NAMES[random.usize(..NAMES.len())]);
        let told = store.known(&reference);
        let read = store.get_ref(&reference).await;
        let now = store.known(&reference);
        if let Ok(Some(body)) = &read {
            bodies += 1;
            assert!(now.is_some(), "{reference} was deleted");
            let version = number(body.resource_version());
            if let Some(told) = told {
                assert!(version >= number(told.resource_version()), "{reference}");
            }
            let uid = body.uid().unwrap().to_owned();
            let before = seen.insert((reference.clone(), uid), version);
            assert!(before.is_none_or(|before| before <= version), "{reference}");
            assert_eq!(
                compare_resource_versions("1", body.resource_version().unwrap()),
                Some(std::cmp::Ordering::Less)
            );
        }
        if random.u8(..4) == 0 {
            let all = store.get(["default"]).await;
            let names: Vec<_> = all.iter().flatten().map(Object::reference).collect();
            assert!(names.is_sorted());
        }
        tokio::time::sleep(Duration::from_millis(random.u64(..40))).await;
    }
    bodies
}

#[tokio::test(start_paused = true)]
async fn s10_what_is_read_never_goes_back_and_never_comes_back() {
    let maps = Gvr::new("", "v1", "configmaps");
    for seed in 0..6 {
        let cluster = FakeCluster::builder().seed(seed).build();
        let client = Client::from_kube(cluster.client());
        let cache = CacheConfig::new()
            .ttl(Duration::from_millis(200))
            .max_entries(3);
        let config = WatcherConfig::new(maps.clone())
            .seed(seed)
            .cached(&client, cache);
        let watcher = Watcher::start(&client, config).unwrap();
        watcher.wait_for_sync(Duration::from_secs(5)).await.unwrap();
        for (delay, chance) in [(3, 0.5), (30, 0.3), (150, 0.1)] {
            let latency = Fault::latency(Duration::from_millis(delay));
            cluster.inject(latency.verb("get").with_probability(chance).always());
        }
        let failing = Fault::status(500).verb("get").with_probability(0.05);
        cluster.inject(failing.always());
        // Events come late now and then, too.
        let broken = Fault::end_after(5).verb("watch").with_probability(0.5);
        cluster.inject(broken.always());
        let readers: Vec<_> = (0..5)
            .map(|reader| tokio::spawn(read(Arc::clone(watcher.store()), seed * 10 + reader, 300)))
            .collect();
        let mut random = fastrand::Rng::with_seed(seed);
        let mut count = 0;
        while readers.iter().any(|reader| !reader.is_finished()) {
            count += 1;
            let name = NAMES[random.usize(..NAMES.len())];
            if random.u8(..5) == 0 {
                let _ = cluster.delete(&maps, Some("default"), name);
            } else {
                let data = json!({"k": count.to_string()});
                cluster
                    .apply(
                        json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data,
                        "metadata": {"name": name, "namespace": "default"}}),
                    )
                    .unwrap();
            }
            tokio::time::sleep(Duration::from_millis(random.u64(..60))).await;
        }
        let mut bodies = 0;
        for reader in readers {
            bodies += reader.await.unwrap();
        }
        assert!(bodies > 500, "{bodies}");
        cluster.clear_faults();
        tokio::time::sleep(Duration::from_secs(120)).await;
        let listed = watcher.store().list().await.unwrap();
        assert!(listed.iter().eq(cluster.list(&maps).iter()), "they agree");
        let metrics = watcher.store().metrics();
        assert!(metrics.hits > 0 && metrics.evictions > 0 && metrics.failures > 0);
        watcher.shutdown().await;
    }
}
