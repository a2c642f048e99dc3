//! What a stored object takes: resident memory and heap, of 1,000, 100,000 and 1,000,000 objects, beside kube's reflector
//! store of `DynamicObject` with `managedFields` cleared, which is measured up to 100,000.
//!
//! Every number comes from a process of its own. The heap is what jemalloc says it has given out, in a process that runs
//! on it: `libjemalloc.so.2` is looked for where Linux distributions put it, or where `KUBEDEX_JEMALLOC` says. Without it there
//! are resident sizes only, which are those of the system's allocator in any case.

#[path = "../support/mod.rs"]
mod support;

mod jemalloc;
mod keep;

use support::child;
use support::figures::{Figures, bytes, times};

use keep::Kind;

/// Targets: of the filtered JSON's size, and of what kube's store takes.
const OF_JSON: f64 = 0.6;
const OF_KUBE: f64 = 12.0;

fn main() {
    if let Some(task) = child::task() {
        return keep::run(&task);
    }
    if support::is_test() {
        return;
    }
    let jemalloc = jemalloc::library();
    if jemalloc.is_none() {
        println!("no libjemalloc.so.2 (KUBEDEX_JEMALLOC may name one): the heap is not measured");
    }
    let mut figures = Figures::new(
        "memory",
        &[
            "objects",
            "filtered JSON",
            "kubedex: resident",
            "of the JSON",
            "heap",
            "indexes in it",
            "kube-rs: resident",
            "heap",
            "kube-rs takes",
        ],
    );
    for (kind, counts) in [
        (Kind::EndpointSlices, &[1_000, 100_000, 1_000_000][..]),
        (Kind::Pods, &[1_000, 100_000]),
        (Kind::Services, &[1_000, 100_000]),
        (Kind::Secrets, &[1_000, 100_000]),
        (Kind::Mixed, &[1_000, 100_000, 1_000_000]),
    ] {
        for &count in counts {
            // What jemalloc keeps at hand for a thread counts as given out: it would hide so few objects.
            let jemalloc = jemalloc.as_deref().filter(|_| count > 1_000);
            let own = measure("kubedex", kind, count, jemalloc);
            let kube = (count <= 100_000).then(|| measure("kube", kind, count, jemalloc));
            let json = own.json.unwrap_or_default();
            let size = |size: Option<f64>| size.map_or("-".to_owned(), bytes);
            let ratio = kube.as_ref().map(|kube| kube.resident / own.resident);
            figures.row(&[
                format!("{count} {kind}"),
                bytes(json),
                bytes(own.resident),
                format!("{:.2}", own.resident / json),
                size(own.heap),
                size(own.overhead),
                size(kube.as_ref().map(|kube| kube.resident)),
                size(kube.as_ref().and_then(|kube| kube.heap)),
                ratio.map_or("-".to_owned(), times),
            ]);
            // At 1,000 objects the process's own pages are a good part of it.
            if count > 1_000
                && (own.resident / json > OF_JSON || ratio.is_some_and(|ratio| ratio < OF_KUBE))
            {
                println!(
                    "target missed: {count} {kind}: at most {OF_JSON} of the JSON, {OF_KUBE} times less than kube-rs"
                );
            }
        }
    }
    figures.save();
}

/// Bytes per object.
struct Taken {
    resident: f64,
    heap: Option<f64>,
    json: Option<f64>,
    overhead: Option<f64>,
}

fn measure(whose: &str, kind: Kind, count: usize, jemalloc: Option<&str>) -> Taken {
    let each = |amount: f64| amount / count as f64;
    let (numbers, _) = child::run(child::command(&format!("{whose} {kind} {count}")));
    let own = whose == "kubedex";
    let heap = jemalloc.map(|library| {
        let allocated = |count: usize| {
            let command = child::command(&format!("{whose} {kind} {count}"));
            let (_, errors) = child::run(jemalloc::on(command, library));
            jemalloc::allocated(&errors)
        };
        each(allocated(count) - allocated(0))
    });
    Taken {
        resident: each(numbers.get("resident")),
        heap,
        json: own.then(|| each(numbers.get("json"))),
        overhead: own.then(|| each(numbers.get("overhead"))),
    }
}
