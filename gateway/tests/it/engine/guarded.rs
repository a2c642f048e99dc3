//! A sudden loss of most endpoints: held back until a list that began after it confirms it.

use std::time::Duration;

use kubedex::fake::{FakeCluster, Fault, FaultId, RequestRecord};
use kubedex_gateway::engine::{Engine, EngineConfig};
use kubedex_gateway::live::{COALESCING, endpoint_slices};
use kubedex_gateway::model::Origin;
use kubedex_gateway::publish::Snapshots;
use tokio::time::timeout;

use super::{MINUTE, cluster_of, fixed, next, nothing_within, service, slice, start};

/// A cluster whose only service has lost most of what it had before and got it back, so that its past is a loss.
fn with_a_past() -> FakeCluster {
    cluster_of([service("api"), slice("api", 0..2), slice("api", 0..20)])
}

async fn published(cluster: &FakeCluster) -> (Engine, Snapshots) {
    let (engine, mut snapshots) = start(cluster, &EngineConfig::default());
    assert_eq!(next(&mut snapshots).await.snapshot.totals().ready, 20);
    // Lists after this one are those that tests cause.
    tokio::time::sleep(COALESCING).await;
    cluster.clear_requests();
    (engine, snapshots)
}

/// Lists of either form, of which a streaming one begins its watch.
fn lists(cluster: &FakeCluster) -> usize {
    cluster.requests().iter().filter(|it| is_list(it)).count()
}

fn is_list(request: &RequestRecord) -> bool {
    request.verb == "list" || request.query.contains("sendInitialEvents")
}

/// Lists fail from now on.
fn no_lists(cluster: &FakeCluster) -> FaultId {
    cluster.inject(Fault::status(503).when(is_list).always())
}

/// Slices are listed in pages, as they were before they came back, as often as it takes to be believed. The watch that
/// follows, which would tell at once of what came back, is slow.
fn lists_of_the_past(cluster: &FakeCluster) -> FaultId {
    let streaming = |request: &RequestRecord| request.query.contains("sendInitialEvents");
    cluster.inject(Fault::status(422).when(streaming).always());
    cluster.inject(
        Fault::latency(Duration::from_secs(5))
            .verb("watch")
            .always(),
    );
    let stale = Fault::stale_list(1).resource(&endpoint_slices());
    cluster.inject(stale.verb("list").times(4))
}

