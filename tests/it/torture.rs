//! Random schedules of writers, watchers and faults: those of the example `torture`, some of them.

// The example reads more of a report than these tests.
#[allow(dead_code)]
#[path = "../../examples/torture/simulation.rs"]
mod simulation;

use parking_lot::Mutex;
use simulation::{Report, run};

/// Runs schedules on as many threads as there are cores, until one is `wanted`; which it was.
fn first(
    seeds: impl Iterator<Item = u64> + Send,
    run: impl Fn(u64) -> Report + Sync,
    wanted: impl Fn(&Report) -> bool + Sync,
) -> Option<(u64, Report)> {
    let seeds = Mutex::new(seeds);
    let found = Mutex::new(None);
    let threads = std::thread::available_parallelism().map_or(1, Into::into);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while found.lock().is_none() {
                    let Some(seed) = seeds.lock().next() else {
                        break;
                    };
                    let report = run(seed);
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
    if let Some((seed, report)) = first(
        1..101,
        |seed| run(seed, false),
        |report| report.failure.is_some(),
    ) {
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

/// Faults built into the watcher on purpose: the schedules above would not pass with any of them.
#[cfg(feature = "__mutations")]
#[test]
fn the_schedules_notice_every_mutation_of_the_watcher() {
    use kubedex::watcher::mutation::{self, Mutation};

    // Those that notice most, as of this writing, come first.
    let telling = [1, 2, 8, 29, 35, 53, 103, 4, 6, 10, 18];
    let mut missed = Vec::new();
    for mutation in Mutation::ALL {
        let run = |seed| mutation::with(mutation, || run(seed, false));
        let seeds = telling.into_iter().chain(1..401);
        match first(seeds, run, |report| report.failure.is_some()) {
            Some((seed, report)) => {
                let reason = report.failure.unwrap().reason;
                println!("{mutation:?}: seed {seed}: {reason}");
            }
            None => missed.push(mutation),
        }
    }
    assert!(missed.is_empty(), "not noticed: {missed:?}");
}
