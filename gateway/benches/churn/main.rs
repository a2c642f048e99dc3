//! From an EndpointSlice change at the API server to bytes published, at several numbers of Services: how long it takes,
//! and what it costs. Prints a table; takes about a minute and a half.
//!
//! Each size has a process of its own, so that memory is not measured in what another one left behind. `--size 1000`
//! measures that one only. With the feature `xds` a client of ADS follows, too.

#[cfg(feature = "xds")]
mod ads;
mod cost;
mod latency;
mod objects;

use std::env;
use std::process::{Command, ExitCode};
use std::time::Duration;

/// The numbers of Services.
const SIZES: [usize; 3] = [10, 1_000, 10_000];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let size = arguments
        .iter()
        .position(|it| it == "--size")
        .and_then(|at| arguments.get(at + 1))
        .map(|text| text.parse::<usize>());
    match size {
        Some(Ok(size)) => {
            measure(size);
            ExitCode::SUCCESS
        }
        Some(Err(_)) => {
            eprintln!("--size takes a number of Services");
            ExitCode::from(2)
        }
        None => {
            for size in SIZES {
                let own = env::current_exe().and_then(|program| {
                    Command::new(program)
                        .args(["--size", &size.to_string()])
                        .status()
                });
                if !own.is_ok_and(|status| status.success()) {
                    return ExitCode::FAILURE;
                }
            }
            ExitCode::SUCCESS
        }
    }
}

fn measure(size: usize) {
    println!(
        "\n{size} Services with {} endpoints each",
        objects::ENDPOINTS
    );
    latency::measure(size);
    cost::measure(size);
}

/// A percentile of sorted values.
fn percentile<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    let last = sorted.len().checked_sub(1)?;
    sorted
        .get((sorted.len() * percent / 100).min(last))
        .copied()
}

/// One line of the table.
fn line(what: &str, value: &str) {
    println!("  {what:<58} {value}");
}

/// The processor time of this process so far, in steps of 10 ms; 0 where /proc does not tell.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name before may have blanks; after it these are the 12th and the 13th.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|it| it.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
