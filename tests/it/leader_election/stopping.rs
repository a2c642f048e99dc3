//! L7, L8: how work ends, and when the lease is released.

use kubedex::leader_election::FencingToken;
use tokio::time::Instant;

use super::*;

/// A configuration whose callbacks write down what happens; work takes `lingers` to end.
fn noted(identity: &str, journal: &Journal, lingers: Duration) -> LeaderElectionConfig {
    let (started, stopped, leader) = (journal.clone(), journal.clone(), journal.clone());
    let name = identity.to_owned();
    config(identity)
        .on_started_leading(move |token: FencingToken| {
            let (journal, name) = (started.clone(), name.clone());
            async move {
                journal.note(format!("{name} works"));
                token.cancelled().await;
                journal.note(format!("{name} is told to end, {}", valid(&token)));
                tokio::time::sleep(lingers).await;
                journal.note(format!("{name} has ended, {}", valid(&token)));
            }
        })
        .on_stopped_leading(move || stopped.note("stopped"))
        .on_new_leader(move |who| leader.note(format!("leader {who}")))
}

fn valid(token: &FencingToken) -> &'static str {
    if token.check().is_ok() {
        "valid"
    } else {
        "invalid"
    }
}

#[tokio::test(start_paused = true)]
async fn l7_a_loss_ends_the_work_then_stops_and_only_then_campaigns() {
    let (cluster, journal) = (FakeCluster::new(), Journal::default());
    let link = Link::new(&cluster, 1);
    let elector = start_over(&link, noted("one", &journal, 2 * SECOND));
    let token = elector.wait_until_leading().await.unwrap();
    pass(SECOND).await;
    link.cut();
    token.cancelled().await;
    assert!(!elector.is_leading());
    link.mend();
    link.forget();
    pass(Duration::from_millis(1_900)).await;
    assert_eq!(link.sent().len(), 0, "it campaigns while work runs");
    pass(10 * SECOND).await;
    assert_eq!(
        journal.lines(),
        [
            "leader one",
            "one works",
            "one is told to end, invalid",
            "one has ended, invalid",
            "stopped",
            "one works"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn l7_work_that_does_not_end_in_time_is_aborted() {
    let (cluster, journal) = (FakeCluster::new(), Journal::default());
    let link = Link::new(&cluster, 1);
    let elector = start_over(&link, noted("one", &journal, 3600 * SECOND));
    let token = elector.wait_until_leading().await.unwrap();
    pass(SECOND).await;
    link.cut();
    token.cancelled().await;
    pass(Duration::from_millis(2_990)).await;
    assert_eq!(journal.lines().len(), 3);
    pass(Duration::from_millis(20)).await;
    assert_eq!(journal.lines().last().unwrap(), "stopped");
    assert!(
        !journal
            .lines()
            .iter()
            .any(|line| line.contains("has ended"))
    );
}

#[tokio::test(start_paused = true)]
async fn l7_a_shutdown_renews_until_the_work_has_ended_and_releases_only_then() {
    let (cluster, journal) = (FakeCluster::new(), Journal::default());
    let link = Link::new(&cluster, 1);
    let elector = start_over(&link, noted("one", &journal, Duration::from_millis(2_500)));
    elector.wait_until_leading().await.unwrap();
    pass(SECOND).await;
    link.forget();
    let began = Instant::now();
    let watched = async {
        pass(Duration::from_millis(2_400)).await;
        assert_eq!(holder(&cluster), "one");
        journal.lines().len()
    };
    let ((), lines) = tokio::join!(elector.shutdown(), watched);
    assert_eq!(lines, 3);
    assert!(began.elapsed() < 3 * SECOND, "{:?}", began.elapsed());
    assert_eq!(
        journal.lines(),
        [
            "leader one",
            "one works",
            "one is told to end, valid",
            "one has ended, valid",
            "stopped"
        ]
    );
    let spec = lease(&cluster)["spec"].clone();
    assert_eq!(
        (&spec["holderIdentity"], &spec["leaseDurationSeconds"]),
        (&json!(""), &json!(1))
    );
    assert_eq!(spec["leaseTransitions"], 0);
    let methods: Vec<String> = link.sent().into_iter().map(|sent| sent.method).collect();
    assert_eq!(
        methods,
        ["PUT", "GET", "PUT"],
        "a renewal, then the release, which reads first"
    );
    assert!(elector.state().is_stopped());
    elector.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn l7_work_that_does_not_end_keeps_the_lease_from_being_released() {
    let cluster = FakeCluster::new();
    let elector = start(&cluster, config("one"));
    let token = elector.wait_until_leading().await.unwrap();
    let guard = token.guard();
    {
        let shutdown = elector.shutdown();
        tokio::pin!(shutdown);
        assert!(
            tokio::time::timeout(60 * SECOND, &mut shutdown)
                .await
                .is_err()
        );
        assert_eq!(holder(&cluster), "one");
        // It is not renewed for ever either: others take over when it has run out.
        let two = start(&cluster, config("two"));
        let began = Instant::now();
        two.wait_until_leading().await.unwrap();
        assert!(began.elapsed() <= 20 * SECOND);
        assert!(token.check().is_err());
        drop(guard);
        shutdown.await;
        // L8: what it finds is not its own any more.
        assert_eq!(holder(&cluster), "two");
        assert!(two.is_leading());
    }
}

#[tokio::test(start_paused = true)]
async fn l7_on_stopped_is_only_for_one_that_led() {
    let (cluster, journal) = (FakeCluster::new(), Journal::default());
    cluster.create(foreign("other", 3600)).unwrap();
    let elector = start(&cluster, noted("one", &journal, Duration::ZERO));
    pass(30 * SECOND).await;
    elector.shutdown().await;
    assert_eq!(journal.lines(), ["leader other"]);
    assert_eq!(holder(&cluster), "other");
}

#[tokio::test(start_paused = true)]
async fn l8_a_release_never_wipes_the_record_of_a_successor() {
    let cluster = FakeCluster::new();
    let elector = start(&cluster, config("one"));
    let token = elector.wait_until_leading().await.unwrap();
    let _keep = token.clone();
    // It is still sure to lead when it is asked to stop, but the Lease has changed hands.
    edit(&cluster, |lease| {
        lease["spec"]["holderIdentity"] = json!("two");
    });
    assert!(token.check().is_ok());
    elector.shutdown().await;
    assert_eq!(holder(&cluster), "two");
}

#[tokio::test(start_paused = true)]
async fn l8_a_release_without_an_answer_ends_within_a_renew_deadline() {
    let cluster = FakeCluster::new();
    let link = Link::new(&cluster, 1);
    let elector = start_over(&link, config("one"));
    elector.wait_until_leading().await.unwrap();
    link.cut();
    let began = Instant::now();
    elector.shutdown().await;
    assert!(began.elapsed() <= 10 * SECOND, "{:?}", began.elapsed());
    assert_eq!(holder(&cluster), "one");
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_kept_if_it_is_not_to_be_released() {
    let cluster = FakeCluster::new();
    let elector = start(&cluster, config("one").release_on_cancel(false));
    elector.wait_until_leading().await.unwrap();
    elector.shutdown().await;
    assert_eq!(holder(&cluster), "one");
}

#[tokio::test(start_paused = true)]
async fn stopping_while_an_acquisition_is_under_way_leaves_no_lease_behind() {
    let cluster = FakeCluster::new();
    let link = Link::new(&cluster, 1);
    link.set(link::Weather {
        there: Duration::from_millis(300),
        back: Duration::from_millis(300),
        ..link::Weather::default()
    });
    let journal = Journal::default();
    let elector = start_over(&link, noted("one", &journal, Duration::ZERO));
    pass(Duration::from_millis(700)).await;
    assert_eq!(link.sent().last().unwrap().method, "POST");
    elector.shutdown().await;
    assert_eq!(holder(&cluster), "");
    assert!(!journal.lines().contains(&"one works".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn resigning_lets_another_lead_and_campaigns_again() {
    let cluster = FakeCluster::new();
    let one = start(&cluster, config("one"));
    one.wait_until_leading().await.unwrap();
    let three = start(&cluster, config("three"));
    pass(10 * SECOND).await;
    one.resign();
    three.wait_until_leading().await.unwrap();
    assert!(!one.is_leading());
    three.shutdown().await;
    one.wait_until_leading().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_work_gives_leadership_up_and_one_elsewhere_harms_nothing() {
    let cluster = FakeCluster::new();
    let journal = Journal::default();
    let (started, stopped) = (journal.clone(), journal.clone());
    let elector = start(
        &cluster,
        config("one")
            .on_started_leading(move |_| {
                let journal = started.clone();
                async move {
                    journal.note("works");
                    assert!(journal.lines().len() > 3, "not yet");
                    std::future::pending::<()>().await;
                }
            })
            .on_stopped_leading(move || {
                stopped.note("stopped");
                panic!("in on_stopped_leading");
            })
            .on_new_leader(|_| panic!("in on_new_leader")),
    );
    pass(60 * SECOND).await;
    let expected = ["works", "stopped", "works", "stopped", "works"];
    assert_eq!(journal.lines(), expected);
    assert!(elector.is_leading());
}
