//! A store that keeps whole objects.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::RwLock;
use tokio::sync::watch;

use super::{Difference, Scope, Store, StoreError, StoreSchema, Stored};
use crate::indexer::Record;
use crate::object::Object;
use crate::resource::{ObjectRef, compare_resource_versions};

/// Keeps whole objects in memory.
///
/// Reads are synchronous as inherent methods; the [`Store`] trait offers the same as futures that are ready at once.
#[derive(Debug)]
pub struct MemoryStore {
    schema: StoreSchema,
    state: RwLock<State>,
    version: watch::Sender<Option<Box<str>>>,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<ObjectRef, Record>,
    modifications: u64,
}

impl MemoryStore {
    /// An empty store with the indexes of the schema.
    pub fn new(schema: &StoreSchema) -> Self {
        Self {
            schema: schema.clone(),
            state: RwLock::default(),
            version: watch::Sender::new(None),
        }
    }

    /// The objects under a key of the primary index, or the beginning of one. No component at all finds everything.
    ///
    /// # Errors
    /// When more components are given than the index has.
    pub fn get<I>(&self, keys: I) -> Result<Vec<Object>, StoreError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.get_by("", keys)
    }

    /// The objects under a key of a named index, or the beginning of one. No component at all finds everything.
    ///
    /// # Errors
    /// When there is no such index, or more components are given than it has.
    pub fn get_by<I>(&self, index: &str, keys: I) -> Result<Vec<Object>, StoreError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let keys: Vec<I::Item> = keys.into_iter().collect();
        let indexes = &self.schema.indexes;
        let Some(position) = indexes.position(index) else {
            return Err(StoreError::UnknownIndex {
                gvr: self.schema.gvr.clone(),
                index: index.to_owned(),
                known: indexes.names().map(str::to_owned).collect(),
            });
        };
        let expected = indexes.expressions(position).len();
        if keys.len() > expected {
            return Err(StoreError::TooManyComponents {
                gvr: self.schema.gvr.clone(),
                index: index.to_owned(),
                given: keys.len(),
                expected,
            });
        }
        let state = self.state.read();
        let matches = state.objects.values().filter(|record| {
            record.keys().of(position).any(|key| {
                keys.iter()
                    .map(AsRef::as_ref)
                    .eq(key.components().take(keys.len()))
            })
        });
        Ok(matches.map(|record| record.object().clone()).collect())
    }

    /// One object by its name.
    pub fn get_ref(&self, reference: &ObjectRef) -> Option<Object> {
        self.state
            .read()
            .objects
            .get(reference)
            .map(|record| record.object().clone())
    }

    /// Whether there is an object of this name.
    pub fn contains(&self, reference: &ObjectRef) -> bool {
        self.state.read().objects.contains_key(reference)
    }

    /// All objects.
    pub fn list(&self) -> Vec<Object> {
        self.state
            .read()
            .objects
            .values()
            .map(|record| record.object().clone())
            .collect()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.state.read().objects.len()
    }

    /// Whether there are no objects.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Grows with each object that is taken in, replaced or dropped; equal counts mean equal content.
    pub fn modification_count(&self) -> u64 {
        self.state.read().modifications
    }

    /// Takes in an object, in place of one of the same name if there is one, which is returned.
    pub fn insert(&self, record: Record) -> Option<Stored> {
        let mut state = self.state.write();
        state.modifications += 1;
        state
            .objects
            .insert(record.object().reference(), record)
            .map(stored)
    }

    /// Drops one object and returns it.
    pub fn remove(&self, reference: &ObjectRef) -> Option<Stored> {
        let mut state = self.state.write();
        let previous = state.objects.remove(reference)?;
        state.modifications += 1;
        Some(stored(previous))
    }

    /// The resource version up to which the store shows everything, as far as its writer has said.
    pub fn resource_version(&self) -> Option<String> {
        self.version.borrow().as_deref().map(str::to_owned)
    }

    /// Waits until the store shows everything up to a resource version, such as that of an object just written. Returns
    /// whether it does, which is false when the time is over first.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn wait_until(&self, resource_version: &str, deadline: Duration) -> bool {
        let mut versions = self.version.subscribe();
        let reached = versions.wait_for(|version| {
            version
                .as_deref()
                .is_some_and(|version| reaches(version, resource_version))
        });
        matches!(tokio::time::timeout(deadline, reached).await, Ok(Ok(_)))
    }
}

/// Whether a store at one version shows another. Versions that are no numbers are only compared for equality.
fn reaches(version: &str, wanted: &str) -> bool {
    version == wanted
        || compare_resource_versions(version, wanted).is_some_and(std::cmp::Ordering::is_ge)
}

fn stored(record: Record) -> Stored {
    let (object, keys) = record.into_parts();
    Stored::whole(object, keys)
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, index: &str, keys: &[&str]) -> Result<Vec<Object>, StoreError> {
        self.get_by(index, keys)
    }

    async fn get_ref(&self, reference: &ObjectRef) -> Result<Option<Object>, StoreError> {
        Ok(self.get_ref(reference))
    }

    async fn list(&self) -> Result<Vec<Object>, StoreError> {
        Ok(self.list())
    }

    async fn update(&self, record: Record) -> Result<Option<Stored>, StoreError> {
        Ok(self.insert(record))
    }

    async fn delete(&self, reference: &ObjectRef) -> Result<Option<Stored>, StoreError> {
        Ok(self.remove(reference))
    }

    async fn clear(&self) -> Result<(), StoreError> {
        let mut state = self.state.write();
        state.modifications += state.objects.len() as u64;
        state.objects.clear();
        Ok(())
    }

    async fn replace(
        &self,
        scope: &Scope,
        records: Vec<Record>,
    ) -> Result<Vec<Difference>, StoreError> {
        let mut state = self.state.write();
        let mut new: BTreeMap<ObjectRef, Record> = records
            .into_iter()
            .map(|record| (record.object().reference(), record))
            .collect();
        let mut differences = Vec::new();
        let gone: Vec<_> = state
            .objects
            .keys()
            .filter(|reference| scope.contains(reference) && !new.contains_key(*reference))
            .cloned()
            .collect();
        for reference in gone {
            let previous = state.objects.remove(&reference).map(stored);
            differences.push(Difference::new(reference, previous, None));
        }
        new.retain(|reference, record| {
            let previous = state.objects.get(reference).cloned().map(stored);
            !previous.is_some_and(|previous| previous.is_version_of(record.object()))
        });
        for (reference, record) in new {
            let previous = state
                .objects
                .insert(reference.clone(), record.clone())
                .map(stored);
            differences.push(Difference::new(reference, previous, Some(stored(record))));
        }
        state.modifications += differences.len() as u64;
        Ok(differences)
    }

    fn known(&self, reference: &ObjectRef) -> Option<Stored> {
        self.state
            .read()
            .objects
            .get(reference)
            .cloned()
            .map(stored)
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn modification_count(&self) -> u64 {
        self.modification_count()
    }

    fn set_resource_version(&self, resource_version: &str) {
        self.version.send_if_modified(|version| {
            let changed = version.as_deref() != Some(resource_version);
            if changed {
                *version = Some(resource_version.into());
            }
            changed
        });
    }
}
