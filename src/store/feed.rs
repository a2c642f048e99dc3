//! Feeds a store from a watch that is not ours, such as a `kube::runtime::watcher` stream.
//!
//! [`Feed`] turns events into writes: a list is gathered aside and swapped in whole, everything else is applied as it
//! comes. It knows no stream and no server: what to do about errors and when to stop is the caller's.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use super::{Difference, Scope, Store, StoreError};
use crate::indexer::{Indexer, Record};
use crate::object::{DecodeError, Object};
use crate::resource::ObjectRef;

/// What happened, in the terms of `kube::runtime::watcher::Event`.
#[derive(Clone, Debug)]
pub enum FeedEvent<T> {
    /// A list begins; one that is unfinished is void.
    Init,
    /// An object of the list.
    InitApply(T),
    /// The list is complete.
    InitDone,
    /// An object was created or modified.
    Apply(T),
    /// An object was deleted; its last state.
    Delete(T),
}

/// Why an event could not be applied. The feed can go on with the next one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// The object is none that can be stored; what is stored of it stays, unless a list is under way that then lacks it.
    #[error("an event's object cannot be read")]
    Object(#[from] DecodeError),
    /// The store could not write.
    #[error("an event cannot be stored")]
    Store(#[from] StoreError),
}

/// Writes what a watch tells to a store.
///
#[cfg_attr(feature = "fake", doc = "```")]
#[cfg_attr(not(feature = "fake"), doc = "```no_run")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
#[cfg_attr(
    feature = "fake",
    doc = r##"
# let cluster = kubedex::fake::FakeCluster::new();
# cluster.create(serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "default"}}))?;
# let client = cluster.client();
"##
)]
#[cfg_attr(
    not(feature = "fake"),
    doc = "# let client = kube::Client::try_default().await?;"
)]
/// use std::pin::pin;
/// use futures::StreamExt;
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use kube::runtime::{WatchStreamExt, watcher};
/// use kubedex::Gvr;
/// use kubedex::indexer::{IndexSet, Indexer};
/// use kubedex::store::{Feed, FeedEvent, MemoryStore, StoreSchema};
///
/// let indexes = IndexSet::new(["metadata.namespace", "metadata.name"])?;
/// let indexer = Indexer::new(indexes, ["metadata.managedFields"], None)?;
/// let schema = StoreSchema::new(Gvr::new("", "v1", "configmaps"), indexer.indexes().clone());
/// let store = MemoryStore::new(&schema);
///
/// let maps: kube::Api<ConfigMap> = kube::Api::all(client);
/// let mut events = pin!(watcher(maps, watcher::Config::default()).default_backoff());
/// let mut feed = Feed::new(&store, &indexer);
/// while let Some(event) = events.next().await {
///     let event = match event {
///         Ok(watcher::Event::Init) => FeedEvent::Init,
///         Ok(watcher::Event::InitApply(map)) => FeedEvent::InitApply(map),
///         Ok(watcher::Event::InitDone) => FeedEvent::InitDone,
///         Ok(watcher::Event::Apply(map)) => FeedEvent::Apply(map),
///         Ok(watcher::Event::Delete(map)) => FeedEvent::Delete(map),
///         Err(error) => { eprintln!("{error}"); continue } // it goes on after a while
///     };
///     for change in feed.apply(event).await? {
///         println!("{} changed", change.reference);
///     }
/// #   if feed.is_synced() { break }
/// }
/// assert_eq!(store.get(["default"])?.len(), 1);
/// # Ok(()) }
/// ```
pub struct Feed<'a, S: ?Sized> {
    store: &'a S,
    indexer: &'a Indexer,
    scope: Scope,
    /// The list under way.
    list: Option<HashMap<ObjectRef, Record>>,
    synced: bool,
}

impl<'a, S: Store + ?Sized> Feed<'a, S> {
    /// A feed of everything in the store, whose keys the indexer computes.
    pub fn new(store: &'a S, indexer: &'a Indexer) -> Self {
        Self {
            store,
            indexer,
            scope: Scope::All,
            list: None,
            synced: false,
        }
    }

