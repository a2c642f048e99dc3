//! Which objects are to be read by themselves, and when: those that a list or an event had in a form that cannot be read.
//!
//! What a list had is read before the list counts as complete. What an event had is read at once, unless the same object was read
//! a short while ago: then it is put off, and the watch goes on. A read that fails is tried again after a wait, so that it
//! holds up neither the others nor the watch for long. There is room for so many only; what finds none costs a list.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::backoff::Backoff;
use crate::resource::ObjectRef;

/// How many objects wait to be read by themselves, and of how many is remembered that they were read a short while ago.
pub(super) const MOST_UNREAD: usize = 100;

/// An object whose events cannot be read is read by itself no more often than this.
const REREAD_EVERY: Duration = Duration::from_secs(1);

/// How often an object is tried again when the answer is of no use, before it is left until a watch is opened next.
const ATTEMPTS: u8 = 3;

/// How long the list that is made for want of room lasts, for those that find none after it.
const LIST_EVERY: Duration = Duration::from_secs(30);

/// What is to be done about an event's object.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is read now.
    Now,
    /// It waits to be read.
    Later,
    /// Nothing is known of it until the next list, which is noted to be due.
    NoRoom,
}

/// Why a read failed, as far as that decides what is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server was not reached, or is ailing: it is asked until it answers.
    Passing,
    /// The answer was of no use, or did not come to its end.
    Useless,
    /// The server will not give it.
    Refused,
}

/// An object that waits, and how often it was tried in vain.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) reference: ObjectRef,
    failures: u8,
}

/// The objects that are to be read by themselves.
#[derive(Debug, Default)]
pub(super) struct Unread {
    /// The next one last.
    waiting: Vec<Waiting>,
    /// When they are read.
    due: Option<Instant>,
    /// What is tried again when a watch is opened next.
    refused: Vec<ObjectRef>,
    /// Which were read a short while ago for an event, and when.
    recent: HashMap<ObjectRef, Instant>,
    backoff: Backoff,
    /// How many times in a row the reading broke off.
    broken_off: u8,
    /// When a list is due for want of room, and when one was due last.
    list_due: Option<Instant>,
    last_list: Option<Instant>,
}

impl Unread {
    /// A list begins, which has everything.
    pub(super) fn begin_list(&mut self) {
        self.last_list = self.list_due.take().or(self.last_list);
        self.refused.clear();
        self.abandon();
    }

    /// Forgets what waits.
    pub(super) fn abandon(&mut self) {
        self.waiting.clear();
        self.due = None;
        self.broken_off = 0;
    }

    /// Takes in an object of a list, which is to be read when the list is at its end; false if there is no room.
    pub(super) fn leave(&mut self, reference: &ObjectRef) -> bool {
        self.contains(reference) || {
            let has_room = self.waiting.len() < MOST_UNREAD;
            if has_room {
                self.push(reference.clone(), 0);
            }
            has_room
        }
    }

    /// Takes in an object of an event.
    pub(super) fn admit(&mut self, reference: &ObjectRef, now: Instant) -> Admission {
        if self.due.is_some() && self.contains(reference) {
            return Admission::Later;
        }
        let is_recent = |at: &Instant| now.duration_since(*at) < REREAD_EVERY;
        if !self.recent.get(reference).is_some_and(is_recent) {
            self.recent.retain(|_, at| is_recent(at));
            if self.recent.len() < MOST_UNREAD {
                self.recent.insert(reference.clone(), now);
                return Admission::Now;
            }
        }
        if self.leave(reference) {
            self.due.get_or_insert(now + REREAD_EVERY);
            return Admission::Later;
        }
        let after = self
            .last_list
            .map_or(now, |last| now.max(last + LIST_EVERY));
        self.list_due.get_or_insert(after);
        Admission::NoRoom
    }

    /// A watch was opened: what was refused is tried again.
    pub(super) fn reopened(&mut self) {
        for reference in std::mem::take(&mut self.refused) {
            self.leave(&reference);
        }
    }

    /// Whether that object was refused, which is forgotten.
    pub(super) fn take_refused(&mut self, reference: &ObjectRef) -> bool {
        let found = self.refused.iter().position(|it| it == reference);
        found.map(|index| self.refused.swap_remove(index)).is_some()
    }

    /// The next one to read.
    pub(super) fn next(&mut self, now: Instant) -> Option<Waiting> {
        self.due = None;
        let next = self.waiting.pop()?;
        if let Some(at) = self.recent.get_mut(&next.reference) {
            *at = now;
        }
        Some(next)
    }

    /// One more was read.
    pub(super) fn succeeded(&mut self) {
        self.backoff.reset();
        self.broken_off = 0;
    }

    /// One could not be read: it is tried again after a wait, after the others. Whether it is to be reported now.
    /// `jitter` is a random number in `0.0..1.0`.
    pub(super) fn failed(
        &mut self,
        Waiting {
            reference,
            failures,
        }: Waiting,
        failure: Failure,
        now: Instant,
        jitter: f64,
    ) -> bool {
        let failures = failures.saturating_add(1);
        let is_given_up = failure == Failure::Useless && failures >= ATTEMPTS;
        if failure != Failure::Refused {
            let wait = self.backoff.fail(jitter, None);
            self.due = Some(now + wait);
            self.broken_off = self.broken_off.saturating_add(1);
        }
        if failure == Failure::Refused || is_given_up {
            if self.refused.len() < MOST_UNREAD && !self.refused.contains(&reference) {
                self.refused.push(reference);
            }
            return true;
        }
        self.push(reference, failures);
        failures == ATTEMPTS
    }

