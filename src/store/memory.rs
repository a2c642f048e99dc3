//! A store that keeps whole objects.
//!
//! Objects stand in numbered slots; hash tables and ordered sets of those numbers make the indexes, and re-read keys from
//! the objects instead of keeping them. One lock covers them all, so that every read sees every index at the same moment.
//! Whatever takes time, reading keys, hashing, finding places, growing a table, building what a relist brings, happens
//! while others read; readers are shut out only while numbers are moved, and for the exchange of one state for another.

mod bucket;
mod chunked;
mod level;
mod name;
mod slots;
mod state;
mod table;

use std::cmp::Ordering;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::{RwLock, RwLockUpgradableReadGuard};
use tokio::sync::watch;

use super::{Difference, Scope, Store, StoreError, StoreSchema, Stored};
use crate::indexer::{MAX_COMPONENTS, Record};
use crate::object::Object;
use crate::resource::{ObjectRef, compare_resource_versions};
use name::{Hashing, compare_names, name_of, name_of_ref};
use slots::{Content, Id};
use state::State;

/// Up to so many differences of a relist are made in place, in one go of some tens of microseconds; more are made in a
/// copy that then takes the state's place.
const IN_PLACE: usize = 32;

/// How many objects [`MemoryStore::iter`] takes at a time.
const ITER_CHUNK: usize = 256;

/// Keeps whole objects in memory.
///
/// Reads are synchronous as inherent methods; the [`Store`] trait offers the same as futures that are ready at once. Each
/// read sees one moment, between two changes; what it returns is shared with the store and stays as it is. A lookup takes
/// well under a microsecond and waits for a writer only while that exchanges some numbers.
pub struct MemoryStore {
    schema: StoreSchema,
    hashing: Hashing,
    state: RwLock<State>,
    version: watch::Sender<Option<Box<str>>>,
}

impl MemoryStore {
    /// An empty store with the indexes of the schema.
    pub fn new(schema: &StoreSchema) -> Self {
        Self::hashed(schema, Hashing::default())
    }

    fn hashed(schema: &StoreSchema, hashing: Hashing) -> Self {
        Self {
            state: RwLock::new(State::new(Arc::clone(&schema.indexes), hashing.clone())),
            schema: schema.clone(),
            hashing,
            version: watch::Sender::new(None),
        }
    }

    /// What the store was built from.
    pub fn schema(&self) -> &StoreSchema {
        &self.schema
    }

    /// The objects under a key of the primary index, or the beginning of one, in the order of namespace and name. No
    /// component at all finds everything.
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

