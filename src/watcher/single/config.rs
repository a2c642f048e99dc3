//! Which object to watch and whom to tell: plain data, checked as a whole when the watcher starts.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::telling::{Callback, Callbacks};
use crate::indexer::{IndexSet, Indexer};
use crate::object::Object;
use crate::resource::{Gvr, is_dns_label};
use crate::watcher::config::{DEFAULT_WATCH_TIMEOUT, check_watch_timeout};
use crate::watcher::{ConfigError, InitialList};

/// Where the object lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Namespace(String),
    OwnNamespace,
    Cluster,
}

/// The configuration of a [`SingleWatcher`](super::SingleWatcher).
///
/// Setters only note what they are given; [`SingleWatcher::start`](super::SingleWatcher::start) checks all of it.
#[must_use]
pub struct SingleWatcherConfig {
    gvr: Gvr,
    place: Place,
    name: String,
    ignore_fields: Vec<String>,
    callbacks: Callbacks,
    watch_timeout: Duration,
    initial_list: InitialList,
    wait_for_resource: bool,
    seed: Option<u64>,
}

/// A configuration that was checked, in parts that work.
pub(super) struct Checked {
    pub(super) gvr: Gvr,
    pub(super) place: Place,
    pub(super) name: String,
    pub(super) indexer: Arc<Indexer>,
    pub(super) callbacks: Callbacks,
    pub(super) watch_timeout: Duration,
    pub(super) initial_list: InitialList,
    pub(super) wait_for_resource: bool,
    pub(super) random: fastrand::Rng,
}

impl SingleWatcherConfig {
    /// A watch of one object in a namespace.
    pub fn new(gvr: Gvr, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self::at(gvr, Place::Namespace(namespace.into()), name.into())
    }

    /// A watch of one object in the client's own namespace: that of the kubeconfig's context or of the service account.
    pub fn in_own_namespace(gvr: Gvr, name: impl Into<String>) -> Self {
        Self::at(gvr, Place::OwnNamespace, name.into())
    }

    /// A watch of one object of a cluster-scoped resource, such as a node.
    pub fn cluster_scoped(gvr: Gvr, name: impl Into<String>) -> Self {
        Self::at(gvr, Place::Cluster, name.into())
    }

    fn at(gvr: Gvr, place: Place, name: String) -> Self {
        Self {
            gvr,
            place,
            name,
            ignore_fields: Vec::new(),
            callbacks: Callbacks::default(),
            watch_timeout: DEFAULT_WATCH_TIMEOUT,
            initial_list: InitialList::default(),
            wait_for_resource: false,
            seed: None,
        }
    }

    /// Called once, when it is known if the object exists, with its state; `None` if it does not.
    pub fn on_sync_complete<F, R>(mut self, callback: F) -> Self
    where
        F: Fn(Option<Object>) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.callbacks.on_sync_complete = Some(boxed(callback));
        self
    }

    /// As [`SingleWatcherConfig::on_sync_complete`], for a plain closure.
    pub fn on_sync_complete_fn(
        self,
        callback: impl Fn(Option<Object>) + Send + Sync + 'static,
    ) -> Self {
        self.on_sync_complete(move |object| {
            callback(object);
            std::future::ready(())
        })
    }

    /// Called with the new state, at once, whenever it has changed since the initial sync; `None` if the object was
    /// deleted.
    ///
    /// Calls never overlap, and each is newer than the one before. While one runs, changes gather: the next call gets the
    /// newest state, and none is made if that is what was told last. An object that was deleted and created anew is told as
    /// both. It may take its time, but must not block the thread: blocking work belongs in
    /// [`tokio::task::spawn_blocking`]. A panic is caught, logged and counted.
    pub fn on_change<F, R>(mut self, callback: F) -> Self
    where
        F: Fn(Option<Object>) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.callbacks.on_change = Some(boxed(callback));
        self
    }

    /// As [`SingleWatcherConfig::on_change`], for a plain closure.
    pub fn on_change_fn(self, callback: impl Fn(Option<Object>) + Send + Sync + 'static) -> Self {
        self.on_change(move |object| {
            callback(object);
            std::future::ready(())
        })
    }

    /// Leaves a field out: it is not kept, and a change of it is none.
    pub fn ignore_field(mut self, path: impl Into<String>) -> Self {
        self.ignore_fields.push(path.into());
        self
    }

    /// As [`WatcherConfig::watch_timeout`](crate::WatcherConfig::watch_timeout).
    pub fn watch_timeout(mut self, timeout: Duration) -> Self {
        self.watch_timeout = timeout;
        self
    }

    /// As [`WatcherConfig::initial_list`](crate::WatcherConfig::initial_list).
    pub fn initial_list(mut self, initial_list: InitialList) -> Self {
        self.initial_list = initial_list;
        self
    }

    /// As [`WatcherConfig::wait_for_resource`](crate::WatcherConfig::wait_for_resource).
    pub fn wait_for_resource(mut self) -> Self {
        self.wait_for_resource = true;
        self
    }

    /// Seeds the jitter of waits and timeouts, for tests that are to be repeated exactly.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Checks everything that can be checked without a server.
    pub(super) fn check(self) -> Result<Checked, ConfigError> {
        let gvr = self.gvr;
        let invalid = |field, reason: &dyn ToString| ConfigError::new(&gvr, field, reason);
        gvr.validate().map_err(|error| invalid("gvr", &error))?;
        if let Place::Namespace(namespace) = &self.place {
            check_namespace(namespace).map_err(|reason| invalid("namespace", &reason))?;
        }
        check_name(&self.name).map_err(|reason| invalid("name", &reason))?;
        check_watch_timeout(self.watch_timeout)
            .map_err(|reason| invalid("watch_timeout", &reason))?;
        let indexer = Indexer::new(IndexSet::default(), &self.ignore_fields, None)
            .map_err(|error| invalid("ignore_fields", &error))?;
        Ok(Checked {
            place: self.place,
            name: self.name,
            indexer: Arc::new(indexer),
            callbacks: self.callbacks,
            watch_timeout: self.watch_timeout,
            initial_list: self.initial_list,
            wait_for_resource: self.wait_for_resource,
            random: self
                .seed
                .map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed),
            gvr,
        })
    }
}

fn boxed<F, R>(callback: F) -> Callback
where
    F: Fn(Option<Object>) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    Box::new(move |object| Box::pin(callback(object)))
}

fn check_namespace(namespace: &str) -> Result<(), String> {
    if namespace.is_empty() {
        return Err(
            "it is empty; an object of a cluster-scoped resource is watched without one, by \
             SingleWatcherConfig::cluster_scoped"
                .to_owned(),
        );
    }
    if is_dns_label(namespace) {
        Ok(())
    } else {
        Err(format!("{namespace:?} is not the name of a namespace"))
    }
}

/// Checks a name as far as all resources agree: it is a segment of a path. Some, as those of RBAC, allow more than DNS does.
fn check_name(name: &str) -> Result<(), String> {
    let is_segment = !matches!(name, "." | "..") && !name.contains(['/', '%']);
    if name.is_empty() {
        Err("it is empty".to_owned())
    } else if is_segment && name.len() <= 253 && !name.contains(char::is_control) {
        Ok(())
    } else {
        Err(format!("{name:?} is not the name of an object"))
    }
}
