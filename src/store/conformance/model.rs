//! The plainest store there could be: a list that is searched.

use crate::indexer::{KeyRef, Record};
use crate::resource::ObjectRef;
use crate::store::Scope;

#[derive(Default)]
pub(super) struct Model(Vec<Record>);

impl Model {
    pub(super) fn put(&mut self, record: Record) -> Option<Record> {
        let previous = self.remove(&record.object().reference());
        self.0.push(record);
        self.0.sort_by_key(|record| record.object().reference());
        previous
    }

    pub(super) fn remove(&mut self, reference: &ObjectRef) -> Option<Record> {
        let at = self
            .0
            .iter()
            .position(|record| record.object().reference() == *reference)?;
        Some(self.0.remove(at))
    }

    /// Returns the names of what is different.
    pub(super) fn replace(&mut self, scope: &Scope, records: &[Record]) -> Vec<ObjectRef> {
        let reference = |record: &Record| record.object().reference();
        let mut different: Vec<_> = self.0.iter().map(reference).collect();
        different.retain(|old| {
            scope.contains(old) && !records.iter().any(|record| reference(record) == *old)
        });
        for gone in &different {
            self.remove(gone);
        }
        for record in records {
            let version = |record: &Record| {
                let object = record.object();
                (
                    object.uid().map(str::to_owned),
                    object.resource_version().map(str::to_owned),
                )
            };
            let same = self
                .0
                .iter()
                .any(|old| reference(old) == reference(record) && version(old) == version(record));
            if !same {
                self.put(record.clone());
                different.push(reference(record));
            }
        }
        different.sort();
        different
    }

    pub(super) fn get(&self, index: usize, keys: &[&str]) -> Vec<&Record> {
        let begins = |key: KeyRef<'_>| key.components().take(keys.len()).eq(keys.iter().copied());
        self.0
            .iter()
            .filter(|record| keys.is_empty() || record.keys().of(index).any(begins))
            .collect()
    }

    pub(super) fn records(&self) -> &[Record] {
        &self.0
    }
}
