//! L12: two of ours and one of another implementation, in all weathers.

use tokio::task::AbortHandle;
use tokio_util::task::AbortOnDropHandle;

use super::link::Weather;
use super::rival::Rival;
use super::*;

struct Candidate {
    link: Link,
    elector: LeaderElector,
}

fn rival(link: &Link, journal: &Journal, reign: Duration, releases: bool) -> AbortOnDropHandle<()> {
    let rival = Rival::new(link.client(), "client-go", journal);
    AbortOnDropHandle::new(tokio::spawn(rival.run(reign, releases)))
}

#[tokio::test(start_paused = true)]
async fn l12_it_shares_a_lease_with_another_implementation_that_releases() {
    let (cluster, journal) = (FakeCluster::new(), Journal::default());
    let link = Link::new(&cluster, 1);
    let _rival = rival(&link, &journal, 20 * SECOND, true);
    pass(SECOND).await;
    let one = start(&cluster, config("one"));
    pass(10 * SECOND).await;
    assert_eq!(one.leader().as_deref(), Some("client-go"));
    one.wait_until_leading().await.unwrap();
    assert_eq!(lease(&cluster)["spec"]["leaseTransitions"], 1);
    one.shutdown().await;
    // The other one takes what was released.
    pass(10 * SECOND).await;
    assert_eq!(holder(&cluster), "client-go");
    assert_eq!(
        journal.lines(),
        ["client-go leads", "client-go stops", "client-go leads"]
    );
}

#[tokio::test(start_paused = true)]
async fn l12_it_takes_over_from_another_implementation_that_crashed_and_the_other_way_round() {
    let (cluster, journal) = (FakeCluster::new(), Journal::default());
    let link = Link::new(&cluster, 1);
    let other = rival(&link, &journal, 3600 * SECOND, true);
    pass(SECOND).await;
    let one = start(&cluster, config("one"));
    pass(10 * SECOND).await;
    AbortHandle::abort(&other.abort_handle());
    let began = tokio::time::Instant::now();
    one.wait_until_leading().await.unwrap();
    assert!(began.elapsed() >= 12 * SECOND && began.elapsed() <= 22 * SECOND);
    let _other = rival(&link, &journal, 3600 * SECOND, true);
    pass(10 * SECOND).await;
    drop(one);
    pass(22 * SECOND).await;
    assert_eq!(holder(&cluster), "client-go");
}

/// Looks at every tenth of a second: two tokens are never valid at once, and none while the other implementation's lease
/// has not run out.
async fn watch(
    cluster: &FakeCluster,
    candidates: &[Candidate],
    rounds: u32,
    random: &mut fastrand::Rng,
) -> u32 {
    let mut led = 0;
    let mut of_rival: Option<(Value, tokio::time::Instant)> = None;
    for round in 0..rounds {
        pass(Duration::from_millis(100)).await;
        if round % 70 == 0 {
            for candidate in candidates {
                candidate.link.set(weather(random));
            }
        }
        let leaders: Vec<&str> = candidates
            .iter()
            .filter(|candidate| candidate.elector.is_leading())
            .map(|candidate| candidate.elector.identity())
            .collect();
        assert!(
            leaders.len() <= 1,
            "{leaders:?} lead at once, in round {round}"
        );
        led += u32::try_from(leaders.len()).unwrap();
        let Some(lease) = cluster.get(&leases(), Some("default"), "leader") else {
            continue;
        };
        let spec = lease.to_value()["spec"].clone();
        if spec["holderIdentity"] == "client-go" {
            if of_rival.as_ref().is_none_or(|(known, _)| *known != spec) {
                of_rival = Some((spec, tokio::time::Instant::now()));
            }
            assert!(
                leaders.is_empty(),
                "{leaders:?} lead under client-go, in round {round}"
            );
        } else if spec["holderIdentity"] == "" {
            of_rival = None;
        } else if let Some((_, since)) = of_rival.take() {
            let held = since.elapsed();
            assert!(
                held >= 14 * SECOND,
                "client-go was followed after {held:?}, in round {round}"
            );
        }
    }
    led
}

fn weather(random: &mut fastrand::Rng) -> Weather {
    let fair = Weather::default();
    match random.u8(0..8) {
        0 => Weather { lost: true, ..fair },
        1 => Weather {
            answers_lost: true,
            ..fair
        },
        2 => Weather {
            twice: true,
            ..fair
        },
        3 => Weather {
            there: Duration::from_millis(random.u64(0..6_000)),
            back: Duration::from_millis(random.u64(0..3_000)),
            ..fair
        },
        4 => Weather {
            unreliable: 400,
            ..fair
        },
        _ => fair,
    }
}

#[tokio::test(start_paused = true)]
async fn l12_two_of_ours_and_one_of_client_go_never_lead_at_once() {
    for seed in 0..6 {
        let (cluster, journal) = (
            FakeCluster::builder().seed(seed).build(),
            Journal::default(),
        );
        let mut random = fastrand::Rng::with_seed(seed);
        // Clocks as different as the durations bear.
        let rates = [1.07, 0.93];
        let candidates: Vec<Candidate> = ["one", "three"]
            .into_iter()
            .zip(rates)
            .map(|(name, rate)| {
                let link = Link::new(&cluster, seed);
                let clock = SkewedClock::new(rate, Duration::from_secs(random.u64(0..1_000_000)));
                let elector = start_over(&link, config(name).clock(clock));
                Candidate { link, elector }
            })
            .collect();
        let link = Link::new(&cluster, seed);
        // One that releases could do so, and be followed, between two looks.
        let _rival = rival(&link, &journal, 40 * SECOND, false);
        let led = watch(&cluster, &candidates, 6_000, &mut random).await;
        assert!(
            led > 500,
            "with seed {seed} ours led for {led} tenths of a second"
        );
        // When the weather is fair, somebody leads.
        for candidate in &candidates {
            candidate.link.mend();
        }
        pass(60 * SECOND).await;
        assert_ne!(
            holder(&cluster),
            "",
            "with seed {seed} nobody leads in the end"
        );
    }
}
