//! The clients; the work of a child process.

use std::pin::pin;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::api::{Api, ApiResource, GroupVersionKind};
use kube::core::DynamicObject;
use kube::runtime::reflector::store::Writer;
use kube::runtime::{WatchStreamExt as _, reflector, watcher};
use kubedex::watcher::InitialList;
use kubedex::{Client, Gvr, Watcher, WatcherConfig};

use super::support::process::{cpu_time, peak_resident_bytes};

/// Ours by its defaults comes first: the others are told in terms of it.
pub(crate) const ALL: [&str; 4] = ["kubedex", "kubedex-paged", "kube", "kube-streaming"];

pub(crate) fn title(client: &str) -> &'static str {
    match client {
        "kubedex" => "kubedex, streaming list (default)",
        "kubedex-paged" => "kubedex, paged list",
        "kube" => "kube-rs reflector, paged list (default)",
        _ => "kube-rs reflector, streaming list",
    }
}

/// Syncs once and prints what it took.
pub(crate) fn run(client: &str, url: &str, token: &str, count: usize) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut config = kube::Config::new(url.parse().unwrap());
        config.auth_info.token = Some(token.to_owned().into());
        let start = (Instant::now(), cpu_time());
        let synced = match client {
            "kubedex" => kubedex(config, InitialList::Auto, start).await,
            "kubedex-paged" => kubedex(config, InitialList::Paged, start).await,
            "kube" => kube(config, watcher::Config::default(), start).await,
            "kube-streaming" => {
                let streaming = watcher::Config::default().streaming_lists();
                kube(config, streaming, start).await
            }
            _ => panic!("no such client: {client}"),
        };
        assert_eq!(synced, count);
    });
}

type Start = (Instant, Duration);

fn print((start, cpu): Start) {
    println!(
        "wall={}\ncpu={}\npeak={}",
        start.elapsed().as_nanos(),
        (cpu_time() - cpu).as_nanos(),
        peak_resident_bytes()
    );
}

async fn kubedex(config: kube::Config, list: InitialList, start: Start) -> usize {
    let client = Client::builder().config(config).build().await.unwrap();
    let slices = Gvr::new("discovery.k8s.io", "v1", "endpointslices");
    let watcher = Watcher::start(
        &client,
        WatcherConfig::new(slices)
            .index_by(["metadata.namespace", "metadata.name"])
            .index(
                "service",
                [
                    "metadata.namespace",
                    "metadata.labels['kubernetes.io/service-name']",
                ],
            )
            .ignore_field("metadata.managedFields")
            .initial_list(list),
    )
    .unwrap();
    watcher
        .wait_for_sync(Duration::from_secs(120))
        .await
        .unwrap();
    print(start);
    let synced = watcher.store().len();
    watcher.shutdown().await;
    synced
}

async fn kube(config: kube::Config, watching: watcher::Config, start: Start) -> usize {
    let client = kube::Client::try_from(config).unwrap();
    let kind = GroupVersionKind::gvk("discovery.k8s.io", "v1", "EndpointSlice");
    let resource = ApiResource::from_gvk(&kind);
    let slices: Api<DynamicObject> = Api::all_with(client, &resource);
    let writer = Writer::<DynamicObject>::new(resource);
    let store = writer.as_reader();
    let events = watcher(slices, watching)
        .default_backoff()
        .modify(|object| object.metadata.managed_fields = None);
    let mut stored = pin!(reflector(writer, events));
    let mut ready = pin!(store.wait_until_ready());
    loop {
        tokio::select! {
            done = &mut ready => {
                done.unwrap();
                break;
            }
            event = stored.next() => {
                event.unwrap().unwrap();
            }
        }
    }
    print(start);
    store.len()
}
