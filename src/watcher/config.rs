//! What to watch and how to tell: plain data, checked as a whole when the watcher starts.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::callback::{Callbacks, OnChange, OnSyncComplete};
use super::changes::{Changes, Compare};
use super::debounce::Debounce;
use super::error::ConfigError;
use super::reflector::InitialList;
use crate::client::Client;
use crate::indexer::{ClientSelector, IndexSet, Indexer};
use crate::resource::{Gvr, is_dns_label};
use crate::selector::{FieldSelector, LabelSelector};
use crate::store::cached::{CacheConfig, CachedStore};
use crate::store::{MemoryStore, Store, StoreSchema};

/// How many objects a page of a list has, unless told otherwise: what kubectl and client-go ask for. A page is decoded as
/// it arrives, so that larger ones cost no memory here, but they do in the server.
pub const DEFAULT_PAGE_SIZE: u32 = 500;

/// The lower bound of the watch timeout, unless told otherwise; the upper one is twice that, as in client-go. Watches are
/// drawn from between, so that many clients do not reconnect at once.
pub const DEFAULT_WATCH_TIMEOUT: Duration = Duration::from_secs(300);

/// The longest watch timeout that is taken.
const MOST_WATCH_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// The bounds of the time between two audits.
const MIN_AUDIT: Duration = Duration::from_secs(1);
const MOST_AUDIT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Which namespaces to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Namespaces {
    All,
    Own,
    Named(Vec<String>),
}

type MakeStore<S> = Box<dyn FnOnce(&StoreSchema) -> S + Send>;

/// The configuration of a [`Watcher`](super::Watcher).
///
/// Everything has a default but the resource. Setters only note what they are given;
/// [`Watcher::start`](super::Watcher::start) checks all of it.
#[must_use]
pub struct WatcherConfig<S = MemoryStore> {
    gvr: Gvr,
    namespaces: Namespaces,
    label_selector: Option<String>,
    field_selector: Option<String>,
    client_side_field_selector: Option<String>,
    index_by: Option<Vec<String>>,
    indexes: Vec<(String, Vec<String>)>,
    ignore_fields: Vec<String>,
    metadata_only: bool,
    make_store: MakeStore<S>,
    debounce: Debounce,
    callbacks: Callbacks<S>,
    during_sync: bool,
    page_size: u32,
    watch_timeout: Duration,
    audit: Option<Duration>,
    initial_list: InitialList,
    wait_for_resource: bool,
    seed: Option<u64>,
    callbacks_before_store: bool,
}

/// A configuration that was checked, in parts that work.
pub(super) struct Checked<S> {
    pub(super) gvr: Gvr,
    pub(super) namespaces: Namespaces,
    pub(super) label_selector: Option<String>,
    pub(super) field_selector: Option<String>,
    pub(super) indexer: Arc<Indexer>,
    pub(super) store: S,
    pub(super) compare: Compare,
    pub(super) metadata_only: bool,
    pub(super) debounce: Debounce,
    pub(super) callbacks: Callbacks<S>,
    pub(super) during_sync: bool,
    pub(super) page_size: u32,
    pub(super) watch_timeout: Duration,
    pub(super) audit: Option<Duration>,
    pub(super) initial_list: InitialList,
    pub(super) wait_for_resource: bool,
    pub(super) random: fastrand::Rng,
}

impl WatcherConfig<MemoryStore> {
    /// A watch of all objects of a resource, in all namespaces, kept in a [`MemoryStore`] and indexed by namespace and
    /// name.
    pub fn new(gvr: Gvr) -> Self {
        Self {
            gvr,
            namespaces: Namespaces::All,
            label_selector: None,
            field_selector: None,
            client_side_field_selector: None,
            index_by: None,
            indexes: Vec::new(),
            ignore_fields: Vec::new(),
            metadata_only: false,
            make_store: Box::new(MemoryStore::new),
            debounce: Debounce::default(),
            callbacks: Callbacks {
                on_change: None,
                on_sync_complete: None,
            },
            during_sync: false,
            page_size: DEFAULT_PAGE_SIZE,
            watch_timeout: DEFAULT_WATCH_TIMEOUT,
            audit: None,
            initial_list: InitialList::default(),
            wait_for_resource: false,
            seed: None,
            callbacks_before_store: false,
        }
    }

