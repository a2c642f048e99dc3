//! The store contract on a store that knows nothing of the framework's own: what an author of another store does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use kubedex::indexer::{IndexSet, KeyRef, Record};
use kubedex::store::{Difference, Scope, Store, StoreError, StoreSchema, Stored, conformance};
use kubedex::{Object, ObjectRef};
use tokio::sync::Mutex;

/// Keeps records in a sorted map and looks at all of them for each read.
struct SortedStore {
    schema: StoreSchema,
    records: Mutex<BTreeMap<ObjectRef, Record>>,
    /// What can be asked without waiting.
    known: std::sync::Mutex<BTreeMap<ObjectRef, Record>>,
    modifications: AtomicU64,
    fault: Fault,
}

/// A rule that the store breaks on purpose.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    JoinsComponents,
    ForgetsTheNamespace,
    LeavesOldKeys,
    ReturnsAnyOrder,
    TakesTooManyComponents,
    RelistsPieceByPiece,
    TellsUnchanged,
    RelistsEverything,
    DropsTheBucket,
    KeepsWhatWasAltered,
    DropsOutsiders,
    SaysNothingIsKept,
    DigestsWithoutKeys,
    DeniesItsBodies,
}

impl SortedStore {
    fn new(schema: &StoreSchema, fault: Fault) -> Self {
        Self {
            schema: schema.clone(),
            records: Mutex::default(),
            known: std::sync::Mutex::default(),
            modifications: AtomicU64::new(0),
            fault,
        }
    }

    fn publish(&self, records: &BTreeMap<ObjectRef, Record>, changes: usize) {
        *self.known.lock().unwrap() = records.clone();
        self.modifications
            .fetch_add(changes as u64, Ordering::Relaxed);
    }

    fn matches(&self, key: KeyRef<'_>, keys: &[&str]) -> bool {
        if self.fault == Fault::JoinsComponents {
            let joined: Vec<&str> = key.components().take(keys.len()).collect();
            return joined.join("/") == keys.join("/");
        }
        key.components().take(keys.len()).eq(keys.iter().copied())
    }
}

fn stored(record: &Record) -> Stored {
    Stored::whole(record.object().clone(), record.keys().clone())
}

#[async_trait]
impl Store for SortedStore {
    async fn get(&self, index: &str, keys: &[&str]) -> Result<Vec<Object>, StoreError> {
        let indexes = &self.schema.indexes;
        let Some(position) = indexes.position(index) else {
            return Err(StoreError::UnknownIndex {
                gvr: self.schema.gvr.clone(),
                index: index.to_owned(),
                known: indexes.names().map(str::to_owned).collect(),
            });
        };
        let expected = indexes.expressions(position).len();
        if keys.len() > expected && self.fault != Fault::TakesTooManyComponents {
            return Err(StoreError::TooManyComponents {
                gvr: self.schema.gvr.clone(),
                index: index.to_owned(),
                given: keys.len(),
                expected,
            });
        }
        let records = self.records.lock().await;
        let found = records.values().filter(|record| {
            keys.is_empty()
                || record
                    .keys()
                    .of(position)
                    .any(|key| self.matches(key, keys))
        });
        let mut found: Vec<Object> = found.map(|record| record.object().clone()).collect();
        if self.fault == Fault::ReturnsAnyOrder {
            found.reverse();
        }
        Ok(found)
    }

    async fn get_ref(&self, reference: &ObjectRef) -> Result<Option<Object>, StoreError> {
        let records = self.records.lock().await;
        if self.fault == Fault::ForgetsTheNamespace {
            let named = records
                .values()
                .find(|record| record.object().name() == reference.name());
            return Ok(named.map(|record| record.object().clone()));
        }
        Ok(records.get(reference).map(|record| record.object().clone()))
    }

    async fn list(&self) -> Result<Vec<Object>, StoreError> {
        self.get("", &[]).await
    }

    async fn update(&self, record: Record) -> Result<Option<Stored>, StoreError> {
        let mut records = self.records.lock().await;
        let reference = record.object().reference();
        let previous = records.get(&reference).map(stored);
        if self.fault == Fault::LeavesOldKeys
            && previous
                .as_ref()
                .is_some_and(|previous| previous.keys() != *record.keys())
        {
            let old = records[&reference].clone();
            records.insert(ObjectRef::namespaced("left", reference.name()), old);
        }
        records.insert(reference, record);
        self.publish(&records, 1);
        Ok(previous)
    }

