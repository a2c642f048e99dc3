//! `run`: work that is run while its candidate leads.

use kubedex::leader_election::RunError;
use tokio_util::sync::CancellationToken;

use super::*;

fn client(cluster: &FakeCluster) -> Client {
    Client::from_kube(cluster.client())
}

#[tokio::test(start_paused = true)]
async fn work_that_ends_by_itself_gives_its_output_and_the_lease_back() {
    let cluster = FakeCluster::new();
    let client = client(&cluster);
    let output = LeaderElector::run(&client, config("one"), |token| async move {
        tokio::time::sleep(30 * SECOND).await;
        token.check().map(|()| 42)
    });
    assert_eq!(output.await.unwrap().unwrap().unwrap(), 42);
    assert_eq!(holder(&cluster), "");
}

#[tokio::test(start_paused = true)]
async fn work_that_was_interrupted_by_a_loss_is_run_again_and_its_output_is_dropped() {
    let cluster = FakeCluster::new();
    let link = Link::new(&cluster, 1);
    let client = link.client();
    let journal = Journal::default();
    let notes = journal.clone();
    let run = LeaderElector::run(&client, config("one"), move |token| {
        let journal = notes.clone();
        async move {
            journal.note("works");
            if journal.lines().len() == 1 {
                token.cancelled().await;
                return "interrupted";
            }
            "done"
        }
    });
    let disturb = async {
        pass(5 * SECOND).await;
        link.cut();
        pass(20 * SECOND).await;
        link.mend();
    };
    let (output, ()) = tokio::join!(run, disturb);
    assert_eq!(output.unwrap(), Some("done"));
    assert_eq!(journal.lines(), ["works", "works"]);
}

#[tokio::test(start_paused = true)]
async fn a_campaign_that_is_told_to_stop_ends_in_order() {
    let cluster = FakeCluster::new();
    let stop = CancellationToken::new();
    let client = client(&cluster);
    let run = LeaderElector::run(
        &client,
        config("one").stop_on(stop.clone()),
        |token| async move {
            token.cancelled().await;
            tokio::time::sleep(SECOND).await;
            token.check().is_ok()
        },
    );
    let tell = async {
        pass(5 * SECOND).await;
        stop.cancel();
    };
    let (output, ()) = tokio::join!(run, tell);
    assert_eq!(
        output.unwrap(),
        Some(true),
        "it was still the leader while it wound up"
    );
    assert_eq!(holder(&cluster), "");

    // One that never led has no output.
    cluster
        .delete(&leases(), Some("default"), "leader")
        .unwrap();
    cluster.create(foreign("other", 3600)).unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    let run = LeaderElector::run(&client, config("one").stop_on(stop), |_| async {});
    assert!(run.await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_work_is_an_error_and_gives_the_lease_back() {
    let cluster = FakeCluster::new();
    let client = client(&cluster);
    let run = LeaderElector::run(&client, config("one"), |token| async move {
        assert!(token.is_cancelled(), "the work fails");
    });
    assert!(matches!(run.await, Err(RunError::Panicked)));
    assert_eq!(holder(&cluster), "");
}

#[tokio::test(start_paused = true)]
async fn what_is_run_is_the_only_work() {
    let cluster = FakeCluster::new();
    let config = config("one").on_started_leading(|_| async {});
    let run = LeaderElector::run(&client(&cluster), config, |_| async {}).await;
    let error = run.unwrap_err();
    assert!(matches!(&error, RunError::Config(error) if error.field() == "on_started_leading"));
}
