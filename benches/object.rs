//! What one object costs: to decode, to keep, to read, to parse. Each beside kube's `DynamicObject` and `serde_json`'s
//! `Value`, on the same objects in the same run, with the ratio in the last lines.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::core::DynamicObject;
use kubedex::Object;
use kubedex::indexer::{IndexSet, Indexer};
use serde_json::Value;

use support::data::{Objects, Shape};

#[path = "support/mod.rs"]
mod support;

/// Objects to go round, so that caches do not hold just one.
const DISTINCT: usize = 2000;
/// Objects that are kept to measure memory.
const KEPT: usize = 20_000;
/// Tells a child process of this program which representation to keep.
const KEEP: &str = "KUBEDEX_BENCH_KEEP";

/// A benchmark by its group and name.
type Id = (&'static str, &'static str);

/// Times and counts, for the ratios.
#[derive(Default)]
struct Times(RefCell<BTreeMap<Id, (Duration, u64)>>);

impl Times {
    fn ns(&self, group: &'static str, name: &'static str) -> Option<f64> {
        let times = self.0.borrow();
        let (time, count) = times.get(&(group, name))?;
        #[allow(clippy::cast_precision_loss)]
        Some(time.as_nanos() as f64 / *count as f64)
    }

    /// Measures `work` on one of `inputs` after the other.
    fn measure<T, R>(
        &self,
        criterion: &mut Criterion,
        group: &'static str,
        name: &'static str,
        inputs: &[T],
        bytes: usize,
        mut work: impl FnMut(&T) -> R,
    ) {
        let mut next = 0;
        let mut benchmarks = criterion.benchmark_group(group);
        if bytes > 0 {
            benchmarks.throughput(Throughput::Bytes((bytes / inputs.len()) as u64));
        }
        benchmarks.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                let start = Instant::now();
                for _ in 0..iterations {
                    black_box(work(&inputs[next]));
                    next = (next + 1) % inputs.len();
                }
                let time = start.elapsed();
                let mut times = self.0.borrow_mut();
                let sum = times.entry((group, name)).or_default();
                *sum = (sum.0 + time, sum.1 + iterations);
                time
            });
        });
        benchmarks.finish();
    }
}

fn indexer() -> Indexer {
    let indexes = IndexSet::new(["metadata.namespace", "metadata.name"]).unwrap();
    Indexer::new(indexes, ["metadata.managedFields"], None).unwrap()
}

fn dynamic(json: &[u8]) -> DynamicObject {
    let mut object: DynamicObject = serde_json::from_slice(json).unwrap();
    object.metadata.managed_fields = None;
    object
}

