//! A store that keeps few bodies: references and index keys of all objects, and the objects that were recently read.
//!
//! ```text
//!   watch ─► references, versions, keys  (all objects)
//!                    │ names a generation
//!   read ───────────►├──► bodies         (recently read, by generation)
//!                    └──► GET            (once for all who wait for one generation)
//! ```
//!
//! Each state of an object that the watch tells has a generation, a number that is never used again, and bodies are cached
//! under it. So what is cached cannot be taken for another state: an event makes its object's old body unreachable before
//! it drops it, and an answer that comes late is filed where nobody looks any more. Whoever reads gets each object in a
//! state at least as new as the watch had told when the read began. This store writes nothing to the server, retries no
//! failure, and has no task. Its writes wait for nothing, so that none is cut short between what it stores and what it returns.

mod bodies;
mod config;
mod fetch;
mod kept;
mod metrics;
mod underway;

pub use config::{CacheConfig, DEFAULT_MAX_BYTES, DEFAULT_TTL};
pub use fetch::{FETCHES_AT_ONCE, FetchError};
pub use metrics::CacheMetrics;

use std::cmp;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use self::bodies::Bodies;
use self::fetch::{Body, Fetcher, Unfetched};
use self::kept::Kept;
use self::metrics::Counters;
use self::underway::Underway;
use super::{Difference, MemoryStore, Scope, Store, StoreError, StoreSchema, Stored};
use crate::client::Client;
use crate::indexer::Record;
use crate::object::Object;
use crate::resource::{ObjectRef, compare_resource_versions};

/// How often a read begins anew because an event told a newer state while the body was fetched. After that the last body
/// is returned: it is as new as the read asked for, and an object that changes this fast will have changed again.
const OVERTAKEN: usize = 3;

/// Keeps references and index keys of all objects, and the bodies of those recently read; the others are fetched when
/// they are asked for.
///
/// For resources that are large and seldom read, such as secrets. Which objects there are, and under which keys, is what
/// the watch told; the body of each is at least as new. An object that the server no longer has, or has anew under the same
/// name, is left out of a result even before the watch tells; any other failure to fetch one is the read's failure.
///
/// A body is fetched once for any number of readers that ask for it at the same time, at most [`FETCHES_AT_ONCE`] bodies at a
/// time. A read that finds a body does not keep it longer: [`CacheConfig::ttl`] counts from when it was asked for. A fetch is
/// driven by those who wait for it, and goes on while one of them does; the last who leaves ends it. So a read once begun is
/// to be awaited or dropped: one that is left lying holds its place among the fetches.
///
/// ```no_run
/// # use kubedex::store::cached::CacheConfig;
/// # use kubedex::{Client, Gvr, Watcher, WatcherConfig};
/// # async fn run(client: Client) -> Result<(), Box<dyn std::error::Error>> {
/// let secrets = WatcherConfig::new(Gvr::new("", "v1", "secrets"));
/// let secrets = Watcher::start(&client, secrets.cached(&client, CacheConfig::default()))?;
/// let certificate = secrets.store().get(["shop", "tls"]).await?;
/// # let _ = certificate;
/// # Ok(())
/// # }
/// ```
pub struct CachedStore {
    schema: StoreSchema,
    /// What is kept of each object, under all of its keys.
    kept: MemoryStore,
    bodies: Bodies,
    fetcher: Arc<Fetcher>,
    underway: Underway,
    config: CacheConfig,
    counters: Arc<Counters>,
    /// The next generation; 0 is that of what was never stored.
    generation: AtomicU64,
}

impl CachedStore {
    /// An empty store that fetches over this client, with the default [`CacheConfig`].
    pub fn new(schema: &StoreSchema, client: &Client) -> Self {
        Self::with(schema, client, CacheConfig::default())
    }

    /// An empty store that fetches over this client.
    pub fn with(schema: &StoreSchema, client: &Client, config: CacheConfig) -> Self {
        let counters = Arc::new(Counters::default());
        let names = StoreSchema::new(schema.gvr.clone(), Arc::new(schema.indexes.of_names()));
        Self {
            schema: schema.clone(),
            kept: MemoryStore::new(&names),
            bodies: Bodies::new(&config, &counters),
            fetcher: Arc::new(Fetcher::new(client.clone(), schema, Arc::clone(&counters))),
            underway: Underway::default(),
            config,
            counters,
            generation: AtomicU64::new(1),
        }
    }

    /// What the store was built from.
    pub fn schema(&self) -> &StoreSchema {
        &self.schema
    }

    /// How the cache was set up.
    pub fn config(&self) -> &CacheConfig {
        &self.config
    }

    /// What the cache did so far, and what it holds.
    pub fn metrics(&self) -> CacheMetrics {
        self.counters
            .snapshot(self.bodies.count(), self.bodies.weight(), self.config.bound)
    }

