//! L5, L6, L9, L10, L12, L13: how leadership ends that nobody gave up.

use kubedex::leader_election::{HEALTH_TOLERANCE, Loss, Role, Unhealthy};
use tokio::time::Instant;

use super::link::Weather;
use super::*;

/// How long a leader may take to notice that its Lease was changed: a retry period, and a request or two.
const NOTICED: Duration = Duration::from_millis(2_100);

async fn loses(change: impl FnOnce(&FakeCluster)) -> Option<Loss> {
    let cluster = FakeCluster::new();
    let elector = start(&cluster, config("one"));
    let token = elector.wait_until_leading().await.unwrap();
    pass(5 * SECOND).await;
    change(&cluster);
    let began = Instant::now();
    token.cancelled().await;
    assert!(began.elapsed() <= NOTICED, "{:?}", began.elapsed());
    let error = token.check().unwrap_err();
    assert!(!elector.is_leading());
    assert!(token.remaining().is_zero());
    error.loss()
}

#[tokio::test(start_paused = true)]
async fn l5_a_leader_that_sees_another_holder_stops_at_once() {
    let loss = loses(|cluster| {
        edit(cluster, |lease| {
            lease["spec"]["holderIdentity"] = json!("two");
        });
    });
    assert_eq!(loss.await, Some(Loss::Taken("two".into())));
    let loss = loses(|cluster| edit(cluster, |lease| lease["spec"]["holderIdentity"] = json!("")));
    assert_eq!(loss.await, Some(Loss::Taken("".into())));
}

#[tokio::test(start_paused = true)]
async fn l5_a_leader_whose_lease_is_gone_or_another_one_stops_at_once() {
    let delete = |cluster: &FakeCluster| {
        cluster
            .delete(&leases(), Some("default"), "leader")
            .unwrap();
    };
    assert_eq!(loses(delete).await, Some(Loss::Missing));
    let replace = |cluster: &FakeCluster| {
        let same = lease(cluster)["spec"].clone();
        delete(cluster);
        let mut again = foreign("one", 15);
        again["spec"] = same;
        cluster.create(again).unwrap();
    };
    assert_eq!(loses(replace).await, Some(Loss::Missing));
}