    /// Keeps the objects in another store, made from the schema of this configuration. To be called before callbacks are
    /// set, since they get the store.
    ///
    /// If the store keeps no bodies ([`Store::keeps_bodies`]), and indexes and the client-side selector look at nothing
    /// but metadata, the server is asked for metadata only.
    pub fn store<T: Store>(
        self,
        make: impl FnOnce(&StoreSchema) -> T + Send + 'static,
    ) -> WatcherConfig<T> {
        WatcherConfig {
            callbacks_before_store: !self.callbacks.is_empty(),
            callbacks: Callbacks {
                on_change: None,
                on_sync_complete: None,
            },
            make_store: Box::new(make),
            gvr: self.gvr,
            namespaces: self.namespaces,
            label_selector: self.label_selector,
            field_selector: self.field_selector,
            client_side_field_selector: self.client_side_field_selector,
            index_by: self.index_by,
            indexes: self.indexes,
            ignore_fields: self.ignore_fields,
            metadata_only: self.metadata_only,
            debounce: self.debounce,
            during_sync: self.during_sync,
            page_size: self.page_size,
            watch_timeout: self.watch_timeout,
            audit: self.audit,
            initial_list: self.initial_list,
            wait_for_resource: self.wait_for_resource,
            seed: self.seed,
        }
    }

    /// Keeps names and keys of all objects and the bodies of those recently read, in a [`CachedStore`] that fetches over
    /// this client. Where indexes and the client-side selector look at nothing but metadata, the server is asked for
    /// metadata only. To be called before callbacks are set, since they get the store.
    pub fn cached(self, client: &Client, cache: CacheConfig) -> WatcherConfig<CachedStore> {
        let client = client.clone();
        self.store(move |schema| CachedStore::with(schema, &client, cache))
    }
}

impl<S: Store> WatcherConfig<S> {
    /// Watches one namespace.
    pub fn namespace(self, namespace: impl Into<String>) -> Self {
        self.namespaces([namespace])
    }

    /// Watches several namespaces, each with a list and a watch of its own. At least one.
    pub fn namespaces<I>(mut self, namespaces: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.namespaces = Namespaces::Named(namespaces.into_iter().map(Into::into).collect());
        self
    }

    /// Watches the client's own namespace: that of the kubeconfig's context or of the service account.
    pub fn own_namespace(mut self) -> Self {
        self.namespaces = Namespaces::Own;
        self
    }

    /// Watches only objects with these labels, as the server evaluates them: `app=web,tier in (a,b),!canary`. Empty is
    /// refused, so that a variable that was not set does not widen a watch.
    pub fn label_selector(mut self, selector: impl Into<String>) -> Self {
        self.label_selector = Some(selector.into());
        self
    }

    /// Watches only objects with these fields, as the server evaluates them: `metadata.name=web`. Which fields it knows
    /// depends on the resource. Empty is refused.
    pub fn field_selector(mut self, selector: impl Into<String>) -> Self {
        self.field_selector = Some(selector.into());
        self
    }

    /// Keeps only objects with these fields, evaluated here and for any field: `spec.type=LoadBalancer`. An object that
    /// no longer matches is deleted to consumers, one that begins to is created. May look at ignored fields.
    pub fn client_side_field_selector(mut self, selector: impl Into<String>) -> Self {
        self.client_side_field_selector = Some(selector.into());
        self
    }

    /// The expressions of the primary index, outermost first. The default is [`DEFAULT_INDEX`](crate::indexer::DEFAULT_INDEX):
    /// namespace, then name.
    pub fn index_by<I>(mut self, expressions: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.index_by = Some(expressions.into_iter().map(Into::into).collect());
        self
    }

    /// One more index, to be asked for by its name.
    pub fn index<I>(mut self, name: impl Into<String>, expressions: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.indexes.push((
            name.into(),
            expressions.into_iter().map(Into::into).collect(),
        ));
        self
    }

    /// Leaves a field out of what is stored: it is skipped while decoding. Indexes and the client-side selector may look
    /// at it all the same.
    pub fn ignore_field(mut self, path: impl Into<String>) -> Self {
        self.ignore_fields.push(path.into());
        self
    }

    /// Leaves several fields out.
    pub fn ignore_fields<I>(mut self, paths: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.ignore_fields.extend(paths.into_iter().map(Into::into));
        self
    }

