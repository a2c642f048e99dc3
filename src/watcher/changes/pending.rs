//! What gathers until it is told: of each object the state last reported and the present one.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::{Change, ChangeKind, Changes};
use crate::resource::ObjectRef;
use crate::store::{Difference, Stored};
use crate::watcher::mutation::{Mutation, is_on};

/// How many objects are kept that were never reported, came and went while the reader was at work, and are to be told as
/// deleted because it may have seen them: 1,000. A reader that takes its time, or never comes back, would otherwise gather
/// without end where objects are short-lived.
pub const MOST_FLEETING: usize = 1_000;

/// What decides whether an object changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::watcher) enum Compare {
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
pub(in crate::watcher) struct Pending {
    compare: Compare,
    objects: BTreeMap<ObjectRef, Gathered>,
    /// How many of them are fleeting.
    fleeting: usize,
    /// Whether there were more of those.
    incomplete: bool,
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

    /// Whether it was never reported, and is there no longer.
    fn is_void(&self) -> bool {
        self.before.is_none() && self.after.is_none()
    }

    /// Whether it was never reported, and is there no longer, but the reader may have seen it.
    fn is_fleeting(&self) -> bool {
        self.is_void() && self.seen.is_some()
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
    pub(in crate::watcher) fn new(compare: Compare) -> Self {
        Self {
            compare,
            objects: BTreeMap::new(),
            fleeting: 0,
            incomplete: false,
            first: None,
            last: None,
        }
    }

    /// Adds what one event or relist changed at `now`. What changes nothing is passed over, so that it does not put
    /// a debounced call off. `reading`: whether the reader is at work on earlier changes and may read the store.
    pub(in crate::watcher) fn add(&mut self, difference: &Difference, now: Instant, reading: bool) {
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
        self.fleeting -= usize::from(gathered.is_fleeting());
        gathered.after.clone_from(current);
        if reading {
            gathered.expose();
        }
        let is_fleeting = gathered.is_fleeting();
        if is_fleeting && self.fleeting < MOST_FLEETING {
            self.fleeting += 1;
        } else if gathered.is_void() {
            self.objects.remove(reference);
            self.incomplete |= is_fleeting;
        }
        self.last = Some(now);
        if self.objects.is_empty() {
            (self.first, self.last) = (None, None);
        }
    }

    /// The reader begins to work: whatever is stored and not yet reported it may see.
    pub(in crate::watcher) fn expose(&mut self) {
        self.objects.values_mut().for_each(Gathered::expose);
    }

    /// When the first and the last of the gathered changes came; `None` when there are none.
    pub(in crate::watcher) fn times(&self) -> Option<(Instant, Instant)> {
        self.first.zip(self.last)
    }

    /// Takes what has gathered; empty when all of it came to nothing.
    pub(in crate::watcher) fn take(&mut self, initial_sync: bool) -> Changes {
        (self.first, self.last) = (None, None);
        self.fleeting = 0;
        let mut changes = Changes {
            initial_sync,
            incomplete: std::mem::take(&mut self.incomplete),
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
    use crate::object::Object;
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
    fn of_what_came_and_went_before_a_reader_at_work_only_so_many_are_kept() {
        let mut pending = Pending::new(Compare::Content);
        let now = Instant::now();
        let mut come_and_go = |name: usize, stays: bool| {
            let reference = ObjectRef::cluster(format!("{name:05}"));
            let state = state("1", "1", "a");
            let came = Difference::new(reference.clone(), None, state.clone());
            pending.add(&came, now, true);
            if !stays {
                pending.add(&Difference::new(reference, state, None), now, true);
            }
            pending.objects.len()
        };
        for name in 0..3 * MOST_FLEETING {
            assert!(come_and_go(name, false) <= MOST_FLEETING + 1);
        }
        // One that comes back leaves its place to another.
        assert_eq!(come_and_go(0, true), MOST_FLEETING);
        assert_eq!(come_and_go(4 * MOST_FLEETING, false), MOST_FLEETING + 1);
        let changes = pending.take(false);
        assert_eq!((changes.created(), changes.deleted()), (1, MOST_FLEETING));
        assert!(changes.is_incomplete());
        assert!(!pending.take(false).is_incomplete());
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