#[tokio::test(start_paused = true)]
async fn l5_its_own_identity_in_a_record_that_it_did_not_write_is_a_stranger() {
    let loss = loses(|cluster| {
        edit(cluster, |lease| {
            lease["spec"]["renewTime"] = json!("2024-01-02T03:04:05.000006Z");
        });
    });
    assert_eq!(loss.await, Some(Loss::Foreign));
    // And so it is for a candidate that comes back under the name of one that may still run.
    let cluster = FakeCluster::new();
    cluster.create(foreign("one", 15)).unwrap();
    let began = Instant::now();
    let elector = start(&cluster, config("one"));
    elector.wait_until_leading().await.unwrap();
    assert!(began.elapsed() >= 15 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn l6_a_leader_stops_at_the_renew_deadline_after_it_sent_its_last_acknowledged_write() {
    let cluster = FakeCluster::new();
    let link = Link::new(&cluster, 1);
    let elector = start_over(&link, config("one"));
    let token = elector.wait_until_leading().await.unwrap();
    // The answers take four seconds: validity counts from before that.
    link.set(Weather {
        back: 4 * SECOND,
        ..Weather::default()
    });
    pass(9 * SECOND).await;
    assert!(token.check().is_ok());
    link.cut();
    token.cancelled().await;
    let sent = link.sent();
    let acknowledged = sent.iter().rev().find(|sent| sent.status == Some(200));
    let after = acknowledged.unwrap().at.elapsed();
    assert!(
        after >= 10 * SECOND && after < Duration::from_millis(10_010),
        "{after:?}"
    );
    assert_eq!(token.check().unwrap_err().loss(), Some(Loss::Deadline));
}

#[tokio::test(start_paused = true)]
async fn l6_no_request_is_waited_for_longer_than_half_the_renew_deadline_or_what_is_left() {
    let cluster = FakeCluster::new();
    let link = Link::new(&cluster, 1);
    let elector = start_over(&link, config("one"));
    let token = elector.wait_until_leading().await.unwrap();
    link.forget();
    link.cut();
    let began = Instant::now();
    token.cancelled().await;
    let deadline = began + 10 * SECOND;
    let sent = link.sent();
    assert!(sent.len() >= 2);
    for request in &sent {
        let waited = request.waited.unwrap();
        assert!(waited <= 5 * SECOND, "{waited:?}");
        assert!(request.at + waited < deadline, "{request:?}");
    }
    pass(60 * SECOND).await;
    assert!(
        link.sent()
            .iter()
            .filter_map(|sent| sent.waited)
            .all(|waited| waited <= 5 * SECOND)
    );
}

#[tokio::test(start_paused = true)]
async fn l6_a_renewal_whose_answer_was_lost_counts_when_it_is_seen() {
    let cluster = FakeCluster::new();
    let link = Link::new(&cluster, 1);
    let elector = start_over(&link, config("one"));
    let token = elector.wait_until_leading().await.unwrap();
    // Each write is done twice, as a proxy's retry does, so that its answer is always a conflict.
    link.set(Weather {
        twice: true,
        ..Weather::default()
    });
    pass(120 * SECOND).await;
    assert!(token.check().is_ok() && elector.is_leading());
    assert!(link.sent().iter().any(|sent| sent.status == Some(409)));
}

#[tokio::test(start_paused = true)]
async fn l9_after_a_loss_it_campaigns_again_or_ends_as_it_was_told() {
    for again in [true, false] {
        let cluster = FakeCluster::new();
        let link = Link::new(&cluster, 1);
        let elector = start_over(&link, config("one").campaign_again(again));
        let first = elector.wait_until_leading().await.unwrap();
        let guard = first.guard();
        link.cut();
        first.cancelled().await;
        link.mend();
        drop(guard);
        let second = elector.wait_until_leading().await;
        assert_eq!(second.is_ok(), again);
        assert_eq!(elector.state().is_stopped(), !again);
        assert!(elector.health().check().is_ok());
        if !again {
            // Nobody need wait for it.
            assert_eq!(holder(&cluster), "");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn l10_tokens_grow_from_leader_to_leader() {
    let cluster = FakeCluster::new();
    let mut fence = kubedex::leader_election::Fence::new();
    let mut old: Option<String> = None;
    for name in ["one", "two", "three", "four"] {
        let elector = start(&cluster, config(name));
        let token = elector.wait_until_leading().await.unwrap();
        pass(7 * SECOND).await;
        fence.admit(token.as_str()).unwrap();
        if let Some(old) = old.replace(token.as_str().to_owned()) {
            assert!(fence.admit(&old).unwrap_err().is_stale());
        }
        elector.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn l10_a_process_that_slept_learns_it_before_it_acts() {
    let cluster = FakeCluster::new();
    let clock = MovedClock::new();
    let elector = start(&cluster, config("one").clock(clock.clone()));
    let token = elector.wait_until_leading().await.unwrap();
    pass(5 * SECOND).await;
    assert!(token.check().is_ok() && elector.is_leading());
    // The system was suspended: no timer has run, and nothing has been polled yet.
    clock.jump(60 * SECOND);
    assert_eq!(token.check().unwrap_err().loss(), Some(Loss::Deadline));
    assert!(!elector.is_leading());
    assert!(elector.state().token().is_none());
    // The elector itself learns it within a tick.
    let began = Instant::now();
    token.cancelled().await;
    assert!(began.elapsed() <= SECOND);
}

#[tokio::test(start_paused = true)]
async fn l12_who_saw_a_holder_waits_its_lease_out_after_a_deletion() {
    let cluster = FakeCluster::new();
    cluster.create(foreign("other", 15)).unwrap();
    let elector = start(&cluster, config("one"));
    pass(5 * SECOND).await;
    let began = Instant::now();
    cluster
        .delete(&leases(), Some("default"), "leader")
        .unwrap();
    elector.wait_until_leading().await.unwrap();
    let took = began.elapsed();
    assert!(took >= 10 * SECOND && took <= 15 * SECOND, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn l12_who_saw_a_holder_waits_its_lease_out_after_an_edit() {
    let edits: [fn(&mut Value); 3] = [
        |lease| lease["spec"]["holderIdentity"] = json!(""),
        |lease| lease["spec"]["leaseDurationSeconds"] = json!(1),
        |lease| {
            lease["spec"]["holderIdentity"] = json!("third");
            lease["spec"]["leaseDurationSeconds"] = json!(1);
        },
    ];
    for change in edits {
        let cluster = FakeCluster::new();
        cluster.create(foreign("other", 15)).unwrap();
        let elector = start(&cluster, config("one"));
        let began = Instant::now();
        pass(5 * SECOND).await;
        edit(&cluster, change);
        elector.wait_until_leading().await.unwrap();
        let took = began.elapsed();
        assert!(took >= 15 * SECOND && took <= 20 * SECOND, "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn l12_after_a_deletion_an_overlap_ends_within_a_retry_period_and_a_request_timeout() {
    let cluster = FakeCluster::new();
    let one = start(&cluster, config("one"));
    let token = one.wait_until_leading().await.unwrap();
    pass(Duration::from_millis(4_100)).await;
    cluster
        .delete(&leases(), Some("default"), "leader")
        .unwrap();
    let began = Instant::now();
    // It never saw a holder.
    let two = start(&cluster, config("two"));
    two.wait_until_leading().await.unwrap();
    assert!(began.elapsed() < SECOND);
    token.cancelled().await;
    assert!(began.elapsed() <= 7 * SECOND);
    assert!(two.is_leading() && !one.is_leading());
    pass(30 * SECOND).await;
    assert!(two.is_leading() && !one.is_leading());
}

#[tokio::test(start_paused = true)]
async fn l13_health_fails_when_the_loop_stalls_and_not_because_another_leads() {
    let cluster = FakeCluster::new();
    cluster.create(foreign("other", 86_400)).unwrap();
    let clock = MovedClock::new();
    let link = Link::new(&cluster, 1);
    let elector = start_over(&link, config("one").clock(clock.clone()));
    let health = elector.health();
    pass(60 * SECOND).await;
    health.check().unwrap();
    link.cut();
    pass(60 * SECOND).await;
    health.check().unwrap();
    assert!(elector.last_error().is_some());
    // Nothing is polled while its clock goes on.
    clock.jump(HEALTH_TOLERANCE + 3 * SECOND);
    assert!(matches!(health.check(), Err(Unhealthy::Stalled { .. })));
    pass(2 * SECOND).await;
    health.check().unwrap();
    elector.shutdown().await;
    pass(60 * SECOND).await;
    health.check().unwrap();
}

#[tokio::test(start_paused = true)]
async fn l13_health_fails_when_work_outlives_its_token() {
    let cluster = FakeCluster::new();
    let link = Link::new(&cluster, 1);
    let elector = start_over(&link, config("one"));
    let token = elector.wait_until_leading().await.unwrap();
    let guard = token.guard();
    link.cut();
    token.cancelled().await;
    pass(3 * SECOND).await;
    elector.health().check().unwrap();
    pass(HEALTH_TOLERANCE + SECOND).await;
    let unhealthy = elector.health().check().unwrap_err();
    assert!(
        matches!(unhealthy, Unhealthy::WorkOutlivesToken { .. }),
        "{unhealthy}"
    );
    assert!(matches!(elector.state().role, Role::Stopping));
    drop(guard);
    pass(SECOND).await;
    elector.health().check().unwrap();
}

#[tokio::test(start_paused = true)]
async fn dropping_an_elector_is_as_a_crash_that_its_token_knows_of() {
    let cluster = FakeCluster::new();
    let journal = Journal::default();
    let notes = journal.clone();
    let elector = start(
        &cluster,
        config("one").on_started_leading(move |_| {
            let notes = notes.clone();
            async move {
                let _ended = scopeguard(move || notes.note("work dropped"));
                std::future::pending::<()>().await;
            }
        }),
    );
    let token = elector.wait_until_leading().await.unwrap();
    pass(SECOND).await;
    drop(elector);
    pass(Duration::from_millis(1)).await;
    assert!(token.check().is_err() && token.is_cancelled());
    assert_eq!(journal.lines(), ["work dropped"]);
    assert_eq!(holder(&cluster), "one");
}

/// Calls when it is dropped.
fn scopeguard(call: impl FnOnce() + Send) -> impl Send {
    struct Guard<F: FnOnce()>(Option<F>);
    impl<F: FnOnce()> Drop for Guard<F> {
        fn drop(&mut self) {
            if let Some(call) = self.0.take() {
                call();
            }
        }
    }
    Guard(Some(call))
}