    /// The same for one that was read for an event at once.
    pub(super) fn failed_at_once(
        &mut self,
        reference: ObjectRef,
        failure: Failure,
        now: Instant,
        jitter: f64,
    ) -> bool {
        let waiting = Waiting {
            reference,
            failures: 0,
        };
        self.failed(waiting, failure, now, jitter)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether nothing waits, and no list is due: what is stored is as new as the watch.
    pub(super) fn is_settled(&self) -> bool {
        self.waiting.is_empty() && self.list_due.is_none()
    }

    /// Whether everything was read, or tried often enough that nobody is to wait for it any longer.
    pub(super) fn is_answered(&self) -> bool {
        self.waiting.is_empty() || self.broken_off >= ATTEMPTS
    }

    /// When they are to be read.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// When a list is due for want of room.
    pub(super) fn list_due(&self) -> Option<Instant> {
        self.list_due
    }

    fn contains(&self, reference: &ObjectRef) -> bool {
        self.waiting.iter().any(|it| it.reference == *reference)
    }

    /// Before all others, which come first therefore.
    fn push(&mut self, reference: ObjectRef, failures: u8) {
        let waiting = Waiting {
            reference,
            failures,
        };
        self.waiting.insert(0, waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(number: usize) -> ObjectRef {
        ObjectRef::namespaced("n", format!("o{number}"))
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_object_of_events_is_read_once_a_second() {
        let (mut unread, now) = (Unread::default(), Instant::now());
        assert_eq!(unread.admit(&object(1), now), Admission::Now);
        assert_eq!(unread.admit(&object(1), now), Admission::Later);
        assert_eq!(unread.admit(&object(2), now), Admission::Now);
        assert_eq!(unread.due(), Some(now + secs(1)));
        assert!(!unread.is_settled());
        let later = now + secs(1);
        assert_eq!(unread.next(later).unwrap().reference, object(1));
        assert!(unread.next(later).is_none() && unread.is_settled());
        assert_eq!(unread.admit(&object(1), later), Admission::Later);
        assert_eq!(unread.admit(&object(2), later), Admission::Now);
    }

    #[test]
    fn without_room_a_list_is_due_and_not_often() {
        let (mut unread, now) = (Unread::default(), Instant::now());
        for number in 0..MOST_UNREAD {
            assert_eq!(unread.admit(&object(number), now), Admission::Now);
        }
        for number in MOST_UNREAD..2 * MOST_UNREAD {
            assert_eq!(unread.admit(&object(number), now), Admission::Later);
        }
        let more = object(2 * MOST_UNREAD);
        assert_eq!(unread.list_due(), None);
        assert_eq!(unread.admit(&more, now), Admission::NoRoom);
        assert_eq!(unread.list_due(), Some(now));
        unread.begin_list();
        assert!(unread.is_settled());
        for number in MOST_UNREAD..2 * MOST_UNREAD {
            unread.admit(&object(number), now);
        }
        assert_eq!(unread.admit(&more, now), Admission::NoRoom);
        assert_eq!(unread.list_due(), Some(now + LIST_EVERY));
    }

    #[test]
    fn what_fails_comes_last_and_is_given_up_only_if_the_server_answers() {
        let (mut unread, now) = (Unread::default(), Instant::now());
        for number in [1, 2] {
            assert!(unread.leave(&object(number)));
        }
        let first = unread.next(now).unwrap();
        assert_eq!(first.reference, object(1));
        assert!(!unread.failed(first, Failure::Useless, now, 0.5));
        assert_eq!(unread.due(), Some(now + Duration::from_millis(400)));
        let second = unread.next(now).unwrap();
        assert_eq!(second.reference, object(2));
        // An ailing server is asked for ever, and told of once.
        let mut told = 0;
        let mut waiting = second;
        for _ in 0..10 {
            told += usize::from(unread.failed(waiting, Failure::Passing, now, 1.0));
            loop {
                waiting = unread.next(now).unwrap();
                if waiting.reference == object(2) {
                    break;
                }
                unread.failed(waiting, Failure::Useless, now, 0.0);
            }
        }
        assert_eq!(told, 1);
        // The other one is left until a watch is opened.
        assert!(unread.next(now).is_none());
        unread.reopened();
        assert_eq!(unread.next(now).unwrap().reference, object(1));
    }

    #[test]
    fn what_is_refused_holds_up_nothing() {
        let (mut unread, now) = (Unread::default(), Instant::now());
        assert_eq!(unread.admit(&object(1), now), Admission::Now);
        assert!(unread.failed_at_once(object(1), Failure::Refused, now, 0.5));
        assert!(unread.is_settled() && unread.due().is_none());
        unread.begin_list();
        unread.reopened();
        assert!(unread.next(now).is_none(), "the list has it");
    }

    #[test]
    fn who_waits_for_a_list_does_not_wait_for_ever() {
        let (mut unread, now) = (Unread::default(), Instant::now());
        unread.leave(&object(1));
        for _ in 0..ATTEMPTS {
            assert!(!unread.is_answered());
            let waiting = unread.next(now).unwrap();
            unread.failed(waiting, Failure::Passing, now, 0.5);
        }
        assert!(unread.is_answered() && !unread.is_settled());
    }
}