    async fn delete(&self, reference: &ObjectRef) -> Result<Option<Stored>, StoreError> {
        let mut records = self.records.lock().await;
        let Some(gone) = records.remove(reference) else {
            return Ok(None);
        };
        if self.fault == Fault::DropsTheBucket {
            records.retain(|_, record| record.keys() != gone.keys());
        }
        self.publish(&records, 1);
        Ok(Some(stored(&gone)))
    }

    async fn clear(&self) -> Result<(), StoreError> {
        let mut records = self.records.lock().await;
        let changes = records.len();
        records.clear();
        self.publish(&records, changes);
        Ok(())
    }

    async fn replace(
        &self,
        scope: &Scope,
        listed: Vec<Record>,
    ) -> Result<Vec<Difference>, StoreError> {
        let mut next: BTreeMap<ObjectRef, Record> = self.records.lock().await.clone();
        let mut listed: BTreeMap<_, _> = listed
            .into_iter()
            .map(|record| (record.object().reference(), record))
            .collect();
        let mut differences = Vec::new();
        next.retain(|reference, record| {
            let covered = scope.contains(reference) || self.fault == Fault::RelistsEverything;
            let stays = !covered || listed.contains_key(reference);
            if !stays {
                differences.push(Difference::new(
                    reference.clone(),
                    Some(stored(record)),
                    None,
                ));
            }
            stays
        });
        listed.retain(|reference, record| {
            let same = next
                .get(reference)
                .is_some_and(|old| stored(old).is_version_of(record.object()));
            if self.fault == Fault::DropsOutsiders && !scope.contains(reference) {
                return false;
            }
            let altered = record.is_altered() && self.fault != Fault::KeepsWhatWasAltered;
            !same || altered || self.fault == Fault::TellsUnchanged
        });
        for (reference, record) in listed {
            let current = stored(&record);
            let previous = next.insert(reference.clone(), record);
            differences.push(Difference::new(
                reference,
                previous.as_ref().map(stored),
                Some(current),
            ));
            if self.fault == Fault::RelistsPieceByPiece {
                self.records.lock().await.clone_from(&next);
                tokio::task::yield_now().await;
            }
        }
        self.publish(&next, differences.len());
        *self.records.lock().await = next;
        Ok(differences)
    }

    fn known(&self, reference: &ObjectRef) -> Option<Stored> {
        self.known.lock().unwrap().get(reference).map(stored)
    }

    fn keeps_bodies(&self) -> bool {
        self.fault != Fault::DeniesItsBodies
    }

    fn digest(&self, record: Record) -> Record {
        if self.fault == Fault::DigestsWithoutKeys {
            let other = IndexSet::new(["other"]).unwrap();
            return Record::new(record.object().clone(), &other);
        }
        record
    }

    fn kept(&self, reference: &ObjectRef) -> Option<Record> {
        let known = self.known(reference)?;
        let kept = Record::from_parts(known.object()?.clone(), known.keys());
        (self.fault != Fault::SaysNothingIsKept).then_some(kept)
    }

    fn len(&self) -> usize {
        self.known.lock().unwrap().len()
    }

    fn modification_count(&self) -> u64 {
        self.modifications.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn a_store_of_another_kind_passes_the_contract() {
    conformance::check(|schema, _| Arc::new(SortedStore::new(schema, Fault::None))).await;
}

#[tokio::test]
async fn a_store_can_be_checked_behind_the_trait_object() {
    conformance::check(|schema, _| -> Arc<dyn Store> {
        Arc::new(SortedStore::new(schema, Fault::None))
    })
    .await;
}

#[test]
fn a_store_that_breaks_a_rule_fails_the_contract() {
    for (fault, word) in [
        (Fault::JoinsComponents, "S2"),
        (Fault::ForgetsTheNamespace, ""),
        (Fault::LeavesOldKeys, "S5"),
        (Fault::ReturnsAnyOrder, ""),
        (Fault::TakesTooManyComponents, "S3"),
        (Fault::RelistsPieceByPiece, "S9"),
        (Fault::TellsUnchanged, "just what is different"),
        (Fault::RelistsEverything, "namespace"),
        (Fault::DropsTheBucket, "S4"),
        (Fault::KeepsWhatWasAltered, "altered"),
        (Fault::DropsOutsiders, "outside"),
        (Fault::SaysNothingIsKept, "under which record"),
        (Fault::DigestsWithoutKeys, "digest"),
        (Fault::DeniesItsBodies, "keeps bodies"),
    ] {
        let run = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            runtime.block_on(conformance::check(|schema, _| {
                Arc::new(SortedStore::new(schema, fault))
            }));
        });
        let panic = run.join().expect_err("a broken rule is found");
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .unwrap_or_default();
        assert!(text.contains(word), "expected {word:?} in {text:?}");
    }
}
