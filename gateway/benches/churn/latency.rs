//! How long it takes, all parts running: API server, watchers, engine, and a publication of files for Envoy.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use kubedex::Client;
use kubedex::fake::FakeCluster;
use kubedex_gateway::engine::{Engine, EngineConfig};
use kubedex_gateway::live::COALESCING;
use kubedex_gateway::output::envoy::{EnvoyFiles, EnvoyFilesConfig};
use kubedex_gateway::publication::{Gate, Publication, PublicationConfig, Status};
use kubedex_gateway::publish::Snapshots;
use kubedex_gateway::sink::directory::{Directory, DirectoryConfig};
#[cfg(feature = "xds")]
use kubedex_gateway::xds::{self, XdsConfig};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

#[cfg(feature = "xds")]
use super::ads;
use super::objects::{cluster, service, slice};
use super::{line, percentile, processor_time};

/// Changes one by one, each after the pace has come to rest.
const ALONE: u16 = 150;

/// Changes that come one after the other, whatever becomes of those before, and how far apart.
const CHURN: u16 = 1_000;
const APART: Duration = Duration::from_millis(5);

/// Nothing takes as long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// One change: which Service, the writing by which it is known again, and when.
struct Change {
    service: usize,
    writing: u16,
    at: Instant,
}

/// A change once it was published.
struct Seen {
    change: Change,
    published: Instant,
    version: u64,
}

pub(crate) fn measure(size: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(run(size)),
        Err(error) => panic!("no runtime: {error}"),
    }
}

async fn run(size: usize) {
    let server = FakeCluster::builder().real_time().build();
    for number in 0..size {
        server.apply(service(number)).unwrap();
        server.apply(slice(number, 1)).unwrap();
    }
    let client = Client::from_kube(server.client());
    let before = resident_bytes();
    let (engine, mut snapshots) = Engine::start(&client, &EngineConfig::default()).unwrap();
    let started = Instant::now();
    let first = timeout(PATIENCE, snapshots.next()).await.unwrap().unwrap();
    assert_eq!(first.snapshot.totals().clusters, size);
    let memory = resident_bytes().saturating_sub(before);
    line(
        "from the start to the first snapshot",
        &millis(started.elapsed()),
    );
    if size >= 1_000 {
        let each = format!("{:.1} kB", memory as f64 / size as f64 / 1e3);
        line("memory for each Service, stores included", &each);
    }

    let folder = tempfile::tempdir().unwrap();
    let files = EnvoyFiles::new(EnvoyFilesConfig::default(), Some(folder.path())).unwrap();
    let sink = Directory::open(DirectoryConfig::new(folder.path())).unwrap();
    let config = PublicationConfig {
        verify_every: None,
        ..PublicationConfig::default()
    };
    let publication = Publication::start(
        Box::new(files),
        Box::new(sink),
        snapshots.clone(),
        Gate::open(),
        config,
    );
    let mut written = publication.status_changes();
    let all = written.wait_for(|status| status.version.is_some());
    timeout(PATIENCE, all).await.unwrap().unwrap();

    #[cfg(feature = "xds")]
    let (server_of_ads, client_of_ads, stop_ads) = {
        let config = XdsConfig::new(([127, 0, 0, 1], 0).into());
        let ads = xds::serve(config, snapshots.clone()).await.unwrap();
        let (all, mut has_all) = watch::channel(false);
        let (stop, stopped) = watch::channel(false);
        let names = (0..size).map(cluster).collect();
        let follower = tokio::spawn(ads::follow(ads.local_addr(), names, all, stopped));
        let complete = has_all.wait_for(|has_all| *has_all);
        timeout(PATIENCE, complete).await.unwrap().unwrap();
        (ads, follower, stop)
    };

    let mut told = Vec::new();
    for (name, changes, apart) in [("alone", ALONE, None), ("under churn", CHURN, Some(APART))] {
        let (publications, busy) = (engine.status().publications, processor_time());
        let (sender, receiver) = mpsc::unbounded_channel();
        let reader = tokio::spawn(follow(snapshots.clone(), receiver));
        let stop = CancellationToken::new();
        let recorder = tokio::spawn(record(publication.status_changes(), stop.clone()));
        write(&server, size, changes, apart, sender).await;
        let seen = timeout(PATIENCE, reader).await.unwrap().unwrap();
        let publications = engine.status().publications - publications;
        let newest = seen.iter().map(|it| it.version).max();
        let done = written.wait_for(|it| it.version >= newest);
        timeout(PATIENCE, done).await.unwrap().unwrap();
        stop.cancel();
        let versions = recorder.await.unwrap();
        tell(name, &seen, &versions);
        let busy = processor_time().saturating_sub(busy).as_secs_f64() * 1e6 / f64::from(changes);
        line(
            &format!("changes {name}: publications; CPU of all parts for each"),
            &format!("{publications} for {changes}; {busy:.0} us"),
        );
        told.push((name, seen));
    }
    #[cfg(feature = "xds")]
    {
        stop_ads.send_replace(true);
        let arrivals = client_of_ads.await.unwrap();
        for (name, seen) in &told {
            let times = seen.iter().map(|Seen { change, .. }| {
                let arrivals = &arrivals[&cluster(change.service)];
                // Writings rise, and so do times.
                let at = arrivals.partition_point(|(writing, _)| *writing < change.writing);
                arrivals[at].1.duration_since(change.at)
            });
            tell_times(name, "to EDS delta at an ADS client", times.collect());
        }
        server_of_ads.shutdown().await;
    }
    publication.shutdown(PATIENCE).await;
    engine.shutdown().await;
}

