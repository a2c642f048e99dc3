//! One object, watched by its name: its present state at hand, and told when it changes.
//!
//! ```text
//!   reflector ─ Event ─► sink ─► present state ─► callbacks, one after the other
//!                                      └────────► watch channel
//! ```
//!
//! Built on the same reflector as [`Watcher`](super::Watcher), in one task, without store, index or debounce. It keeps the
//! present state and the one that the callback was told last, never more.

mod config;
mod sink;
mod telling;

pub use config::SingleWatcherConfig;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::config::{Checked, Place};
use self::sink::SingleSink;
use self::telling::Callbacks;
use super::config::DEFAULT_PAGE_SIZE;
use super::discovery;
use super::error::{ConfigError, SyncError};
use super::reflector::{Reflector, Setup, Target, by_name};
use super::relist::{RelistError, Relists};
use super::status::{Status, StatusCell};
use super::task_handle::TaskHandle;
use super::{Permission, SyncHandle};
use crate::client::Client;
use crate::object::Object;
use crate::resource::{Gvr, ObjectRef};

/// Watches one object by its name.
///
/// That there is none is a state like any other: the watcher is then synced with `None`, and tells when it appears. While there
/// is one that cannot be read, and none could be before, it is not synced; one that could be keeps its old state. Any change
/// of content is told, whether or not the object has a generation; a new resource version of the same content is not.
///
/// # Shutdown
/// [`SingleWatcher::shutdown`] tells the last state if it was not told yet, and joins the task. Dropping the watcher cancels
/// everything at once.
///
/// ```no_run
/// # use std::time::Duration;
/// # use kubedex::watcher::{SingleWatcher, SingleWatcherConfig};
/// # use kubedex::{Client, Gvr};
/// # async fn run(client: Client) -> Result<(), Box<dyn std::error::Error>> {
/// let settings = SingleWatcher::start(
///     &client,
///     SingleWatcherConfig::new(Gvr::new("", "v1", "configmaps"), "shop", "settings")
///         .on_change_fn(|settings| match settings {
///             Some(settings) => println!("settings are now at {:?}", settings.resource_version()),
///             None => println!("settings were deleted"),
///         }),
/// )?;
/// settings.wait_for_sync(Duration::from_secs(30)).await?;
/// let present = settings.current();
/// # let _ = present;
/// # Ok(())
/// # }
/// ```
pub struct SingleWatcher {
    gvr: Gvr,
    reference: ObjectRef,
    current: watch::Receiver<Option<Object>>,
    status: Arc<StatusCell>,
    relists: Arc<Relists>,
    task: TaskHandle,
}

impl SingleWatcher {
    /// Starts to watch. Returns at once; [`SingleWatcher::wait_for_sync`] tells when the present state is known.
    ///
    /// # Errors
    /// When the configuration cannot work, naming the setting. What only a server can tell, such as whether there is such a
    /// resource, shows in [`SingleWatcher::status`] and fails [`SingleWatcher::wait_for_sync`].
    pub fn start(client: &Client, config: SingleWatcherConfig) -> Result<Self, ConfigError> {
        let config = config.check()?;
        let gvr = config.gvr.clone();
        let namespace = match &config.place {
            Place::Namespace(namespace) => Some(namespace.clone()),
            Place::OwnNamespace => Some(client.default_namespace().to_owned()),
            Place::Cluster => None,
        };
        let reference = ObjectRef::new(namespace.as_deref(), &config.name);
        let name = format!("{gvr} {reference}");
        let relists = Arc::new(Relists::new(&name, 1));
        let status = Arc::new(StatusCell::new(name, 1));
        let (sender, current) = watch::channel(None);
        let work = Work {
            client: client.clone(),
            reference: reference.clone(),
            config,
            status: Arc::clone(&status),
            relists: Arc::clone(&relists),
            sender,
        };
        let task = TaskHandle::spawn(&gvr, |stop| work.run(stop))?;
        Ok(Self {
            gvr,
            reference,
            current,
            status,
            relists,
            task,
        })
    }

    /// Of which resource the object is.
    pub fn gvr(&self) -> &Gvr {
        &self.gvr
    }

    /// Which object is watched.
    pub fn reference(&self) -> &ObjectRef {
        &self.reference
    }

    /// The present state; `None` if there is no such object, or it is not known yet ([`SingleWatcher::is_synced`]). It stays
    /// when the watcher ends.
    pub fn current(&self) -> Option<Object> {
        self.current.borrow().clone()
    }

    /// The present state as a channel that tells when it changes, for [`changed`](watch::Receiver::changed) and
    /// [`wait_for`](watch::Receiver::wait_for). What is at hand now counts as seen. Of several changes between two looks it
    /// shows the last one; an object that was deleted and created anew then has another uid. It ends with the watcher.
    ///
    /// # Cancel safety
    /// The receiver's methods are cancel safe, as tokio documents them.
    pub fn changes(&self) -> watch::Receiver<Option<Object>> {
        let mut changes = self.current.clone();
        changes.mark_unchanged();
        changes
    }

    /// How the watcher is doing.
    pub fn status(&self) -> Status {
        self.status.get()
    }

