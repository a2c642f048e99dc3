//! What the benchmarks share. Each uses a part of it.

#![allow(dead_code)]

pub(crate) mod child;
pub(crate) mod data;
pub(crate) mod figures;
pub(crate) mod process;

/// Whether no filter was given, so that what is measured besides criterion's benchmarks is to run, and the figures are whole.
pub(crate) fn is_whole_run() -> bool {
    let mut arguments = std::env::args().skip(1);
    arguments.all(|argument| argument.starts_with('-'))
}

/// Whether this runs under `cargo test --benches`, which only asks whether a benchmark runs at all.
pub(crate) fn is_test() -> bool {
    std::env::args().any(|argument| argument == "--test")
        || !std::env::args().any(|argument| argument == "--bench")
}

/// The middle one of some numbers; 0 of none.
pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}
