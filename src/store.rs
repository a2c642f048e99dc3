//! Where watched objects are kept, and found.
//!
//! A [`Store`] is the only state of a watcher. It has one writer, the watcher's task, and any number of readers, who get
//! immutable, shared objects. What it holds at any moment is a past or present state of the server for every object: it
//! never mixes the two sides of a relist. It computes no keys from text and talks to no server.

pub mod cached;
#[cfg(feature = "fake")]
pub mod conformance;
mod error;
mod feed;
mod memory;
mod stored;

pub use cached::CachedStore;
pub use error::StoreError;
pub use feed::{Feed, FeedError, FeedEvent};
pub use memory::MemoryStore;
pub use stored::{Difference, Stored};

use std::sync::Arc;

use async_trait::async_trait;

use crate::indexer::{IndexSet, Indexer, Record};
use crate::object::Object;
use crate::resource::{Gvr, ObjectRef};

/// Keeps the objects of one watcher.
///
/// Reads name an index (`""` is the primary one) and as many leading components of its key as the caller has: all of them
/// find what has that key, fewer all that begin so, none at all everything. Results stand in the order of namespace and
/// name. Objects whose field is missing are found under the empty component.
///
/// Writes come from one task, one after the other. Authors of stores hold theirs against the checks in
/// `store::conformance` (feature `fake`).
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The objects under a key or the beginning of one.
    ///
    /// # Errors
    /// When there is no such index, it has fewer components, or the store cannot read what it has.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    async fn get(&self, index: &str, keys: &[&str]) -> Result<Vec<Object>, StoreError>;

    /// One object by its name.
    ///
    /// # Errors
    /// When the store cannot read what it has.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    async fn get_ref(&self, reference: &ObjectRef) -> Result<Option<Object>, StoreError>;

    /// All objects.
    ///
    /// # Errors
    /// When the store cannot read what it has.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    async fn list(&self) -> Result<Vec<Object>, StoreError>;

    /// Takes in a new object, in place of one of the same name if there is one, which is returned.
    ///
    /// # Errors
    /// When the store cannot write.
    ///
    /// # Cancel safety
    /// The write may or may not have happened; repeating it is safe.
    async fn add(&self, record: Record) -> Result<Option<Stored>, StoreError> {
        self.update(record).await
    }

    /// Takes in a changed object; nothing is left under keys that it no longer has. Returns what it replaced.
    ///
    /// # Errors
    /// When the store cannot write.
    ///
    /// # Cancel safety
    /// The write may or may not have happened; repeating it is safe.
    async fn update(&self, record: Record) -> Result<Option<Stored>, StoreError>;

    /// Drops one object and returns it; others under the same keys stay.
    ///
    /// # Errors
    /// When the store cannot write.
    ///
    /// # Cancel safety
    /// The deletion may or may not have happened; repeating it is safe.
    async fn delete(&self, reference: &ObjectRef) -> Result<Option<Stored>, StoreError>;

    /// Drops all objects.
    ///
    /// # Errors
    /// When the store cannot write.
    ///
    /// # Cancel safety
    /// It may or may not have happened; repeating it is safe.
    async fn clear(&self) -> Result<(), StoreError>;

    /// Makes the records the whole content of a scope: takes in, replaces and drops what differs, and returns just that.
    ///
    /// An object whose uid and resource version are unchanged keeps its stored value, unless its record says that it is
    /// another one ([`Record::is_altered`]). No reader sees a part of it done.
    /// Of two records with one name the later wins; records outside of the scope are taken in all the same.
    ///
    /// # Errors
    /// When the store cannot write.
    ///
    /// # Cancel safety
    /// All of it or nothing may have happened; repeating it is safe, but the differences are lost.
    async fn replace(
        &self,
        scope: &Scope,
        records: Vec<Record>,
    ) -> Result<Vec<Difference>, StoreError>;

    /// What the store knows of one object without reading anything from elsewhere.
    fn known(&self, reference: &ObjectRef) -> Option<Stored>;

    /// Whether objects are kept whole. Of a store that does not keep them, [`Store::known`] tells what it knows, and its
    /// watcher asks the server for metadata only where indexes and selectors look at nothing else.
    fn keeps_bodies(&self) -> bool {
        true
    }

    /// What the store needs of a record. A list that is gathered before it is swapped in is gathered of these, so that
    /// bodies which would be dropped then take no memory until then. [`Store::replace`] takes both.
    fn digest(&self, record: Record) -> Record {
        record
    }

    /// The record under which [`Store::replace`] leaves an object as it is; `None` if it is not there. A store that does
    /// not keep objects whole must say it by itself.
    fn kept(&self, reference: &ObjectRef) -> Option<Record> {
        let known = self.known(reference)?;
        Some(Record::from_parts(known.object()?.clone(), known.keys()))
    }

    /// How many objects there are.
    fn len(&self) -> usize;

    /// Whether there are no objects.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Grows with each object that is taken in, replaced or dropped; equal counts mean equal content.
    fn modification_count(&self) -> u64;

    /// Notes that the store shows everything up to a resource version, which is before the last one noted if the server was
    /// set back.
    fn set_resource_version(&self, resource_version: &str) {
        let _ = resource_version;
    }
}