    /// The objects under a key of a named index, or the beginning of one, in the order of namespace and name. No component
    /// at all finds everything.
    ///
    /// # Errors
    /// When there is no such index, or more components are given than it has.
    pub fn get_by<I>(&self, index: &str, keys: I) -> Result<Vec<Object>, StoreError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let position = self.schema.index_position(index)?;
        let mut keys = keys.into_iter().fuse();
        // Filled in place and no further than needed: moving these about would take as long as the lookup.
        let mut items = [const { None::<I::Item> }; MAX_COMPONENTS];
        for item in &mut items {
            *item = keys.next();
            if item.is_none() {
                break;
            }
        }
        let mut components = [""; MAX_COMPONENTS];
        let mut given = 0;
        for (component, item) in components
            .iter_mut()
            .zip(items.iter().map_while(Option::as_ref))
        {
            *component = item.as_ref();
            given += 1;
        }
        let components = components.get(..given).unwrap_or_default();
        self.schema
            .check_components(position, given + keys.count())?;
        let hash = self.hashing.components(components);
        Ok(self.state.read().get(position, components, hash))
    }

    /// One object by its name.
    pub fn get_ref(&self, reference: &ObjectRef) -> Option<Object> {
        let name = name_of_ref(reference);
        let hash = self.hashing.name(name);
        let state = self.state.read();
        state.object(state.find_hashed(hash, name)?).cloned()
    }

    /// Whether there is an object of this name.
    pub fn contains(&self, reference: &ObjectRef) -> bool {
        self.state.read().find(name_of_ref(reference)).is_some()
    }

    /// All objects at one moment, in the order of namespace and name.
    ///
    /// It holds off the writer while it counts up the references of all objects: some tens of milliseconds for a million.
    /// [`MemoryStore::iter`] does not.
    pub fn list(&self) -> Vec<Object> {
        self.state.read().get(0, &[], 0)
    }

    /// Goes through all objects in the order of namespace and name, taking some hundred at a time.
    ///
    /// Neither is anything cloned but what is at hand, nor is the writer held off. Between two takings the store may change:
    /// an object that is there all the while comes exactly once; one that comes or goes meanwhile may be seen or not.
    pub fn iter(&self) -> impl Iterator<Item = Object> {
        let mut taken: std::vec::IntoIter<Object> = Vec::new().into_iter();
        let mut last: Option<Object> = None;
        std::iter::from_fn(move || {
            if taken.len() == 0 {
                let state = self.state.read();
                let objects = |ids: &mut dyn Iterator<Item = Id>| -> Vec<Object> {
                    let ids = ids.take(ITER_CHUNK);
                    ids.filter_map(|id| state.object(id).cloned()).collect()
                };
                taken = match &last {
                    None => objects(&mut state.ids()),
                    Some(last) => objects(&mut state.ids_after(name_of(last))),
                }
                .into_iter();
                drop(state);
                last = taken.as_slice().last().cloned();
            }
            taken.next()
        })
    }

    /// Shows all objects at one moment, in the order of namespace and name, without cloning any, until told to stop.
    ///
    /// The writer, and readers that come after it, wait meanwhile: the function must be short, and must not call the store,
    /// which could wait for itself.
    pub fn visit<B>(&self, mut function: impl FnMut(&Object) -> ControlFlow<B>) -> Option<B> {
        let state = self.state.read();
        for id in state.ids() {
            if let Some(object) = state.object(id)
                && let ControlFlow::Break(value) = function(object)
            {
                return Some(value);
            }
        }
        None
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.state.read().len()
    }

    /// Whether there are no objects.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes that the store takes beside its objects: for slots, indexes, and those keys that the objects do not tell
    /// themselves. What the allocator adds is not counted. Every bucket is looked at, so this is not for every second.
    pub fn overhead_bytes(&self) -> usize {
        self.state.read().bytes()
    }

    /// Grows with each object that is taken in, replaced or dropped; equal counts mean equal content.
    pub fn modification_count(&self) -> u64 {
        self.state.read().modifications
    }

    /// Takes in an object, in place of one of the same name if there is one, which is returned.
    pub fn insert(&self, record: Record) -> Option<Stored> {
        let state = self.state.upgradable_read();
        let plan = state.plan_put(record);
        let mut state = RwLockUpgradableReadGuard::upgrade(state);
        let taken = state.apply(plan);
        drop(state);
        taken.previous.map(|content| self.stored(content))
    }

    /// Drops one object and returns it.
    pub fn remove(&self, reference: &ObjectRef) -> Option<Stored> {
        let state = self.state.upgradable_read();
        let plan = state.plan_remove(state.find(name_of_ref(reference))?)?;
        let mut state = RwLockUpgradableReadGuard::upgrade(state);
        let taken = state.apply(plan);
        drop(state);
        taken.previous.map(|content| self.stored(content))
    }

    fn drop_all(&self) {
        let state = self.state.upgradable_read();
        let empty = state.emptied();
        self.exchange(state, empty);
    }

    fn relist(&self, scope: &Scope, mut records: Vec<Record>) -> Vec<Difference> {
        // A list comes almost in this order, which makes sorting, and taking in what is sorted, cheap.
        records.sort_by(|a, b| compare_names(name_of(a.object()), name_of(b.object())));
        let state = self.state.upgradable_read();
        let mut listed = vec![0_u64; state.bound().div_ceil(64)];
        let mut changed = Vec::new();
        let mut records = records.into_iter().peekable();
        while let Some(record) = records.next() {
            let name = name_of(record.object());
            if records
                .peek()
                .is_some_and(|next| name_of(next.object()) == name)
            {
                continue;
            }
            if let Some(id) = state.find(name) {
                if let Some(word) = listed.get_mut(id as usize / 64) {
                    *word |= 1 << (id % 64);
                }
                if !record.is_altered()
                    && state
                        .object(id)
                        .is_some_and(|old| is_same_version(old, record.object()))
                {
                    continue;
                }
            }
            changed.push(record);
        }
        let is_listed = |id: Id| {
            listed
                .get(id as usize / 64)
                .is_some_and(|word| word & 1 << (id % 64) != 0)
        };
        let gone: Vec<Id> = state
            .ids()
            .filter(|id| !is_listed(*id) && state.name(*id).is_some_and(|name| scope.covers(name)))
            .collect();
        if changed.is_empty() && gone.is_empty() {
            return Vec::new();
        }
        if changed.len() + gone.len() <= IN_PLACE {
            let mut state = RwLockUpgradableReadGuard::upgrade(state);
            let (differences, taken) = self.make(&mut state, gone, changed);
            drop(state);
            drop(taken);
            return differences;
        }
        let mut next = state.clone();
        let (differences, _) = self.make(&mut next, gone, changed);
        self.exchange(state, next);
        differences
    }

    /// Makes one change after the other.
    fn make(
        &self,
        state: &mut State,
        gone: Vec<Id>,
        changed: Vec<Record>,
    ) -> (Vec<Difference>, Vec<state::Taken>) {
        let mut differences = Vec::with_capacity(gone.len() + changed.len());
        let mut taken = Vec::new();
        for id in gone {
            if let Some(plan) = state.plan_remove(id) {
                let mut out = state.apply(plan);
                let previous = out.previous.take().map(|content| self.stored(content));
                differences.extend(
                    previous.map(|previous| {
                        Difference::new(previous.reference(), Some(previous), None)
                    }),
                );
                taken.push(out);
            }
        }
        for record in changed {
            let current = self.stored(Content {
                object: record.object().clone(),
                keys: Some(record.keys().clone()),
            });
            let plan = state.plan_put(record);
            let mut out = state.apply(plan);
            let previous = out.previous.take().map(|content| self.stored(content));
            differences.push(Difference::new(
                current.reference(),
                previous,
                Some(current),
            ));
            taken.push(out);
        }
        (differences, taken)
    }

    /// Puts one state in the place of another, which is dropped when nobody waits any more.
    fn exchange(&self, state: RwLockUpgradableReadGuard<'_, State>, next: State) {
        let mut state = RwLockUpgradableReadGuard::upgrade(state);
        let old = std::mem::replace(&mut *state, next);
        drop(state);
        drop(old);
    }

    fn stored(&self, content: Content) -> Stored {
        match content.keys {
            Some(keys) => Stored::whole(content.object, keys),
            None => Stored::derived(content.object, Arc::clone(&self.schema.indexes)),
        }
    }

    /// The resource version up to which the store shows everything, as far as its writer has said. Of a watch of several
    /// namespaces it is the oldest that one of them has reached: one in which nothing happens moves with bookmarks only,
    /// which servers send about once a minute.
    pub fn resource_version(&self) -> Option<String> {
        self.version.borrow().as_deref().map(str::to_owned)
    }

    /// Waits until the store shows everything up to a resource version, such as that of an object just written, so that
    /// one reads one's own writes. Returns whether it does, which is false when the time is over first. How soon that is
    /// known of several namespaces, [`MemoryStore::resource_version`] says.
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
    version == wanted || compare_resource_versions(version, wanted).is_some_and(Ordering::is_ge)
}

fn is_same_version(old: &Object, new: &Object) -> bool {
    old.resource_version().is_some()
        && old.resource_version() == new.resource_version()
        && old.uid() == new.uid()
}

/// Shows how much there is, never what.
impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "MemoryStore({}, {} objects)",
            self.schema.gvr,
            self.len()
        )
    }
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
        self.drop_all();
        Ok(())
    }

    async fn replace(
        &self,
        scope: &Scope,
        records: Vec<Record>,
    ) -> Result<Vec<Difference>, StoreError> {
        Ok(self.relist(scope, records))
    }

    fn known(&self, reference: &ObjectRef) -> Option<Stored> {
        let state = self.state.read();
        let id = state.find(name_of_ref(reference))?;
        let (object, keys) = (state.object(id)?.clone(), state.kept_keys(id).cloned());
        drop(state);
        Some(self.stored(Content { object, keys }))
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

#[cfg(all(test, feature = "fake"))]
mod tests;