    /// The status, each time it changes in more than the resource version reached.
    ///
    /// # Cancel safety
    /// The receiver's methods are cancel safe, as tokio documents them.
    pub fn status_changes(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Whether it is known if the object exists, and what it is.
    pub fn is_synced(&self) -> bool {
        self.status.is_synced()
    }

    /// Waits until it is known if the object exists, and what it is, for at most `deadline`.
    ///
    /// # Errors
    /// When the deadline passes, the watcher stops, or the server refuses for a reason that waiting does not mend. That there
    /// is no such object is no error.
    ///
    /// # Cancel safety
    /// Safe; any number may wait, before and after the sync.
    pub async fn wait_for_sync(&self, deadline: Duration) -> Result<(), SyncError> {
        self.status.wait_for_sync(deadline).await
    }

    /// For waiting without holding the watcher, or for many watchers at once with
    /// [`wait_for_all`](super::wait_for_all).
    pub fn sync_handle(&self) -> SyncHandle {
        SyncHandle(Arc::clone(&self.status))
    }

    /// Asks for the object's state now, although the watch may be in step; the future waits for it. When it is `Ok`, a list
    /// that was requested after this call was applied: [`SingleWatcher::current`] shows that state or a newer one, and the
    /// callback was told of it or is next. Otherwise as [`Watcher::relist`](super::Watcher::relist).
    ///
    /// # Errors
    /// When the watcher was or is stopped.
    ///
    /// # Cancel safety
    /// Safe. Dropping the future ends the waiting only; the list is made.
    pub fn relist(&self) -> impl Future<Output = Result<(), RelistError>> + Send + use<> {
        self.relists.ask()
    }

    /// What this watcher needs to be allowed: to list and watch this one object; see
    /// [`minimal_rbac`](super::minimal_rbac).
    pub fn permission(&self) -> Permission {
        let everything = match self.reference.namespace() {
            Some(namespace) => Permission::in_namespaces(self.gvr.clone(), [namespace]),
            None => Permission::everywhere(self.gvr.clone()),
        };
        everything.only_object(self.reference.name())
    }

    /// Stops: ends all requests at once, tells the callback the last state if it was not told yet, waits for a running
    /// callback, and joins the task. Calling it again, or from several tasks, waits for the same end. Not to be awaited
    /// inside a callback of the same watcher, which would wait for itself.
    ///
    /// # Cancel safety
    /// The watcher stops even if the future is dropped; only the waiting ends.
    pub async fn shutdown(&self) {
        self.task.shutdown(self.status.watcher()).await;
    }
}

/// Names the object and never shows its content.
impl fmt::Debug for SingleWatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleWatcher")
            .field("watcher", &self.status.watcher())
            .finish_non_exhaustive()
    }
}

/// Everything the task needs.
struct Work {
    client: Client,
    reference: ObjectRef,
    config: Checked,
    status: Arc<StatusCell>,
    relists: Arc<Relists>,
    sender: watch::Sender<Option<Object>>,
}

/// Marks the watcher as stopped, however the task ends.
struct Ending(Arc<StatusCell>, Arc<Relists>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.stopped();
        self.1.stopped();
    }
}

impl Work {
    /// Watches until `stop`, then tells what was not told yet.
    async fn run(mut self, stop: CancellationToken) {
        let callbacks = std::mem::take(&mut self.config.callbacks);
        let status = Arc::clone(&self.status);
        let current = self.sender.subscribe();
        let watch = async move {
            let _ending = Ending(Arc::clone(&self.status), Arc::clone(&self.relists));
            // What it holds ends with it, the sender of states among it.
            stop.run_until_cancelled_owned(Box::pin(self.watch())).await;
        };
        join(Box::pin(watch), tell(callbacks, current, &status)).await;
    }

    async fn watch(self) {
        let Self {
            client,
            reference,
            config,
            status,
            relists,
            sender,
        } = self;
        let Checked {
            gvr, mut random, ..
        } = config;
        let target = Target {
            gvr,
            namespace: reference.namespace().map(str::to_owned),
            label_selector: None,
            field_selector: Some(by_name(reference.name())),
            metadata_only: false,
            page_size: DEFAULT_PAGE_SIZE,
            one_object: true,
        };
        let kind = discovery::discover(
            &client,
            std::slice::from_ref(&target),
            config.wait_for_resource,
            &status,
            &mut random,
        )
        .await;
        let sink = SingleSink::new(reference, sender, Arc::clone(&status));
        let setup = Setup {
            indexer: config.indexer,
            status,
            scope: 0,
            asked: relists.scope(0),
            watch_timeout: config.watch_timeout,
            audit: None,
            initial_list: config.initial_list,
            wait_for_resource: config.wait_for_resource,
            random,
        };
        match Reflector::new(client, target, &kind, sink, setup)
            .run()
            .await {}
    }
}

/// Calls back, if there is anything to call, until the watcher has ended and everything was told.
async fn tell(callbacks: Callbacks, current: watch::Receiver<Option<Object>>, status: &StatusCell) {
    if !callbacks.is_empty() {
        callbacks.run(current, status).await;
    }
}