fn filtered(json: &[u8]) -> Value {
    let mut value: Value = serde_json::from_slice(json).unwrap();
    value["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("managedFields");
    value
}

/// Three fields as a controller reads them.
fn fields(object: &Object) -> usize {
    let label = object.label("app.kubernetes.io/name").unwrap_or_default();
    object.name().len() + object.namespace().unwrap_or_default().len() + label.len()
}

fn dynamic_fields(object: &DynamicObject) -> usize {
    let labels = object.metadata.labels.as_ref();
    let label = labels.and_then(|labels| labels.get("app.kubernetes.io/name"));
    object.metadata.name.as_ref().map_or(0, String::len)
        + object.metadata.namespace.as_ref().map_or(0, String::len)
        + label.map_or(0, String::len)
}

fn measure(criterion: &mut Criterion, times: &Times) {
    let indexer = indexer();
    for (group, texts) in [
        (
            "decode EndpointSlices",
            Objects::new(1).many(Shape::EndpointSlice, DISTINCT),
        ),
        ("decode mixed", Objects::new(1).mixed(DISTINCT)),
    ] {
        let bytes = texts.iter().map(String::len).sum();
        times.measure(
            criterion,
            group,
            "kube DynamicObject",
            &texts,
            bytes,
            |json| dynamic(json.as_bytes()),
        );
        times.measure(
            criterion,
            group,
            "serde_json Value",
            &texts,
            bytes,
            |json| filtered(json.as_bytes()),
        );
        times.measure(criterion, group, "kubedex", &texts, bytes, |json| {
            indexer.decode(json.as_bytes(), None).unwrap()
        });
    }

    let texts = Objects::new(2).many(Shape::EndpointSlice, KEPT);
    let objects: Vec<Object> = texts.iter().map(|json| decoded(&indexer, json)).collect();
    let dynamics: Vec<DynamicObject> = texts.iter().map(|json| dynamic(json.as_bytes())).collect();
    let values: Vec<Value> = texts.iter().map(|json| filtered(json.as_bytes())).collect();

    for (group, count) in [("three fields hot", 8), ("three fields cold", KEPT)] {
        let (objects, dynamics) = (&scattered(&objects, count), &scattered(&dynamics, count));
        times.measure(
            criterion,
            group,
            "kube DynamicObject",
            dynamics,
            0,
            |object| dynamic_fields(object),
        );
        times.measure(criterion, group, "kubedex", objects, 0, |object| {
            fields(object)
        });
    }
    let group = "parse EndpointSlice";
    times.measure(
        criterion,
        group,
        "kube DynamicObject",
        &dynamics[..DISTINCT],
        0,
        |object| object.clone().try_parse::<EndpointSlice>().unwrap(),
    );
    times.measure(
        criterion,
        group,
        "serde_json Value",
        &values[..DISTINCT],
        0,
        |value| <EndpointSlice as serde::Deserialize>::deserialize(value).unwrap(),
    );
    times.measure(
        criterion,
        group,
        "kubedex",
        &objects[..DISTINCT],
        0,
        |object| object.parse::<EndpointSlice>().unwrap(),
    );
    let again: Vec<(Object, Object)> = texts[..DISTINCT]
        .iter()
        .zip(&objects)
        .map(|(json, object)| {
            let later = json.replacen("\"resourceVersion\":\"4", "\"resourceVersion\":\"5", 1);
            (object.clone(), decoded(&indexer, &later))
        })
        .collect();
    times.measure(
        criterion,
        "same content",
        "kubedex",
        &again,
        0,
        |(one, other)| {
            assert!(one.same_content(other));
        },
    );
    times.measure(
        criterion,
        "content hash",
        "kubedex",
        &again,
        0,
        |(one, _)| one.content_hash(),
    );
    times.measure(
        criterion,
        "write JSON",
        "serde_json Value",
        &values[..DISTINCT],
        0,
        Value::to_string,
    );
    times.measure(
        criterion,
        "write JSON",
        "kubedex",
        &objects[..DISTINCT],
        0,
        Object::to_json,
    );
}

fn decoded(indexer: &Indexer, json: &str) -> Object {
    indexer
        .decode(json.as_bytes(), None)
        .unwrap()
        .record
        .into_parts()
        .0
}

/// Some of the items, in no order.
fn scattered<T>(items: &[T], count: usize) -> Vec<&T> {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut picked: Vec<&T> = items.iter().collect();
    rng.shuffle(&mut picked);
    picked.truncate(count);
    picked
}

/// Keeps objects in one representation and prints by how much each made this process larger.
fn keep(what: &str) {
    let mut objects = Objects::new(3);
    let mut one = || match what.split_once(' ') {
        Some((_, "mixed")) => objects.mixed(1).remove(0),
        _ => objects.one(Shape::EndpointSlice),
    };
    let indexer = indexer();
    // What every process has, objects or not, is not counted.
    for _ in 0..100 {
        black_box((decoded(&indexer, &one()), dynamic(one().as_bytes())));
    }
    let mut json = 0;
    let before = support::resident_bytes();
    let (mut tapes, mut dynamics, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let mut heap = 0;
    for _ in 0..KEPT {
        let text = one();
        json += filtered(text.as_bytes()).to_string().len();
        match what.split(' ').next() {
            Some("kubedex") => {
                let object = decoded(&indexer, &text);
                heap += object.heap_size();
                tapes.push(object);
            }
            Some("kube") => dynamics.push(dynamic(text.as_bytes())),
            _ => values.push(filtered(text.as_bytes())),
        }
    }
    let resident = support::resident_bytes().saturating_sub(before);
    black_box((tapes, dynamics, values));
    println!("{} {} {}", resident / KEPT, json / KEPT, heap / KEPT);
}

fn kept(what: &str) -> Option<[f64; 3]> {
    let child = Command::new(std::env::current_exe().ok()?)
        .env(KEEP, what)
        .output()
        .ok()?;
    let numbers = String::from_utf8(child.stdout).ok()?;
    let mut numbers = numbers.split_whitespace().map(|number| number.parse().ok());
    Some([numbers.next()??, numbers.next()??, numbers.next()??])
}

fn main() {
    if let Ok(what) = std::env::var(KEEP) {
        return keep(&what);
    }
    let times = Times::default();
    let mut criterion = Criterion::default().configure_from_args();
    measure(&mut criterion, &times);
    criterion.final_summary();

    println!();
    for group in [
        "decode EndpointSlices",
        "decode mixed",
        "three fields hot",
        "three fields cold",
        "parse EndpointSlice",
        "write JSON",
    ] {
        for peer in ["kube DynamicObject", "serde_json Value"] {
            if let (Some(peer_ns), Some(own)) = (times.ns(group, peer), times.ns(group, "kubedex"))
            {
                println!(
                    "ratio: {group}: kubedex {own:.0} ns, {peer} {peer_ns:.0} ns: {:.2} times as fast",
                    peer_ns / own
                );
            }
        }
    }
    for shape in ["EndpointSlices", "mixed"] {
        let Some([own, json, heap]) = kept(&format!("kubedex {shape}")) else {
            continue;
        };
        println!(
            "ratio: memory of {shape}: kubedex {own:.0} bytes resident an object ({heap:.0} of heap), filtered JSON {json:.0}: {:.2}",
            own / json
        );
        for peer in ["kube", "Value"] {
            if let Some([peer_bytes, ..]) = kept(&format!("{peer} {shape}")) {
                println!(
                    "ratio: memory of {shape}: {peer} {peer_bytes:.0} bytes resident an object: {:.1} times kubedex's",
                    peer_bytes / own
                );
            }
        }
    }
}
