//! One resource, watched: list and watch, apply to the store, tell what changed.
//!
//! ```text
//!   reflector (one per namespace) ─ Event ─► pipeline ─► store
//!                                               │
//!                                               └─ differences ─► subscription ─► callback, stream
//! ```
//!
//! All of a [`Watcher`] runs in one task, which the watcher owns: the reflectors, the pipeline, and, beside them, the
//! callbacks. Nothing outlives the watcher.

mod callback;
mod changes;
mod config;
pub mod debounce;
mod diagnose;
mod discovery;
mod error;
#[cfg(not(feature = "__mutations"))]
#[expect(unreachable_pub, reason = "public with the feature")]
mod mutation;
#[cfg(feature = "__mutations")]
#[doc(hidden)]
pub mod mutation;
mod pipeline;
mod rbac;
mod reflector;
mod relist;
mod single;
mod status;
mod subscription;
mod task;
mod task_handle;

pub use changes::{Change, ChangeKind, Changes, MOST_FLEETING};
pub use config::{DEFAULT_PAGE_SIZE, DEFAULT_WATCH_TIMEOUT, WatcherConfig};
pub use debounce::Debounce;
pub use diagnose::{Check, Diagnosis, Finding};
pub use error::{ConfigError, SyncError, WatchError};
pub use rbac::{Permission, minimal_rbac};
pub use reflector::InitialList;
#[cfg(feature = "__fuzzing")]
#[doc(hidden)]
pub use reflector::fuzzing;
pub use relist::RelistError;
pub use single::{SingleWatcher, SingleWatcherConfig};
pub use status::{Connection, Status};
pub use subscription::ChangesStream;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use self::changes::Compare;
use self::config::Namespaces;
use self::reflector::Target;
use self::relist::Relists;
use self::status::StatusCell;
use self::subscription::Subscribers;
use self::task::Work;
use self::task_handle::TaskHandle;
use crate::client::Client;
use crate::resource::Gvr;
use crate::store::{MemoryStore, Store};

/// Watches all objects of one resource, or those of some namespaces, and keeps them in a store.
///
/// # Shutdown
/// [`Watcher::shutdown`] tells what has gathered and joins the task. Dropping the watcher cancels everything at once:
/// requests end, and a running callback is dropped at its next await.
pub struct Watcher<S = MemoryStore> {
    gvr: Gvr,
    client: Client,
    targets: Arc<[Target]>,
    store: Arc<S>,
    status: Arc<StatusCell>,
    subscribers: Arc<Subscribers>,
    relists: Arc<Relists>,
    compare: Compare,
    debounce: Debounce,
    during_sync: bool,
    task: TaskHandle,
}

impl<S: Store> Watcher<S> {
    /// Starts to watch. Returns at once; [`Watcher::wait_for_sync`] tells when the objects are there.
    ///
    /// # Errors
    /// When the configuration cannot work, naming the setting. What only a server can tell, such as whether there is
    /// such a resource, shows in [`Watcher::status`] and fails [`Watcher::wait_for_sync`].
    pub fn start(client: &Client, config: WatcherConfig<S>) -> Result<Self, ConfigError> {
        let config = config.check()?;
        let gvr = config.gvr.clone();
        let namespaces: Vec<Option<String>> = match &config.namespaces {
            Namespaces::All => vec![None],
            Namespaces::Own => vec![Some(client.default_namespace().to_owned())],
            Namespaces::Named(names) => names.iter().cloned().map(Some).collect(),
        };
        let name = name(&gvr, &namespaces);
        let relists = Arc::new(Relists::new(&name, namespaces.len()));
        let status = Arc::new(StatusCell::new(name, namespaces.len()));
        let subscribers = Arc::new(Subscribers::default());
        let (compare, debounce, during_sync) =
            (config.compare, config.debounce, config.during_sync);
        let work = Work::new(
            client.clone(),
            config,
            namespaces,
            Arc::clone(&status),
            Arc::clone(&subscribers),
            Arc::clone(&relists),
        );
        let store = Arc::clone(work.store());
        let targets = work.targets().into();
        let client = client.clone();
        let task = TaskHandle::spawn(&gvr, |stop| work.run(stop))?;
        Ok(Self {
            gvr,
            client,
            targets,
            store,
            status,
            subscribers,
            relists,
            compare,
            debounce,
            during_sync,
            task,
        })
    }

    /// What is watched.
    pub fn gvr(&self) -> &Gvr {
        &self.gvr
    }

    /// The store, to read from. It keeps its content when the watcher ends.
    pub fn store(&self) -> &Arc<S> {
        &self.store
    }

    /// How the watcher is doing.
    pub fn status(&self) -> Status {
        self.status.get()
    }

    /// The status, each time it changes in more than the resource version reached.
    ///
    /// # Cancel safety
    /// The receiver's methods are cancel safe, as tokio documents them.
    pub fn status_changes(&self) -> tokio::sync::watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Whether every object that existed at the start is in the store.
    pub fn is_synced(&self) -> bool {
        self.status.is_synced()
    }

