//! One reader of changes: the callback's loop or a stream. Each gathers for itself, so that a slow one holds up nobody.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use futures::Stream;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::changes::{Changes, Compare, Pending};
use super::debounce::Debounce;
use super::mutation::{Mutation, is_on};
use crate::store::Difference;

/// What a reader is told next.
#[derive(Debug)]
pub(super) enum Notice {
    /// Objects changed.
    Changes(Changes),
    /// The initial sync is complete, with this many objects in the store.
    Synced(usize),
}

#[derive(Debug)]
struct Gathered {
    /// Changes found during the initial sync, if they are wanted.
    initial: Option<Pending>,
    /// Set once the initial sync is complete, until told.
    synced: Option<usize>,
    /// Changes after the initial sync.
    live: Pending,
    /// Whether the reader is at work on what it was told.
    reading: bool,
    closed: bool,
}

#[derive(Debug)]
struct Inbox {
    gathered: Mutex<Gathered>,
    /// Wakes the reader when something came or the watcher ended.
    news: Notify,
}

/// The readers of one watcher.
#[derive(Debug, Default)]
pub(super) struct Subscribers {
    inboxes: Mutex<Registered>,
}

#[derive(Debug, Default)]
struct Registered {
    inboxes: Vec<Weak<Inbox>>,
    closed: bool,
}

impl Subscribers {
    /// Adds a reader. `during_sync`: whether it wants changes found during the initial sync.
    pub(super) fn subscribe(
        &self,
        compare: Compare,
        debounce: Debounce,
        during_sync: bool,
    ) -> Subscription {
        let mut registered = self.inboxes.lock();
        let inbox = Arc::new(Inbox {
            gathered: Mutex::new(Gathered {
                initial: during_sync.then(|| Pending::new(compare)),
                synced: None,
                live: Pending::new(compare),
                reading: false,
                closed: registered.closed,
            }),
            news: Notify::new(),
        });
        registered.inboxes.retain(|inbox| inbox.strong_count() > 0);
        registered.inboxes.push(Arc::downgrade(&inbox));
        Subscription {
            inbox,
            debounce,
            previous: None,
        }
    }

    /// Changes what gathers for each reader; `change` says whether the reader has to look.
    fn each(&self, mut change: impl FnMut(&mut Gathered) -> bool) {
        for inbox in self.inboxes.lock().inboxes.iter().filter_map(Weak::upgrade) {
            if change(&mut inbox.gathered.lock()) {
                inbox.news.notify_one();
            }
        }
    }

    /// Tells all readers what an event changed.
    pub(super) fn changed(&self, differences: &[Difference], initial_sync: bool) {
        if differences.is_empty() {
            return;
        }
        let now = Instant::now();
        self.each(|gathered| {
            let reading = gathered.reading;
            let pending = if initial_sync {
                gathered.initial.as_mut()
            } else {
                Some(&mut gathered.live)
            };
            // A reader that waits for the time of earlier changes looks for itself whether there were later ones.
            pending.is_some_and(|pending| {
                let was_empty = pending.times().is_none();
                for difference in differences {
                    pending.add(difference, now, reading);
                }
                was_empty && pending.times().is_some()
            })
        });
    }

    /// Tells all readers that the initial sync is complete.
    pub(super) fn synced(&self, count: usize) {
        self.each(|gathered| {
            gathered.synced = Some(count);
            true
        });
    }

    /// Ends all readers once they have been told what has gathered.
    pub(super) fn close(&self) {
        self.inboxes.lock().closed = true;
        self.each(|gathered| {
            gathered.closed = true;
            true
        });
    }
}

/// One reader.
#[derive(Debug)]
pub(super) struct Subscription {
    inbox: Arc<Inbox>,
    debounce: Debounce,
    /// When changes were last handed out.
    previous: Option<Instant>,
}

