//! L2, L3, L4, L14, L15: how the Lease is read and written.

use tokio::time::Instant;

use super::link::Weather;
use super::*;

/// A time as the API server demands it.
fn is_micro_time(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.len() == "2006-01-02T15:04:05.000000Z".len()
        && text.ends_with('Z')
        && text.parse::<jiff::Timestamp>().is_ok()
}

fn recorded() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/conformance/crud-lease.json"
    );
    let case: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    case["steps"][0]["request"]["body"].clone()
}

fn keys(value: &Value) -> Vec<String> {
    let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
    keys.sort();
    keys
}

#[tokio::test(start_paused = true)]
async fn l3_the_first_candidate_creates_the_lease_as_a_real_server_takes_it() {
    let cluster = FakeCluster::new();
    let link = Link::new(&cluster, 1);
    let elector = start_over(&link, config("one"));
    let token = elector.wait_until_leading().await.unwrap();
    let lease = lease(&cluster);
    let recorded = recorded();
    assert_eq!(keys(&lease["spec"]), keys(&recorded["spec"]));
    assert_eq!(
        (&lease["kind"], &lease["apiVersion"]),
        (&recorded["kind"], &recorded["apiVersion"])
    );
    let spec = &lease["spec"];
    assert_eq!(spec["holderIdentity"], "one");
    assert_eq!(spec["leaseDurationSeconds"], 15);
    assert_eq!(spec["leaseTransitions"], 0);
    assert!(
        is_micro_time(&spec["acquireTime"]) && is_micro_time(&spec["renewTime"]),
        "{spec}"
    );
    assert_eq!(
        token.as_str(),
        lease["metadata"]["resourceVersion"].as_str().unwrap()
    );
    assert_eq!(
        token.lease_uid(),
        lease["metadata"]["uid"].as_str().unwrap()
    );
    let methods: Vec<String> = link.sent().into_iter().map(|sent| sent.method).collect();
    assert_eq!(methods, ["GET", "POST"]);
}

#[tokio::test(start_paused = true)]
async fn l3_every_update_carries_the_version_read_and_a_conflict_is_read_again() {
    let cluster = FakeCluster::new();
    cluster.create(foreign("", 1)).unwrap();
    let link = Link::new(&cluster, 1);
    let elector = start_over(&link, config("one"));
    elector.wait_until_leading().await.unwrap();
    // Somebody changes metadata: the renewal meets another version.
    pass(3 * SECOND).await;
    link.forget();
    edit(&cluster, |lease| {
        lease["metadata"]["annotations"] = json!({"note": "x"});
    });
    pass(8 * SECOND).await;
    assert!(elector.is_leading());
    let sent = link.sent();
    let first: Vec<(&str, u16)> = sent
        .iter()
        .take(3)
        .map(|sent| (sent.method.as_str(), sent.status.unwrap()))
        .collect();
    assert_eq!(first, [("PUT", 409), ("GET", 200), ("PUT", 200)]);
    for sent in sent.iter().filter(|sent| sent.method == "PUT") {
        let body = sent.body.as_ref().unwrap();
        assert!(body["metadata"]["resourceVersion"].is_string(), "{body}");
    }
    assert_eq!(lease(&cluster)["metadata"]["annotations"]["note"], "x");
}

#[tokio::test(start_paused = true)]
async fn l4_an_acquisition_counts_and_a_renewal_keeps() {
    let cluster = FakeCluster::new();
    cluster.create(foreign("other", 5)).unwrap();
    let elector = start(&cluster, config("one"));
    elector.wait_until_leading().await.unwrap();
    let acquired = lease(&cluster)["spec"].clone();
    assert_eq!(acquired["leaseTransitions"], 8);
    assert_eq!(acquired["acquireTime"], acquired["renewTime"]);
    pass(30 * SECOND).await;
    let renewed = lease(&cluster)["spec"].clone();
    assert_eq!(renewed["leaseTransitions"], 8);
    assert_eq!(renewed["acquireTime"], acquired["acquireTime"]);
    assert_ne!(renewed["renewTime"], acquired["renewTime"]);
}

#[tokio::test(start_paused = true)]
async fn l4_a_lease_of_its_own_that_went_stale_is_acquired_anew() {
    let cluster = FakeCluster::new();
    let link = Link::new(&cluster, 1);
    let elector = start_over(&link, config("one"));
    let first = elector.wait_until_leading().await.unwrap();
    link.cut();
    pass(20 * SECOND).await;
    assert!(first.check().is_err() && !elector.is_leading());
    link.mend();
    let second = elector.wait_until_leading().await.unwrap();
    assert_eq!(lease(&cluster)["spec"]["leaseTransitions"], 1);
    assert_ne!(first.as_str(), second.as_str());
}

