//! All that a memory store holds, and how one change is made.
//!
//! A change is planned first, which reads objects, computes hashes and finds places, and then applied, which only moves
//! numbers. The plan runs while others read; only applying it excludes them.

use std::cmp::Ordering;
use std::sync::Arc;

use super::bucket::{Bucket, Place};
use super::level::{Change, Level};
use super::name::{Hashing, Name, compare_names};
use super::slots::{Content, Id, Slots};
use super::table::{Table, Target};
use crate::indexer::{IndexSet, KeyRef, Keys, MAX_COMPONENTS, Record};
use crate::object::{NamePlaces, Object};

#[derive(Clone, Debug)]
pub(super) struct State {
    indexes: Arc<IndexSet>,
    hashing: Hashing,
    slots: Slots,
    by_name: Table,
    /// Every object, in the order of namespace and name.
    order: Bucket,
    /// For each index one level for each number of components, from one up.
    levels: Vec<Vec<Level>>,
    pub(super) modifications: u64,
}

/// A change that was worked out against a state and fits only that one.
pub(super) struct Plan {
    id: Id,
    name_hash: u32,
    content: Option<(Content, NamePlaces)>,
    kind: Kind,
    changes: Vec<IndexChange>,
    /// New tables, by index and level, or for names.
    grown: Vec<(Option<(usize, usize)>, Table)>,
}

enum Kind {
    Insert(Place),
    Replace,
    Remove(Place),
}

struct IndexChange {
    index: usize,
    level: usize,
    change: Change,
}

/// What a change took out. Dropping it takes time, so it is not dropped while others wait.
pub(super) struct Taken {
    pub(super) previous: Option<Content>,
    _tables: Vec<Table>,
}

impl State {
    pub(super) fn new(indexes: Arc<IndexSet>, hashing: Hashing) -> Self {
        let all_derivable = (0..indexes.len()).all(|index| indexes.is_derivable(index));
        let levels = (0..indexes.len())
            .map(|index| {
                // The whole key of an index by namespace and name is the object's name, for which there is a table.
                let by_name = usize::from(indexes.is_by_name(index));
                let components = indexes.expressions(index).len() - by_name;
                (0..components).map(|_| Level::default()).collect()
            })
            .collect();
        Self {
            indexes,
            hashing,
            slots: Slots::new(!all_derivable),
            by_name: Table::default(),
            order: Bucket::default(),
            levels,
            modifications: 0,
        }
    }

    /// The same without objects.
    pub(super) fn emptied(&self) -> Self {
        let mut empty = Self::new(Arc::clone(&self.indexes), self.hashing.clone());
        empty.modifications = self.modifications + self.len() as u64;
        empty
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// One past the highest number in use.
    pub(super) fn bound(&self) -> usize {
        self.slots.bound()
    }

    /// The memory of all this, the objects aside.
    pub(super) fn bytes(&self) -> usize {
        let levels: usize = self.levels.iter().flatten().map(Level::bytes).sum();
        self.slots.bytes() + self.by_name.bytes() + self.order.bytes() + levels
    }

    pub(super) fn object(&self, id: Id) -> Option<&Object> {
        self.slots.object(id)
    }

    /// The name of an object.
    pub(super) fn name(&self, id: Id) -> Option<Name<'_>> {
        self.slots.name(id)
    }

    /// The stored keys of an object, if it does not tell them itself.
    pub(super) fn kept_keys(&self, id: Id) -> Option<&Keys> {
        self.slots.keys(id)
    }

    pub(super) fn find(&self, name: Name<'_>) -> Option<Id> {
        self.find_hashed(self.hashing.name(name), name)
    }

    pub(super) fn find_hashed(&self, hash: u32, name: Name<'_>) -> Option<Id> {
        let found = self.by_name.find(hash, |target| match target {
            Target::Slot(id) => self.slots.is_named(id, name),
            Target::Bucket(_) => false,
        });
        match found? {
            Target::Slot(id) => Some(id),
            Target::Bucket(_) => None,
        }
    }

    /// The objects whose key in an index begins with these components, in order.
    pub(super) fn get(&self, index: usize, components: &[&str], hash: u32) -> Vec<Object> {
        let objects = |ids: &Bucket| {
            let mut objects = Vec::with_capacity(ids.len());
            objects.extend(ids.iter().filter_map(|id| self.object(id).cloned()));
            objects
        };
        let one = |id: Option<Id>| {
            id.and_then(|id| self.object(id).cloned())
                .into_iter()
                .collect()
        };
        let level = components
            .len()
            .checked_sub(1)
            .map(|at| self.levels.get(index).and_then(|levels| levels.get(at)));
        match (level, components) {
            (None, _) => objects(&self.order),
            (Some(Some(level)), _) => match self.find_key(level, index, components, hash) {
                None => Vec::new(),
                Some(Target::Slot(id)) => one(Some(id)),
                Some(Target::Bucket(bucket)) => {
                    level.bucket(bucket).map(objects).unwrap_or_default()
                }
            },
            (Some(None), [namespace, name]) => one(self.find_hashed(hash, (namespace, name))),
            (Some(None), _) => Vec::new(),
        }
    }