    /// The objects under a key of the primary index, or the beginning of one, in the order of namespace and name, as the
    /// watch has told when this is called.
    ///
    /// # Errors
    /// When more components are given than the index has, or a body cannot be fetched.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing; a fetch that others wait for goes on.
    pub fn get<I>(
        &self,
        keys: I,
    ) -> impl Future<Output = Result<Vec<Object>, StoreError>> + Send + use<'_, I>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.get_by("", keys)
    }

    /// As [`CachedStore::get`], of a named index.
    ///
    /// # Errors
    /// When there is no such index, more components are given than it has, or a body cannot be fetched.
    ///
    /// # Cancel safety
    /// As for [`CachedStore::get`].
    pub fn get_by<I>(
        &self,
        index: &str,
        keys: I,
    ) -> impl Future<Output = Result<Vec<Object>, StoreError>> + Send + use<'_, I>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let found = self.kept.get_by(index, keys);
        async move { self.read_all(found?).await }
    }

    /// One object by its name.
    ///
    /// # Errors
    /// When its body cannot be fetched.
    ///
    /// # Cancel safety
    /// As for [`CachedStore::get`].
    pub async fn get_ref(&self, reference: &ObjectRef) -> Result<Option<Object>, StoreError> {
        self.read(reference).await
    }

    /// All objects. Fetches every body that is not at hand: [`CachedStore::references`] does not.
    ///
    /// # Errors
    /// When a body cannot be fetched.
    ///
    /// # Cancel safety
    /// As for [`CachedStore::get`].
    pub async fn list(&self) -> Result<Vec<Object>, StoreError> {
        self.read_all(self.kept.list()).await
    }

    /// The names of all objects, in the order of namespace and name, without fetching anything.
    pub fn references(&self) -> Vec<ObjectRef> {
        self.kept.iter().map(|kept| kept.reference()).collect()
    }

    /// The names of the objects under a key of an index, or the beginning of one, without fetching anything; `""` is the
    /// primary index.
    ///
    /// # Errors
    /// When there is no such index, or more components are given than it has.
    pub fn references_by<I>(&self, index: &str, keys: I) -> Result<Vec<ObjectRef>, StoreError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let found = self.kept.get_by(index, keys)?;
        Ok(found.iter().map(Object::reference).collect())
    }

    /// Whether there is an object of this name, as far as the watch has told.
    pub fn contains(&self, reference: &ObjectRef) -> bool {
        self.kept.contains(reference)
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether there are no objects.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The resource version up to which the store knows of everything, as [`MemoryStore::resource_version`] counts it.
    pub fn resource_version(&self) -> Option<String> {
        self.kept.resource_version()
    }

    /// As [`MemoryStore::wait_until`].
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn wait_until(&self, resource_version: &str, deadline: Duration) -> bool {
        self.kept.wait_until(resource_version, deadline).await
    }

    /// The bodies of what was found, in its order.
    async fn read_all(&self, found: Vec<Object>) -> Result<Vec<Object>, StoreError> {
        stream::iter(found)
            .map(|kept| async move { self.read(&kept.reference()).await })
            .buffered(FETCHES_AT_ONCE)
            .try_filter_map(|body| std::future::ready(Ok(body)))
            .try_collect()
            .await
    }

    /// What is kept of an object now.
    fn current(&self, reference: &ObjectRef) -> Option<Kept> {
        self.kept.get_ref(reference).map(Kept::from_stored)
    }

    /// The body of one object, at least as new as what is kept of it; `None` if it is gone.
    async fn read(&self, reference: &ObjectRef) -> Result<Option<Object>, StoreError> {
        let mut overtaken = 0;
        let mut current = self.current(reference);
        while let Some(kept) = current {
            if let Some(body) = self.bodies.fresh(kept.generation()) {
                self.counters.hit();
                return Ok(Some(body.into_object()));
            }
            self.counters.miss();
            let fetched = self.fetch(&kept).await;
            // What was told meanwhile counts for more than an answer to a question that was asked before.
            current = self.current(reference);
            if current.as_ref().map(Kept::generation) == Some(kept.generation()) {
                return fetched;
            }
            self.bodies.remove(kept.generation());
            if let Some(now) = &current {
                let fetched = fetched?;
                overtaken += 1;
                let reaches = |body: &Object| now.is_reached_by(body);
                if overtaken == OVERTAKEN || fetched.as_ref().is_some_and(reaches) {
                    return Ok(fetched);
                }
            }
        }
        Ok(None)
    }

    /// Fetches a body, together with all others who want the same.
    async fn fetch(&self, kept: &Kept) -> Result<Option<Object>, StoreError> {
        let begin = || self.begin_fetch(kept.clone());
        match self.underway.join(kept.generation(), begin).await {
            Ok(body) => Ok(Some(body.into_object())),
            Err(Unfetched::Gone) => Ok(None),
            Err(Unfetched::Failed(error)) => Err(StoreError::Failed {
                gvr: self.schema.gvr.clone(),
                operation: format!("fetch {}", kept.reference()),
                source: Box::new(error),
            }),
        }
    }

    /// A fetch that nobody waits for yet, and that borrows nothing from those who will.
    fn begin_fetch(
        &self,
        kept: Kept,
    ) -> impl Future<Output = Result<Body, Unfetched>> + Send + use<> {
        let (bodies, fetcher) = (self.bodies.clone(), Arc::clone(&self.fetcher));
        async move {
            let generation = kept.generation();
            // An earlier fetch may have ended after this reader found none at hand.
            if let Some(body) = bodies.fresh(generation) {
                return Ok(body);
            }
            let body = fetcher.fetch(&kept).await?;
            bodies.put(generation, body.clone());
            Ok(body)
        }
    }

    /// What to keep of a record. A version that is kept already stays what it is, unless it was altered.
    fn keep(&self, record: Record) -> Record {
        let generation = match self.current(&record.object().reference()) {
            Some(kept) if kept.is_version_of(record.object()) && !record.is_altered() => {
                kept.generation()
            }
            _ => self.generation.fetch_add(1, Ordering::Relaxed),
        };
        Kept::record(record, generation)
    }

    /// Drops the body of what is no longer kept.
    fn forget(&self, previous: &Stored) {
        if let Some(kept) = previous.object() {
            let generation = Kept::from_stored(kept.clone()).generation();
            if self.bodies.remove(generation) {
                self.counters.invalidation();
            }
        }
    }
}

