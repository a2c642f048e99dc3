//! A copy of a store that is kept by reports of changes alone, and must equal the store after each.

use std::collections::BTreeMap;
use std::sync::Arc;

use kubedex::watcher::ChangeKind;
use kubedex::{Changes, ObjectRef};

use super::trace::Trace;
use super::witness::{Shape, Witness};

/// One reader of changes: a callback or a stream.
pub(super) struct Reader {
    name: &'static str,
    who: usize,
    trace: Arc<Trace>,
    during_sync: bool,
    /// It works for a while on each report, and may see in the store what is undone before the next one: that is told as
    /// well.
    slow: bool,
    /// Whether it is told that the initial sync is complete.
    hears_of_sync: bool,
    copy: BTreeMap<ObjectRef, Shape>,
    /// The copy is based on what was stored at the end of the sync, or later.
    based: bool,
    synced: bool,
    running: bool,
    /// Changes after the sync were told. What it may have seen before, at the end of the sync, is told even if undone since.
    live: bool,
}

impl Reader {
    /// One that reads from the start.
    pub(super) fn new(
        name: &'static str,
        who: usize,
        trace: Arc<Trace>,
        (during_sync, slow): (bool, bool),
        hears_of_sync: bool,
    ) -> Self {
        Self {
            name,
            who,
            trace,
            during_sync,
            slow,
            hears_of_sync,
            copy: BTreeMap::new(),
            based: false,
            synced: false,
            running: false,
            live: false,
        }
    }

    /// One that is not told of the end of the sync and reads from now on.
    pub(super) fn stream(
        who: usize,
        trace: Arc<Trace>,
        (during_sync, slow): (bool, bool),
        store: &Witness,
        synced: bool,
    ) -> Self {
        let name = if synced { "late stream" } else { "stream" };
        let mut reader = Self::new(name, who, trace, (during_sync, slow), false);
        reader.copy = store.shapes();
        reader.based = synced;
        reader
    }

    fn fail(&self, reason: impl std::fmt::Display) {
        self.trace
            .fail(Some(self.who), format!("{}: {reason}", self.name));
    }

    /// A call begins.
    pub(super) fn begins(&mut self) {
        if std::mem::replace(&mut self.running, true) {
            self.fail("W2: two calls overlap");
        }
    }

    /// A call ends.
    pub(super) fn ends(&mut self) {
        self.running = false;
    }

    /// The initial sync is complete.
    pub(super) fn synced(&mut self, store: &Witness, count: usize) {
        self.trace
            .note(Some(self.who), format!("told: synced with {count}"));
        if std::mem::replace(&mut self.synced, true) {
            self.fail("W4: told twice that the sync is complete");
        }
        self.base(store);
        if self.copy.len() != count {
            self.fail(format!(
                "W4: told of {count} objects at the sync, which had {}",
                self.copy.len()
            ));
        }
    }

    fn base(&mut self, store: &Witness) {
        if std::mem::replace(&mut self.based, true) {
            return;
        }
        let at_sync = store.at_sync();
        if !self.during_sync {
            self.copy = at_sync;
        } else if let Some(difference) = difference(&self.copy, &at_sync) {
            self.fail(format!(
                "changes during the sync do not add up to it: {difference}"
            ));
        }
    }

    /// Changes are told.
    pub(super) fn told(&mut self, store: &Witness, changes: &Changes) {
        let counts = (changes.created(), changes.modified(), changes.deleted());
        let when = if changes.is_initial_sync() {
            " during the sync"
        } else {
            ""
        };
        self.trace.note(
            Some(self.who),
            format!("told {}: {counts:?}{when}", self.name),
        );
        if changes.is_empty() {
            self.fail("told of nothing");
        }
        if changes.is_initial_sync() {
            if !self.during_sync {
                self.fail("told of changes during the sync, unasked");
            }
            if self.based {
                self.fail("told of changes during the sync after its end");
            }
            self.apply(store, changes);
            return;
        }
        if self.hears_of_sync && !self.synced {
            self.fail("told of changes before the end of the sync");
        }
        self.base(store);
        self.apply(store, changes);
        self.live = true;
        self.check(store);
    }

    /// The copy equals the store, everything being told.
    pub(super) fn check(&mut self, store: &Witness) {
        if let Some(difference) = difference(&self.copy, &store.shapes()) {
            self.fail(format!(
                "the changes told do not add up to the store: {difference}"
            ));
        }
    }

    /// At the end of everything.
    pub(super) fn finish(&mut self, store: &Witness, synced: bool) {
        if !synced {
            return;
        }
        if self.hears_of_sync && !self.synced {
            self.fail("W4: never told that the sync is complete");
        }
        self.base(store);
        self.check(store);
    }

    fn apply(&mut self, store: &Witness, changes: &Changes) {
        for change in changes {
            let reference = change.reference();
            let uid = change.uid().unwrap_or_default();
            let before = self.copy.get(reference).cloned();
            let keys = change.new_keys().or(change.old_keys());
            let shape = keys.map(|keys| store.shape(uid, change.object(), keys));
            let complaint = match (change.kind(), &before, &shape) {
                (ChangeKind::Created, None, Some(_)) => None,
                (ChangeKind::Modified, Some(before), Some(now)) if *before.0 != *now.0 => {
                    Some("is another one")
                }
                (ChangeKind::Modified, Some(before), Some(now))
                    if before == now && !self.slow && self.live && store.shows_content() =>
                {
                    Some("did not change")
                }
                (ChangeKind::Modified, Some(_), Some(_)) => None,
                (ChangeKind::Deleted, Some(before), Some(_)) if *before.0 == *uid => None,
                (ChangeKind::Deleted, None, Some(_)) if self.slow || !self.live => None,
                _ => Some("does not fit"),
            };
            if let Some(complaint) = complaint {
                self.fail(format!(
                    "{reference} told as {:?} {complaint}",
                    change.kind()
                ));
            }
            match (change.kind(), shape) {
                (ChangeKind::Deleted, _) | (_, None) => self.copy.remove(reference),
                (_, Some(shape)) => self.copy.insert(reference.clone(), shape),
            };
        }
    }
}

fn difference(
    ours: &BTreeMap<ObjectRef, Shape>,
    theirs: &BTreeMap<ObjectRef, Shape>,
) -> Option<String> {
    let missing = theirs.keys().find(|key| !ours.contains_key(*key));
    let surplus = ours.keys().find(|key| !theirs.contains_key(*key));
    let other = theirs
        .iter()
        .find(|(key, shape)| ours.get(*key).is_some_and(|ours| ours != *shape));
    match (missing, surplus, other) {
        (Some(reference), _, _) => Some(format!("{reference} is missing")),
        (_, Some(reference), _) => Some(format!("{reference} should be gone")),
        (_, _, Some((reference, _))) => Some(format!("{reference} is another one")),
        (None, None, None) => None,
    }
}