    /// All numbers, in order.
    pub(super) fn ids(&self) -> impl Iterator<Item = Id> {
        self.order.iter()
    }

    /// The numbers that come after a name, in order.
    pub(super) fn ids_after(&self, name: Name<'_>) -> impl Iterator<Item = Id> {
        let (place, skip) = match self.order.locate(|id| self.compare(id, name)) {
            Ok(place) => (place, 1),
            Err(place) => (place, 0),
        };
        self.order.iter_from(place).skip(skip)
    }

    fn find_key(
        &self,
        level: &Level,
        index: usize,
        components: &[&str],
        hash: u32,
    ) -> Option<Target> {
        let derivable = self.indexes.is_derivable(index);
        level.find(hash, components, self.indexes.is_definite(index), |id| {
            if derivable {
                return self
                    .object(id)
                    .is_some_and(|object| self.indexes.has_key(index, object, components));
            }
            self.slots.keys(id).is_some_and(|keys| {
                keys.of(index).any(|key| {
                    key.components()
                        .take(components.len())
                        .eq(components.iter().copied())
                })
            })
        })
    }

    /// How a stored object stands to a name in the order.
    fn compare(&self, id: Id, name: Name<'_>) -> Ordering {
        self.name(id)
            .map_or(Ordering::Less, |its| compare_names(its, name))
    }

    /// Works out how to take in an object.
    pub(super) fn plan_put(&self, record: Record) -> Plan {
        let (object, keys) = record.into_parts();
        let places = object.name_places();
        let name = object.scoped_name_at(places);
        let name_hash = self.hashing.name(name);
        let existing = self.find_hashed(name_hash, name);
        let (id, kind) = match existing {
            Some(id) => (id, Kind::Replace),
            None => {
                let (Ok(place) | Err(place)) = self.order.locate(|id| self.compare(id, name));
                (self.slots.next(), Kind::Insert(place))
            }
        };
        let changes = if existing.is_some_and(|id| self.has_keys(id, &keys)) {
            Vec::new()
        } else {
            let old = existing.and_then(|id| self.keys(id));
            self.changes(id, name, old.as_ref(), Some(&keys))
        };
        Plan {
            id,
            name_hash,
            grown: self.grown(&changes, matches!(kind, Kind::Insert(_))),
            kind,
            changes,
            content: Some((
                Content {
                    object,
                    keys: Some(keys),
                },
                places,
            )),
        }
    }

    /// Works out how to drop an object.
    pub(super) fn plan_remove(&self, id: Id) -> Option<Plan> {
        let name = self.name(id)?;
        let place = self.order.locate(|id| self.compare(id, name)).ok()?;
        Some(Plan {
            id,
            name_hash: self.hashing.name(name),
            grown: Vec::new(),
            kind: Kind::Remove(place),
            changes: self.changes(id, name, self.keys(id).as_ref(), None),
            content: None,
        })
    }

    /// Whether a stored object certainly has these keys.
    fn has_keys(&self, id: Id, keys: &Keys) -> bool {
        match (self.slots.keys(id), self.object(id)) {
            (Some(kept), _) => kept == keys,
            (None, Some(object)) => self.indexes.has_keys(object, keys),
            (None, None) => false,
        }
    }

    fn keys(&self, id: Id) -> Option<Keys> {
        match self.slots.keys(id) {
            Some(keys) => Some(keys.clone()),
            None => self.object(id).map(|object| self.indexes.keys(object)),
        }
    }

