//! Three candidates, one leader. On an in-process cluster the leader first stops cleanly, the next one is frozen in the
//! middle of its work, and the log tells what becomes of both:
//!
//! ```text
//! cargo run --features fake --example leader
//! ```
//!
//! With a kubeconfig it campaigns in a real cluster until it is interrupted; start several. Because nobody wants that by
//! accident, it has to be named, or asked for with `--real`, which takes what `KUBECONFIG` says or kubectl would:
//!
//! ```text
//! cargo run --features fake --example leader -- --kubeconfig ~/.kube/config [--namespace NAMESPACE] [--lease NAME]
//! cargo run --features fake --example leader -- --real
//! ```

use std::collections::VecDeque;
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use kubedex::Client;
use kubedex::fake::FakeCluster;
use kubedex::leader_election::{Fence, FencingToken, LeaderElectionConfig, LeaderElector};
use tokio::sync::oneshot;

/// Short durations, so that the story is told in seconds; the defaults are 15, 10, 2 and 3 seconds.
const LEASE_DURATION: Duration = Duration::from_secs(3);
const RENEW_DEADLINE: Duration = Duration::from_millis(1_800);
const RETRY_PERIOD: Duration = Duration::from_millis(400);
const STOP_TIMEOUT: Duration = Duration::from_millis(600);

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

fn log(who: &str, what: &str) {
    println!("{:6.2} s  {who:6} {what}", START.elapsed().as_secs_f64());
}

fn main() -> Result<(), Box<dyn Error>> {
    LazyLock::force(&START);
    let options = Options::parse(std::env::args().skip(1))?;
    if options.real || options.kubeconfig.is_some() {
        return campaign(&options);
    }
    story();
    Ok(())
}

/// What work writes to: it takes a write only from the newest leader that it has heard of.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<(Fence, u32)>>);

impl Ledger {
    fn write(&self, who: &str, token: &FencingToken) {
        let mut ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match ledger.0.admit(token.as_str()) {
            Ok(()) => ledger.1 += 1,
            Err(error) => log(who, &format!("is refused by the ledger: {error}")),
        }
    }

    fn entries(&self) -> u32 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

/// One candidate, in a thread and a runtime of its own, so that it can be frozen without the others.
struct Candidate {
    name: &'static str,
    leads: Arc<AtomicBool>,
    freeze: Arc<AtomicBool>,
    stop: Option<oneshot::Sender<()>>,
    thread: thread::JoinHandle<()>,
}

impl Candidate {
    fn start(name: &'static str, cluster: &FakeCluster, ledger: &Ledger) -> Self {
        let (leads, freeze) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (stop, stopped) = oneshot::channel();
        let work = Work {
            name,
            ledger: ledger.clone(),
            leads: Arc::clone(&leads),
            freeze: Arc::clone(&freeze),
        };
        let cluster = cluster.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            match runtime {
                Ok(runtime) => runtime.block_on(run(&cluster, work, stopped)),
                Err(error) => log(name, &format!("cannot start: {error}")),
            }
        });
        Self {
            name,
            leads,
            freeze,
            stop: Some(stop),
            thread,
        }
    }

    fn leads(&self) -> bool {
        self.leads.load(Ordering::SeqCst)
    }
}

#[derive(Clone)]
struct Work {
    name: &'static str,
    ledger: Ledger,
    leads: Arc<AtomicBool>,
    freeze: Arc<AtomicBool>,
}

impl Work {
    /// Writes to the ledger while it is allowed to.
    async fn run(self, token: FencingToken) {
        let name = self.name;
        log(name, &format!("LEADS with token {token}"));
        self.leads.store(true, Ordering::SeqCst);
        loop {
            if let Err(error) = token.check() {
                log(name, &format!("checks its token and does nothing: {error}"));
                break;
            }
            if self.freeze.swap(false, Ordering::SeqCst) {
                log(name, "is frozen, right after it checked its token");
                thread::sleep(LEASE_DURATION * 2);
                log(name, "wakes, and does not know how long it slept");
            }
            self.ledger.write(name, &token);
            tokio::select! {
                biased;
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
                () = token.cancelled() => {
                    log(name, "is told to end its work");
                    break;
                }
            }
        }
        self.leads.store(false, Ordering::SeqCst);
    }
}

