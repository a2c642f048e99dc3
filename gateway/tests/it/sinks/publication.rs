//! Publications over a sink that does what a script says, in paused time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use kubedex_gateway::model::{Cluster, Problem, ProblemKind, Protocol, Snapshot, Subject};
use kubedex_gateway::output::{File, Output, Rendering};
use kubedex_gateway::publication::{Gate, Phase, Publication, PublicationConfig, Status};
use kubedex_gateway::publish::{Publisher, Snapshots, channel};
use kubedex_gateway::sink::{Fencing, Permit, Sink, SinkError, Write, Written};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// A file for each cluster, and one that all are in.
#[derive(Debug)]
struct Names;

impl Output for Names {
    fn format(&self) -> &'static str {
        "names"
    }

    fn render(&mut self, snapshot: &Snapshot, last: Option<&Snapshot>) -> Rendering {
        let empty = Snapshot::default();
        let changes = snapshot.changes_since(last.unwrap_or(&empty));
        let names: Vec<_> = snapshot.clusters().map(|it| it.name.to_string()).collect();
        assert!(!names.contains(&"panics".to_owned()), "a test");
        let files = changes
            .iter()
            .filter(|change| change.after().is_some())
            .map(|change| File {
                path: change.name().into(),
                bytes: Bytes::copy_from_slice(snapshot.version().to_string().as_bytes()),
                media_type: "text/plain",
            });
        Rendering {
            is_whole: last.is_none(),
            files: files.collect(),
            removed: changes
                .iter()
                .filter(|change| change.after().is_none())
                .map(|change| change.name().into())
                .collect(),
            problems: [Problem {
                kind: ProblemKind::Inexpressible {
                    output: "names",
                    what: names.len().to_string().into(),
                },
                subject: Subject::cluster("x"),
                port: None,
            }]
            .into(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Fail,
    Refuse,
    Take(Duration),
    Hang,
    Panic,
}

/// What was asked of the sink: `whole` or not, the paths, the token, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Call {
    is_whole: bool,
    paths: Vec<String>,
    token: Option<String>,
    ended: bool,
    at: Instant,
}

#[derive(Clone, Debug, Default)]
struct Script {
    /// Whether it never lets go.
    holds: bool,
    steps: Arc<Mutex<VecDeque<Step>>>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Script {
    fn then(&self, steps: impl IntoIterator<Item = Step>) {
        self.steps.lock().unwrap().extend(steps);
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// The calls that ended well, as text: `+` for a whole one, and the paths.
    fn told(&self) -> Vec<String> {
        let told = |call: Call| {
            let whole = if call.is_whole { "+" } else { "" };
            let cut = if call.ended { "" } else { " cut" };
            format!("{whole}{}{cut}", call.paths.join(","))
        };
        self.calls().into_iter().map(told).collect()
    }
}

#[async_trait]
impl Sink for Script {
    fn describe(&self) -> String {
        "script".to_owned()
    }

    async fn write(&mut self, write: Write) -> Result<Written, SinkError> {
        let index = {
            let mut calls = self.calls.lock().unwrap();
            let files = write.rendering.files.iter();
            let mut paths: Vec<_> = files.map(|file| file.path.to_string()).collect();
            let removed = write.rendering.removed.iter();
            paths.extend(removed.map(|path| format!("-{path}")));
            calls.push(Call {
                is_whole: write.rendering.is_whole,
                paths,
                token: write.permit.token().map(str::to_owned),
                ended: false,
                at: Instant::now(),
            });
            calls.len() - 1
        };
        let step = self.steps.lock().unwrap().pop_front();
        let outcome = match step {
            Some(Step::Fail) => Err(SinkError::passing("reaching it", "it is away")),
            Some(Step::Refuse) => Err(SinkError::refusal("it must not be")),
            Some(Step::Hang) => std::future::pending().await,
            Some(Step::Panic) => panic!("a test"),
            Some(Step::Take(time)) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            None => Ok(()),
        };
        write.permit.check()?;
        self.calls.lock().unwrap()[index].ended = true;
        outcome.map(|()| Written {
            files: write.rendering.files.len(),
            ..Written::default()
        })
    }

    async fn release(&mut self) {
        if self.holds {
            std::future::pending::<()>().await;
        }
    }
}

/// A snapshot after another, with one more cluster.
fn with(base: &Snapshot, name: &str) -> Snapshot {
    let mut edit = base.edit();
    edit.upsert(Arc::new(Cluster::new(name, Protocol::Tcp)));
    edit.finish().unwrap()
}

fn without(base: &Snapshot, name: &str) -> Snapshot {
    let mut edit = base.edit();
    edit.remove(name);
    edit.finish().unwrap()
}

fn start(script: &Script, snapshots: Snapshots, gate: Gate) -> Publication {
    let config = PublicationConfig {
        verify_every: None,
        ..PublicationConfig::default()
    };
    let sink = Box::new(script.clone());
    Publication::start(Box::new(Names), sink, snapshots, gate, config)
}

fn plain(script: &Script) -> (Publisher, Publication) {
    let (publisher, snapshots) = channel();
    (publisher, start(script, snapshots, Gate::open()))
}

/// Waits, for an hour at the most, until the status is as wanted.
async fn until(publication: &Publication, wanted: impl FnMut(&Status) -> bool) -> Status {
    let mut changes = publication.status_changes();
    let found = timeout(Duration::from_hours(1), changes.wait_for(wanted)).await;
    let found = found.unwrap_or_else(|_| panic!("stays at {:?}", publication.status()));
    found.unwrap().clone()
}

async fn has(publication: &Publication, version: u64) -> Status {
    until(publication, |status| status.version == Some(version)).await
}

const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(start_paused = true)]
async fn the_first_write_is_whole_and_those_after_it_say_what_differs() {
    let script = Script::default();
    let (publisher, publication) = plain(&script);
    assert_eq!(publication.name(), "names to script");
    assert_eq!(publication.status().phase, Phase::Waiting);
    let first = with(&with(&Snapshot::default(), "a"), "b");
    publisher.publish(first.clone());
    let status = has(&publication, 2).await;
    assert_eq!(
        (status.phase, status.writes, status.written.files),
        (Phase::Current, 1, 2)
    );
    assert_eq!(status.hash, Some(first.hash()));
    assert_eq!(status.problems.len(), 1);
    let second = with(&without(&first, "a"), "c");
    publisher.publish(second.clone());
    has(&publication, 4).await;
    assert_eq!(script.told(), ["+a,b", "c,-a"]);
    assert!(publication.shutdown(MINUTE).await);
    assert_eq!(publication.status().phase, Phase::Ended);
}

#[tokio::test(start_paused = true)]
async fn the_newest_takes_the_place_of_what_was_not_written() {
    let script = Script::default();
    let (publisher, publication) = plain(&script);
    script.then([Step::Take(MINUTE / 2)]);
    let mut snapshot = with(&Snapshot::default(), "a");
    publisher.publish(snapshot.clone());
    until(&publication, |status| status.phase == Phase::Writing).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for name in ["b", "c", "d"] {
        snapshot = with(&snapshot, name);
        publisher.publish(snapshot.clone());
    }
    has(&publication, 4).await;
    assert_eq!(script.told(), ["+a", "b,c,d"]);
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_the_newest_is_written_whole_and_waiting_grows() {
    let script = Script::default();
    let (publisher, publication) = plain(&script);
    let first = with(&Snapshot::default(), "a");
    publisher.publish(first.clone());
    has(&publication, 1).await;
    script.then([Step::Fail; 8]);
    let second = with(&first, "b");
    publisher.publish(second.clone());
    let failing = until(&publication, |status| status.failures == 1).await;
    assert_eq!(failing.phase, Phase::Failing);
    assert_eq!(
        failing.last_error.as_deref(),
        Some("reaching it: it is away")
    );
    assert!(failing.failing_since.is_some() && failing.is_behind);
    assert_eq!(failing.version, Some(1), "what the sink had is still said");
    until(&publication, |status| status.failures == 7).await;
    // What is newer does not hurry a sink that fails.
    let third = without(&second, "a");
    publisher.publish(third);
    let status = has(&publication, 3).await;
    assert_eq!(
        (status.failures, status.writes, status.phase),
        (8, 2, Phase::Current)
    );
    assert!(status.last_error.is_none() && status.failing_since.is_none());
    let calls = script.calls();
    assert_eq!(script.told().last().unwrap(), "+b");
    assert!(calls[2..].iter().all(|call| call.is_whole));
    let waited = calls[8].at - calls[1].at;
    assert!(waited <= Duration::from_secs(60), "{waited:?}");
    for pair in calls[1..].windows(2) {
        assert!(pair[1].at - pair[0].at <= Duration::from_secs(15));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_tried_again_less_often() {
    let script = Script::default();
    let (publisher, publication) = plain(&script);
    script.then([Step::Refuse, Step::Refuse]);
    publisher.publish(with(&Snapshot::default(), "a"));
    let status = until(&publication, |status| status.failures == 1).await;
    assert_eq!(status.phase, Phase::Refused);
    has(&publication, 1).await;
    for pair in script.calls().windows(2) {
        let waited = pair[1].at - pair[0].at;
        assert!(MINUTE / 2 <= waited && waited <= MINUTE, "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_hangs_is_given_up_and_tried_again() {
    let script = Script::default();
    let (publisher, publication) = plain(&script);
    script.then([Step::Hang]);
    publisher.publish(with(&Snapshot::default(), "a"));
    let status = until(&publication, |status| status.failures == 1).await;
    let said = status.last_error.unwrap();
    assert!(said.contains("not written within 60s"), "{said}");
    has(&publication, 1).await;
    assert_eq!(script.told(), ["+a cut", "+a"]);
}

#[tokio::test(start_paused = true)]
async fn everything_is_held_against_what_stands_from_time_to_time() {
    let script = Script::default();
    let (publisher, snapshots) = channel();
    let sink = Box::new(script.clone());
    let config = PublicationConfig::default();
    let publication = Publication::start(Box::new(Names), sink, snapshots, Gate::open(), config);
    publisher.publish(with(&Snapshot::default(), "a"));
    has(&publication, 1).await;
    let mut changes = publication.status_changes();
    let never_behind = changes.wait_for(|status| status.is_behind);
    let never = timeout(Duration::from_mins(11), never_behind).await;
    assert!(never.is_err(), "the sink has what it is to have");
    assert_eq!(script.told(), ["+a", "+a", "+a"]);
    // A write that was given up may arrive late: that is looked at sooner.
    drop(publication);
    let script = Script::default();
    script.then([Step::Hang]);
    let sink = Box::new(script.clone());
    let config = PublicationConfig::default();
    let snapshots = publisher.subscribe();
    let publication = Publication::start(Box::new(Names), sink, snapshots, Gate::open(), config);
    has(&publication, 1).await;
    until(&publication, |status| status.writes == 3).await;
    let calls = script.calls();
    let after = [calls[2].at - calls[1].at, calls[3].at - calls[2].at];
    assert_eq!(after, [MINUTE, 5 * MINUTE]);
}

#[tokio::test(start_paused = true)]
async fn shutdown_writes_what_waits_and_tries_again_until_its_deadline() {
    let script = Script::default();
    let (publisher, publication) = plain(&script);
    script.then([Step::Fail, Step::Fail]);
    publisher.publish(with(&Snapshot::default(), "a"));
    // It has not even begun.
    assert!(publication.shutdown(MINUTE).await);
    assert_eq!(publication.status().version, Some(1));
    assert!(publication.shutdown(MINUTE).await, "once more does no harm");

    let script = Script::default();
    let (publisher, publication) = plain(&script);
    script.then([Step::Hang]);
    publisher.publish(with(&Snapshot::default(), "a"));
    let begun = Instant::now();
    assert!(!publication.shutdown(Duration::from_secs(5)).await);
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    assert_eq!(publication.status().phase, Phase::Ended);

    // Who waits for somebody to act is not waited for.
    let script = Script::default();
    let (publisher, publication) = plain(&script);
    script.then([Step::Refuse; 10]);
    publisher.publish(with(&Snapshot::default(), "a"));
    until(&publication, |status| status.failures == 1).await;
    let begun = Instant::now();
    assert!(!publication.shutdown(Duration::from_secs(20)).await);
    assert_eq!((begun.elapsed(), script.calls().len()), (Duration::ZERO, 2));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_discovery_leaves_the_last_snapshot_to_be_written() {
    let script = Script::default();
    let (publisher, publication) = plain(&script);
    script.then([Step::Fail; 3]);
    publisher.publish(with(&Snapshot::default(), "a"));
    drop(publisher);
    has(&publication, 1).await;
    assert!(publication.shutdown(MINUTE).await);
}

#[tokio::test(start_paused = true)]
async fn an_output_or_a_sink_that_panics_is_seen() {
    let script = Script::default();
    let (publisher, publication) = plain(&script);
    publisher.publish(with(&Snapshot::default(), "panics"));
    let status = until(&publication, |status| status.phase == Phase::Ended).await;
    assert_eq!(status.last_error.as_deref(), Some("the output panicked"));
    assert!(!publication.shutdown(MINUTE).await);

    let (publisher, publication) = plain(&script);
    script.then([Step::Panic]);
    publisher.publish(with(&Snapshot::default(), "a"));
    let status = until(&publication, |status| status.phase == Phase::Ended).await;
    assert_eq!(status.last_error.as_deref(), Some("the sink panicked"));
    assert!(!publication.shutdown(MINUTE).await);
}

/// A token that can be taken away.
#[derive(Clone, Debug)]
struct Token(&'static str, Arc<Mutex<bool>>);

impl Fencing for Token {
    fn token(&self) -> &str {
        self.0
    }

    fn check(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        match *self.1.lock().unwrap() {
            true => Ok(()),
            false => Err("it was taken away".into()),
        }
    }
}

fn permit(token: &'static str) -> Permit {
    Permit::fenced(Token(token, Arc::new(Mutex::new(true))))
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_does_not_let_go_does_not_hold_up_the_end() {
    let script = Script {
        holds: true,
        ..Script::default()
    };
    let (publisher, snapshots) = channel();
    let (leads, permits) = watch::channel(Some(permit("7")));
    let publication = start(&script, snapshots, Gate::watched(permits));
    publisher.publish(with(&Snapshot::default(), "a"));
    has(&publication, 1).await;
    leads.send_replace(None);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    assert!(
        publication.shutdown(Duration::from_secs(5)).await,
        "another replica leads"
    );
    assert!(
        begun.elapsed() <= Duration::from_secs(6),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn only_the_leader_writes_and_a_new_leader_writes_everything() {
    let script = Script::default();
    let (publisher, snapshots) = channel();
    let (leads, permits) = watch::channel(None);
    let publication = start(&script, snapshots, Gate::watched(permits));
    let first = with(&Snapshot::default(), "a");
    publisher.publish(first.clone());
    until(&publication, |status| status.phase == Phase::Standby).await;
    assert!(!publication.status().is_behind, "another replica writes");
    tokio::time::sleep(MINUTE).await;
    assert_eq!(script.calls(), []);

    leads.send_replace(Some(permit("7")));
    has(&publication, 1).await;
    let second = with(&first, "b");
    publisher.publish(second.clone());
    has(&publication, 2).await;

    // Lost in the middle of a write.
    script.then([Step::Hang]);
    let third = with(&second, "c");
    publisher.publish(third.clone());
    until(&publication, |status| status.phase == Phase::Writing).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    leads.send_replace(None);
    let status = until(&publication, |status| status.phase == Phase::Standby).await;
    assert_eq!(
        (status.failures, status.last_error),
        (0, None),
        "that is no failure"
    );
    publisher.publish(with(&third, "d"));
    tokio::time::sleep(MINUTE).await;

    leads.send_replace(Some(permit("9")));
    has(&publication, 4).await;
    assert_eq!(script.told(), ["+a", "b", "c cut", "+a,b,c,d"]);
    let tokens: Vec<_> = script
        .calls()
        .into_iter()
        .map(|call| call.token.unwrap())
        .collect();
    assert_eq!(tokens, ["7", "7", "7", "9"]);

    // Directly from one time of leading to the next.
    leads.send_replace(Some(permit("12")));
    until(&publication, |status| status.writes == 4).await;
    assert_eq!(script.told().last().unwrap(), "+a,b,c,d");
    // Nobody vouches for it any more.
    drop(leads);
    until(&publication, |status| status.phase == Phase::Standby).await;
    assert!(publication.shutdown(MINUTE).await);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_ran_out_stops_a_write_at_its_next_step() {
    let script = Script::default();
    let (publisher, snapshots) = channel();
    let valid = Arc::new(Mutex::new(true));
    let held = Permit::fenced(Token("7", Arc::clone(&valid)));
    let (_leads, permits) = watch::channel(Some(held));
    let publication = start(&script, snapshots, Gate::watched(permits));
    script.then([Step::Take(MINUTE / 2)]);
    publisher.publish(with(&Snapshot::default(), "a"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    *valid.lock().unwrap() = false;
    let status = until(&publication, |status| status.failures == 1).await;
    let said = status.last_error.unwrap();
    assert_eq!(&*said, "no longer the leader: it was taken away");
    assert_eq!(script.told(), ["+a cut"]);
}

mod election {
    use kubedex::fake::FakeCluster;
    use kubedex::leader_election::{LeaderElectionConfig, LeaderElector, TokioClock};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_real_election_opens_and_shuts_the_gate() {
        let cluster = FakeCluster::new();
        let config = |identity: &str| {
            LeaderElectionConfig::new("gateway")
                .namespace("default")
                .identity(identity)
                .clock(TokioClock::new())
        };
        let first =
            LeaderElector::start(&kubedex::Client::from_kube(cluster.client()), config("one"))
                .unwrap();
        let one = first.wait_until_leading().await.unwrap();
        let second =
            LeaderElector::start(&kubedex::Client::from_kube(cluster.client()), config("two"))
                .unwrap();

        let (publisher, snapshots) = channel();
        let (scripts, gates) = (
            [Script::default(), Script::default()],
            [Gate::leader(first.states()), Gate::leader(second.states())],
        );
        let [gate_one, gate_two] = gates;
        let leading = start(&scripts[0], snapshots.clone(), gate_one);
        let standby = start(&scripts[1], snapshots, gate_two);
        publisher.publish(with(&Snapshot::default(), "a"));
        has(&leading, 1).await;
        until(&standby, |status| status.phase == Phase::Standby).await;
        let token = format!("{}/{one}", one.lease_uid());
        assert_eq!(scripts[0].calls()[0].token.as_deref(), Some(&*token));

        first.shutdown().await;
        until(&leading, |status| status.phase == Phase::Standby).await;
        has(&standby, 1).await;
        let call = &scripts[1].calls()[0];
        let after = call.token.as_deref().unwrap().rsplit('/').next().unwrap();
        assert!(one.as_str().parse::<u64>().unwrap() < after.parse::<u64>().unwrap());
        second.shutdown().await;
    }
}
