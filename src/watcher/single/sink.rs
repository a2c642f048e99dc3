//! Where the events of one object go: the present state, and its channel.

use std::sync::Arc;

use tokio::sync::watch;

use crate::indexer::{Indexed, Keys};
use crate::object::Object;
use crate::resource::ObjectRef;
use crate::store::{StoreError, Stored};
use crate::watcher::reflector::{Event, Sink};
use crate::watcher::status::StatusCell;

/// The only writer of the present state.
pub(super) struct SingleSink {
    reference: ObjectRef,
    current: watch::Sender<Option<Object>>,
    status: Arc<StatusCell>,
    /// What the present list has shown.
    listed: Option<Object>,
    /// The present list has what cannot be read, which may be the object.
    unreadable: bool,
    /// Whether it was ever known what the object is, or that there is none.
    known: bool,
}

impl SingleSink {
    pub(super) fn new(
        reference: ObjectRef,
        current: watch::Sender<Option<Object>>,
        status: Arc<StatusCell>,
    ) -> Self {
        Self {
            reference,
            current,
            status,
            listed: None,
            unreadable: false,
            known: false,
        }
    }

    /// The object, if it is the one that is watched.
    fn ours(&self, indexed: Indexed) -> Option<Object> {
        let (object, _) = indexed.record.into_parts();
        (object.reference() == self.reference).then_some(object)
    }

    /// Takes a state for the present one. Who waits for changes is woken only if the content is another one.
    fn set(&mut self, object: Option<Object>) {
        self.known = true;
        self.current.send_if_modified(|current| {
            let changed = match (&*current, &object) {
                (Some(old), Some(new)) => !old.same_content(new),
                (None, None) => false,
                _ => true,
            };
            *current = object;
            changed
        });
    }

    /// What the object is was found out after a list that did not tell.
    fn found_out(&self) {
        if self.status.read_after_list(0) {
            self.status.synced();
        }
    }
}

impl Sink for SingleSink {
    async fn accept(&mut self, event: Event) -> Result<(), StoreError> {
        match event {
            Event::Init { .. } => (self.listed, self.unreadable) = (None, false),
            Event::InitApply(indexed) => {
                if let Some(object) = self.ours(indexed) {
                    (self.listed, self.unreadable) = (Some(object), false);
                }
            }
            Event::InitDelete(reference) if reference == self.reference => {
                (self.listed, self.unreadable) = (None, false);
            }
            Event::InitUnreadable(reference) => {
                self.unreadable |= reference.is_none_or(|reference| reference == self.reference);
            }
            Event::InitDone | Event::AuditDone => {
                let listed = self.listed.take();
                if listed.is_some() || !self.unreadable {
                    self.set(listed);
                }
            }
            Event::Apply(indexed) => {
                if let Some(object) = self.ours(indexed) {
                    self.set(Some(object));
                    self.found_out();
                }
            }
            Event::Delete(reference, _) if reference == self.reference => {
                self.set(None);
                self.found_out();
            }
            Event::InitAbort | Event::InitDelete(_) | Event::Delete(..) => {}
        }
        Ok(())
    }

    fn known(&self, reference: &ObjectRef) -> Option<Stored> {
        let current = self.current.borrow();
        let object = current.as_ref().filter(|_| *reference == self.reference)?;
        Some(Stored::whole(object.clone(), Keys::none()))
    }

    fn synced(&mut self, version: &str) {
        self.reached(version);
        if !self.known {
            self.status.listed_unread(0, version);
        } else if self.status.listed(0, version) {
            self.status.synced();
        }
    }

    fn reached(&mut self, version: &str) {
        self.status.progressed(0, version);
    }
}