#[async_trait]
impl Store for CachedStore {
    async fn get(&self, index: &str, keys: &[&str]) -> Result<Vec<Object>, StoreError> {
        self.get_by(index, keys).await
    }

    async fn get_ref(&self, reference: &ObjectRef) -> Result<Option<Object>, StoreError> {
        self.get_ref(reference).await
    }

    async fn list(&self) -> Result<Vec<Object>, StoreError> {
        self.list().await
    }

    async fn update(&self, record: Record) -> Result<Option<Stored>, StoreError> {
        let reference = record.object().reference();
        let record = self.keep(record);
        let new = Kept::from_stored(record.object().clone());
        let old = self
            .current(&reference)
            .filter(|old| old.generation() != new.generation());
        let mut stays = false;
        if let Some(old) = &old
            && !record.is_altered()
            && let Some(body) = self.bodies.any(old.generation())
            && new.is_reached_by(body.object())
        {
            // It was fetched after the change that is told now. Nobody can look for it yet, so that none newer is lost.
            self.bodies.put(new.generation(), body);
            stays = true;
        }
        let previous = self.kept.insert(record);
        if let Some(old) = old
            && self.bodies.remove(old.generation())
            && !stays
        {
            self.counters.invalidation();
        }
        Ok(previous.as_ref().map(kept::absent))
    }

    async fn delete(&self, reference: &ObjectRef) -> Result<Option<Stored>, StoreError> {
        let Some(previous) = self.kept.remove(reference) else {
            return Ok(None);
        };
        self.forget(&previous);
        Ok(Some(kept::absent(&previous)))
    }

    async fn clear(&self) -> Result<(), StoreError> {
        Store::clear(&self.kept).await?;
        self.bodies.clear();
        Ok(())
    }

    async fn replace(
        &self,
        scope: &Scope,
        records: Vec<Record>,
    ) -> Result<Vec<Difference>, StoreError> {
        let records = records
            .into_iter()
            .map(|record| self.keep(record))
            .collect();
        let mut differences = Store::replace(&self.kept, scope, records).await?;
        for difference in &mut differences {
            if let Some(previous) = &difference.previous {
                self.forget(previous);
            }
            difference.previous = difference.previous.as_ref().map(kept::absent);
            difference.current = difference.current.as_ref().map(kept::absent);
        }
        Ok(differences)
    }

    fn known(&self, reference: &ObjectRef) -> Option<Stored> {
        Store::known(&self.kept, reference)
            .as_ref()
            .map(kept::absent)
    }

    fn keeps_bodies(&self) -> bool {
        false
    }

    fn digest(&self, record: Record) -> Record {
        // The generation is given when it is stored.
        Kept::record(record, 0)
    }

    fn kept(&self, reference: &ObjectRef) -> Option<Record> {
        Store::kept(&self.kept, reference)
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn modification_count(&self) -> u64 {
        self.kept.modification_count()
    }

    fn set_resource_version(&self, resource_version: &str) {
        let reached = self.kept.resource_version();
        let order =
            reached.and_then(|reached| compare_resource_versions(resource_version, &reached));
        if order == Some(cmp::Ordering::Less) {
            // The server was set back: bodies newer than that are of states that never were.
            self.bodies.clear();
        }
        Store::set_resource_version(&self.kept, resource_version);
    }
}

/// Shows how much there is, never what.
impl fmt::Debug for CachedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CachedStore({}, {} objects, {} bodies)",
            self.schema.gvr,
            self.len(),
            self.bodies.count()
        )
    }
}
