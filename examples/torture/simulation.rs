//! One schedule: a fake cluster, writers, watchers and faults on one thread and virtual time, all drawn from a seed.
//!
//! While faults last, every answer is watched on the wire ([`wire`]), every write of a store is checked as it happens
//! ([`witness`]) and every report of changes is applied to a copy ([`reader`]). When they stop, each store must come to
//! equal what the server has, stay equal, and follow new writes at once. Then everything is shut down, and nothing may be
//! left.
//!
//! A schedule is a function of its seed: the same seed gives the same trace.

mod asked;
mod plan;
mod reader;
mod run;
mod subject;
mod tap;
mod trace;
mod wire;
mod witness;
mod world;

use std::time::Duration;

pub(crate) use trace::Failure;

/// What a schedule came to.
#[derive(Debug)]
pub(crate) struct Report {
    /// The first thing that was wrong, if anything was.
    pub(crate) failure: Option<Failure>,
    /// The whole trace, if it was asked for.
    pub(crate) trace: Vec<String>,
    /// Requests of all watchers.
    pub(crate) requests: u64,
    /// Writes to the server.
    pub(crate) writes: u64,
    /// Virtual time in all.
    pub(crate) took: Duration,
    /// Virtual time from the end of the faults until every store equalled the server.
    pub(crate) converged_in: Duration,
}

/// Runs the schedule of a seed. `keep_trace`: whether to return all of its trace.
pub(crate) fn run(seed: u64, keep_trace: bool) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => panic!("no runtime: {error}"),
    };
    let mut report = runtime.block_on(run::simulate(plan::Plan::draw(seed), keep_trace));
    // What was dropped ends at its next turn.
    runtime.block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
    let left = runtime.metrics().num_alive_tasks();
    if left > 0 && report.failure.is_none() {
        report.failure = Some(Failure {
            reason: format!("{left} tasks are left after everything was shut down"),
            trace: Vec::new(),
        });
    }
    report
}
