//! The cluster's memory: objects by resource and key, one revision counter, and per resource a log of every change.
//!
//! The log keeps each change's object before and after, so that a list at an older revision, the pages of one list and
//! the replay of a watch all see the same past. [`Store::compact`] forgets it up to a revision; what a running watch has
//! not read yet stays until it has.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::{Map, Value};
use tokio::sync::Notify;

use super::registry::GroupResource;

/// How many changes of one resource are kept when nobody compacts; the oldest half goes when there are more.
const LOG_LIMIT: usize = 200_000;

/// One object at one revision, without `apiVersion` and `kind`.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) value: Map<String, Value>,
    pub(super) revision: u64,
    json: OnceLock<Bytes>,
}

impl Entry {
    pub(super) fn new(value: Map<String, Value>, revision: u64) -> Self {
        Self {
            value,
            revision,
            json: OnceLock::new(),
        }
    }

    /// The object's JSON, made once.
    pub(super) fn json(&self) -> &Bytes {
        self.json
            .get_or_init(|| serde_json::to_vec(&self.value).unwrap_or_default().into())
    }

    pub(super) fn metadata(&self) -> Option<&Map<String, Value>> {
        self.value.get("metadata")?.as_object()
    }

    pub(super) fn meta_str(&self, key: &str) -> Option<&str> {
        self.metadata()?.get(key)?.as_str()
    }

    pub(super) fn name(&self) -> &str {
        self.meta_str("name").unwrap_or_default()
    }

    pub(super) fn namespace(&self) -> &str {
        self.meta_str("namespace").unwrap_or_default()
    }

    pub(super) fn uid(&self) -> &str {
        self.meta_str("uid").unwrap_or_default()
    }

    pub(super) fn label(&self, key: &str) -> Option<&str> {
        self.metadata()?.get("labels")?.get(key)?.as_str()
    }
}

/// One change: what was there before and after.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) revision: u64,
    pub(super) key: Arc<str>,
    pub(super) before: Option<Arc<Entry>>,
    /// `None`: deleted.
    pub(super) after: Option<Arc<Entry>>,
}

#[derive(Debug, Default)]
pub(super) struct Collection {
    objects: BTreeMap<Arc<str>, Arc<Entry>>,
    log: VecDeque<Arc<Change>>,
    /// Sequence number of the log's first change.
    first: u64,
    /// The revision of the last change that fell out of the log.
    forgotten: u64,
    readers: HashMap<u64, u64>,
    pub(super) changed: Arc<Notify>,
}

/// The objects of a collection at one revision, in key order.
pub(super) type Snapshot = Vec<(Arc<str>, Arc<Entry>)>;

#[derive(Debug)]
pub(super) struct Store {
    pub(super) revision: u64,
    /// Revisions below are forgotten.
    pub(super) compacted: u64,
    collections: HashMap<GroupResource, Collection>,
    next_reader: u64,
}

/// The store's key of an object: `namespace/name`, or the name alone.
pub(super) fn key(namespace: &str, name: &str) -> String {
    if namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}/{name}")
    }
}

/// What every key of a namespace starts with; everything for the empty one.
pub(super) fn prefix(namespace: &str) -> String {
    if namespace.is_empty() {
        String::new()
    } else {
        format!("{namespace}/")
    }
}

impl Store {
    pub(super) fn new(revision: u64) -> Self {
        Self {
            revision,
            compacted: 0,
            collections: HashMap::new(),
            next_reader: 0,
        }
    }

    pub(super) fn get(&self, resource: &GroupResource, key: &str) -> Option<&Arc<Entry>> {
        self.collections.get(resource)?.objects.get(key)
    }

    pub(super) fn collection(&mut self, resource: &GroupResource) -> &mut Collection {
        if !self.collections.contains_key(resource) {
            self.collections
                .insert(resource.clone(), Collection::default());
        }
        self.collections.entry(resource.clone()).or_default()
    }

    pub(super) fn resources(&self) -> impl Iterator<Item = &GroupResource> {
        self.collections.keys()
    }

    /// Everything of one resource, as it is now.
    pub(super) fn all(
        &self,
        resource: &GroupResource,
    ) -> impl Iterator<Item = (&Arc<str>, &Arc<Entry>)> {
        self.collections
            .get(resource)
            .into_iter()
            .flat_map(|collection| &collection.objects)
    }

    /// Writes an object under the next revision, which goes into its metadata.
    pub(super) fn put(
        &mut self,
        resource: &GroupResource,
        key: &str,
        mut value: Map<String, Value>,
    ) -> Arc<Entry> {
        self.revision += 1;
        let revision = self.revision;
        set_revision(&mut value, revision);
        let entry = Arc::new(Entry::new(value, revision));
        let collection = self.collection(resource);
        let key: Arc<str> = key.into();
        let before = collection
            .objects
            .insert(Arc::clone(&key), Arc::clone(&entry));
        collection.record(Change {
            revision,
            key,
            before,
            after: Some(Arc::clone(&entry)),
        });
        entry
    }

    /// Removes an object under the next revision; `None` if there is none.
    pub(super) fn delete(&mut self, resource: &GroupResource, key: &str) -> Option<Arc<Entry>> {
        let collection = self.collections.get_mut(resource)?;
        let (key, entry) = collection.objects.remove_entry(key)?;
        self.revision += 1;
        collection.record(Change {
            revision: self.revision,
            key,
            before: Some(Arc::clone(&entry)),
            after: None,
        });
        Some(entry)
    }