/// What a store is built from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoreSchema {
    /// What is watched.
    pub gvr: Gvr,
    /// The indexes to keep.
    pub indexes: Arc<IndexSet>,
    /// Whether objects come as metadata only, because it was asked for.
    pub metadata_only: bool,
    /// How to read an object as the watcher reads it, without ignored fields: for stores that read some by themselves.
    pub indexer: Arc<Indexer>,
}

impl StoreSchema {
    /// A schema of whole objects.
    pub fn new(gvr: Gvr, indexes: Arc<IndexSet>) -> Self {
        Self {
            gvr,
            indexer: Arc::new(Indexer::plain(Arc::clone(&indexes))),
            indexes,
            metadata_only: false,
        }
    }

    /// Reads objects as this indexer does, and keeps its indexes.
    #[must_use]
    pub fn indexer(mut self, indexer: Arc<Indexer>) -> Self {
        self.indexes = Arc::clone(indexer.indexes());
        self.indexer = indexer;
        self
    }

    /// Whether objects come as metadata only.
    #[must_use]
    pub fn metadata_only(mut self, metadata_only: bool) -> Self {
        self.metadata_only = metadata_only;
        self
    }

    /// The place of an index by its name.
    fn index_position(&self, index: &str) -> Result<usize, StoreError> {
        self.indexes
            .position(index)
            .ok_or_else(|| StoreError::UnknownIndex {
                gvr: self.gvr.clone(),
                index: index.to_owned(),
                known: self.indexes.names().map(str::to_owned).collect(),
            })
    }

    /// Refuses more components than the index at a position has.
    fn check_components(&self, position: usize, given: usize) -> Result<(), StoreError> {
        let expected = self.indexes.expressions(position).len();
        if given <= expected {
            return Ok(());
        }
        let name = position
            .checked_sub(1)
            .and_then(|at| self.indexes.names().nth(at));
        Err(StoreError::TooManyComponents {
            gvr: self.gvr.clone(),
            index: name.unwrap_or_default().to_owned(),
            given,
            expected,
        })
    }
}

/// What a relist covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All objects.
    All,
    /// Those of one namespace.
    Namespace(Box<str>),
}

impl Scope {
    /// Whether an object of this name belongs to the scope.
    pub fn contains(&self, reference: &ObjectRef) -> bool {
        match self {
            Self::All => true,
            Self::Namespace(_) => self.covers((reference.namespace().unwrap_or_default(), "")),
        }
    }

    /// A scope without objects, since no namespace has an empty name: what replaces it is taken in, and nothing is dropped.
    pub(crate) fn nothing() -> Self {
        Self::Namespace("".into())
    }

    /// The same by namespace, empty if there is none, and name.
    fn covers(&self, (namespace, _): (&str, &str)) -> bool {
        match self {
            Self::All => true,
            Self::Namespace(scope) => !namespace.is_empty() && **scope == *namespace,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(namespace: &str, name: &str, version: &str, indexes: &IndexSet) -> Record {
        let object = json!({"metadata": {"namespace": namespace, "name": name, "uid": name, "resourceVersion": version}});
        Record::new(Object::from_value(&object).unwrap(), indexes)
    }

    fn store() -> (MemoryStore, Arc<IndexSet>) {
        let indexes = Arc::new(IndexSet::default());
        let schema = StoreSchema::new(Gvr::new("", "v1", "pods"), Arc::clone(&indexes));
        (MemoryStore::new(&schema), indexes)
    }

    #[test]
    fn errors_name_the_index_and_those_there_are() {
        let (store, _) = store();
        let error = store.get_by("hosts", ["a"]).unwrap_err().to_string();
        assert!(
            error.contains("\"hosts\"") && error.contains("/v1/pods"),
            "{error}"
        );
        let error = store.get(["a", "b", "c"]).unwrap_err().to_string();
        assert!(error.contains('3') && error.contains('2'), "{error}");
    }

    #[tokio::test]
    async fn a_relist_returns_only_differences_in_its_scope() {
        let (store, indexes) = store();
        for (namespace, name) in [
            ("a", "gone"),
            ("a", "same"),
            ("a", "changed"),
            ("b", "other"),
        ] {
            store.insert(record(namespace, name, "1", &indexes));
        }
        let records = vec![
            record("a", "same", "1", &indexes),
            record("a", "changed", "2", &indexes),
            record("a", "new", "3", &indexes),
        ];
        let differences = store
            .replace(&Scope::Namespace("a".into()), records)
            .await
            .unwrap();
        let mut seen: Vec<_> = differences
            .iter()
            .map(|d| {
                (
                    d.reference.name().to_owned(),
                    d.previous.is_some(),
                    d.current.is_some(),
                )
            })
            .collect();
        seen.sort();
        assert_eq!(
            seen,
            [
                ("changed".into(), true, true),
                ("gone".into(), true, false),
                ("new".into(), false, true)
            ]
        );
        assert_eq!(store.len(), 4);
        assert_eq!(store.get(["b"]).unwrap().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_writer_can_wait_until_its_write_is_visible() {
        use std::time::Duration;
        let (store, _) = store();
        assert!(!store.wait_until("10", Duration::from_secs(1)).await);
        store.set_resource_version("9");
        assert!(!store.wait_until("10", Duration::from_secs(1)).await);
        let (reached, ()) = tokio::join!(store.wait_until("10", Duration::from_secs(1)), async {
            store.set_resource_version("11");
        });
        assert!(reached);
    }
}
