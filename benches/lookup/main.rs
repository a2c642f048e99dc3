//! Lookups in a [`MemoryStore`] beside those in `kube::runtime`'s reflector store, and what one change costs.
//!
//! `cargo bench --bench lookup`; the figures are printed at the end. Keys are in random order, so that at 100,000 objects most
//! of what a lookup touches is out of the processor's caches; `hot` looks up 64 objects again and again.

mod contention;
mod memory;
mod objects;
#[path = "../support/mod.rs"]
mod support;

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
use support::figures::{Figures, time, times};

const OBJECTS: usize = 100_000;
/// What a reflector's store can look up: one object by its name.
const KUBE_HOT: &str = "kube: get by reference, hot";
const KUBE_COLD: &str = "kube: get by reference, cold";

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

    fn get(&self, name: &str) -> Option<f64> {
        self.0.borrow().get(name).copied()
    }

    /// A row of one operation beside another that is the same to a user, if both were measured.
    fn row(&self, figures: &mut Figures, what: &str, ours: &str, theirs: Option<&str>) {
        let Some(own) = self.get(ours) else { return };
        let peer = theirs.and_then(|theirs| self.get(theirs));
        figures.row(&[
            what.to_owned(),
            time(own),
            peer.map_or("-".to_owned(), time),
            peer.map_or("-".to_owned(), |peer| times(peer / own)),
        ]);
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
    criterion.final_summary();
    if support::is_test() || !support::is_whole_run() {
        return;
    }
    let mut figures = Figures::new(
        "lookup",
        &["among 100,000 objects", "kubedex", "kube-rs store", "takes"],
    );
    for (what, ours, theirs) in [
        ("by full key, hot", "full key, hot", Some(KUBE_HOT)),
        ("by full key, cold", "full key, cold", Some(KUBE_COLD)),
        ("by name (`get_ref`), hot", "name, hot", Some(KUBE_HOT)),
        ("by name (`get_ref`), cold", "name, cold", Some(KUBE_COLD)),
        (
            "by uid, a named index, hot",
            "named index, full key, hot",
            None,
        ),
        (
            "by uid, a named index, cold",
            "named index, full key, cold",
            None,
        ),
        ("miss", "miss", None),
        (
            "the 10 slices of a service, cold",
            "service (10 slices)",
            Some("kube: scan by label"),
        ),
        (
            "prefix: the 1,000 of a namespace, cold",
            "namespace (1000 slices)",
            None,
        ),
    ] {
        results.row(&mut figures, what, ours, theirs);
    }
    figures.save();
    let mut figures = Figures::new(
        "changes",
        &[
            "one change, decoding aside",
            "among 1,000",
            "among 1,000,000",
        ],
    );
    for change in ["same keys", "another service", "delete and add"] {
        let of = |objects: usize| results.get(&format!("{change}, {objects}")).map(time);
        figures.row(&[
            change.to_owned(),
            of(1_000).unwrap_or_default(),
            of(1_000_000).unwrap_or_default(),
        ]);
    }
    figures.save();
    contention::report();
    memory::report();
}

fn lookups(criterion: &mut Criterion, results: &Results) {
    let data = Dataset::new(OBJECTS);
    let order = data.random_order();
    // In the order of use, and made before the heap is full of holes, so that they stand side by side: finding what to look
    // for shall cost neither side anything.
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
    let kube_ref = |at: usize| {
        let (namespace, name) = data.key(at);
        KubeRef::new_with(name, data.api_resource()).within(namespace)
    };
    let refs: Vec<_> = order.iter().map(|at| kube_ref(*at)).collect();
    let store = data.store();
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
    results.measure(criterion, KUBE_COLD, |at| {
        black_box(peer.get(&refs[at % refs.len()]).unwrap());
    });
    results.measure(criterion, KUBE_HOT, |at| {
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