    /// Visits, in key order, the objects whose key starts with `prefix` and lies after `after`, at a revision that is
    /// not forgotten.
    pub(super) fn visit(
        &self,
        resource: &GroupResource,
        prefix: &str,
        after: Option<&str>,
        revision: u64,
        mut visit: impl FnMut(&Arc<str>, &Arc<Entry>),
    ) {
        if revision < self.revision {
            for (key, entry) in self.snapshot(resource, prefix, after, revision) {
                visit(&key, &entry);
            }
            return;
        }
        let Some(collection) = self.collections.get(resource) else {
            return;
        };
        for (key, entry) in collection.present(prefix, after) {
            visit(key, entry);
        }
    }

    /// What [`Store::visit`] visits.
    pub(super) fn snapshot(
        &self,
        resource: &GroupResource,
        prefix: &str,
        after: Option<&str>,
        revision: u64,
    ) -> Snapshot {
        let Some(collection) = self.collections.get(resource) else {
            return Snapshot::new();
        };
        let inside = |key: &str| key.starts_with(prefix);
        let present = collection.present(prefix, after);
        if revision >= self.revision {
            return present
                .map(|(key, entry)| (Arc::clone(key), Arc::clone(entry)))
                .collect();
        }
        // What was there before the first change after the revision, for each key that changed since.
        let mut past: BTreeMap<Arc<str>, Option<Arc<Entry>>> = BTreeMap::new();
        for change in collection.log.iter().rev() {
            if change.revision <= revision {
                break;
            }
            if inside(&change.key) && after.is_none_or(|after| &*change.key > after) {
                past.insert(Arc::clone(&change.key), change.before.clone());
            }
        }
        let mut snapshot: Snapshot = present
            .filter(|(key, _)| !past.contains_key(*key))
            .map(|(key, entry)| (Arc::clone(key), Arc::clone(entry)))
            .collect();
        let old = past
            .into_iter()
            .filter_map(|(key, entry)| Some((key, entry?)));
        let unchanged = snapshot.len();
        snapshot.extend(old);
        if snapshot.len() > unchanged {
            snapshot.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        snapshot
    }

    /// Forgets everything before a revision.
    pub(super) fn compact(&mut self, revision: u64) {
        self.compacted = self.compacted.max(revision.min(self.revision));
        let compacted = self.compacted;
        for collection in self.collections.values_mut() {
            collection.trim(compacted);
        }
    }

    /// The oldest revision of a resource that can still be told.
    pub(super) fn oldest(&self, resource: &GroupResource) -> u64 {
        let forgotten = self
            .collections
            .get(resource)
            .map_or(0, |collection| collection.forgotten);
        self.compacted.max(forgotten)
    }

    /// Registers a reader of a collection's log that wants every change after a revision. `None`: forgotten.
    pub(super) fn open_reader(
        &mut self,
        resource: &GroupResource,
        revision: u64,
    ) -> Option<Reader> {
        if revision < self.compacted {
            return None;
        }
        self.next_reader += 1;
        let id = self.next_reader;
        let collection = self.collection(resource);
        if revision < collection.forgotten {
            return None;
        }
        let offset = collection
            .log
            .partition_point(|change| change.revision <= revision);
        let position = collection.first + offset as u64;
        collection.readers.insert(id, position);
        Some(Reader {
            id,
            position,
            changed: Arc::clone(&collection.changed),
        })
    }

    pub(super) fn close_reader(&mut self, resource: &GroupResource, reader: &Reader) {
        if let Some(collection) = self.collections.get_mut(resource) {
            collection.readers.remove(&reader.id);
        }
    }

    /// The next changes for a reader, at most `limit`.
    pub(super) fn read(
        &mut self,
        resource: &GroupResource,
        reader: &mut Reader,
        limit: usize,
    ) -> Vec<Arc<Change>> {
        let Some(collection) = self.collections.get_mut(resource) else {
            return Vec::new();
        };
        let offset = usize::try_from(reader.position.saturating_sub(collection.first))
            .unwrap_or(usize::MAX)
            .min(collection.log.len());
        let changes: Vec<_> = collection
            .log
            .range(offset..)
            .take(limit)
            .cloned()
            .collect();
        reader.position = collection.first + (offset + changes.len()) as u64;
        collection.readers.insert(reader.id, reader.position);
        changes
    }
}

/// A place in a collection's log.
#[derive(Debug)]
pub(super) struct Reader {
    id: u64,
    position: u64,
    pub(super) changed: Arc<Notify>,
}

impl Collection {
    fn present<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a Arc<Entry>)> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        self.objects
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix))
    }

    fn record(&mut self, change: Change) {
        self.log.push_back(Arc::new(change));
        if self.log.len() > LOG_LIMIT {
            let middle = self.log.get(LOG_LIMIT / 2).map(|change| change.revision);
            self.trim(middle.unwrap_or_default());
        }
        self.changed.notify_waiters();
    }

    /// Drops the changes up to a revision that every reader has seen.
    fn trim(&mut self, revision: u64) {
        let seen = self.readers.values().copied().min().unwrap_or(u64::MAX);
        while let Some(change) = self.log.front()
            && change.revision <= revision
            && self.first < seen
        {
            self.forgotten = change.revision;
            self.first += 1;
            self.log.pop_front();
        }
    }
}

pub(super) fn set_revision(value: &mut Map<String, Value>, revision: u64) {
    if let Some(Value::Object(metadata)) = value.get_mut("metadata") {
        metadata.insert(
            "resourceVersion".to_owned(),
            Value::from(revision.to_string()),
        );
    }
}