#[tokio::test(start_paused = true)]
async fn a_loss_is_published_once_a_list_of_both_kinds_confirms_it() {
    let cluster = with_a_past();
    let (engine, mut snapshots) = published(&cluster).await;
    cluster.apply(slice("api", 0..2)).unwrap();
    let after = next(&mut snapshots).await;
    assert_eq!(after.snapshot.totals().ready, 2);
    assert_eq!(lists(&cluster), 2);
    assert_eq!(engine.status().held, None);
    nothing_within(&mut snapshots, MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn a_loss_that_only_a_stale_list_has_seen_is_never_published() {
    let cluster = with_a_past();
    let (engine, mut snapshots) = published(&cluster).await;
    let mut status = engine.status_changes();
    let stale = lists_of_the_past(&cluster);
    timeout(10 * MINUTE, engine.relist())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(cluster.fault_hits(stale), 4);
    let held = timeout(MINUTE, status.wait_for(|status| status.held.is_some()));
    let held = held.await.unwrap().unwrap().held.unwrap();
    assert_eq!((held.before, held.left), (20, 2));

    let healed = timeout(MINUTE, status.wait_for(|status| status.held.is_none()));
    healed.await.unwrap().unwrap();
    nothing_within(&mut snapshots, MINUTE).await;
    assert_eq!(snapshots.newest().unwrap().snapshot.totals().ready, 20);
    cluster.apply(slice("api", 0..19)).unwrap();
    assert_eq!(next(&mut snapshots).await.snapshot.totals().ready, 19);
}

#[tokio::test(start_paused = true)]
async fn a_loss_stays_held_as_long_as_nothing_can_confirm_it() {
    let cluster = with_a_past();
    let (engine, mut snapshots) = published(&cluster).await;
    let down = no_lists(&cluster);
    cluster.apply(slice("api", 0..2)).unwrap();
    nothing_within(&mut snapshots, 10 * MINUTE).await;
    let held = engine.status().held.unwrap();
    assert!(held.since.elapsed() >= 9 * MINUTE);
    assert!(!engine.status().is_connected());

    // Who edits static clusters means it.
    let statics = [fixed("legacy", [7])];
    engine.set_static(&statics, Origin::Static).await.unwrap();
    let edited = next(&mut snapshots).await;
    assert_eq!(edited.snapshot.totals().ready, 21);
    assert!(edited.snapshot.cluster("legacy").is_some());
    assert!(engine.status().held.is_some());

    cluster.remove_fault(down);
    assert_eq!(next(&mut snapshots).await.snapshot.totals().ready, 3);
    assert_eq!(engine.status().held, None);
}

#[tokio::test(start_paused = true)]
async fn a_loss_that_heals_meanwhile_is_never_published() {
    let cluster = with_a_past();
    let (engine, mut snapshots) = published(&cluster).await;
    let down = no_lists(&cluster);
    cluster.apply(slice("api", 0..2)).unwrap();
    nothing_within(&mut snapshots, MINUTE).await;
    assert!(engine.status().held.is_some());
    cluster.apply(slice("api", 5..25)).unwrap();
    cluster.remove_fault(down);
    assert_eq!(next(&mut snapshots).await.snapshot.totals().ready, 20);
    assert_eq!(engine.status().held, None);
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_the_api_server_that_answers_with_its_past_is_survived() {
    let cluster = with_a_past();
    let (engine, mut snapshots) = published(&cluster).await;
    let stale = lists_of_the_past(&cluster);
    let mut status = engine.status_changes();
    // The watch cannot go on where it was, so that it takes a list.
    let gone = Fault::status(410).resource(&endpoint_slices());
    cluster.inject(gone.when(|request| request.verb == "watch").once());
    cluster.restart();
    let held = timeout(10 * MINUTE, status.wait_for(|status| status.held.is_some()));
    held.await.unwrap().unwrap();
    let healed = timeout(10 * MINUTE, status.wait_for(|status| status.held.is_none()));
    healed.await.unwrap().unwrap();
    assert_eq!(cluster.fault_hits(stale), 4);
    nothing_within(&mut snapshots, MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn losing_everything_in_small_steps_takes_a_list_too() {
    let cluster = with_a_past();
    let (_engine, mut snapshots) = published(&cluster).await;
    for left in (0..20).rev() {
        cluster.apply(slice("api", 0..left)).unwrap();
        tokio::time::sleep(2 * COALESCING).await;
    }
    nothing_within_after_the_newest(&mut snapshots).await;
    assert_eq!(snapshots.newest().unwrap().snapshot.totals().ready, 0);
    // One list of each kind when less than half was left; what remained is too little to be guarded.
    assert_eq!(lists(&cluster), 2);
}

async fn nothing_within_after_the_newest(snapshots: &mut Snapshots) {
    next(snapshots).await;
    nothing_within(snapshots, MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_goes_with_its_endpoints_is_a_loss_too() {
    let cluster = with_a_past();
    let (engine, mut snapshots) = published(&cluster).await;
    let down = no_lists(&cluster);
    let services = kubedex_gateway::live::services();
    cluster.delete(&services, Some("shop"), "api").unwrap();
    nothing_within(&mut snapshots, MINUTE).await;
    assert_eq!(engine.status().held.map(|held| held.left), Some(0));
    cluster.remove_fault(down);
    assert_eq!(next(&mut snapshots).await.snapshot.totals().clusters, 0);
}