/// Makes changes to Services at random.
async fn write(
    server: &FakeCluster,
    size: usize,
    changes: u16,
    apart: Option<Duration>,
    sender: mpsc::UnboundedSender<Change>,
) {
    let mut due = Instant::now();
    let mut random = fastrand::Rng::with_seed(7);
    for number in 0..changes {
        let service = random.usize(0..size);
        // Other writings than those before.
        let writing = number + if apart.is_some() { 20_000 } else { 2 };
        let at = Instant::now();
        // Known before it is written, so that its publication cannot come first.
        let change = Change {
            service,
            writing,
            at,
        };
        sender.send(change).unwrap();
        server.apply(slice(service, writing)).unwrap();
        match apart {
            Some(apart) => {
                due += apart;
                sleep_until(due).await;
            }
            None => sleep(COALESCING + Duration::from_millis(5)).await,
        }
    }
}

/// Changes that are not published yet, by cluster.
type Waiting = HashMap<String, VecDeque<Change>>;

fn waits(waiting: &mut Waiting, change: Option<Change>) {
    if let Some(change) = change {
        let of_cluster = waiting.entry(cluster(change.service)).or_default();
        of_cluster.push_back(change);
    }
}

/// Notes when each change is published, which is in its own writing or in a later one of the same Service.
async fn follow(
    mut snapshots: Snapshots,
    mut changes: mpsc::UnboundedReceiver<Change>,
) -> Vec<Seen> {
    let mut waiting = Waiting::new();
    let mut open = true;
    let mut seen = Vec::new();
    let mut last = snapshots.newest().unwrap().snapshot.clone();
    while open || waiting.values().any(|it| !it.is_empty()) {
        let published = tokio::select! {
            published = snapshots.next() => Some(published.unwrap()),
            change = changes.recv(), if open => {
                open = change.is_some();
                waits(&mut waiting, change);
                None
            }
        };
        let Some(published) = published else {
            continue;
        };
        while let Ok(change) = changes.try_recv() {
            waits(&mut waiting, Some(change));
        }
        for change in published.snapshot.changes_since(&last) {
            let writing = change
                .after()
                .and_then(|it| it.endpoints.first())
                .unwrap()
                .port;
            let Some(waiting) = waiting.get_mut(change.name()) else {
                continue;
            };
            while waiting.front().is_some_and(|it| it.writing <= writing) {
                seen.extend(waiting.pop_front().map(|change| Seen {
                    change,
                    published: published.at,
                    version: published.snapshot.version(),
                }));
            }
        }
        last = published.snapshot.clone();
    }
    seen
}

/// Notes when each version was written, or a later one that took its place.
async fn record(
    mut status: watch::Receiver<Status>,
    stop: CancellationToken,
) -> BTreeMap<u64, Instant> {
    let mut versions = BTreeMap::new();
    loop {
        {
            let status = status.borrow_and_update();
            if let (Some(version), Some(at)) = (status.version, status.at) {
                versions.entry(version).or_insert(at);
            }
        }
        tokio::select! {
            () = stop.cancelled() => return versions,
            changed = status.changed() => changed.unwrap(),
        }
    }
}

fn tell(name: &str, seen: &[Seen], versions: &BTreeMap<u64, Instant>) {
    let snapshot = seen
        .iter()
        .map(|it| it.published.duration_since(it.change.at));
    let bytes = seen.iter().filter_map(|it| {
        let (_, at) = versions.range(it.version..).next()?;
        Some(at.duration_since(it.change.at))
    });
    tell_times(name, "to snapshot published", snapshot.collect());
    tell_times(name, "to EDS file written (fsync, rename)", bytes.collect());
}

fn tell_times(name: &str, what: &str, mut times: Vec<Duration>) {
    times.sort();
    let [half, most] = [50, 99].map(|it| percentile(&times, it).map_or("-".to_owned(), millis));
    line(
        &format!("a change {name}, {what}: p50, p99"),
        &format!("{half}, {most}"),
    );
}

fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

/// The resident memory of this process; 0 where /proc does not tell.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"));
    let number = line.and_then(|it| it.split_whitespace().next()?.parse::<usize>().ok());
    number.unwrap_or(0) * 1024
}
