//! Lookups in a [`MemoryStore`] beside those in `kube::runtime`'s reflector store, and what one change costs.
//!
//! `cargo bench --bench lookup`; the ratios are printed at the end. Keys are in random order, so that at 100,000 objects most
//! of what a lookup touches is out of the processor's caches; `hot` looks up 64 objects again and again.

mod contention;
mod memory;
mod objects;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use kube::api::DynamicObject;
use kube::runtime::reflector::{self, ObjectRef as KubeRef};
use kube::runtime::watcher::Event;
use kubedex::indexer::Record;
use kubedex::store::{MemoryStore, Store};

use objects::{Dataset, SLICES_PER_SERVICE};

const OBJECTS: usize = 100_000;

/// Nanoseconds by name, for the ratios.
#[derive(Default)]
struct Results(RefCell<BTreeMap<String, f64>>);

impl Results {
    /// Measures one operation, which is told how many times it ran before.
    fn measure(&self, criterion: &mut Criterion, name: &str, mut operation: impl FnMut(usize)) {
        let mut best = f64::INFINITY;
        let mut at = 0;
        criterion.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                let start = Instant::now();
                for _ in 0..iterations {
                    operation(at);
                    at += 1;
                }
                let took = start.elapsed();
                if iterations > 0 {
                    best = best.min(took.as_secs_f64() * 1e9 / iterations as f64);
                }
                took
            });
        });
        if best.is_finite() {
            self.0.borrow_mut().insert(name.to_owned(), best);
        }
    }

    fn ratio(&self, ours: &str, theirs: &str) {
        let results = self.0.borrow();
        if let (Some(ours_ns), Some(theirs_ns)) = (results.get(ours), results.get(theirs)) {
            println!(
                "{ours:<34} {ours_ns:>9.0} ns   {theirs:<30} {theirs_ns:>12.0} ns   ratio {:.3}",
                ours_ns / theirs_ns
            );
        }
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args();
    let results = Results::default();
    lookups(&mut criterion, &results);
    for objects in [1_000, 1_000_000] {
        changes(&mut criterion, &results, objects);
    }
    // With a filter only what it names runs.
    if std::env::args()
        .skip(1)
        .all(|argument| argument.starts_with('-'))
    {
        contention::report();
        memory::report();
    }
    criterion.final_summary();
    println!();
    results.ratio("full key, cold", "kube: get by reference, cold");
    results.ratio("full key, hot", "kube: get by reference, hot");
    results.ratio("name, hot", "kube: get by reference, hot");
    results.ratio("name, cold", "kube: get by reference, cold");
    results.ratio("service (10 slices)", "kube: scan by label");
    for change in ["same keys", "another service", "delete and add"] {
        results.ratio(&format!("{change}, 1000000"), &format!("{change}, 1000"));
    }
}

fn lookups(criterion: &mut Criterion, results: &Results) {
    let data = Dataset::new(OBJECTS);
    let store = data.store();
    let order = data.random_order();
    // In the order of use, so that finding what to look for costs both sides nothing.
    let keys: Vec<[String; 2]> = order
        .iter()
        .map(|at| [data.key(*at).0.to_owned(), data.key(*at).1.to_owned()])
        .collect();
    let names: Vec<_> = order.iter().map(|at| data.reference(*at).clone()).collect();
    let uids: Vec<[String; 1]> = order.iter().map(|at| [data.uid(*at).to_owned()]).collect();
    let services: Vec<[String; 2]> = order
        .iter()
        .map(|at| [data.service(*at).0.to_owned(), data.service(*at).1])
        .collect();
    let cold = |at: usize| at % OBJECTS;
    let hot = |at: usize| at % 64;
    results.measure(criterion, "full key, cold", |at| {
        black_box(store.get(&keys[cold(at)]).unwrap());
    });
    results.measure(criterion, "full key, hot", |at| {
        black_box(store.get(&keys[hot(at)]).unwrap());
    });
    results.measure(criterion, "name, cold", |at| {
        black_box(store.get_ref(&names[cold(at)]).unwrap());
    });
    results.measure(criterion, "name, hot", |at| {
        black_box(store.get_ref(&names[hot(at)]).unwrap());
    });
    results.measure(criterion, "named index, full key, cold", |at| {
        black_box(store.get_by("uid", &uids[cold(at)]).unwrap());
    });
    results.measure(criterion, "named index, full key, hot", |at| {
        black_box(store.get_by("uid", &uids[hot(at)]).unwrap());
    });
    results.measure(criterion, "miss", |at| {
        black_box(store.get([&keys[cold(at)][0], "absent"]).unwrap());
    });
    results.measure(criterion, "service (10 slices)", |at| {
        let found = store.get_by("service", &services[cold(at)]).unwrap();
        assert_eq!(black_box(found).len(), SLICES_PER_SERVICE);
    });
    results.measure(criterion, "namespace (1000 slices)", |at| {
        black_box(store.get([&keys[cold(at)][0]]).unwrap());
    });

    let mut writer = reflector::store::Writer::<DynamicObject>::new(data.api_resource());
    writer.apply_watcher_event(&Event::Init);
    for at in 0..OBJECTS {
        writer.apply_watcher_event(&Event::InitApply(data.kube_object(at)));
    }
    writer.apply_watcher_event(&Event::InitDone);
    let peer = writer.as_reader();
    let kube_ref = |at: usize| {
        let (namespace, name) = data.key(at);
        KubeRef::new_with(name, data.api_resource()).within(namespace)
    };
    let refs: Vec<_> = order.iter().map(|at| kube_ref(*at)).collect();
    results.measure(criterion, "kube: get by reference, cold", |at| {
        black_box(peer.get(&refs[at % refs.len()]).unwrap());
    });
    results.measure(criterion, "kube: get by reference, hot", |at| {
        black_box(peer.get(&refs[at % 64]).unwrap());
    });
    results.measure(criterion, "kube: scan by label", |at| {
        let [namespace, service] = &services[cold(at)];
        let found: Vec<_> = peer
            .state()
            .into_iter()
            .filter(|object| {
                object.metadata.namespace.as_deref() == Some(namespace.as_str())
                    && object
                        .metadata
                        .labels
                        .as_ref()
                        .and_then(|labels| labels.get("kubernetes.io/service-name"))
                        == Some(service)
            })
            .collect();
        assert_eq!(black_box(found).len(), SLICES_PER_SERVICE);
    });
}

/// What one change costs, decoding aside. All objects are in one namespace, so that its bucket holds them all.
fn changes(criterion: &mut Criterion, results: &Results, objects: usize) {
    let data = Dataset::in_one_namespace(objects);
    let store = data.store();
    let order = data.random_order();
    let records: Vec<Record> = order
        .iter()
        .take(10_000)
        .map(|at| data.record(*at))
        .collect();
    results.measure(criterion, &format!("same keys, {objects}"), |at| {
        black_box(store.insert(records[at % records.len()].clone()));
    });
    let others: Vec<[Record; 2]> = order
        .iter()
        .take(10_000)
        .map(|at| [data.record_of_service(*at, "another"), data.record(*at)])
        .collect();
    results.measure(criterion, &format!("another service, {objects}"), |at| {
        black_box(store.insert(others[at / 2 % others.len()][at % 2].clone()));
    });
    results.measure(criterion, &format!("delete and add, {objects}"), |at| {
        let record = &records[at % records.len()];
        let reference = data.reference(order[at % records.len()]);
        black_box(store.remove(reference));
        black_box(store.insert(record.clone()));
    });
    let _: &dyn Store = &store;
    black_box(MemoryStore::len(&store));
}
