//! Measurements in a process of their own: the benchmark starts itself again and says by a variable what to do.
//!
//! What a child prints as `name=number` is its result. So the heap of one measurement is never that of another.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

const TASK: &str = "KUBEDEX_BENCH_TASK";

/// What this process was started to do; `None` in the one that the user started.
pub(crate) fn task() -> Option<Vec<String>> {
    let task = std::env::var(TASK).ok()?;
    Some(task.split(' ').map(str::to_owned).collect())
}

/// This program, to be started with a task.
pub(crate) fn command(task: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(TASK, task).stdin(Stdio::null());
    command
}

/// The numbers that a child printed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers(BTreeMap<String, f64>);

impl Numbers {
    pub(crate) fn read(text: &str) -> Self {
        let pairs = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .filter_map(|(name, number)| Some((name.to_owned(), number.parse().ok()?)));
        Self(pairs.collect())
    }

    /// A number that must be there.
    pub(crate) fn get(&self, name: &str) -> f64 {
        match self.0.get(name) {
            Some(number) => *number,
            None => panic!("the child did not print {name}"),
        }
    }
}

/// Runs a command to its end and reads what it printed; what it printed as errors comes along.
pub(crate) fn run(mut command: Command) -> (Numbers, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let errors = text(&output.stderr);
    assert!(output.status.success(), "a child failed: {errors}");
    (Numbers::read(&text(&output.stdout)), errors)
}
