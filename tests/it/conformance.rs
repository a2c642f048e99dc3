//! Replays recordings of a real kube-apiserver against the fake cluster, in process and over a socket.
//!
//! The recordings lie in `tests/data/conformance`; a folder named by `KUBEDEX_EXTRA_CONFORMANCE` is replayed as well.
//! Those named in `kinds.txt` are about particular built-in kinds and CRD schemas; all others must pass.

mod bindings;
mod case;
mod compare;
mod run;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use case::Case;
use run::Transport;

/// Recordings of the tier `kinds` that are expected to fail, with the reason. One that passes must leave this list.
const EXPECTED_FAILURES: [(&str, &str); 0] = [];

struct Recording {
    case: Case,
    kinds: bool,
    extra: bool,
}

fn folder(path: &Path, extra: bool, kinds: &mut BTreeSet<String>, found: &mut Vec<(Case, bool)>) {
    if let Ok(list) = std::fs::read_to_string(path.join("kinds.txt")) {
        kinds.extend(list.split_whitespace().map(str::to_owned));
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir(path)
        .unwrap_or_else(|error| {
            panic!(
                "the recordings in {} cannot be read: {error}",
                path.display()
            )
        })
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        match serde_json::from_str(&text) {
            Ok(case) => found.push((case, extra)),
            Err(error) => panic!("{} is no recording: {error}", file.display()),
        }
    }
}

fn recordings() -> Vec<Recording> {
    let mut kinds = BTreeSet::new();
    let mut found = Vec::new();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/conformance");
    folder(&own, false, &mut kinds, &mut found);
    if let Some(extra) = std::env::var_os("KUBEDEX_EXTRA_CONFORMANCE") {
        folder(Path::new(&extra), true, &mut kinds, &mut found);
    }
    let only = std::env::var("KUBEDEX_CONFORMANCE_ONLY").ok();
    found
        .into_iter()
        .filter(|(case, _)| only.as_ref().is_none_or(|only| case.name.contains(only)))
        .map(|(case, extra)| Recording {
            kinds: kinds.contains(&case.name),
            case,
            extra,
        })
        .collect()
}

/// Prints the outcome and fails on what must not fail.
fn report(transport: &str, outcomes: &[(Recording, Result<(), String>)]) {
    let mut wrong = Vec::new();
    for (tier, kinds) in [("protocol", false), ("kinds", true)] {
        let total = outcomes
            .iter()
            .filter(|(recording, _)| recording.kinds == kinds);
        let passed = total.clone().filter(|(_, outcome)| outcome.is_ok()).count();
        println!("{transport}: {tier} {passed}/{}", total.count());
    }
    for (recording, outcome) in outcomes {
        let name = &recording.case.name;
        let expected = EXPECTED_FAILURES.iter().any(|(known, _)| known == name);
        match outcome {
            Err(reason) => {
                println!("{transport}: {name} failed: {reason}");
                let only_counts = recording.kinds && recording.extra;
                if !expected && !only_counts {
                    wrong.push(format!("{name} fails"));
                }
            }
            Ok(()) if expected => wrong.push(format!("{name} passes, but is listed as failing")),
            Ok(()) => {}
        }
    }
    assert!(wrong.is_empty(), "{transport}: {}", wrong.join(", "));
}

#[tokio::test(start_paused = true)]
async fn recordings_replay_in_process() {
    let mut outcomes = Vec::new();
    for recording in recordings() {
        let outcome = run::replay(&recording.case, Transport::in_process()).await;
        outcomes.push((recording, outcome));
    }
    report("in process", &outcomes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recordings_replay_over_a_socket() {
    let mut tasks = tokio::task::JoinSet::new();
    for recording in recordings() {
        tasks.spawn(async move {
            let outcome = run::replay(&recording.case, Transport::socket().await).await;
            (recording, outcome)
        });
    }
    let mut outcomes = tasks.join_all().await;
    outcomes.sort_by(|(a, _), (b, _)| a.case.name.cmp(&b.case.name));
    report("over a socket", &outcomes);
}
