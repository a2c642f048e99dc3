//! Leader elections by the thousand, under virtual time: pauses, skewed clocks, lost and late answers, edited Leases, and
//! client-go's algorithm among the candidates. After every step the rules are checked: no two valid tokens, nobody taken
//! over before time, somebody leads in the end.
//!
//! ```text
//! cargo run --release --example election_simulation -- --schedules 1000000 --seed 1
//! cargo run --release --example election_simulation -- --replay 9751324787022044101
//! ```
//!
//! It compiles the sources that decide in the real component, since those are not part of the public interface.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

mod resource {
    pub(crate) use kubedex::resource::compare_resource_versions;
}

#[path = "../src/leader_election"]
#[allow(dead_code, unreachable_pub)]
mod leader_election {
    pub(crate) mod decision;
    pub(crate) mod fence;
    pub(crate) mod record;
    pub(crate) mod simulation;
    pub(crate) mod timing;
}

use leader_election::simulation::{Tally, Violation, run, schedule_seed};

struct Options {
    schedules: u64,
    seed: u64,
    threads: usize,
    replay: Option<u64>,
}

const USAGE: &str =
    "usage: election_simulation [--schedules N] [--seed S] [--threads T] [--replay SEED]";

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(reason) => {
            eprintln!("{reason}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match options.replay {
        Some(seed) => replay(seed),
        None => campaign(&options),
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        schedules: if cfg!(debug_assertions) {
            2_000
        } else {
            100_000
        },
        seed: 1,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        replay: None,
    };
    while let Some(name) = arguments.next() {
        let value = arguments.next().and_then(|value| value.parse::<u64>().ok());
        let value = value.ok_or_else(|| format!("{name} takes a number"))?;
        match name.as_str() {
            "--schedules" => options.schedules = value,
            "--seed" => options.seed = value,
            "--threads" => options.threads = usize::try_from(value.clamp(1, 256)).unwrap_or(1),
            "--replay" => options.replay = Some(value),
            _ => return Err(format!("there is no {name}")),
        }
    }
    Ok(options)
}

/// Tells one schedule step by step.
fn replay(seed: u64) -> ExitCode {
    let mut log = |at: Duration, line: &str| println!("{:>12.6}  {line}", at.as_secs_f64());
    match run(seed, Some(&mut log)) {
        Ok(tally) => {
            println!("{tally:#?}");
            ExitCode::SUCCESS
        }
        Err(violation) => {
            println!("{violation}");
            ExitCode::FAILURE
        }
    }
}

/// Runs many schedules on all processors.
fn campaign(options: &Options) -> ExitCode {
    let start = Instant::now();
    let next = AtomicU64::new(0);
    let work = || {
        let mut tally = Tally::default();
        let mut violations: Vec<Violation> = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= options.schedules || violations.len() >= 10 {
                return (tally, violations);
            }
            match run(schedule_seed(options.seed, index), None) {
                Ok(more) => tally.add(&more),
                Err(violation) => violations.push(violation),
            }
        }
    };
    let mut total = Tally::default();
    let mut violations = Vec::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..options.threads).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            if let Ok((tally, broken)) = thread.join() {
                total.add(&tally);
                violations.extend(broken);
            }
        }
    });
    let took = start.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss)]
    let rate = total.schedules as f64 / took;
    println!(
        "{} schedules from seed {} in {took:.1} s ({rate:.0}/s on {} threads): {} steps, {} virtual hours, {} requests",
        total.schedules,
        options.seed,
        options.threads,
        total.events,
        total.seconds / 3600,
        total.requests
    );
    println!(
        "{} tenures of ours, {} of client-go's, {} losses; {} edits by hand, {} overlaps after them, within their bound",
        total.tenures, total.rival_tenures, total.losses, total.edits, total.overlaps_after_edits
    );
    println!(
        "{} writes to the fenced resource, {} of them refused as stale",
        total.fenced_writes, total.refused
    );
    if violations.is_empty() {
        println!("no rule was broken");
        return ExitCode::SUCCESS;
    }
    for violation in violations {
        println!("{violation}; repeat it with --replay {}", violation.seed);
    }
    ExitCode::FAILURE
}
