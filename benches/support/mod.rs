//! What the benchmarks share. Each uses a part of it.

#![allow(dead_code)]

pub(crate) mod data;

/// The resident memory of this process, in bytes; 0 where /proc does not tell.
pub(crate) fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| {
            rest.trim()
                .trim_end_matches("kB")
                .trim()
                .parse::<usize>()
                .ok()
        })
        .map_or(0, |kilobytes| kilobytes * 1024)
}
