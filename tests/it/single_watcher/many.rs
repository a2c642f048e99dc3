//! A thousand watchers cost one task and one connection each at the most (W10).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::client::Body;
use kubedex::fake::{FakeCluster, ResourceDefinition};
use kubedex::watcher::{SingleWatcher, SingleWatcherConfig, wait_for_all};
use kubedex::{Client, Gvr, Watcher, WatcherConfig};
use parking_lot::Mutex;
use serde_json::json;

const COUNT: usize = 1000;

/// How many requests, answers that are still read included, are open for each path; and the most there were of one path.
#[derive(Default)]
struct Open {
    now: Mutex<HashMap<String, usize>>,
    most: AtomicUsize,
}

struct Guard(Arc<Open>, String);

impl Guard {
    fn new(open: &Arc<Open>, path: &str) -> Self {
        let mut now = open.now.lock();
        let count = now.entry(path.to_owned()).or_default();
        *count += 1;
        open.most.fetch_max(*count, Ordering::SeqCst);
        Self(Arc::clone(open), path.to_owned())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        *self.0.now.lock().get_mut(&self.1).unwrap() -= 1;
    }
}

/// A client of the cluster whose requests are counted.
fn counted(cluster: &FakeCluster) -> (Client, Arc<Open>) {
    let open = Arc::new(Open::default());
    let (inner, counting) = (cluster.client(), Arc::clone(&open));
    let service = tower::service_fn(move |request: Request<Body>| {
        let guard = Guard::new(&counting, request.uri().path());
        let inner = inner.clone();
        async move {
            let response: Response<Body> = inner.send(request).await?;
            Ok::<_, kube::Error>(response.map(move |body| {
                body.map_frame(move |frame| {
                    let _open = &guard;
                    frame
                })
                .boxed_unsync()
            }))
        }
    });
    (
        Client::from_kube(kube::Client::new(service, "default")),
        open,
    )
}

fn gvr(index: usize) -> Gvr {
    Gvr::new("many.example.com", "v1", format!("kinds{index}"))
}

fn object(index: usize, content: &str) -> serde_json::Value {
    json!({"apiVersion": "many.example.com/v1", "kind": format!("Kind{index}"), "spec": {"k": content},
        "metadata": {"name": "a", "namespace": "default"}})
}

fn cluster() -> FakeCluster {
    let cluster = FakeCluster::new();
    for index in 0..COUNT {
        cluster.register(&ResourceDefinition::new(gvr(index), format!("Kind{index}")));
        cluster.create(object(index, "x")).unwrap();
    }
    cluster
}

/// Checks what the watchers cost while they run.
fn check(open: &Open, tasks_before: usize) {
    let tasks = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    assert!(
        tasks - tasks_before <= COUNT,
        "{} tasks",
        tasks - tasks_before
    );
    assert_eq!(open.most.load(Ordering::SeqCst), 1, "at a time, for each");
    let now: usize = open.now.lock().values().sum();
    assert_eq!(now, COUNT, "watches are open");
}

#[tokio::test(start_paused = true)]
async fn w10_a_thousand_watchers_cost_one_task_and_one_connection_each() {
    let cluster = cluster();
    let (client, open) = counted(&cluster);
    client.resolve(&gvr(0)).await.unwrap();
    let tasks_before = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    let watchers: Vec<_> = (0..COUNT)
        .map(|index| Watcher::start(&client, WatcherConfig::new(gvr(index))).unwrap())
        .collect();
    wait_for_all(
        watchers.iter().map(Watcher::sync_handle),
        Duration::from_secs(60),
    )
    .await
    .unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    check(&open, tasks_before);
    cluster.update(object(500, "y")).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let found = watchers[500].store().get(["default", "a"]).unwrap();
    assert_eq!(found[0].get("spec.k").unwrap().as_str(), Some("y"));
    check(&open, tasks_before);
    drop(watchers);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let tasks = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    assert_eq!(tasks, tasks_before, "none outlives its watcher");
    assert_eq!(open.now.lock().values().sum::<usize>(), 0);
}

#[tokio::test(start_paused = true)]
async fn w10_a_thousand_single_watchers_cost_one_task_and_one_connection_each() {
    let cluster = cluster();
    let (client, open) = counted(&cluster);
    client.resolve(&gvr(0)).await.unwrap();
    let tasks_before = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    let told = Arc::new(AtomicUsize::new(0));
    let watchers: Vec<_> = (0..COUNT)
        .map(|index| {
            let told = Arc::clone(&told);
            let config =
                SingleWatcherConfig::new(gvr(index), "default", "a").on_change_fn(move |_| {
                    told.fetch_add(1, Ordering::SeqCst);
                });
            SingleWatcher::start(&client, config).unwrap()
        })
        .collect();
    let handles = watchers.iter().map(SingleWatcher::sync_handle);
    wait_for_all(handles, Duration::from_secs(60))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    check(&open, tasks_before);
    for index in 0..COUNT {
        cluster.update(object(index, "y")).unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(told.load(Ordering::SeqCst), COUNT);
    check(&open, tasks_before);
    for watcher in &watchers {
        watcher.shutdown().await;
    }
    let tasks = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    assert_eq!(tasks, tasks_before, "none outlives its watcher");
    assert_eq!(open.now.lock().values().sum::<usize>(), 0);
}
