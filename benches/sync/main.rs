//! The first sync of 20,000 EndpointSlices from an API server on loopback, beside kube's reflector in the same run: time on
//! the clock, processor time and peak resident memory of the client's process. The server is the fake cluster in a process
//! of its own; each sync is one, too.

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod server;

use support::child::{self, Numbers};
use support::figures::{Figures, bytes, time, times};

const OBJECTS: usize = 20_000;
/// Syncs of each client, in turns; the median counts.
const ROUNDS: usize = 5;

fn main() {
    match child::task().as_deref() {
        Some([task, count]) if task == "serve" => return server::run(count.parse().unwrap()),
        Some([task, url, token, count]) => {
            return clients::run(task, url, token, count.parse().unwrap());
        }
        Some(task) => panic!("no such task: {task:?}"),
        None => {}
    }
    if support::is_test() {
        return;
    }
    let server = server::start(OBJECTS);
    let mut runs: Vec<Vec<Numbers>> = vec![Vec::new(); clients::ALL.len()];
    for _ in 0..ROUNDS {
        for (client, runs) in clients::ALL.iter().zip(&mut runs) {
            let task = format!("{client} {} {} {OBJECTS}", server.url, server.token);
            runs.push(child::run(child::command(&task)).0);
        }
    }
    drop(server);
    let middle = |runs: &[Numbers], name: &str| {
        support::median(runs.iter().map(|numbers| numbers.get(name)).collect())
    };
    let mut figures = Figures::new(
        "sync",
        &[
            "client",
            "wall",
            "processor",
            "peak resident",
            "of kubedex's processor time",
            "of kubedex's peak",
        ],
    );
    let base = runs.first().map(|runs| {
        let peak = middle(runs, "peak");
        (middle(runs, "cpu"), peak)
    });
    let (cpu, peak) = base.unwrap_or_default();
    for (client, runs) in clients::ALL.iter().zip(&runs) {
        figures.row(&[
            clients::title(client).to_owned(),
            time(middle(runs, "wall")),
            time(middle(runs, "cpu")),
            bytes(middle(runs, "peak")),
            times(middle(runs, "cpu") / cpu),
            times(middle(runs, "peak") / peak),
        ]);
    }
    figures.save();
}
