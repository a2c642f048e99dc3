//! From bytes to a stored and indexed object, beside kube's reflector on the same objects in the same run: decode, filter,
//! index, apply. Ends with the ratio.

#[path = "support/mod.rs"]
mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use kube::api::ApiResource;
use kube::core::{DynamicObject, GroupVersionKind};
use kube::runtime::{reflector, watcher};
use kubedex::Gvr;
use kubedex::indexer::{IndexSet, Indexer};
use kubedex::store::{MemoryStore, StoreSchema};

use support::data::{Objects, Shape};
use support::figures::{Figures, time, times};

/// Enough that neither side works from a cache of a few objects.
const OBJECTS: usize = 10_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args().sample_size(20);
    let mut figures = Figures::new(
        "ingest",
        &[
            "from bytes to a stored and indexed object",
            "bytes",
            "kubedex",
            "kube-rs reflector",
            "takes",
        ],
    );
    let mut random = Objects::new(1);
    for (shape, objects) in [
        ("mixed", random.mixed(OBJECTS)),
        ("EndpointSlice", random.many(Shape::EndpointSlice, OBJECTS)),
    ] {
        let bytes: usize = objects.iter().map(String::len).sum();
        let ours = ours(&mut criterion, shape, &objects, bytes);
        let peer = peer(&mut criterion, shape, &objects, bytes);
        if let (Some(ours), Some(peer)) = (ours, peer) {
            println!(
                "ingest {shape}: kubedex {:.2} us, kube reflector {:.2} us per object of {} bytes; {:.1} times its rate",
                ours.as_secs_f64() * 1e6,
                peer.as_secs_f64() * 1e6,
                bytes / OBJECTS,
                peer.as_secs_f64() / ours.as_secs_f64(),
            );
            figures.row(&[
                shape.to_owned(),
                (bytes / OBJECTS).to_string(),
                time(ours.as_secs_f64() * 1e9),
                time(peer.as_secs_f64() * 1e9),
                times(peer.as_secs_f64() / ours.as_secs_f64()),
            ]);
        }
    }
    criterion.final_summary();
    if support::is_whole_run() && !support::is_test() {
        figures.save();
    }
}

/// Measures `apply` going round the objects; the mean time of one, or `None` if the filter left it out.
fn measure(
    criterion: &mut Criterion,
    shape: &str,
    name: &str,
    objects: &[String],
    bytes: usize,
    mut apply: impl FnMut(&str),
) -> Option<Duration> {
    let mut next = 0;
    let mut total = (Duration::ZERO, 0u32);
    let mut group = criterion.benchmark_group(format!("ingest {shape}"));
    group.throughput(Throughput::Bytes((bytes / objects.len()) as u64));
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|iterations| {
            let start = Instant::now();
            for _ in 0..iterations {
                apply(black_box(&objects[next]));
                next = (next + 1) % objects.len();
            }
            let time = start.elapsed();
            total = (
                total.0 + time,
                total
                    .1
                    .saturating_add(u32::try_from(iterations).unwrap_or(u32::MAX)),
            );
            time
        });
    });
    group.finish();
    (total.1 > 0).then(|| total.0 / total.1)
}

fn ours(
    criterion: &mut Criterion,
    shape: &str,
    objects: &[String],
    bytes: usize,
) -> Option<Duration> {
    let indexes = IndexSet::new(["metadata.namespace", "metadata.name"])
        .and_then(|set| set.with("app", ["metadata.labels['app']"]))
        .unwrap();
    let indexer = Indexer::new(indexes, ["metadata.managedFields"], None).unwrap();
    let store = MemoryStore::new(&StoreSchema::new(
        Gvr::new("", "v1", "mixed"),
        Arc::clone(indexer.indexes()),
    ));
    measure(criterion, shape, "kubedex", objects, bytes, |json| {
        let indexed = indexer.decode(json.as_bytes(), None).unwrap();
        black_box(store.insert(indexed.record));
    })
}

fn peer(
    criterion: &mut Criterion,
    shape: &str,
    objects: &[String],
    bytes: usize,
) -> Option<Duration> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Mixed"));
    let mut writer = reflector::store::Writer::<DynamicObject>::new(resource);
    measure(criterion, shape, "kube reflector", objects, bytes, |json| {
        let mut object: DynamicObject = serde_json::from_str(json).unwrap();
        object.metadata.managed_fields = None;
        writer.apply_watcher_event(&watcher::Event::Apply(object));
    })
}
