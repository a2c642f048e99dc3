//! What changed: coalesced per object, from the state last reported to the present one.
//!
//! [`Pending`] gathers, [`Changes`] is what a callback gets. Memory is bounded by the number of distinct objects,
//! however slow the callback: of each only the state before the first change and after the last one is kept.

use std::collections::BTreeMap;
use std::fmt;

use tokio::time::Instant;

use super::mutation::{Mutation, is_on};
use crate::indexer::Keys;
use crate::object::Object;
use crate::resource::ObjectRef;
use crate::store::{Difference, Stored};

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
/// never reported. So what is computed from the store in a callback is never left stale.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    changes: Vec<Change>,
    created: usize,
    modified: usize,
    deleted: usize,
    initial_sync: bool,
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

/// What decides whether an object changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    /// The content.
    Content,
    /// The resource version, where only metadata is watched and the content is not known.
    Version,
}

impl Compare {
    fn is_same(self, old: &Stored, new: &Stored) -> bool {
        match self {
            // Keys may come from fields that are not stored.
            Self::Content => {
                let same_content = match (old.object(), new.object()) {
                    (Some(old), Some(new)) => old.same_content(new),
                    _ => old.content_hash() == new.content_hash(),
                };
                same_content && old.has_keys_of(new)
            }
            Self::Version => old.resource_version() == new.resource_version(),
        }
    }
}

/// Changes not yet reported.
#[derive(Debug)]
pub(super) struct Pending {
    compare: Compare,
    objects: BTreeMap<ObjectRef, Gathered>,
    first: Option<Instant>,
    last: Option<Instant>,
}

/// What gathered for one object.
#[derive(Debug)]
struct Gathered {
    /// As it was last reported.
    before: Option<Stored>,
    /// As it is.
    after: Option<Stored>,
    /// A state in between was in the store while the reader was at work, who may have acted on it: the object is then
    /// reported even if it came back to where it was.
    exposed: bool,
    /// The last existing state that was exposed.
    seen: Option<Stored>,
}

impl Gathered {
    /// The present state may be seen by the reader.
    fn expose(&mut self) {
        self.exposed = true;
        if self.after.is_some() {
            self.seen.clone_from(&self.after);
        }
    }

    /// The object's net change, if there is one to report.
    fn into_changes(self, reference: &ObjectRef, compare: Compare) -> impl Iterator<Item = Change> {
        let change = |kind, old, new| Some(Change::new(kind, reference, old, new));
        let both = match (self.before, self.after) {
            (None, None) if self.seen.is_none() => [None, None],
            (None, None) => [change(ChangeKind::Deleted, self.seen, None), None],
            (None, new) => [change(ChangeKind::Created, None, new), None],
            (old, None) => [change(ChangeKind::Deleted, old, None), None],
            (Some(old), Some(new)) if old.uid() != new.uid() && !is_on(Mutation::UidIgnored) => [
                change(ChangeKind::Deleted, Some(old), None),
                change(ChangeKind::Created, None, Some(new)),
            ],
            (Some(old), Some(new)) if !self.exposed && compare.is_same(&old, &new) => [None, None],
            (old, new) => [change(ChangeKind::Modified, old, new), None],
        };
        both.into_iter().flatten()
    }
}

impl Pending {
    pub(super) fn new(compare: Compare) -> Self {
        Self {
            compare,
            objects: BTreeMap::new(),
            first: None,
            last: None,
        }
    }

    /// Adds what one event or relist changed at `now`. What changes nothing is passed over, so that it does not put
    /// a debounced call off. `reading`: whether the reader is at work on earlier changes and may read the store.
    pub(super) fn add(&mut self, difference: &Difference, now: Instant, reading: bool) {
        let Difference {
            reference,
            previous,
            current,
            ..
        } = difference;
        let gathered = self.objects.get_mut(reference);
        if let (Some(old), Some(new)) = (previous, current)
            && old.uid() == new.uid()
            && self.compare.is_same(old, new)
        {
            if let Some(gathered) = gathered {
                gathered.after.clone_from(current);
            }
            return;
        }
        let Some(gathered) = gathered else {
            let mut gathered = Gathered {
                before: previous.clone(),
                after: current.clone(),
                exposed: false,
                seen: None,
            };
            if reading {
                gathered.expose();
            }
            self.objects.insert(reference.clone(), gathered);
            self.first.get_or_insert(now);
            self.last = Some(now);
            return;
        };
        gathered.after.clone_from(current);
        if reading {
            gathered.expose();
        }
        if matches!(
            gathered,
            Gathered {
                before: None,
                after: None,
                seen: None,
                ..
            }
        ) {
            self.objects.remove(reference);
        }
        self.last = Some(now);
        if self.objects.is_empty() {
            (self.first, self.last) = (None, None);
        }
    }

    /// The reader begins to work: whatever is stored and not yet reported it may see.
    pub(super) fn expose(&mut self) {
        self.objects.values_mut().for_each(Gathered::expose);
    }

    /// When the first and the last of the gathered changes came; `None` when there are none.
    pub(super) fn times(&self) -> Option<(Instant, Instant)> {
        self.first.zip(self.last)
    }

