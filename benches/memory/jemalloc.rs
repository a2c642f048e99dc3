//! jemalloc under a program that does not know of it: the loader puts it in the place of the system's allocator, and at the
//! end it prints its own statistics.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

const PLACES: [&str; 5] = [
    "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2",
    "/usr/lib/aarch64-linux-gnu/libjemalloc.so.2",
    "/usr/lib64/libjemalloc.so.2",
    "/usr/lib/libjemalloc.so.2",
    "/usr/local/lib/libjemalloc.so.2",
];

/// The shared library, if there is one.
pub(crate) fn library() -> Option<String> {
    let named = std::env::var("KUBEDEX_JEMALLOC").ok();
    let mut places = named
        .into_iter()
        .chain(PLACES.iter().map(|&place| place.to_owned()));
    places.find(|place| Path::new(place).exists())
}

/// The command on jemalloc, which prints its statistics as JSON to the standard error at the end.
pub(crate) fn on(mut command: Command, library: &str) -> Command {
    command.env("LD_PRELOAD", library);
    command.env("MALLOC_CONF", "stats_print:true,stats_print_opts:Jmdablxeh");
    command
}

/// The bytes that were given out and not given back when the process ended.
pub(crate) fn allocated(errors: &str) -> f64 {
    let start = errors.find('{').unwrap_or_default();
    let statistics: Value = serde_json::from_str(errors.get(start..).unwrap_or_default())
        .unwrap_or_else(|error| panic!("jemalloc printed no JSON ({error}): {errors}"));
    statistics
        .pointer("/jemalloc/stats/allocated")
        .and_then(Value::as_f64)
        .unwrap_or_else(|| panic!("jemalloc printed other statistics: {errors}"))
}
