//! L11: what candidates and others see.

use kubedex::leader_election::{Ended, Role};

use super::*;

fn word(role: &Role) -> &'static str {
    match role {
        Role::Following => "following",
        Role::Leading(_) => "leading",
        Role::Stopping => "stopping",
        Role::Stopped => "stopped",
        _ => "other",
    }
}

#[tokio::test(start_paused = true)]
async fn l11_states_can_be_awaited_and_streamed_to_the_end() {
    let cluster = FakeCluster::new();
    let elector = start(&cluster, config("one"));
    let mut states = elector.states();
    let journal = Journal::default();
    let notes = journal.clone();
    let watching = tokio::spawn(async move {
        while states.changed().await.is_ok() {
            let state = states.borrow_and_update().clone();
            let leader = state.leader.as_deref().unwrap_or("nobody").to_owned();
            notes.note(format!("{} under {leader}", word(&state.role)));
            if state.is_stopped() {
                return;
            }
        }
    });
    elector.wait_until_leading().await.unwrap();
    pass(SECOND).await;
    elector.shutdown().await;
    watching.await.unwrap();
    let lines = journal.take();
    assert_eq!(lines.first().unwrap(), "leading under one");
    assert!(lines.last().unwrap().starts_with("stopped"), "{lines:?}");
    assert_eq!(elector.wait_until_leading().await.unwrap_err(), Ended);
}

#[tokio::test(start_paused = true)]
async fn l11_all_candidates_know_the_leader_and_hear_of_a_new_one() {
    let cluster = FakeCluster::new();
    let one = start(&cluster, config("one"));
    one.wait_until_leading().await.unwrap();
    let journal = Journal::default();
    let notes = journal.clone();
    let two = start(
        &cluster,
        config("two").on_new_leader(move |leader| notes.note(leader)),
    );
    pass(5 * SECOND).await;
    assert_eq!(two.leader().as_deref(), Some("one"));
    assert_eq!(two.identity(), "two");
    one.shutdown().await;
    two.wait_until_leading().await.unwrap();
    assert_eq!(two.leader().as_deref(), Some("two"));
    assert_eq!(journal.take(), ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_server_refuses_is_known_and_passes() {
    let cluster = FakeCluster::new();
    let elector = LeaderElector::start(
        &Client::from_kube(cluster.client_as("nobody")),
        config("one"),
    )
    .unwrap();
    pass(20 * SECOND).await;
    let error = elector.last_error().unwrap();
    assert!(error.is_forbidden(), "{error}");
    assert!(elector.health().check().is_ok() && !elector.is_leading());
    assert!(format!("{elector:?}").contains("default/leader"));
}

#[tokio::test(start_paused = true)]
async fn that_there_is_no_lease_does_not_hide_that_none_can_be_made() {
    let cluster = FakeCluster::new();
    cluster.inject(kubedex::fake::Fault::status(403).verb("create").always());
    let elector = start(&cluster, config("one"));
    pass(5 * SECOND).await;
    for _ in 0..200 {
        let error = elector.last_error().expect("it stays");
        assert!(error.is_forbidden(), "{error}");
        pass(SECOND / 10).await;
    }
}