    /// The watch covers only this; a list leaves everything else in the store alone.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Whether a list was complete, so that the store shows a state of the server.
    pub fn is_synced(&self) -> bool {
        self.synced
    }

    /// Applies one event and returns what it changed in the store, which is what to tell others: nothing for an object of
    /// a list, all differences at its end, nothing for a version that is already stored.
    ///
    /// # Errors
    /// When the object cannot be read or the store cannot write. The next event can be applied all the same; after a
    /// failed write the store is behind until the next list.
    ///
    /// # Cancel safety
    /// The event may or may not have been applied; its differences are lost.
    pub async fn apply<T: Serialize>(
        &mut self,
        event: FeedEvent<T>,
    ) -> Result<Vec<Difference>, FeedError> {
        match event {
            FeedEvent::Init => self.list = Some(HashMap::new()),
            FeedEvent::InitApply(object) => {
                let indexed = self.indexer.index(Object::from_typed(&object)?);
                let reference = indexed.record.object().reference();
                if let Some(list) = &mut self.list {
                    if indexed.selected {
                        list.insert(reference, indexed.record);
                    } else {
                        list.remove(&reference);
                    }
                }
            }
            FeedEvent::InitDone => {
                if let Some(list) = self.list.take() {
                    let records = list.into_values().collect();
                    let differences = self.store.replace(&self.scope, records).await?;
                    self.synced = true;
                    return Ok(differences);
                }
            }
            FeedEvent::Apply(object) => {
                let indexed = self.indexer.index(Object::from_typed(&object)?);
                let reference = indexed.record.object().reference();
                if indexed.selected {
                    return self.put(reference, indexed.record).await;
                }
                return self.drop_object(reference).await;
            }
            FeedEvent::Delete(object) => {
                let reference = Object::from_typed(&object)?.reference();
                return self.drop_object(reference).await;
            }
        }
        Ok(Vec::new())
    }

    async fn put(
        &self,
        reference: ObjectRef,
        record: Record,
    ) -> Result<Vec<Difference>, FeedError> {
        let known = self.store.known(&reference);
        if known.is_some_and(|known| known.is_version_of(record.object())) {
            return Ok(Vec::new());
        }
        let previous = self.store.update(record).await?;
        let current = self.store.known(&reference);
        Ok(vec![Difference::new(reference, previous, current)])
    }

    async fn drop_object(&self, reference: ObjectRef) -> Result<Vec<Difference>, FeedError> {
        let previous = self.store.delete(&reference).await?;
        Ok(previous
            .map(|previous| Difference::new(reference, Some(previous), None))
            .into_iter()
            .collect())
    }
}