#[tokio::test(start_paused = true)]
async fn l4_a_waiting_candidate_looks_after_one_to_two_point_two_retry_periods() {
    let cluster = FakeCluster::new();
    cluster.create(foreign("other", 86_400)).unwrap();
    let link = Link::new(&cluster, 1);
    let _elector = start_over(&link, config("one"));
    pass(600 * SECOND).await;
    let sent = link.sent();
    assert!(sent.iter().all(|sent| sent.method == "GET"));
    let gaps: Vec<Duration> = sent
        .windows(2)
        .map(|pair| pair[1].at - pair[0].at)
        .collect();
    assert!(gaps.len() > 100);
    let (least, most) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
    assert!(
        *least >= 2 * SECOND && *least < Duration::from_millis(2_200),
        "{least:?}"
    );
    assert!(
        *most <= Duration::from_millis(4_410) && *most > 4 * SECOND,
        "{most:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn l2_expiry_counts_from_the_receipt_of_the_last_change_whatever_the_times_in_it() {
    for renewed in ["1970-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"] {
        let cluster = FakeCluster::new();
        let mut other = foreign("other", 20);
        other["spec"]["renewTime"] = json!(renewed);
        cluster.create(other).unwrap();
        let began = Instant::now();
        let elector = start(&cluster, config("one"));
        elector.wait_until_leading().await.unwrap();
        let took = began.elapsed();
        assert!(took >= 20 * SECOND && took <= 25 * SECOND, "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn l2_a_changed_annotation_does_not_extend_a_lease_and_a_renewal_does() {
    let cluster = FakeCluster::new();
    cluster.create(foreign("other", 15)).unwrap();
    let elector = start(&cluster, config("one"));
    pass(10 * SECOND).await;
    edit(&cluster, |lease| {
        lease["spec"]["renewTime"] = json!("2024-01-02T03:04:06.000000Z");
    });
    let began = Instant::now();
    for round in 0..4 {
        pass(3 * SECOND).await;
        edit(&cluster, |lease| {
            lease["metadata"]["annotations"] = json!({ "round": round.to_string() });
        });
    }
    assert_eq!(holder(&cluster), "other");
    elector.wait_until_leading().await.unwrap();
    let took = began.elapsed();
    assert!(took >= 15 * SECOND && took <= 24 * SECOND, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn l2_a_lease_holds_for_as_long_as_it_says_longer_or_shorter_than_ours() {
    for seconds in [3, 60] {
        let cluster = FakeCluster::new();
        cluster.create(foreign("other", seconds)).unwrap();
        let began = Instant::now();
        let elector = start(&cluster, config("one"));
        elector.wait_until_leading().await.unwrap();
        let (took, lease) = (began.elapsed(), Duration::from_secs(seconds.unsigned_abs()));
        assert!(
            took >= lease && took <= lease + 5 * SECOND,
            "{took:?} of {lease:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn l15_a_lease_without_holder_is_free() {
    let mut none = foreign("", 1);
    none["spec"] = Value::Null;
    for lease in [foreign("", 1), foreign("", 15), none] {
        let cluster = FakeCluster::new();
        cluster.create(lease).unwrap();
        let elector = start(&cluster, config("one"));
        let led = tokio::time::timeout(SECOND, elector.wait_until_leading()).await;
        assert!(led.unwrap().is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn l15_a_holder_that_does_not_say_for_how_long_is_waited_for_as_for_one_of_ours() {
    let cluster = FakeCluster::new();
    let mut odd = foreign("other", 1);
    odd["spec"]
        .as_object_mut()
        .unwrap()
        .remove("leaseDurationSeconds");
    odd["spec"].as_object_mut().unwrap().remove("renewTime");
    cluster.create(odd).unwrap();
    let began = Instant::now();
    let elector = start(&cluster, config("one"));
    elector.wait_until_leading().await.unwrap();
    let took = began.elapsed();
    assert!(took >= 15 * SECOND && took <= 20 * SECOND, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn l14_labels_are_merged_and_nothing_of_others_is_lost() {
    let cluster = FakeCluster::new();
    let mut old = foreign("", 1);
    old["metadata"]["labels"] = json!({"team": "blue", "app": "old"});
    old["metadata"]["annotations"] = json!({"kubectl": "was here"});
    old["spec"]["strategy"] = json!("OldestEmulationVersion");
    cluster.create(old).unwrap();
    let elector = start(
        &cluster,
        config("one").label("app", "new").label("tier", "x"),
    );
    elector.wait_until_leading().await.unwrap();
    pass(10 * SECOND).await;
    let lease = lease(&cluster);
    let labels = json!({"team": "blue", "app": "new", "tier": "x"});
    assert_eq!(lease["metadata"]["labels"], labels);
    assert_eq!(lease["metadata"]["annotations"]["kubectl"], "was here");
    assert_eq!(lease["spec"]["strategy"], "OldestEmulationVersion");

    let fresh = FakeCluster::new();
    let elector = start(&fresh, config("one").label("app", "new"));
    elector.wait_until_leading().await.unwrap();
    assert_eq!(
        super::lease(&fresh)["metadata"]["labels"],
        json!({"app": "new"})
    );
}

#[tokio::test(start_paused = true)]
async fn an_acquisition_whose_answer_came_too_late_is_made_once_more() {
    let cluster = FakeCluster::new();
    let link = Link::new(&cluster, 1);
    link.set(Weather {
        answers_lost: true,
        ..Weather::default()
    });
    let elector = start_over(&link, config("one"));
    pass(30 * SECOND).await;
    assert!(!elector.is_leading());
    link.set(Weather::default());
    elector.wait_until_leading().await.unwrap();
    // Its own record, written without its knowing: no need to wait for itself.
    assert_eq!(holder(&cluster), "one");
}
