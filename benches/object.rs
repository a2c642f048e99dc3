//! What one object costs: to decode, to read, to parse, to write, to compare. Each beside kube's `DynamicObject` and
//! `serde_json`'s `Value`, on the same objects in the same run. What it takes to keep one is in `memory`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::core::DynamicObject;
use kubedex::Object;
use kubedex::indexer::{IndexSet, Indexer};
use serde::Deserialize;
use serde_json::Value;

use support::data::{Objects, Shape};
use support::figures::{Figures, time, times};

#[path = "support/mod.rs"]
mod support;

/// Objects to go round, so that caches do not hold just one.
const DISTINCT: usize = 2000;
/// Objects of which most are in no cache when one is read at random.
const KEPT: usize = 20_000;

const KUBE: &str = "kube DynamicObject";
const VALUE: &str = "serde_json Value";

/// One way of doing something to the object at a place.
struct Way<'w> {
    name: &'static str,
    work: Box<dyn FnMut(usize) + 'w>,
}

fn way<'w, R>(name: &'static str, mut work: impl FnMut(usize) -> R + 'w) -> Way<'w> {
    Way {
        name,
        work: Box::new(move |at| {
            black_box(work(at));
        }),
    }
}

/// Measures ways of doing the same to `count` objects of so many bytes, and notes the figures.
fn compare(
    criterion: &mut Criterion,
    figures: &mut Figures,
    group: &str,
    (count, bytes): (usize, usize),
    mut ways: Vec<Way<'_>>,
) {
    let mut benchmarks = criterion.benchmark_group(group);
    if bytes > 0 {
        benchmarks.throughput(Throughput::Bytes((bytes / count) as u64));
    }
    let mut ran = false;
    for way in &mut ways {
        let mut at = 0;
        benchmarks.bench_function(way.name, |bencher| {
            ran = true;
            bencher.iter(|| {
                (way.work)(at);
                at = (at + 1) % count;
            });
        });
    }
    benchmarks.finish();
    if !ran {
        return;
    }
    let nanos = side_by_side(&mut ways, count);
    let of = |name: &str| {
        let at = ways.iter().position(|way| way.name == name)?;
        nanos.get(at).copied()
    };
    let own = of("kubedex").unwrap_or_default();
    let peer = |name: &str| match of(name) {
        Some(peer) => [time(peer), times(peer / own)],
        None => ["-".to_owned(), "-".to_owned()],
    };
    let ([kube, kube_takes], [value, value_takes]) = (peer(KUBE), peer(VALUE));
    figures.row(&[
        group.to_owned(),
        time(own),
        kube,
        kube_takes,
        value,
        value_takes,
    ]);
}

/// The nanoseconds that each way takes for an object: all take turns in short rounds, so that whatever else this machine does
/// hits all alike, and the median of the rounds counts.
fn side_by_side(ways: &mut [Way<'_>], count: usize) -> Vec<f64> {
    const ROUND: Duration = Duration::from_millis(2);
    const ROUNDS: usize = 101;
    let mut rounds = vec![Vec::with_capacity(ROUNDS); ways.len()];
    let mut places = vec![0; ways.len()];
    for _ in 0..ROUNDS {
        for ((way, place), times) in ways.iter_mut().zip(&mut places).zip(&mut rounds) {
            let start = Instant::now();
            let mut done = 0;
            while start.elapsed() < ROUND {
                for _ in 0..16 {
                    (way.work)(*place);
                    *place = (*place + 1) % count;
                }
                done += 16;
            }
            times.push(start.elapsed().as_secs_f64() * 1e9 / f64::from(done));
        }
    }
    rounds
        .into_iter()
        .map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[ROUNDS / 2]
        })
        .collect()
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

fn measure(criterion: &mut Criterion, figures: &mut Figures) {
    let indexer = &indexer();
    for (group, texts) in [
        (
            "decode EndpointSlices",
            Objects::new(1).many(Shape::EndpointSlice, DISTINCT),
        ),
        ("decode mixed", Objects::new(1).mixed(DISTINCT)),
    ] {
        let texts = &texts;
        let bytes = texts.iter().map(String::len).sum();
        let ways = vec![
            way(KUBE, |at| dynamic(texts[at].as_bytes())),
            way(VALUE, |at| filtered(texts[at].as_bytes())),
            way("kubedex", |at| decoded(indexer, &texts[at])),
        ];
        compare(criterion, figures, group, (texts.len(), bytes), ways);
    }

    let texts = Objects::new(2).many(Shape::EndpointSlice, KEPT);
    let objects: Vec<Object> = texts.iter().map(|json| decoded(indexer, json)).collect();
    let dynamics: Vec<DynamicObject> = texts.iter().map(|json| dynamic(json.as_bytes())).collect();
    for (group, count) in [("three fields hot", 8), ("three fields cold", KEPT)] {
        let (objects, dynamics) = (scattered(&objects, count), scattered(&dynamics, count));
        let ways = vec![
            way(KUBE, move |at| dynamic_fields(dynamics[at])),
            way("kubedex", move |at| fields(objects[at])),
        ];
        compare(criterion, figures, group, (count, 0), ways);
    }

    let values: Vec<Value> = texts
        .iter()
        .take(DISTINCT)
        .map(|json| filtered(json.as_bytes()))
        .collect();
    let ways = vec![
        way(KUBE, |at| {
            dynamics[at].clone().try_parse::<EndpointSlice>().unwrap()
        }),
        way(VALUE, |at| EndpointSlice::deserialize(&values[at]).unwrap()),
        way("kubedex", |at| {
            objects[at].parse::<EndpointSlice>().unwrap()
        }),
    ];
    compare(
        criterion,
        figures,
        "parse EndpointSlice",
        (DISTINCT, 0),
        ways,
    );

    let ways = vec![
        way(VALUE, |at| values[at].to_string()),
        way("kubedex", |at| objects[at].to_json()),
    ];
    compare(criterion, figures, "write JSON", (DISTINCT, 0), ways);

    let again: Vec<(Value, Object)> = texts
        .iter()
        .take(DISTINCT)
        .map(|json| json.replacen("\"resourceVersion\":\"4", "\"resourceVersion\":\"5", 1))
        .map(|json| (filtered(json.as_bytes()), decoded(indexer, &json)))
        .collect();
    let ways = vec![
        // What would be the most of it, were the rest of the content not compared.
        way(VALUE, |at| {
            values[at]["endpoints"] == again[at].0["endpoints"]
        }),
        way("kubedex", |at| objects[at].same_content(&again[at].1)),
    ];
    compare(criterion, figures, "same content", (DISTINCT, 0), ways);
    let ways = vec![way("kubedex", |at| objects[at].content_hash())];
    compare(criterion, figures, "content hash", (DISTINCT, 0), ways);
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

fn main() {
    let mut figures = Figures::new(
        "object",
        &[
            "one object",
            "kubedex",
            "kube-rs `DynamicObject`",
            "takes",
            "`serde_json::Value`",
            "takes",
        ],
    );
    let mut criterion = Criterion::default().configure_from_args();
    measure(&mut criterion, &mut figures);
    criterion.final_summary();
    if support::is_whole_run() && !support::is_test() {
        figures.save();
    }
}