impl<S: ?Sized> fmt::Debug for Feed<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed")
            .field("synced", &self.synced)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::indexer::IndexSet;
    use crate::resource::Gvr;
    use crate::store::{MemoryStore, StoreSchema};
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn object(namespace: &str, name: &str, version: &str, tier: &str) -> Value {
        json!({"metadata": {"namespace": namespace, "name": name, "uid": name, "resourceVersion": version}, "tier": tier})
    }

    fn parts(selector: Option<&str>) -> (MemoryStore, Indexer) {
        let selector = selector.map(|selector| selector.parse().unwrap());
        let indexer = Indexer::new(IndexSet::default(), ["tier"], selector).unwrap();
        let schema = StoreSchema::new(Gvr::new("", "v1", "pods"), Arc::clone(indexer.indexes()));
        (MemoryStore::new(&schema), indexer)
    }

    fn names(store: &MemoryStore) -> Vec<String> {
        store
            .iter()
            .map(|object| object.name().to_owned())
            .collect()
    }

    async fn apply(feed: &mut Feed<'_, MemoryStore>, event: FeedEvent<Value>) -> Vec<String> {
        let differences = feed.apply(event).await.unwrap();
        let mut changed: Vec<String> = differences
            .iter()
            .map(|difference| difference.reference.name().to_owned())
            .collect();
        changed.sort_unstable();
        changed
    }

    #[tokio::test]
    async fn a_list_is_swapped_in_at_its_end_and_what_differs_is_returned() {
        let (store, indexer) = parts(None);
        let mut feed = Feed::new(&store, &indexer);
        for event in [
            FeedEvent::Init,
            FeedEvent::InitApply(object("n", "a", "1", "x")),
            // It broke off and begins anew.
            FeedEvent::Init,
            FeedEvent::InitApply(object("n", "b", "2", "x")),
            FeedEvent::InitApply(object("n", "c", "3", "x")),
        ] {
            assert_eq!(apply(&mut feed, event).await, [""; 0]);
        }
        assert!(store.is_empty() && !feed.is_synced());
        assert_eq!(apply(&mut feed, FeedEvent::InitDone).await, ["b", "c"]);
        assert!(feed.is_synced());
        apply(&mut feed, FeedEvent::Init).await;
        apply(&mut feed, FeedEvent::InitApply(object("n", "c", "3", "x"))).await;
        assert_eq!(names(&store), ["b", "c"], "the old state until the end");
        assert_eq!(apply(&mut feed, FeedEvent::InitDone).await, ["b"]);
        assert_eq!(names(&store), ["c"]);
    }

    #[tokio::test]
    async fn events_are_applied_and_repeated_ones_change_nothing() {
        let (store, indexer) = parts(None);
        let mut feed = Feed::new(&store, &indexer);
        let event = || FeedEvent::Apply(object("n", "a", "1", "x"));
        assert_eq!(apply(&mut feed, event()).await, ["a"]);
        assert_eq!(apply(&mut feed, event()).await, [""; 0]);
        let gone = || FeedEvent::Delete(object("n", "a", "2", "x"));
        assert_eq!(apply(&mut feed, gone()).await, ["a"]);
        assert_eq!(apply(&mut feed, gone()).await, [""; 0]);
        assert!(store.is_empty());
    }

    #[tokio::test]
    async fn the_selector_and_ignored_fields_of_the_indexer_hold() {
        let (store, indexer) = parts(Some("tier=x"));
        let mut feed = Feed::new(&store, &indexer);
        apply(&mut feed, FeedEvent::Init).await;
        apply(&mut feed, FeedEvent::InitApply(object("n", "a", "1", "x"))).await;
        apply(&mut feed, FeedEvent::InitApply(object("n", "b", "2", "y"))).await;
        apply(&mut feed, FeedEvent::InitDone).await;
        assert_eq!(names(&store), ["a"]);
        assert!(store.list()[0].root().get("tier").is_none());
        apply(&mut feed, FeedEvent::Apply(object("n", "b", "3", "x"))).await;
        apply(&mut feed, FeedEvent::Apply(object("n", "a", "4", "y"))).await;
        assert_eq!(names(&store), ["b"]);
    }

    #[tokio::test]
    async fn a_list_of_one_namespace_leaves_the_others_alone() {
        let (store, indexer) = parts(None);
        let mut all = Feed::new(&store, &indexer);
        apply(&mut all, FeedEvent::Apply(object("m", "a", "1", "x"))).await;
        let mut one = Feed::new(&store, &indexer).scope(Scope::Namespace("n".into()));
        apply(&mut one, FeedEvent::Apply(object("n", "b", "2", "x"))).await;
        apply(&mut one, FeedEvent::Init).await;
        assert_eq!(apply(&mut one, FeedEvent::InitDone).await, ["b"]);
        assert_eq!(names(&store), ["a"]);
    }

    #[tokio::test]
    async fn what_is_no_object_is_an_error_and_the_feed_goes_on() {
        let (store, indexer) = parts(None);
        let mut feed = Feed::new(&store, &indexer);
        let error = feed.apply(FeedEvent::Apply(json!({"spec": 1}))).await;
        assert!(matches!(error, Err(FeedError::Object(_))));
        assert_eq!(
            apply(&mut feed, FeedEvent::Apply(object("n", "a", "1", "x"))).await,
            ["a"]
        );
    }
}
