//! What this process takes of the machine.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The resident memory of this process, in bytes; 0 where /proc does not tell.
pub(crate) fn resident_bytes() -> usize {
    status("VmRSS:")
}

/// The most that was resident at any time, in bytes; 0 where /proc does not tell.
pub(crate) fn peak_resident_bytes() -> usize {
    status("VmHWM:")
}

/// The time that all threads of this process had a processor, for the program and for the system on its behalf.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(time.tv_nsec).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_nanos(nanos)
}

fn status(field: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = status.lines().find_map(|line| {
        let number = line.strip_prefix(field)?.trim().strip_suffix("kB")?;
        number.trim().parse::<usize>().ok()
    });
    kilobytes.map_or(0, |kilobytes| kilobytes * 1024)
}
