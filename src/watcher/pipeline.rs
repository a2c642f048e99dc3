//! Applies a reflector's events to the store and tells the subscribers what changed. The only writer of the store.
//!
//! During the first list objects go to the store as they arrive, since there is nothing to keep consistent with. Once
//! anything is stored, be it by a list that was given up, a list is built aside and swapped in whole.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::OnceCell;

use super::mutation::{Mutation, is_on};
use super::reflector::{Event, Sink};
use super::status::StatusCell;
use super::subscription::Subscribers;
use crate::indexer::{Indexed, Record};
use crate::object::Object;
use crate::resource::ObjectRef;
use crate::store::{Difference, Scope, Store, StoreError, Stored};

/// Where one reflector's events go.
pub(super) struct Pipeline<S: ?Sized> {
    store: Arc<S>,
    /// Set once the store was emptied of what it held before its watcher began, for all of the watcher's reflectors.
    emptied: Arc<OnceCell<()>>,
    scope: Scope,
    /// Which of the watcher's reflectors this is.
    index: usize,
    status: Arc<StatusCell>,
    subscribers: Arc<Subscribers>,
    list: List,
    /// Objects of the present list that cannot be read, so that their old state stays.
    unreadable: Unreadable,
}

enum List {
    /// None is being built.
    Idle,
    /// The first one; whether anything of it was stored.
    First { stored: bool },
    /// A later one.
    Relist {
        records: HashMap<ObjectRef, Record>,
        /// Whether an equal version may be of another content.
        doubted: bool,
    },
}

#[derive(Default)]
struct Unreadable {
    named: HashSet<ObjectRef>,
    /// There is one that nobody knows the name of, so that nothing may be taken for deleted.
    nameless: bool,
}

impl<S: Store + ?Sized> Pipeline<S> {
    pub(super) fn new(
        store: Arc<S>,
        emptied: Arc<OnceCell<()>>,
        scope: Scope,
        index: usize,
        status: Arc<StatusCell>,
        subscribers: Arc<Subscribers>,
    ) -> Self {
        Self {
            store,
            emptied,
            scope,
            index,
            status,
            subscribers,
            list: List::First { stored: false },
            unreadable: Unreadable::default(),
        }
    }

    async fn init(&mut self, doubted: bool) -> Result<(), StoreError> {
        self.unreadable = Unreadable::default();
        match &mut self.list {
            List::First { stored: false } => self.empty_store().await?,
            List::First { .. } if is_on(Mutation::VoidListKept) => {}
            List::Relist { .. } if is_on(Mutation::PartialListKept) => {}
            list => {
                let records = HashMap::new();
                *list = List::Relist { records, doubted };
            }
        }
        Ok(())
    }

    /// What a store held before its watcher began is nobody's knowledge.
    async fn empty_store(&self) -> Result<(), StoreError> {
        let empty = || async {
            if self.store.is_empty() {
                return Ok(());
            }
            self.store.clear().await
        };
        self.emptied.get_or_try_init(empty).await?;
        Ok(())
    }

    async fn init_apply(&mut self, indexed: Indexed) -> Result<(), StoreError> {
        let reference = indexed.record.object().reference();
        self.unreadable.named.remove(&reference);
        if !indexed.selected {
            return self.init_drop(&reference).await;
        }
        match &mut self.list {
            List::First { stored } => {
                *stored = true;
                self.store_record(indexed.record).await
            }
            List::Relist { records, doubted } => {
                let record = gathered(&*self.store, indexed.record, *doubted);
                records.insert(reference, record);
                Ok(())
            }
            List::Idle => Ok(()),
        }
    }

    /// An object of the list is there no longer, or not to consumers.
    async fn init_drop(&mut self, reference: &ObjectRef) -> Result<(), StoreError> {
        self.unreadable.named.remove(reference);
        match &mut self.list {
            List::First { .. } => return self.drop_object(reference, None).await,
            List::Relist { records, .. } => {
                records.remove(reference);
            }
            List::Idle => {}
        }
        Ok(())
    }

    fn init_unreadable(&mut self, reference: Option<ObjectRef>) {
        match reference {
            Some(reference) => {
                self.unreadable.named.insert(reference);
            }
            None => self.unreadable.nameless = true,
        }
    }

    /// Swaps the list in; tells and returns what differed from what was stored, of a list that is not the first.
    async fn init_done(&mut self) -> Result<Vec<Difference>, StoreError> {
        let Unreadable { named, nameless } = std::mem::take(&mut self.unreadable);
        let List::Relist { mut records, .. } = std::mem::replace(&mut self.list, List::Idle) else {
            return Ok(Vec::new());
        };
        for reference in named {
            if let Some(kept) = self.store.kept(&reference) {
                records.entry(reference).or_insert(kept);
            }
        }
        let scope = if nameless || is_on(Mutation::RelistKeepsDeleted) {
            Scope::nothing()
        } else {
            self.scope.clone()
        };
        let records = records.into_values().collect();
        let differences = self.store.replace(&scope, records).await?;
        if !is_on(Mutation::RelistNotTold) {
            self.tell(&differences);
        }
        Ok(differences)
    }