impl Subscription {
    /// What to tell next; `None` once the watcher has ended and everything was told.
    ///
    /// # Cancel safety
    /// Safe: what has gathered stays until it is returned.
    pub(super) async fn next(&mut self) -> Option<Notice> {
        loop {
            // News that comes between this look and the wait leaves a permit, which ends the wait.
            match self.gathered(Instant::now()) {
                Ready::Now(notice) => return Some(notice),
                Ready::End => return None,
                Ready::At(due) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(due) => {}
                        () = self.inbox.news.notified() => {}
                    }
                }
                Ready::Never => self.inbox.news.notified().await,
            }
        }
    }

    fn gathered(&mut self, now: Instant) -> Ready {
        let mut gathered = self.inbox.gathered.lock();
        gathered.reading = false;
        let ready = gathered.ready(now, self.debounce, self.previous);
        if let Ready::Now(notice) = &ready {
            gathered.reading = true;
            gathered.live.expose();
            if matches!(notice, Notice::Changes(_)) {
                self.previous = Some(now);
            }
        }
        ready
    }
}

impl Gathered {
    /// What is due by now.
    fn ready(&mut self, now: Instant, debounce: Debounce, previous: Option<Instant>) -> Ready {
        // What was found during the sync is told before its end, the end before what came after it.
        let has_initial = self
            .initial
            .as_ref()
            .is_some_and(|pending| pending.times().is_some());
        let (pending, at_once) = match &mut self.initial {
            Some(pending) if has_initial => (pending, self.synced.is_some() || self.closed),
            _ => {
                if let Some(count) = self.synced.take() {
                    self.initial = None;
                    return Ready::Now(Notice::Synced(count));
                }
                (&mut self.live, self.closed)
            }
        };
        let Some((first, last)) = pending.times() else {
            return if self.closed {
                Ready::End
            } else {
                Ready::Never
            };
        };
        let due = debounce.due(first, last, previous);
        if self.closed && is_on(Mutation::FlushForgotten) {
            return Ready::End;
        }
        if !at_once && due > now {
            if previous.is_some() && is_on(Mutation::LateChangesLost) {
                pending.take(has_initial);
            }
            return Ready::At(due);
        }
        let changes = pending.take(has_initial);
        if changes.is_empty() {
            // All of it came to nothing.
            return self.ready(now, debounce, previous);
        }
        Ready::Now(Notice::Changes(changes))
    }
}

enum Ready {
    Now(Notice),
    At(Instant),
    Never,
    End,
}

/// The changes of one watcher as a stream, for those who prefer it to a callback.
///
/// Debounced as the watcher's callback is. It ends when the watcher has been shut down and everything was told. Its reader is
/// at work from when it gets changes until it asks for more. A stream that is not read gathers one entry for each object that
/// was there when it was last read, each that is there now, and at most [`MOST_FLEETING`](super::MOST_FLEETING) others;
/// one that is dropped costs nothing more.
pub struct ChangesStream(
    Option<Subscription>,
    Option<BoxFuture<'static, (Subscription, Option<Changes>)>>,
);

impl ChangesStream {
    pub(super) fn new(subscription: Subscription) -> Self {
        Self(Some(subscription), None)
    }
}

impl Stream for ChangesStream {
    type Item = Changes;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Changes>> {
        if let Some(mut subscription) = self.0.take() {
            self.1 = Some(Box::pin(async move {
                loop {
                    match subscription.next().await {
                        Some(Notice::Changes(changes)) => return (subscription, Some(changes)),
                        Some(Notice::Synced(_)) => {}
                        None => return (subscription, None),
                    }
                }
            }));
        }
        let Some(next) = &mut self.1 else {
            return Poll::Ready(None);
        };
        let (subscription, changes) = std::task::ready!(next.as_mut().poll(context));
        self.1 = None;
        if changes.is_some() {
            self.0 = Some(subscription);
        }
        Poll::Ready(changes)
    }
}

impl std::fmt::Debug for ChangesStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChangesStream")
    }
}