    /// Asks the server for metadata only (`PartialObjectMetadata`): what is outside of `metadata` is neither sent nor
    /// stored. Indexes and the client-side field selector must then look at metadata only. Any new resource version of an object then counts as a change, since its content is not known.
    pub fn metadata_only(mut self) -> Self {
        self.metadata_only = true;
        self
    }

    /// How changes are gathered before they are told. The default is trailing,
    /// [`DEFAULT_INTERVAL`](super::debounce::DEFAULT_INTERVAL).
    pub fn debounce(mut self, debounce: Debounce) -> Self {
        self.debounce = debounce;
        self
    }

    /// Called with what changed. Calls never overlap; while one runs, changes gather. It may take its time, but must not
    /// block the thread: blocking work belongs in [`tokio::task::spawn_blocking`]. A panic is caught, logged and counted.
    pub fn on_change<F, R>(mut self, callback: F) -> Self
    where
        F: Fn(Arc<S>, Changes) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let callback: OnChange<S> =
            Box::new(move |store, changes| Box::pin(callback(store, changes)));
        self.callbacks.on_change = Some(callback);
        self
    }

    /// As [`WatcherConfig::on_change`], for a plain closure.
    pub fn on_change_fn(self, callback: impl Fn(Arc<S>, Changes) + Send + Sync + 'static) -> Self {
        self.on_change(move |store, changes| {
            callback(store, changes);
            std::future::ready(())
        })
    }

    /// Called once, when every object that existed at the start is in the store, with how many there are; also for none.
    pub fn on_sync_complete<F, R>(mut self, callback: F) -> Self
    where
        F: Fn(Arc<S>, usize) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let callback: OnSyncComplete<S> =
            Box::new(move |store, count| Box::pin(callback(store, count)));
        self.callbacks.on_sync_complete = Some(callback);
        self
    }

    /// As [`WatcherConfig::on_sync_complete`], for a plain closure.
    pub fn on_sync_complete_fn(
        self,
        callback: impl Fn(Arc<S>, usize) + Send + Sync + 'static,
    ) -> Self {
        self.on_sync_complete(move |store, count| {
            callback(store, count);
            std::future::ready(())
        })
    }

    /// Whether changes are told while the initial sync is under way, marked so ([`Changes::is_initial_sync`]). Off by
    /// default: the first thing told is then the end of the sync.
    pub fn call_on_change_during_sync(mut self, during_sync: bool) -> Self {
        self.during_sync = during_sync;
        self
    }

    /// How many objects a page of a list has at the most; at least 1. The default is [`DEFAULT_PAGE_SIZE`].
    pub fn page_size(mut self, page_size: u32) -> Self {
        self.page_size = page_size;
        self
    }

    /// The lower bound of the time after which the server is to end a watch, which is then opened again; the upper one is
    /// twice that. From one second to a day, in whole seconds on the wire. The default is [`DEFAULT_WATCH_TIMEOUT`].
    pub fn watch_timeout(mut self, timeout: Duration) -> Self {
        self.watch_timeout = timeout;
        self
    }

    /// Compares the store with the server this often, by a list at exactly the resource version that the store has
    /// reached, and repairs and reports what differs, in version or content. Off by default: nothing should ever differ, and each audit costs the
    /// server a whole list. From one second to thirty days.
    pub fn audit(mut self, every: Duration) -> Self {
        self.audit = Some(every);
        self
    }

    /// How the initial list is read. Finding out is the default.
    pub fn initial_list(mut self, initial_list: InitialList) -> Self {
        self.initial_list = initial_list;
        self
    }

    /// Waits for a resource that the server does not serve yet, such as one of a CRD that is installed later, instead of
    /// failing [`Watcher::wait_for_sync`](super::Watcher::wait_for_sync) at once.
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
    pub(super) fn check(mut self) -> Result<Checked<S>, ConfigError> {
        let gvr = self.gvr.clone();
        let invalid = |field, reason: &dyn ToString| ConfigError::new(&gvr, field, reason);
        gvr.validate().map_err(|error| invalid("gvr", &error))?;
        self.check_namespaces()
            .map_err(|reason| invalid("namespace", &reason))?;
        if let Some(selector) = &self.label_selector {
            check_selector(selector, |text| {
                text.parse::<LabelSelector>()
                    .map(|selector| selector.is_empty())
            })
            .map_err(|reason| invalid("label_selector", &reason))?;
        }
        if let Some(selector) = &self.field_selector {
            check_selector(selector, |text| {
                text.parse::<FieldSelector>()
                    .map(|selector| selector.is_empty())
            })
            .map_err(|reason| invalid("field_selector", &reason))?;
        }
        let selector = match &self.client_side_field_selector {
            None => None,
            Some(text) if text.trim().is_empty() => {
                return Err(invalid("client_side_field_selector", &EMPTY_SELECTOR));
            }
            Some(text) => {
                let parsed = text.parse::<ClientSelector>();
                Some(parsed.map_err(|error| invalid("client_side_field_selector", &error))?)
            }
        };
        self.debounce
            .check()
            .map_err(|reason| invalid("debounce", &reason))?;
        if self.page_size == 0 {
            return Err(invalid(
                "page_size",
                &"it is 0; a page has at least one object",
            ));
        }
        check_watch_timeout(self.watch_timeout)
            .map_err(|reason| invalid("watch_timeout", &reason))?;
        if self
            .audit
            .is_some_and(|every| !(MIN_AUDIT..=MOST_AUDIT).contains(&every))
        {
            return Err(invalid(
                "audit",
                &"it is not from one second to thirty days",
            ));
        }
        if self.callbacks_before_store {
            return Err(invalid(
                "store",
                &"it was set after a callback, which would be lost; set the store first",
            ));
        }
        let mut indexes = match &self.index_by {
            None => IndexSet::default(),
            Some(expressions) => {
                IndexSet::new(expressions).map_err(|error| invalid("index_by", &error))?
            }
        };
        for (name, expressions) in &self.indexes {
            indexes = indexes
                .with(name, expressions)
                .map_err(|error| invalid("index", &error))?;
        }
        let indexer = Indexer::new(indexes, &self.ignore_fields, selector)
            .map_err(|error| invalid("ignore_fields", &error))?;
        let indexer = Arc::new(indexer);
        if self.metadata_only && !indexer.needs_only_metadata() {
            let reason = "an index or the client-side field selector looks outside of metadata, where nothing is sent";
            return Err(invalid("metadata_only", &reason));
        }
        let schema = StoreSchema::new(gvr.clone(), Arc::clone(indexer.indexes()))
            .indexer(Arc::clone(&indexer))
            .metadata_only(self.metadata_only);
        let store = (self.make_store)(&schema);
        let metadata_only =
            self.metadata_only || !store.keeps_bodies() && indexer.needs_only_metadata();
        let compare = if metadata_only {
            Compare::Version
        } else {
            Compare::Content
        };
        Ok(Checked {
            gvr,
            namespaces: self.namespaces,
            label_selector: self.label_selector,
            field_selector: self.field_selector,
            indexer,
            store,
            compare,
            metadata_only,
            debounce: self.debounce,
            callbacks: self.callbacks,
            during_sync: self.during_sync,
            page_size: self.page_size,
            watch_timeout: self.watch_timeout,
            audit: self.audit,
            initial_list: self.initial_list,
            wait_for_resource: self.wait_for_resource,
            random: self
                .seed
                .map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed),
        })
    }

    fn check_namespaces(&mut self) -> Result<(), String> {
        let Namespaces::Named(names) = &mut self.namespaces else {
            return Ok(());
        };
        if names.is_empty() {
            return Err("no namespace is named; leave it out to watch all of them".to_owned());
        }
        for name in names.iter() {
            if name.is_empty() {
                return Err("it is empty; leave it out to watch all namespaces".to_owned());
            }
            if !is_dns_label(name) {
                return Err(format!("{name:?} is not the name of a namespace"));
            }
        }
        names.sort();
        names.dedup();
        Ok(())
    }
}

const EMPTY_SELECTOR: &str = "it is empty and would select everything; leave it out to do so";

pub(super) fn check_watch_timeout(timeout: Duration) -> Result<(), &'static str> {
    if (Duration::from_secs(1)..=MOST_WATCH_TIMEOUT).contains(&timeout) {
        Ok(())
    } else {
        Err("it is not from one second to a day")
    }
}

fn check_selector<E: ToString>(
    text: &str,
    parse: impl FnOnce(&str) -> Result<bool, E>,
) -> Result<(), String> {
    match parse(text) {
        Ok(false) => Ok(()),
        Ok(true) => Err(EMPTY_SELECTOR.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