    /// Takes what has gathered; empty when all of it came to nothing.
    pub(super) fn take(&mut self, initial_sync: bool) -> Changes {
        (self.first, self.last) = (None, None);
        let mut changes = Changes {
            initial_sync,
            ..Changes::default()
        };
        for (reference, gathered) in std::mem::take(&mut self.objects) {
            for change in gathered.into_changes(&reference, self.compare) {
                changes.push(change);
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::indexer::{IndexSet, Record};
    use serde_json::json;

    fn state(uid: &str, version: &str, content: &str) -> Option<Stored> {
        let object = json!({"metadata": {"name": "x", "uid": uid, "resourceVersion": version}, "data": content});
        let (object, keys) = Record::new(
            Object::from_value(&object).unwrap(),
            &IndexSet::new(["data"]).unwrap(),
        )
        .into_parts();
        Some(Stored::whole(object, keys))
    }

    /// What comes of a walk through states, `None` being absence.
    fn walk(states: &[Option<Stored>]) -> Vec<(ChangeKind, String)> {
        let mut pending = Pending::new(Compare::Content);
        for pair in states.windows(2) {
            let difference =
                Difference::new(ObjectRef::cluster("x"), pair[0].clone(), pair[1].clone());
            pending.add(&difference, Instant::now(), false);
        }
        let changes = pending.take(false);
        assert_eq!(
            changes.len(),
            changes.created() + changes.modified() + changes.deleted()
        );
        changes
            .iter()
            .map(|change| (change.kind(), change.uid().unwrap().to_owned()))
            .collect()
    }

    #[test]
    fn created_and_deleted_in_one_window_is_nothing() {
        assert_eq!(walk(&[None, state("1", "1", "a"), None]), []);
    }

    #[test]
    fn deleted_and_recreated_is_both() {
        let changes = walk(&[state("1", "1", "a"), None, state("2", "3", "a")]);
        assert_eq!(
            changes,
            [
                (ChangeKind::Deleted, "1".into()),
                (ChangeKind::Created, "2".into())
            ]
        );
        assert_eq!(
            walk(&[state("1", "1", "a"), state("2", "3", "a")]),
            changes,
            "as a relist sees it"
        );
    }

    #[test]
    fn modified_twice_is_modified_once() {
        let changes = walk(&[
            state("1", "1", "a"),
            state("1", "2", "b"),
            state("1", "3", "c"),
        ]);
        assert_eq!(changes, [(ChangeKind::Modified, "1".into())]);
    }

    #[test]
    fn what_came_back_to_where_it_was_is_nothing() {
        assert_eq!(
            walk(&[
                state("1", "1", "a"),
                state("1", "2", "b"),
                state("1", "3", "a")
            ]),
            []
        );
    }

    #[test]
    fn a_new_version_of_the_same_content_is_nothing_and_puts_nothing_off() {
        let mut pending = Pending::new(Compare::Content);
        let same = Difference::new(
            ObjectRef::cluster("x"),
            state("1", "1", "a"),
            state("1", "2", "a"),
        );
        pending.add(&same, Instant::now(), false);
        assert_eq!(pending.times(), None);
        let mut pending = Pending::new(Compare::Version);
        pending.add(&same, Instant::now(), false);
        assert_eq!(
            pending.take(false).modified(),
            1,
            "where only metadata is known, a new version counts"
        );
    }

    #[test]
    fn a_content_change_hidden_behind_a_version_change_is_kept_apart() {
        // a -> b is pending; b -> b with a new version adds nothing, but the state reported is the last one.
        let mut pending = Pending::new(Compare::Content);
        let reference = ObjectRef::cluster("x");
        let states = [
            state("1", "1", "a"),
            state("1", "2", "b"),
            state("1", "3", "b"),
        ];
        for pair in states.windows(2) {
            pending.add(
                &Difference::new(reference.clone(), pair[0].clone(), pair[1].clone()),
                Instant::now(),
                false,
            );
        }
        let changes = pending.take(false);
        assert_eq!(
            changes
                .iter()
                .next()
                .unwrap()
                .object()
                .unwrap()
                .resource_version(),
            Some("3")
        );
    }

    #[test]
    fn what_a_reader_at_work_may_have_seen_is_told_even_if_it_is_undone() {
        let there_and_back = [
            state("1", "1", "a"),
            state("1", "2", "b"),
            state("1", "3", "a"),
        ];
        let fleeting = [None, state("1", "1", "a"), None];
        let gone_and_back = [state("1", "1", "a"), None, state("1", "3", "a")];
        for (states, kind) in [
            (there_and_back, ChangeKind::Modified),
            (fleeting, ChangeKind::Deleted),
            (gone_and_back, ChangeKind::Modified),
        ] {
            for reading in [[true, false], [true, true]] {
                let mut pending = Pending::new(Compare::Content);
                for (pair, reading) in states.windows(2).zip(reading) {
                    let difference =
                        Difference::new(ObjectRef::cluster("x"), pair[0].clone(), pair[1].clone());
                    pending.add(&difference, Instant::now(), reading);
                }
                let changes = pending.take(false);
                let kinds: Vec<_> = changes.iter().map(Change::kind).collect();
                assert_eq!(kinds, [kind]);
            }
        }
    }

    #[test]
    fn keys_before_and_after_are_told() {
        let mut pending = Pending::new(Compare::Content);
        pending.add(
            &Difference::new(
                ObjectRef::cluster("x"),
                state("1", "1", "a"),
                state("1", "2", "b"),
            ),
            Instant::now(),
            false,
        );
        pending.add(
            &Difference::new(ObjectRef::cluster("x"), state("1", "2", "b"), None),
            Instant::now(),
            false,
        );
        let changes = pending.take(false);
        let change = changes.iter().next().unwrap();
        assert!(change.old_keys().unwrap().primary().eq([["a"]]));
        assert!(change.new_keys().is_none());
        assert_eq!(
            change.object().unwrap().resource_version(),
            Some("1"),
            "the last state that was reported"
        );
    }
}
