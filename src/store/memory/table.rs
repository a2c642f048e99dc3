//! A hash table of slot and bucket numbers.
//!
//! An entry is a number and 32 bits of its key's hash: the keys themselves are read from the objects, and only when the hash
//! agrees. Growing needs no object either, and is done aside, so that readers never wait for it.

use hashbrown::HashTable;

use super::slots::Id;

/// Marks a bucket's number.
const BUCKET: u32 = 1 << 31;

/// What an entry stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The only object with a key.
    Slot(Id),
    /// Several objects with a key.
    Bucket(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    hash: u32,
    number: u32,
}

impl Entry {
    fn new(hash: u32, target: Target) -> Self {
        let number = match target {
            Target::Slot(id) => id,
            Target::Bucket(bucket) => bucket | BUCKET,
        };
        Self { hash, number }
    }

    fn target(self) -> Target {
        if self.number & BUCKET == 0 {
            Target::Slot(self.number)
        } else {
            Target::Bucket(self.number & !BUCKET)
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Table(HashTable<Entry>);

/// Spreads 32 bits over the 64 that the table looks at, at both ends.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Table {
    pub(super) fn find(
        &self,
        hash: u32,
        mut is_wanted: impl FnMut(Target) -> bool,
    ) -> Option<Target> {
        let is_wanted = |entry: &Entry| entry.hash == hash && is_wanted(entry.target());
        self.0
            .find(spread(hash), is_wanted)
            .map(|entry| entry.target())
    }

    pub(super) fn insert(&mut self, hash: u32, target: Target) {
        let entry = Entry::new(hash, target);
        self.0
            .insert_unique(spread(hash), entry, |entry| spread(entry.hash));
    }

    /// Makes an entry stand for something else.
    pub(super) fn retarget(&mut self, hash: u32, old: Target, new: Target) {
        let old = Entry::new(hash, old);
        if let Some(entry) = self.0.find_mut(spread(hash), |entry| *entry == old) {
            *entry = Entry::new(hash, new);
        }
    }

    pub(super) fn remove(&mut self, hash: u32, target: Target) {
        let old = Entry::new(hash, target);
        if let Ok(entry) = self.0.find_entry(spread(hash), |entry| *entry == old) {
            entry.remove();
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.allocation_size()
    }

    /// A larger copy, if there is no room for more entries.
    pub(super) fn grown(&self, more: usize) -> Option<Self> {
        let needed = self.0.len() + more;
        if needed <= self.0.capacity() {
            return None;
        }
        let mut table = HashTable::with_capacity(needed + self.0.len() / 2);
        for entry in &self.0 {
            table.insert_unique(spread(entry.hash), *entry, |entry| spread(entry.hash));
        }
        Some(Self(table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_with_one_hash_are_told_apart() {
        let mut table = Table::default();
        for number in 0..3 {
            table.insert(7, Target::Slot(number));
        }
        table.retarget(7, Target::Slot(1), Target::Bucket(1));
        table.remove(7, Target::Slot(0));
        let find = |target| table.find(7, |found| found == target);
        assert_eq!(find(Target::Slot(0)), None);
        assert_eq!(find(Target::Slot(1)), None);
        assert_eq!(find(Target::Bucket(1)), Some(Target::Bucket(1)));
        assert_eq!(find(Target::Slot(2)), Some(Target::Slot(2)));
    }

    #[test]
    fn a_table_with_room_does_not_grow_aside_and_a_full_one_keeps_everything() {
        let mut table = Table::default();
        for number in 0..10_000 {
            if let Some(grown) = table.grown(1) {
                table = grown;
            }
            assert!(table.grown(1).is_none());
            table.insert(number * 3, Target::Slot(number));
        }
        for number in 0..10_000 {
            assert_eq!(table.find(number * 3, |_| true), Some(Target::Slot(number)));
        }
    }
}