async fn run(cluster: &FakeCluster, work: Work, stopped: oneshot::Receiver<()>) {
    let name = work.name;
    let client = Client::from_kube(cluster.client());
    let config = LeaderElectionConfig::new("story")
        .identity(name)
        .lease_duration(LEASE_DURATION)
        .renew_deadline(RENEW_DEADLINE)
        .retry_period(RETRY_PERIOD)
        .stop_timeout(STOP_TIMEOUT)
        .on_started_leading(move |token| work.clone().run(token))
        .on_stopped_leading(move || log(name, "leads no more"))
        .on_new_leader(move |leader| {
            if leader != name {
                log(name, &format!("follows {leader}"));
            }
        });
    match LeaderElector::start(&client, config) {
        Ok(elector) => {
            // Whether it is told to, or nobody is left to tell it.
            let _ = stopped.await;
            elector.shutdown().await;
        }
        Err(error) => log(name, &error.to_string()),
    }
}

/// Waits until one of them leads.
fn leader(candidates: &VecDeque<Candidate>) -> usize {
    loop {
        if let Some(index) = candidates.iter().position(Candidate::leads) {
            return index;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn story() {
    let cluster = FakeCluster::new();
    let ledger = Ledger::default();
    let mut candidates: VecDeque<Candidate> = ["alice", "bob", "carol"]
        .into_iter()
        .map(|name| Candidate::start(name, &cluster, &ledger))
        .collect();
    let first = leader(&candidates);
    thread::sleep(Duration::from_secs(2));

    if let Some(mut first) = candidates.remove(first) {
        log(
            "---",
            &format!("{} is asked to stop, and releases the lease", first.name),
        );
        drop(first.stop.take());
        let _ = first.thread.join();
    }
    let second = leader(&candidates);
    thread::sleep(Duration::from_secs(2));

    let frozen = &candidates[second];
    log(
        "---",
        &format!(
            "{} will be frozen for {:?}",
            frozen.name,
            LEASE_DURATION * 2
        ),
    );
    frozen.freeze.store(true, Ordering::SeqCst);
    thread::sleep(LEASE_DURATION * 2 + Duration::from_secs(2));

    log("---", "the end: all are asked to stop");
    for mut candidate in candidates {
        drop(candidate.stop.take());
        let _ = candidate.thread.join();
    }
    log(
        "---",
        &format!("the ledger has {} entries", ledger.entries()),
    );
}

struct Options {
    real: bool,
    kubeconfig: Option<String>,
    namespace: Option<String>,
    lease: String,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            real: false,
            kubeconfig: None,
            namespace: None,
            lease: "kubedex-example".to_owned(),
        };
        while let Some(name) = arguments.next() {
            if name == "--real" {
                options.real = true;
                continue;
            }
            let value = arguments
                .next()
                .ok_or_else(|| format!("{name} takes a value"))?;
            match name.as_str() {
                "--kubeconfig" => options.kubeconfig = Some(value),
                "--namespace" => options.namespace = Some(value),
                "--lease" => options.lease = value,
                _ => return Err(format!("there is no {name}; see the head of this example")),
            }
        }
        Ok(options)
    }
}

/// Campaigns for real.
#[tokio::main(flavor = "current_thread")]
async fn campaign(options: &Options) -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let client = match &options.kubeconfig {
        Some(path) => Client::builder().kubeconfig(path).build().await?,
        None => Client::infer().await?,
    };
    let mut config = LeaderElectionConfig::new(&options.lease);
    if let Some(namespace) = &options.namespace {
        config = config.namespace(namespace);
    }
    let elector = LeaderElector::start(
        &client,
        config.on_started_leading(|token| async move {
            log("", &format!("leading with token {token}"));
            token.cancelled().await;
        }),
    )?;
    log(
        "",
        &format!("campaigning as {}; interrupt to stop", elector.identity()),
    );
    tokio::signal::ctrl_c().await?;
    elector.shutdown().await;
    Ok(())
}
