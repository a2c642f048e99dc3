//! One index at one number of components: from keys, or beginnings of keys, to objects.
//!
//! A key with one object costs a table entry, a key with several a bucket. A bucket of an index that finds at most one key
//! for an object knows its key from any of its objects; where an object can have several, the bucket has to say which one
//! it stands for.

use std::cmp::Ordering;

use super::bucket::{Bucket, Place};
use super::chunked::Chunked;
use super::slots::Id;
use super::table::{Table, Target};
use crate::indexer::KeyRef;

#[derive(Clone, Debug, Default)]
pub(super) struct Level {
    table: Table,
    buckets: Chunked<Keyed>,
    free: Vec<u32>,
    used: u32,
}

#[derive(Clone, Debug)]
struct Keyed {
    /// The packed components; none where the first object tells.
    key: Option<Box<[u8]>>,
    ids: Bucket,
}

/// One object coming under one key or leaving it.
#[derive(Debug)]
pub(super) enum Change {
    /// It is the first.
    Begin { hash: u32 },
    /// It is the second.
    Pair {
        hash: u32,
        other: Id,
        ids: [Id; 2],
        key: Option<Box<[u8]>>,
    },
    /// It joins several.
    Join { bucket: u32, place: Place },
    /// It was the only one.
    End { hash: u32 },
    /// It leaves others behind.
    Leave {
        hash: u32,
        bucket: u32,
        place: Place,
    },
}

impl Level {
    /// What stands under a key. `has_key` says whether a stored object has it.
    pub(super) fn find(
        &self,
        hash: u32,
        key: &[&str],
        definite: bool,
        has_key: impl Fn(Id) -> bool,
    ) -> Option<Target> {
        let found = self.table.find(hash, |target| match target {
            Target::Slot(id) => has_key(id),
            Target::Bucket(bucket) => match self.buckets.get(bucket) {
                Some(Keyed {
                    key: Some(packed), ..
                }) => KeyRef::from_packed(key.len(), packed)
                    .components()
                    .eq(key.iter().copied()),
                Some(Keyed { key: None, ids }) => ids.first().is_some_and(&has_key),
                None => false,
            },
        });
        if definite || !matches!(found, Some(Target::Slot(_))) {
            return found;
        }
        // An object with two keys of one hash has two equal entries, so a bucket that says its key goes first.
        let bucket = self.table.find(hash, |target| match target {
            Target::Slot(_) => false,
            Target::Bucket(bucket) => self
                .buckets
                .get(bucket)
                .and_then(|keyed| keyed.key.as_ref())
                .is_some_and(|packed| {
                    KeyRef::from_packed(key.len(), packed)
                        .components()
                        .eq(key.iter().copied())
                }),
        });
        bucket.or(found)
    }

    pub(super) fn bucket(&self, bucket: u32) -> Option<&Bucket> {
        self.buckets.get(bucket).map(|keyed| &keyed.ids)
    }

    /// How an object comes under a key where `found` stands. `compare` says how a stored object stands to it in order.
    pub(super) fn coming(
        &self,
        id: Id,
        hash: u32,
        key: KeyRef<'_>,
        definite: bool,
        found: Option<Target>,
        compare: impl Fn(Id) -> Ordering,
    ) -> Option<Change> {
        match found {
            None => Some(Change::Begin { hash }),
            Some(Target::Slot(other)) => Some(Change::Pair {
                hash,
                other,
                ids: if compare(other).is_lt() {
                    [other, id]
                } else {
                    [id, other]
                },
                key: (!definite).then(|| key.packed().into()),
            }),
            Some(Target::Bucket(bucket)) => {
                let place = self.bucket(bucket)?.locate(compare).err()?;
                Some(Change::Join { bucket, place })
            }
        }
    }

    /// How an object leaves a key where `found` stands.
    pub(super) fn leaving(
        &self,
        hash: u32,
        found: Option<Target>,
        compare: impl Fn(Id) -> Ordering,
    ) -> Option<Change> {
        match found? {
            Target::Slot(_) => Some(Change::End { hash }),
            Target::Bucket(bucket) => {
                let place = self.bucket(bucket)?.locate(compare).ok()?;
                Some(Change::Leave {
                    hash,
                    bucket,
                    place,
                })
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let keyed =
            |keyed: &Keyed| keyed.ids.bytes() + keyed.key.as_ref().map_or(0, |key| key.len());
        self.table.bytes() + self.buckets.bytes() + self.buckets.iter().map(keyed).sum::<usize>()
    }

    /// A larger table, if there is no room for more keys.
    pub(super) fn grown(&self, more: usize) -> Option<Table> {
        self.table.grown(more)
    }

    /// Takes a larger table into use and returns the old one.
    pub(super) fn grow(&mut self, table: Table) -> Table {
        std::mem::replace(&mut self.table, table)
    }

    pub(super) fn apply(&mut self, id: Id, change: Change) {
        match change {
            Change::Begin { hash } => self.table.insert(hash, Target::Slot(id)),
            Change::Pair {
                hash,
                other,
                ids,
                key,
            } => {
                let bucket = self.free.pop().unwrap_or_else(|| {
                    self.used += 1;
                    self.used - 1
                });
                let ids = Bucket::pair(ids);
                self.buckets.put(bucket, Some(Keyed { key, ids }));
                self.table
                    .retarget(hash, Target::Slot(other), Target::Bucket(bucket));
            }
            Change::Join { bucket, place } => {
                if let Some(keyed) = self.buckets.get_mut(bucket) {
                    keyed.ids.insert(place, id);
                }
            }
            Change::End { hash } => self.table.remove(hash, Target::Slot(id)),
            Change::Leave {
                hash,
                bucket,
                place,
            } => {
                let Some(keyed) = self.buckets.get_mut(bucket) else {
                    return;
                };
                keyed.ids.remove(place);
                if keyed.ids.len() == 1
                    && let Some(last) = keyed.ids.first()
                {
                    self.table
                        .retarget(hash, Target::Bucket(bucket), Target::Slot(last));
                    self.buckets.put(bucket, None);
                    self.free.push(bucket);
                }
            }
        }
    }
}
