//! What changed: coalesced per object, from the state last reported to the present one.
//!
//! [`Pending`] gathers, [`Changes`] is what a callback gets. Memory is bounded however slow the callback: of each object
//! only the state before the first change and after the last one is kept, and that of those which existed when changes were
//! last told, of those which exist now, and of [`MOST_FLEETING`] others.

mod pending;

use std::fmt;

pub use pending::MOST_FLEETING;
pub(super) use pending::{Compare, Pending};

use crate::indexer::Keys;
use crate::object::Object;
use crate::resource::ObjectRef;
use crate::store::Stored;

/// How an object changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// It exists and did not before.
    Created,
    /// Its content is another one.
    Modified,
    /// It existed and does no longer.
    Deleted,
}

/// One object that changed.
#[derive(Clone)]
pub struct Change {
    kind: ChangeKind,
    reference: ObjectRef,
    uid: Option<Box<str>>,
    old_keys: Option<Keys>,
    new_keys: Option<Keys>,
    object: Option<Object>,
}

impl Change {
    /// How it changed.
    pub fn kind(&self) -> ChangeKind {
        self.kind
    }

    /// Which object.
    pub fn reference(&self) -> &ObjectRef {
        &self.reference
    }

    /// The uid of the object, which tells it from an earlier or later one of the same name.
    pub fn uid(&self) -> Option<&str> {
        self.uid.as_deref()
    }

    /// The index keys it had when it was last reported; `None` for a creation.
    pub fn old_keys(&self) -> Option<&Keys> {
        self.old_keys.as_ref()
    }

    /// The index keys it has now; `None` for a deletion.
    pub fn new_keys(&self) -> Option<&Keys> {
        self.new_keys.as_ref()
    }

    /// The object as it was after the change; for a deletion the last known one. `None` if the store keeps no bodies, but
    /// for a deletion with which the server sent the last state; where only metadata is watched that is metadata only.
    pub fn object(&self) -> Option<&Object> {
        self.object.as_ref()
    }

    fn new(
        kind: ChangeKind,
        reference: &ObjectRef,
        old: Option<Stored>,
        new: Option<Stored>,
    ) -> Self {
        let old_keys = old.as_ref().map(Stored::keys);
        let new_keys = new.as_ref().map(Stored::keys);
        let last = new.or(old);
        let uid = last.as_ref().and_then(Stored::uid).map(Into::into);
        let object = last.as_ref().and_then(Stored::object).cloned();
        Self {
            kind,
            reference: reference.clone(),
            uid,
            old_keys,
            new_keys,
            object,
        }
    }
}

/// Names the object and shows neither content nor keys, which may be secret.
impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.reference)
    }
}

/// What changed since the last report: each object at most once, but for one that was deleted and created anew, which
/// is there as both.
///
/// What came back to where it was is not reported, unless the state in between was in the store while the callback ran
/// (or the reader of a stream was at work), which may have acted on it: then it is, as modified, or as deleted if it was
/// never reported. So what is computed from the store in a callback is never left stale. Of objects that came and went in
/// the meantime [`MOST_FLEETING`] are named; that there were more, [`Changes::is_incomplete`] says.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    changes: Vec<Change>,
    created: usize,
    modified: usize,
    deleted: usize,
    initial_sync: bool,
    incomplete: bool,
}

impl Changes {
    /// How many objects were created.
    pub fn created(&self) -> usize {
        self.created
    }

    /// How many objects were modified.
    pub fn modified(&self) -> usize {
        self.modified
    }

    /// How many objects were deleted.
    pub fn deleted(&self) -> usize {
        self.deleted
    }

    /// How many changes there are; never 0 in what a callback gets.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Whether these were found while the initial sync was under way.
    pub fn is_initial_sync(&self) -> bool {
        self.initial_sync
    }

    /// Whether more objects came and went than are named here, while the callback ran or the reader of a stream was at
    /// work: more than [`MOST_FLEETING`] that were never reported. Who acted on what the store had meanwhile looks for
    /// what is not in it any more; to others nothing is missing.
    pub fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// The changes, in namespace/name order; of an object deleted and created anew the deletion first.
    pub fn iter(&self) -> std::slice::Iter<'_, Change> {
        self.changes.iter()
    }

    fn push(&mut self, change: Change) {
        match change.kind {
            ChangeKind::Created => self.created += 1,
            ChangeKind::Modified => self.modified += 1,
            ChangeKind::Deleted => self.deleted += 1,
        }
        self.changes.push(change);
    }
}

impl<'a> IntoIterator for &'a Changes {
    type Item = &'a Change;
    type IntoIter = std::slice::Iter<'a, Change>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Changes {
    type Item = Change;
    type IntoIter = std::vec::IntoIter<Change>;

    fn into_iter(self) -> Self::IntoIter {
        self.changes.into_iter()
    }
}