    /// What changes in the indexes when an object's keys do. All places are those before any of it is applied, which is
    /// sound because no two changes touch one key.
    fn changes(
        &self,
        id: Id,
        name: Name<'_>,
        old: Option<&Keys>,
        new: Option<&Keys>,
    ) -> Vec<IndexChange> {
        let mut changes = Vec::new();
        for (index, levels) in self.levels.iter().enumerate() {
            let (old, new) = (keys_of(old, index), keys_of(new, index));
            if old == new {
                continue;
            }
            for (at, level) in levels.iter().enumerate() {
                let (old, new) = (beginnings(&old, at + 1), beginnings(&new, at + 1));
                let mut push = |key: KeyRef<'_>, comes: bool| {
                    let mut components = [""; MAX_COMPONENTS];
                    let mut len = 0;
                    for (slot, component) in components.iter_mut().zip(key.components()) {
                        *slot = component;
                        len += 1;
                    }
                    let components = components.get(..len).unwrap_or_default();
                    let hash = self.hashing.components(components);
                    let found = self.find_key(level, index, components, hash);
                    let compare = |id| self.compare(id, name);
                    let change = if comes {
                        level.coming(
                            id,
                            hash,
                            key,
                            self.indexes.is_definite(index),
                            found,
                            compare,
                        )
                    } else {
                        level.leaving(hash, found, compare)
                    };
                    changes.extend(change.map(|change| IndexChange {
                        index,
                        level: at,
                        change,
                    }));
                };
                let missing = |key: &KeyRef<'_>, from: &[KeyRef<'_>]| {
                    from.binary_search_by(|other| other.packed().cmp(key.packed()))
                        .is_err()
                };
                old.iter()
                    .filter(|key| missing(key, &new))
                    .for_each(|key| push(*key, false));
                new.iter()
                    .filter(|key| missing(key, &old))
                    .for_each(|key| push(*key, true));
            }
        }
        changes
    }

    /// Tables without room for what is to come under new keys.
    fn grown(
        &self,
        changes: &[IndexChange],
        new_name: bool,
    ) -> Vec<(Option<(usize, usize)>, Table)> {
        let mut grown = Vec::new();
        if new_name {
            grown.extend(self.by_name.grown(1).map(|table| (None, table)));
        }
        let is_new = |change: &&IndexChange| matches!(change.change, Change::Begin { .. });
        let place = |change: &IndexChange| (change.index, change.level);
        let mut rest: &[IndexChange] = changes;
        while let Some(first) = rest.first() {
            let same = rest
                .iter()
                .take_while(|change| place(change) == place(first))
                .count();
            let (these, others) = rest.split_at(same);
            let more = these.iter().filter(is_new).count();
            let level = self
                .levels
                .get(first.index)
                .and_then(|levels| levels.get(first.level));
            if more > 0 {
                grown.extend(
                    level
                        .and_then(|level| level.grown(more))
                        .map(|table| (Some(place(first)), table)),
                );
            }
            rest = others;
        }
        grown
    }

    /// Makes a change that was planned against this very state.
    pub(super) fn apply(&mut self, plan: Plan) -> Taken {
        let mut tables = Vec::with_capacity(plan.grown.len());
        for (place, table) in plan.grown {
            match place {
                None => tables.push(std::mem::replace(&mut self.by_name, table)),
                Some((index, level)) => {
                    let level = self
                        .levels
                        .get_mut(index)
                        .and_then(|levels| levels.get_mut(level));
                    tables.extend(level.map(|level| level.grow(table)));
                }
            }
        }
        let target = Target::Slot(plan.id);
        let previous = match (plan.kind, plan.content) {
            (Kind::Insert(place), Some((content, places))) => {
                let id = self.slots.take_next();
                debug_assert_eq!(id, plan.id, "a plan fits only the state it was made for");
                self.by_name.insert(plan.name_hash, target);
                self.order.insert(place, id);
                self.slots.put(id, content, places)
            }
            (Kind::Remove(place), _) => {
                self.by_name.remove(plan.name_hash, target);
                self.order.remove(place);
                self.slots.remove(plan.id)
            }
            (_, Some((content, places))) => self.slots.put(plan.id, content, places),
            (_, None) => None,
        };
        for IndexChange {
            index,
            level,
            change,
        } in plan.changes
        {
            if let Some(level) = self
                .levels
                .get_mut(index)
                .and_then(|levels| levels.get_mut(level))
            {
                level.apply(plan.id, change);
            }
        }
        self.modifications += 1;
        Taken {
            previous,
            _tables: tables,
        }
    }
}

fn keys_of(keys: Option<&Keys>, index: usize) -> Vec<KeyRef<'_>> {
    keys.map(|keys| keys.of(index).collect())
        .unwrap_or_default()
}

/// The first so many components of keys, each once, sorted.
fn beginnings<'k>(keys: &[KeyRef<'k>], components: usize) -> Vec<KeyRef<'k>> {
    let mut beginnings: Vec<_> = keys.iter().map(|key| key.beginning(components)).collect();
    if beginnings.len() > 1 {
        beginnings.sort_unstable_by(|a, b| a.packed().cmp(b.packed()));
        beginnings.dedup();
    }
    beginnings
}