    async fn apply(&mut self, indexed: Indexed) -> Result<(), StoreError> {
        if indexed.selected {
            self.store_record(indexed.record).await
        } else if is_on(Mutation::UnselectedKept) {
            Ok(())
        } else {
            let (object, _) = indexed.record.into_parts();
            self.drop_object(&object.reference(), Some(object)).await
        }
    }

    async fn store_record(&self, record: Record) -> Result<(), StoreError> {
        let reference = record.object().reference();
        let whole = self
            .store
            .keeps_bodies()
            .then(|| Stored::whole(record.object().clone(), record.keys().clone()));
        let previous = self.store.update(record).await?;
        // What the store does not keep, changes that wait to be told do not keep either.
        let current = whole.or_else(|| self.store.known(&reference));
        self.tell(&[Difference::new(reference, previous, current)]);
        Ok(())
    }

    /// Drops an object from the store. `last` is its last state, for stores that keep no bodies.
    async fn drop_object(
        &self,
        reference: &ObjectRef,
        last: Option<Object>,
    ) -> Result<(), StoreError> {
        let Some(previous) = self.store.delete(reference).await? else {
            return Ok(());
        };
        let previous = match last {
            // What was stored is what is gone, even if another of the same name came after it that could not be read.
            Some(last) if previous.object().is_none() && previous.uid() == last.uid() => {
                Stored::whole(last, previous.keys())
            }
            _ => previous,
        };
        self.tell(&[Difference::new(reference.clone(), Some(previous), None)]);
        Ok(())
    }

    fn tell(&self, differences: &[Difference]) {
        self.subscribers
            .changed(differences, !self.status.is_synced());
    }
}

/// What to gather of a record just read: the stored object in place of an equal one, so that a relist that finds little
/// changed takes little memory, and no more than the store needs of another. `doubted`: whether an equal version does not
/// make it equal.
fn gathered<S: Store + ?Sized>(store: &S, record: Record, doubted: bool) -> Record {
    let reference = record.object().reference();
    let is_version_of = |kept: &Record, object: &Object| {
        let kept = kept.object();
        kept.resource_version().is_some()
            && kept.resource_version() == object.resource_version()
            && kept.uid() == object.uid()
    };
    let is_altered = |record: &Record| {
        let known = store.known(&reference);
        doubted && known.is_some_and(|known| !known.has_content_of(record))
    };
    match store.kept(&reference) {
        Some(kept) if is_on(Mutation::RelistKeepsOldState) => kept,
        Some(kept) if is_version_of(&kept, record.object()) => {
            if is_altered(&record) {
                store.digest(record).altered()
            } else {
                kept
            }
        }
        _ => store.digest(record),
    }
}

impl<S: Store + ?Sized> Sink for Pipeline<S> {
    async fn accept(&mut self, event: Event) -> Result<(), StoreError> {
        match event {
            Event::Init { doubted } => self.init(doubted).await,
            Event::InitApply(indexed) => self.init_apply(indexed).await,
            Event::InitDelete(reference) => self.init_drop(&reference).await,
            Event::InitUnreadable(reference) => {
                self.init_unreadable(reference);
                Ok(())
            }
            Event::InitDone => self.init_done().await.map(|_differences| ()),
            Event::AuditDone => {
                let differences = self.init_done().await?;
                self.status.audited(&differences);
                Ok(())
            }
            Event::InitAbort => {
                self.list = List::Idle;
                Ok(())
            }
            Event::Apply(indexed) => self.apply(indexed).await,
            Event::Delete(reference, last) => self.drop_object(&reference, last).await,
        }
    }

    fn known(&self, reference: &ObjectRef) -> Option<Stored> {
        self.store.known(reference)
    }

    fn synced(&mut self, version: &str) {
        let is_first = self.status.listed(self.index, version);
        self.note_version(version);
        if is_first {
            self.subscribers.synced(self.store.len());
            self.status.synced();
        }
    }

    fn reached(&mut self, version: &str) {
        self.status.progressed(self.index, version);
        self.note_version(version);
    }
}

impl<S: Store + ?Sized> Pipeline<S> {
    /// Notes in the store how far it is: of several scopes, as far as the last of them.
    fn note_version(&self, version: &str) {
        if self.status.has_one_scope() {
            self.store.set_resource_version(version);
        } else if let Some(version) = self.status.reached_by_all() {
            self.store.set_resource_version(&version);
        }
    }
}
