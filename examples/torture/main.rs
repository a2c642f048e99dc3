//! Proof by simulation: random watchers, writers and faults, thousands of schedules, each a function of its seed.
//!
//! ```sh
//! cargo run --release --example torture --features fake -- --schedules 10000 --seed 1
//! cargo run --release --example torture --features fake -- --replay 4711
//! ```
//!
//! A failure prints its seed and the end of its trace; `--replay` runs one seed and prints all of it. `--outages N` measures
//! instead how often a dead server is asked, and how long after its return a store equals it again.

#[path = "outage.rs"]
mod outage;
#[path = "simulation.rs"]
mod simulation;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use simulation::{Report, run};

/// A schedule that runs longer than this, in real time, hangs.
const HANGS: Duration = Duration::from_secs(60);

struct Options {
    schedules: u64,
    seed: u64,
    replay: Option<u64>,
    outages: Option<u64>,
    threads: usize,
}

fn options() -> Result<Options, String> {
    let threads = std::thread::available_parallelism().map_or(1, Into::into);
    let mut options = Options {
        schedules: 200,
        seed: 1,
        replay: None,
        outages: None,
        threads,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().unwrap_or_default();
        let number: u64 = value
            .parse()
            .map_err(|_| format!("{name} wants a number, not {value:?}"))?;
        match name.as_str() {
            "--schedules" => options.schedules = number,
            "--seed" => options.seed = number,
            "--replay" => options.replay = Some(number),
            "--outages" => options.outages = Some(number),
            "--threads" => options.threads = usize::try_from(number).unwrap_or(1).max(1),
            _ => {
                return Err(format!(
                    "{name} is unknown; there are --schedules, --seed, --replay, --outages, --threads"
                ));
            }
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    match (options.replay, options.outages) {
        (Some(seed), _) => replay(seed),
        (None, Some(outages)) => measure(outages),
        (None, None) => torture(&options),
    }
}

fn replay(seed: u64) -> ExitCode {
    let report = run(seed, true);
    for line in &report.trace {
        println!("{line}");
    }
    match report.failure {
        None => {
            println!("seed {seed} holds");
            ExitCode::SUCCESS
        }
        Some(failure) => {
            println!("seed {seed} FAILED: {}", failure.reason);
            ExitCode::FAILURE
        }
    }
}

fn measure(outages: u64) -> ExitCode {
    for (way, name) in outage::WAYS.into_iter().enumerate() {
        let runs: Option<Vec<_>> = (0..outages).map(|seed| outage::outage(way, seed)).collect();
        let Some(runs) = runs else {
            eprintln!("a server that {name}: a watcher does not recover");
            return ExitCode::FAILURE;
        };
        let minutes = || runs.iter().flat_map(|run| &run.requests).copied();
        let first = runs
            .iter()
            .filter_map(|run| run.requests.first())
            .sum::<u64>();
        let later = runs.iter().flat_map(|run| run.requests.iter().skip(1));
        let mut recovered: Vec<Duration> = runs.iter().map(|run| run.recovered_in).collect();
        recovered.sort_unstable();
        println!(
            "a server that {name}: {:.1} requests in the first minute, then {:.1} a minute, at most {}; its return is \
             noticed and the store equal after {:.1} s (median), {:.1} s at most",
            first as f64 / runs.len().max(1) as f64,
            later.clone().sum::<u64>() as f64 / later.count().max(1) as f64,
            minutes().max().unwrap_or_default(),
            recovered
                .get(recovered.len() / 2)
                .map_or(0.0, Duration::as_secs_f64),
            recovered.last().map_or(0.0, Duration::as_secs_f64),
        );
    }
    ExitCode::SUCCESS
}

/// The resident memory of this process, in MiB: now, and at the most.
fn memory() -> Option<(u64, u64)> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib / 1024)
    };
    Some((field("VmRSS:")?, field("VmHWM:")?))
}

#[derive(Default)]
struct Totals {
    schedules: u64,
    requests: u64,
    writes: u64,
    virtual_time: Duration,
    converged: Vec<Duration>,
}

impl Totals {
    fn add(&mut self, report: &Report) {
        self.schedules += 1;
        self.requests += report.requests;
        self.writes += report.writes;
        self.virtual_time += report.took;
        self.converged.push(report.converged_in);
    }
}

fn torture(options: &Options) -> ExitCode {
    let started = Instant::now();
    let next = AtomicU64::new(options.seed);
    let end = options.seed + options.schedules;
    let (failed, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let totals = Mutex::new(Totals::default());
    // What each thread is at, and since when.
    let at: Vec<Mutex<Option<(u64, Instant)>>> =
        (0..options.threads).map(|_| Mutex::default()).collect();
    std::thread::scope(|scope| {
        for slot in &at {
            scope.spawn(|| {
                let _done = Done(&done);
                while !failed.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    *lock(slot) = Some((seed, Instant::now()));
                    let report = run(seed, false);
                    lock(&totals).add(&report);
                    if let Some(failure) = report.failure {
                        failed.store(true, Ordering::Relaxed);
                        eprintln!(
                            "seed {seed} FAILED: {}\n{}\n",
                            failure.reason,
                            failure.trace.join("\n")
                        );
                        eprintln!("replay with: --replay {seed}");
                    }
                }
                *lock(slot) = None;
            });
        }
        while done.load(Ordering::Relaxed) < options.threads as u64 {
            std::thread::sleep(Duration::from_millis(50));
            for slot in &at {
                if let Some((seed, since)) = *lock(slot)
                    && since.elapsed() > HANGS
                {
                    eprintln!("seed {seed} HANGS: it has run for {HANGS:?} of real time");
                    std::process::exit(1);
                }
            }
        }
    });
    print(&lock(&totals), started.elapsed());
    if failed.load(Ordering::Relaxed) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// Counts a thread as done, however it ends.
struct Done<'a>(&'a AtomicU64);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn print(totals: &Totals, took: Duration) {
    let mut converged = totals.converged.clone();
    converged.sort_unstable();
    let share = |share: usize| {
        let last = converged.len().saturating_sub(1);
        converged
            .get(last * share / 100)
            .copied()
            .unwrap_or_default()
    };
    println!(
        "{} schedules in {:.1} s: {} writes, {} requests, {:.0} h of virtual time",
        totals.schedules,
        took.as_secs_f64(),
        totals.writes,
        totals.requests,
        totals.virtual_time.as_secs_f64() / 3600.0
    );
    println!(
        "from the end of the faults until every store equals the server: median {:.1} s, 99 % {:.1} s, at most {:.1} s",
        share(50).as_secs_f64(),
        share(99).as_secs_f64(),
        share(100).as_secs_f64()
    );
    if let Some((now, most)) = memory() {
        println!("resident memory: {now} MiB, at most {most} MiB");
    }
}
