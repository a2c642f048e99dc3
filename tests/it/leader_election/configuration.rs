//! L1 and what else is checked before anything is sent.

use kubedex::leader_election::DEFAULT_LEASE_DURATION;

use super::*;

fn refused(change: impl FnOnce(LeaderElectionConfig) -> LeaderElectionConfig) -> (String, String) {
    let client = Client::from_kube(FakeCluster::new().client());
    let error = LeaderElector::start(&client, change(config("one"))).unwrap_err();
    (error.field().to_owned(), error.to_string())
}

#[tokio::test(start_paused = true)]
async fn l1_a_configuration_that_cannot_work_is_refused_by_the_name_of_the_setting() {
    type Change = fn(LeaderElectionConfig) -> LeaderElectionConfig;
    let cases: [(&str, Change); 10] = [
        ("identity", |c| c.identity("")),
        ("identity", |c| c.identity(" \t")),
        ("identity", |c| c.identity("a\nb")),
        ("namespace", |c| c.namespace("")),
        ("namespace", |c| c.namespace("A/b")),
        ("lease_duration", |c| {
            c.lease_duration(Duration::from_millis(15_900))
        }),
        ("renew_deadline", |c| c.renew_deadline(12 * SECOND)),
        ("renew_deadline", |c| c.stop_timeout(5 * SECOND)),
        ("renew_deadline", |c| c.retry_period(9 * SECOND)),
        ("label", |c| c.label("a b", "c")),
    ];
    for (field, change) in cases {
        let (found, text) = refused(change);
        assert_eq!(found, field, "{text}");
        assert!(text.contains(field) && text.contains("leader"), "{text}");
    }
    let client = Client::from_kube(FakeCluster::new().client());
    let error = LeaderElector::start(&client, LeaderElectionConfig::new("No/name")).unwrap_err();
    assert_eq!(error.field(), "name");
}

#[tokio::test(start_paused = true)]
async fn l1_the_tolerated_clock_ratio_can_be_asked_for() {
    let config = config("one");
    assert!((config.tolerated_clock_ratio() - 15.0 / 13.0).abs() < 1e-9);
    assert_eq!(DEFAULT_LEASE_DURATION, 15 * SECOND);
    let tight = config.stop_timeout(Duration::from_millis(4_999));
    assert!(tight.tolerated_clock_ratio() > 1.0 && tight.tolerated_clock_ratio() < 1.001);
}

#[test]
fn an_elector_outside_of_a_runtime_is_an_error_and_no_panic() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let client = runtime.block_on(async { Client::from_kube(FakeCluster::new().client()) });
    let config = LeaderElectionConfig::new("leader").identity("one");
    let error = LeaderElector::start(&client, config).unwrap_err();
    assert_eq!(error.field(), "runtime");
}

#[tokio::test]
async fn l16_election_traffic_is_not_held_back_by_the_rate_limit() {
    let cluster = FakeCluster::new();
    let server = cluster.serve().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    server.write_kubeconfig(&path).unwrap();
    let limited = Client::builder().kubeconfig(&path).limit(0.001, 1);
    let client = limited.build().await.unwrap();
    // The one request that the limit allows for a long time.
    client.resolve(&leases()).await.unwrap();
    let config = LeaderElectionConfig::new("leader")
        .namespace("default")
        .identity("one");
    let elector = LeaderElector::start(&client, config).unwrap();
    let led = tokio::time::timeout(20 * SECOND, elector.wait_until_leading()).await;
    assert!(led.unwrap().unwrap().check().is_ok());
    elector.shutdown().await;
    assert_eq!(holder(&cluster), "");
    server.shutdown().await;
}