    /// Waits until every object that existed at the start is in the store, for at most `deadline`.
    ///
    /// # Errors
    /// When the deadline passes, the watcher stops, or the server refuses for a reason that waiting does not mend (no
    /// permission, no such resource, a namespace for a cluster-scoped one). The watcher itself goes on asking, so that a
    /// later wait can succeed.
    ///
    /// # Cancel safety
    /// Safe; any number may wait, before and after the sync.
    pub async fn wait_for_sync(&self, deadline: Duration) -> Result<(), SyncError> {
        self.status.wait_for_sync(deadline).await
    }

    /// For waiting without holding the watcher, or for many watchers at once with [`wait_for_all`].
    pub fn sync_handle(&self) -> SyncHandle {
        SyncHandle(Arc::clone(&self.status))
    }

    /// The changes from now on as a stream, debounced as the callback is. Any number of streams may be read; each
    /// gathers for itself. A stream taken before the initial sync tells changes found during it only if
    /// [`WatcherConfig::call_on_change_during_sync`] is on.
    pub fn changes(&self) -> ChangesStream {
        let during_sync = self.during_sync && !self.is_synced();
        ChangesStream::new(
            self.subscribers
                .subscribe(self.compare, self.debounce, during_sync),
        )
    }

    /// Asks for a complete, consistent list of everything watched, now, although the watch may be in step: for those who
    /// must be sure. It is applied as any relist: a swap that tells exactly what differed, and nothing if nothing did.
    ///
    /// The future waits for it. When it is `Ok`, for each namespace watched a list whose first request was made after
    /// this call was read to its end, and
    /// - the store holds what it showed, or something newer;
    /// - each difference that it found was handed to, or has been gathered for, the callback and every
    ///   [stream](Self::changes) that there was. When they are told, [`Debounce`] decides as ever; nothing that was found can
    ///   get lost. Found during the initial sync, it is told as [`WatcherConfig::call_on_change_during_sync`] says;
    /// - only objects that could not be read are left out, which [`Status::unreadable`] counts.
    ///
    /// The list is asked for at once, not when the future is first awaited. Many calls share a list. A list under way, the
    /// first one too, is finished first and answers only those who asked before it began; a watch that is just being
    /// opened is waited for, too. While the server is away or refuses, this waits as long: attempts follow the watcher's
    /// backoff, which calls do not shorten. Put a deadline around it:
    ///
    /// ```no_run
    /// # async fn run(watcher: kubedex::Watcher) -> Result<(), Box<dyn std::error::Error>> {
    /// tokio::time::timeout(std::time::Duration::from_secs(10), watcher.relist()).await??;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the watcher was or is stopped.
    ///
    /// # Cancel safety
    /// Safe. Dropping the future ends the waiting only; the list is made.
    pub fn relist(&self) -> impl Future<Output = Result<(), RelistError>> + Send + use<S> {
        self.relists.ask()
    }

    /// Stops: ends all requests at once, tells callbacks and streams what has gathered, waits for a running callback, and
    /// joins the task. Calling it again, or from several tasks, waits for the same end. Not to be awaited inside a callback
    /// of the same watcher, which would wait for itself.
    ///
    /// # Cancel safety
    /// The watcher stops even if the future is dropped; only the waiting ends.
    pub async fn shutdown(&self) {
        self.task.shutdown(self.status.watcher()).await;
    }
}

impl<S> fmt::Debug for Watcher<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher")
            .field("watcher", &self.status.watcher())
            .finish_non_exhaustive()
    }
}

/// Waits for the sync of a watcher without holding it.
#[derive(Clone)]
pub struct SyncHandle(Arc<StatusCell>);

impl SyncHandle {
    /// As [`Watcher::wait_for_sync`].
    ///
    /// # Errors
    /// As [`Watcher::wait_for_sync`].
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn wait_for_sync(&self, deadline: Duration) -> Result<(), SyncError> {
        self.0.wait_for_sync(deadline).await
    }
}

impl fmt::Debug for SyncHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SyncHandle({})", self.0.watcher())
    }
}

/// Waits for the sync of many watchers at once, all within one deadline.
///
/// # Errors
/// Those of all watchers that are not synced.
///
/// # Cancel safety
/// Safe.
pub async fn wait_for_all(
    watchers: impl IntoIterator<Item = SyncHandle>,
    deadline: Duration,
) -> Result<(), Vec<SyncError>> {
    let handles: Vec<SyncHandle> = watchers.into_iter().collect();
    let waits = join_all(handles.iter().map(|handle| handle.wait_for_sync(deadline))).await;
    let errors: Vec<SyncError> = waits.into_iter().filter_map(Result::err).collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}

/// Names a watcher in messages.
fn name(gvr: &Gvr, namespaces: &[Option<String>]) -> String {
    let named: Vec<&str> = namespaces.iter().flatten().map(String::as_str).collect();
    match named[..] {
        [] => gvr.to_string(),
        [one] => format!("{gvr} in namespace {one}"),
        _ => format!("{gvr} in namespaces {}", named.join(", ")),
    }
}
