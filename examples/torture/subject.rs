//! One watcher under test, with everything that reads from it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use kubedex::store::Store;
use kubedex::watcher::RelistError;
use kubedex::{Client, ObjectRef, Watcher};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::plan::WatcherPlan;
use super::reader::Reader;
use super::tap::Tap;
use super::trace::Trace;
use super::witness::{Case, Witness};
use super::world::{World, version_of};

/// A shutdown takes no longer than two slow callbacks: the running one, and the one that is told the rest.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// A stream of changes, and the task that reads it until it was joined.
type ReadStream = (Arc<Mutex<Reader>>, Option<JoinHandle<()>>);

pub(super) struct Subject {
    pub(super) plan: WatcherPlan,
    who: usize,
    trace: Arc<Trace>,
    tap: Arc<Tap>,
    watcher: Arc<Watcher<Witness>>,
    callback: Arc<Mutex<Reader>>,
    streams: Vec<ReadStream>,
    lists: Vec<List>,
}

/// A list that was asked for, and what it must show.
struct List {
    ready: Pin<Box<dyn Future<Output = Result<(), RelistError>>>>,
    expected: Expected,
    as_of: u64,
}

/// What a watcher should hold: of each object its version and content.
pub(super) type Expected = BTreeMap<ObjectRef, (u64, Value)>;

impl Subject {
    pub(super) fn start(
        who: usize,
        plan: &WatcherPlan,
        world: &World,
        trace: &Arc<Trace>,
        lossy: bool,
    ) -> Option<Self> {
        let tap = Tap::new(who, world.cluster.client(), Arc::clone(trace), plan);
        let case = Case {
            who,
            kind: plan.kind,
            metadata_only: plan.metadata_only,
            flaky: plan.flaky_store,
            lossy,
            trace: Arc::clone(trace),
            history: Arc::clone(&world.history),
            tap: Arc::clone(&tap),
            random: fastrand::Rng::with_seed(plan.seed),
            cached: plan
                .cached
                .then(|| Client::from_kube(world.cluster.client())),
        };
        let callback = Arc::new(Mutex::new(Reader::new(
            "callback",
            who,
            Arc::clone(trace),
            (plan.during_sync, !plan.slow.is_zero()),
            true,
        )));
        let random = Arc::new(Mutex::new(fastrand::Rng::with_seed(plan.seed)));
        let (on_change, on_sync, slow) = (Arc::clone(&callback), Arc::clone(&callback), plan.slow);
        let config = plan
            .config(move |schema| Witness::new(schema, case))
            .on_change(move |store, changes| {
                let mut reader = on_change.lock();
                reader.begins();
                reader.told(&store, &changes);
                drop(reader);
                let wait = slow.mul_f64(random.lock().f64());
                let reader = Arc::clone(&on_change);
                async move {
                    if !wait.is_zero() {
                        tokio::time::sleep(wait).await;
                    }
                    reader.lock().ends();
                }
            })
            .on_sync_complete_fn(move |store, count| on_sync.lock().synced(&store, count));
        trace.note(Some(who), format!("start {plan:?}"));
        let client: Client = tap.client();
        let watcher = match Watcher::start(&client, config) {
            Ok(watcher) => Arc::new(watcher),
            Err(error) => {
                trace.fail(Some(who), format!("it does not start: {error}"));
                return None;
            }
        };
        // Nothing runs before this function's end, so that the first write finds it.
        let _ = watcher.store().watcher.set(Arc::downgrade(&watcher));
        let mut subject = Self {
            plan: plan.clone(),
            who,
            trace: Arc::clone(trace),
            tap,
            watcher,
            callback,
            streams: Vec::new(),
            lists: Vec::new(),
        };
        if plan.stream {
            subject.read_stream();
        }
        Some(subject)
    }

    /// Reads the changes from now on as a stream.
    pub(super) fn read_stream(&mut self) {
        let store = Arc::clone(self.watcher.store());
        let trace = Arc::clone(&self.trace);
        let synced = self.watcher.is_synced();
        let how = (self.plan.during_sync, !self.plan.slow.is_zero());
        let reader = Reader::stream(self.who, trace, how, &store, synced);
        let reader = Arc::new(Mutex::new(reader));
        let mut changes = self.watcher.changes();
        let (told, slow) = (Arc::clone(&reader), self.plan.slow / 2);
        let task = tokio::spawn(async move {
            while let Some(changes) = changes.next().await {
                told.lock().told(&store, &changes);
                if !slow.is_zero() {
                    tokio::time::sleep(slow).await;
                }
            }
        });
        self.streams.push((reader, Some(task)));
    }

