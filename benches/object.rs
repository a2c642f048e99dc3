//! What one object costs: to decode, to keep, to read, to parse. Each beside kube's `DynamicObject` and `serde_json`'s
//! `Value`, on the same objects in the same run, with the ratio in the last lines.

use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::core::DynamicObject;
use kubedex::Object;
use kubedex::indexer::{IndexSet, Indexer};
use serde::Deserialize;
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

/// Measures ways of doing the same to `count` objects of so many bytes, the last of them kubedex's, and notes the ratios.
fn compare(
    criterion: &mut Criterion,
    ratios: &mut Vec<String>,
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
    let times = side_by_side(&mut ways, count);
    if let Some((own, peers)) = times.split_last() {
        for (way, peer) in ways.iter().zip(peers) {
            ratios.push(format!(
                "ratio: {group}: kubedex {own:.0} ns, {} {peer:.0} ns: {:.2} times as fast",
                way.name,
                peer / own
            ));
        }
    }
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

fn measure(criterion: &mut Criterion, ratios: &mut Vec<String>) {
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
            way("kube DynamicObject", |at| dynamic(texts[at].as_bytes())),
            way("serde_json Value", |at| filtered(texts[at].as_bytes())),
            way("kubedex", |at| decoded(indexer, &texts[at])),
        ];
        compare(criterion, ratios, group, (texts.len(), bytes), ways);
    }

    let texts = Objects::new(2).many(Shape::EndpointSlice, KEPT);
    let objects: Vec<Object> = texts.iter().map(|json| decoded(indexer, json)).collect();
    let dynamics: Vec<DynamicObject> = texts.iter().map(|json| dynamic(json.as_bytes())).collect();
    for (group, count) in [("three fields hot", 8), ("three fields cold", KEPT)] {
        let (objects, dynamics) = (scattered(&objects, count), scattered(&dynamics, count));
        let ways = vec![
            way("kube DynamicObject", move |at| dynamic_fields(dynamics[at])),
            way("kubedex", move |at| fields(objects[at])),
        ];
        compare(criterion, ratios, group, (count, 0), ways);
    }

    let values: Vec<Value> = texts
        .iter()
        .take(DISTINCT)
        .map(|json| filtered(json.as_bytes()))
        .collect();
    let ways = vec![
        way("kube DynamicObject", |at| {
            dynamics[at].clone().try_parse::<EndpointSlice>().unwrap()
        }),
        way("serde_json Value", |at| {
            EndpointSlice::deserialize(&values[at]).unwrap()
        }),
        way("kubedex", |at| {
            objects[at].parse::<EndpointSlice>().unwrap()
        }),
    ];
    compare(
        criterion,
        ratios,
        "parse EndpointSlice",
        (DISTINCT, 0),
        ways,
    );

    let ways = vec![
        way("serde_json Value", |at| values[at].to_string()),
        way("kubedex", |at| objects[at].to_json()),
    ];
    compare(criterion, ratios, "write JSON", (DISTINCT, 0), ways);

    let again: Vec<(Value, Object)> = texts
        .iter()
        .take(DISTINCT)
        .map(|json| json.replacen("\"resourceVersion\":\"4", "\"resourceVersion\":\"5", 1))
        .map(|json| (filtered(json.as_bytes()), decoded(indexer, &json)))
        .collect();
    let ways = vec![
        // What would be the most of it, were the rest of the content not compared.
        way("serde_json Value", |at| {
            values[at]["endpoints"] == again[at].0["endpoints"]
        }),
        way("kubedex", |at| objects[at].same_content(&again[at].1)),
    ];
    compare(criterion, ratios, "same content", (DISTINCT, 0), ways);
    let ways = vec![way("kubedex", |at| objects[at].content_hash())];
    compare(criterion, ratios, "content hash", (DISTINCT, 0), ways);
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
    let mut ratios = Vec::new();
    let mut criterion = Criterion::default().configure_from_args();
    measure(&mut criterion, &mut ratios);
    criterion.final_summary();

    println!();
    for ratio in ratios {
        println!("{ratio}");
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
