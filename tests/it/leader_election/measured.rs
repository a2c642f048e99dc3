//! What an election costs, and how long a failover takes, in virtual time.

use tokio::time::Instant;

use super::*;

fn statistics(mut spans: Vec<Duration>) -> (Duration, Duration, Duration) {
    spans.sort();
    let mean = spans.iter().sum::<Duration>() / u32::try_from(spans.len()).unwrap();
    (spans[0], mean, spans[spans.len() - 1])
}

async fn failover(seed: u64, crash: bool) -> Duration {
    let cluster = FakeCluster::new();
    let one = start(&cluster, config("one").seed(seed));
    one.wait_until_leading().await.unwrap();
    let two = start(&cluster, config("two").seed(seed + 1));
    // Anywhere between two renewals.
    pass(20 * SECOND + Duration::from_millis(seed * 37 % 2_000)).await;
    let began = Instant::now();
    if crash {
        drop(one);
    } else {
        one.shutdown().await;
    }
    two.wait_until_leading().await.unwrap();
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn failover_takes_a_lease_after_a_crash_and_a_retry_period_after_a_release() {
    let (mut crashes, mut releases) = (Vec::new(), Vec::new());
    for seed in 0..100 {
        crashes.push(failover(seed, true).await);
        releases.push(failover(seed, false).await);
    }
    let (least, mean, most) = statistics(crashes);
    println!("failover after a crash: {least:?} to {most:?}, {mean:?} on the average");
    assert!(
        least >= 13 * SECOND && most <= 22 * SECOND,
        "{least:?} to {most:?}"
    );
    let (least, mean, most) = statistics(releases);
    println!("failover after a release: {least:?} to {most:?}, {mean:?} on the average");
    assert!(
        most <= Duration::from_millis(4_410) && mean <= 3 * SECOND,
        "{mean:?}, {most:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_leader_sends_one_request_each_retry_period_and_others_fewer() {
    let cluster = FakeCluster::new();
    let (leading, waiting) = (Link::new(&cluster, 1), Link::new(&cluster, 2));
    let one = start_over(&leading, config("one"));
    one.wait_until_leading().await.unwrap();
    let _two = start_over(&waiting, config("two"));
    leading.forget();
    pass(600 * SECOND).await;
    let rate = |link: &Link| f64::from(u32::try_from(link.sent().len()).unwrap()) / 600.0;
    let (leader, other) = (rate(&leading), rate(&waiting));
    println!("requests per second: {leader:.3} of a leader, {other:.3} of a waiting candidate");
    assert!((0.49..=0.51).contains(&leader), "{leader}");
    assert!((0.28..=0.35).contains(&other), "{other}");
}