    /// Asks for a list now.
    pub(super) fn ask_for_list(&mut self, world: &World) {
        self.trace.note(Some(self.who), "a list, please".to_owned());
        self.tap.list_wanted();
        self.lists.push(List {
            ready: Box::pin(self.watcher.relist()),
            expected: self.expected(world),
            as_of: world.cluster.resource_version(),
        });
    }

    /// Whether all lists that were asked for have come.
    pub(super) fn is_answered(&self) -> bool {
        self.lists.is_empty()
    }

    /// What is stored is no older than any list that has come since it was asked for.
    pub(super) fn check_lists(&mut self, world: &World, may_miss: bool) {
        let mut lists = std::mem::take(&mut self.lists);
        for mut list in lists.drain(..) {
            match (&mut list.ready).now_or_never() {
                None => self.lists.push(list),
                Some(Err(error)) => self.fail(error.to_string()),
                // What cannot be read comes later, or keeps its old state.
                Some(Ok(())) if may_miss || self.plan.mangled > 0 => {}
                Some(Ok(())) => {
                    self.trace
                        .note(Some(self.who), format!("a list as of {}", list.as_of));
                    if let Some(difference) = self.is_behind(&list, world) {
                        self.fail(format!(
                            "R12: after a list as of {}: {difference}",
                            list.as_of
                        ));
                    }
                }
            }
        }
    }

    /// Whether the store is behind what a list must have shown.
    fn is_behind(&self, list: &List, world: &World) -> Option<String> {
        let (held, now) = (self.watcher.store().versions(), self.expected(world));
        for (reference, version) in &held {
            let shown = list.expected.get(reference).map(|(shown, _)| shown);
            if *version <= list.as_of && Some(version) != shown {
                return Some(format!("{reference} is at {version}, not at {shown:?}"));
            }
        }
        let missing = list.expected.iter().find(|(reference, (shown, _))| {
            let is_still = now.get(*reference).is_some_and(|(now, _)| now == shown);
            is_still && !held.contains_key(*reference)
        });
        missing.map(|(reference, _)| format!("{reference} is missing"))
    }

    pub(super) fn requests(&self) -> u64 {
        self.tap.requests()
    }

    /// From now on nothing but the server can fail.
    pub(super) fn heal(&self) {
        self.tap.heal();
        self.watcher.store().heal();
    }

    /// What it should hold now.
    pub(super) fn expected(&self, world: &World) -> Expected {
        let all = world.all(self.plan.kind).into_iter();
        all.filter(|(_, object)| self.plan.wants(object))
            .map(|(reference, object)| {
                let version = object["metadata"]["resourceVersion"].as_str();
                let version = version.and_then(|version| version.parse().ok());
                (
                    reference,
                    (version.unwrap_or_default(), self.plan.holds(object)),
                )
            })
            .collect()
    }

    /// Whether it holds what it should, judged by versions; the first difference if not.
    pub(super) fn differs(&self, expected: &Expected) -> Option<String> {
        if !self.watcher.is_synced() {
            return Some("it is not synced".to_owned());
        }
        let held = self.watcher.store().versions();
        for (reference, version) in &held {
            match expected.get(reference) {
                None => return Some(format!("{reference} should not be there")),
                Some((expected, _)) if expected != version => {
                    return Some(format!(
                        "{reference} is at {version} and should be at {expected}"
                    ));
                }
                Some(_) => {}
            }
        }
        let missing = expected.keys().find(|key| !held.contains_key(*key));
        missing.map(|reference| format!("{reference} is missing"))
    }

