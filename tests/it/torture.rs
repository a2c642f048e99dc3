//! Random schedules of writers, watchers and faults: those of the example `torture`, some of them.

// The example reads more of a report than these tests.
#[allow(dead_code)]
#[path = "../../examples/torture/simulation.rs"]
mod simulation;

use std::sync::atomic::{AtomicU64, Ordering};

use simulation::{Report, run};

/// Runs schedules on as many threads as there are cores, until one is `wanted`; which it was.
fn first(
    seeds: std::ops::Range<u64>,
    wanted: impl Fn(&Report) -> bool + Sync,
) -> Option<(u64, Report)> {
    let next = AtomicU64::new(seeds.start);
    let found = parking_lot::Mutex::new(None);
    let threads = std::thread::available_parallelism().map_or(1, Into::into);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while found.lock().is_none() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let report = run(seed, false);
                    if wanted(&report) {
                        found.lock().get_or_insert((seed, report));
                    }
                }
            });
        }
    });
    found.into_inner()
}

#[test]
fn every_store_comes_to_equal_the_server_whatever_happened() {
    if let Some((seed, report)) = first(1..101, |report| report.failure.is_some()) {
        let failure = report.failure.unwrap();
        panic!(
            "seed {seed}: {}\n{}\nreplay with: cargo run --example torture --features fake -- --replay {seed}",
            failure.reason,
            failure.trace.join("\n")
        );
    }
}

#[test]
fn a_seed_gives_the_same_trace_again() {
    for seed in 1..9 {
        let [first, second] = [run(seed, true), run(seed, true)];
        assert!(first.trace.len() > 100, "seed {seed} does little");
        let differs = first
            .trace
            .iter()
            .zip(&second.trace)
            .position(|(a, b)| a != b);
        if let Some(at) = differs {
            panic!(
                "seed {seed}, line {at}:\n{}\n{}",
                first.trace[at], second.trace[at]
            );
        }
        assert_eq!(first.trace.len(), second.trace.len(), "seed {seed}");
    }
}