    /// Whether all that it holds is as it should be: content, indexes, status.
    pub(super) async fn check_deep(&self, expected: &Expected) {
        let store: &dyn Store = &**self.watcher.store();
        for (reference, (version, value)) in expected {
            let held = match store.get_ref(reference).await {
                Ok(held) => held,
                Err(error) => return self.fail(format!("{reference} cannot be read: {error}")),
            };
            // A body that is fetched is whole, but for what is ignored in all of them.
            let is_right = held.is_some_and(|held| {
                if self.plan.cached {
                    version_of(&held) == *version
                } else {
                    held.to_value() == *value
                }
            });
            if !is_right {
                self.fail(format!("{reference} has another content than it should"));
            }
        }
        let by_namespace = expected.keys().fold(BTreeMap::new(), |mut counts, key| {
            *counts
                .entry(key.namespace().unwrap_or_default())
                .or_insert(0) += 1;
            counts
        });
        for (namespace, count) in by_namespace {
            let found = store.get("", &[namespace]).await;
            let found = found.map_or(0, |found| found.len());
            if found != count {
                self.fail(format!(
                    "the index has {found} objects in namespace {namespace:?}, not {count}"
                ));
            }
        }
        if self.plan.by_tier {
            let count = |tier: &str| {
                let tiers = expected.values().filter(|(_, object)| {
                    let label = object.pointer("/metadata/labels/tier");
                    label.and_then(Value::as_str) == Some(tier)
                });
                tiers.count()
            };
            // A field that is not stored is indexed all the same, but not in what is expected here.
            let hidden = self.plan.ignored.contains(&"metadata.labels.tier");
            for tier in ["x", "y"].into_iter().filter(|_| !hidden) {
                let found = store.get("tier", &[tier]).await;
                let found = found.map_or(0, |found| found.len());
                if found != count(tier) {
                    self.fail(format!(
                        "the index of tiers has {found} objects under {tier}"
                    ));
                }
            }
        }
        let status = self.watcher.status();
        if !status.is_connected() {
            self.fail(format!("it is not connected: {:?}", status.last_error));
        }
        if status.callback_panics > 0 {
            self.fail("a callback panicked".to_owned());
        }
    }

    /// No audit found anything, unless the store fails or events are lost.
    pub(super) fn check_audits(&self, lossy: bool) {
        let differences = self.watcher.status().audit_differences;
        if differences > 0 && !lossy && !self.plan.flaky_store {
            self.fail(format!("R18: audits found {differences} differences"));
        }
    }

    /// Every reader was told everything that there is to tell.
    pub(super) fn check_readers(&self) {
        let (store, synced) = (self.watcher.store(), self.watcher.is_synced());
        self.callback.lock().finish(store, synced);
        for (reader, _) in &self.streams {
            reader.lock().finish(store, synced);
        }
    }

    pub(super) fn fail(&self, reason: String) {
        self.trace.fail(Some(self.who), reason);
    }

    /// Stops it, and sees that nothing is left of it.
    pub(super) async fn stop(mut self) {
        if self.plan.dropped {
            return self.end().await;
        }
        let begun = self.trace.now();
        self.trace.note(Some(self.who), "shutdown".to_owned());
        if tokio::time::timeout(Duration::from_secs(600), self.watcher.shutdown())
            .await
            .is_err()
            || self.trace.now() - begun > SHUTDOWN
        {
            self.fail("R20: the shutdown takes too long".to_owned());
        }
        self.tap.close();
        for list in self.lists.drain(..) {
            if list.ready.now_or_never().is_none() {
                self.trace.fail(
                    Some(self.who),
                    "a list that was asked for outlives its watcher".to_owned(),
                );
            }
        }
        end_streams(&mut self.streams, &self.trace, self.who).await;
        self.check_readers();
        self.end().await;
    }

    /// Drops it.
    async fn end(mut self) {
        self.trace.note(Some(self.who), "drop".to_owned());
        let mut streams = std::mem::take(&mut self.streams);
        let Self {
            watcher,
            callback,
            tap,
            trace,
            who,
            ..
        } = self;
        let store: Weak<Witness> = Arc::downgrade(watcher.store());
        drop(watcher);
        // Its task ends at its next turn.
        tokio::time::sleep(Duration::from_millis(1)).await;
        end_streams(&mut streams, &trace, who).await;
        tap.close();
        if Arc::strong_count(&callback) > 1 || store.strong_count() > 0 {
            trace.fail(Some(who), "something of it is left".to_owned());
        }
    }
}

/// Streams end with their watcher.
async fn end_streams(streams: &mut [ReadStream], trace: &Trace, who: usize) {
    for (_, task) in streams {
        let Some(task) = task.take() else { continue };
        match tokio::time::timeout(SHUTDOWN, task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => trace.fail(Some(who), error.to_string()),
            Err(_) => trace.fail(Some(who), "a stream outlives its watcher".to_owned()),
        }
    }
}
