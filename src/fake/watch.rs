//! A running watch: the initial state if asked for, then the log, bookmarks and the end.
//!
//! A watch holds a place in the log, not a queue: what it has not sent yet exists once for all watches. It waits for a
//! change, its deadline or its next bookmark, whichever comes first, and is gone with its body.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::body::BoxError;
use super::fault::{StreamAction, StreamFault};
use super::query::ListOptions;
use super::represent::{View, error_event};
use super::rest::revision_of;
use super::select::Selection;
use super::state::{Shared, State};
use super::status::ApiError;
use super::store::{Entry, Reader, prefix};

/// Time between bookmarks of an idle watch, as the API server's.
const BOOKMARK_PERIOD: Duration = Duration::from_secs(60);
/// How long before a watch's deadline its last bookmark comes, as the API server's.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);
/// A watch without timeoutSeconds ends between this and twice this, as the API server's.
const MIN_TIMEOUT: Duration = Duration::from_secs(1800);
/// Changes taken from the log at a time.
const BATCH: usize = 256;
/// Lines are joined to chunks of about this size.
const CHUNK: usize = 32 * 1024;

/// One open watch.
pub(super) struct Watch {
    shared: Arc<Shared>,
    view: View,
    selection: Selection,
    /// What the keys of interest start with.
    within: String,
    reader: Option<Reader>,
    initial: VecDeque<Arc<Entry>>,
    /// The bookmark that ends the initial state, if one is wanted.
    initial_end: Option<u64>,
    bookmarks: bool,
    /// Changes up to here are the client's past, even if they are still to come.
    start: u64,
    /// The newest revision the client has been told of.
    told: u64,
    next_bookmark: Instant,
    deadline: Instant,
    epoch: u64,
    lines: VecDeque<Line>,
    first_line: bool,
    faults: Vec<StreamFault>,
    events: usize,
    held_back: Option<Vec<u8>>,
    ended: bool,
    silent: bool,
}

enum Line {
    Text(Vec<u8>),
    Broken,
}

impl Watch {
    /// Opens a watch on checked options. Refusals that a server sends as an event become the watch's only one.
    pub(super) fn open(
        shared: &Arc<Shared>,
        state: &mut State,
        view: View,
        namespace: &str,
        options: &ListOptions,
        faults: Vec<StreamFault>,
    ) -> Result<Self, ApiError> {
        let selection = Selection::new(&view.resource, view.served(), options)?;
        let now = Instant::now();
        let timeout = options.timeout_seconds.map_or_else(
            || MIN_TIMEOUT + MIN_TIMEOUT.mul_f64(state.random.f64()),
            Duration::from_secs,
        );
        let deadline = now + timeout.min(Duration::from_secs(365 * 24 * 3600));
        let current = state.store.revision;
        let mut watch = Self {
            shared: Arc::clone(shared),
            selection,
            within: prefix(namespace),
            reader: None,
            initial: VecDeque::new(),
            initial_end: None,
            bookmarks: options.bookmarks,
            start: current,
            told: current,
            next_bookmark: next_bookmark(now, deadline),
            deadline,
            epoch: state.epoch,
            lines: VecDeque::new(),
            first_line: true,
            faults,
            events: 0,
            held_back: None,
            ended: false,
            silent: false,
            view,
        };
        let plural = &watch.view.resource.plural;
        let asked = revision_of(&options.resource_version).map_err(ApiError::internal)?;
        let initial = options.send_initial_events.unwrap_or(asked == 0);
        if options.send_initial_events.is_some() && asked > current {
            watch.refuse(&ApiError::too_large_revision(asked, current));
            return Ok(watch);
        }
        let start = if initial || asked == 0 {
            current
        } else {
            asked
        };
        match state.store.open_reader(plural, start) {
            Some(reader) => watch.reader = Some(reader),
            None => {
                let oldest = state.store.oldest(plural);
                watch.refuse(&ApiError::watch_expired(asked, oldest));
                return Ok(watch);
            }
        }
        watch.start = start;
        watch.told = start;
        if initial {
            watch.initial = state
                .store
                .snapshot(plural, &watch.within, None, current)
                .into_iter()
                .map(|(_, entry)| entry)
                .filter(|entry| watch.selection.selects(entry))
                .collect();
            watch.initial_end =
                (options.send_initial_events == Some(true) && options.bookmarks).then_some(current);
        }
        Ok(watch)
    }

    fn refuse(&mut self, error: &ApiError) {
        self.lines.push_back(Line::Text(error_event(error)));
        self.ended = true;
    }

    /// The next chunk of the body; `None` at its end.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, BoxError>> {
        loop {
            if let Some(chunk) = self.chunk() {
                return Some(chunk);
            }
            if self.silent {
                return std::future::pending().await;
            }
            if self.ended {
                return None;
            }
            let shared = Arc::clone(&self.shared);
            let changed = self
                .reader
                .as_ref()
                .map(|reader| Arc::clone(&reader.changed))?;
            let mut change = std::pin::pin!(changed.notified());
            change.as_mut().enable();
            let mut restart = std::pin::pin!(shared.restarted.notified());
            restart.as_mut().enable();
            let more = self.advance();
            if more || !self.lines.is_empty() || self.ended || self.silent {
                continue;
            }
            let wake = if self.bookmarks {
                self.deadline.min(self.next_bookmark)
            } else {
                self.deadline
            };
            tokio::select! {
                biased;
                () = restart => {}
                () = change => {}
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    /// Joins waiting lines to one chunk.
    fn chunk(&mut self) -> Option<Result<Bytes, BoxError>> {
        let mut chunk = Vec::new();
        while let Some(line) = self.lines.front_mut() {
            match line {
                Line::Text(text) if chunk.is_empty() => chunk = std::mem::take(text),
                Line::Text(text) if chunk.len() < CHUNK => chunk.append(text),
                Line::Broken if chunk.is_empty() => {
                    self.lines.pop_front();
                    return Some(Err(broken()));
                }
                _ => break,
            }
            self.lines.pop_front();
        }
        (!chunk.is_empty()).then(|| Ok(chunk.into()))
    }

    /// Collects what there is to send now; whether there is more already.
    fn advance(&mut self) -> bool {
        self.boundary();
        if self.ended || self.silent {
            return false;
        }
        if !self.initial.is_empty() {
            for _ in 0..BATCH {
                let Some(entry) = self.initial.pop_front() else {
                    break;
                };
                self.send("ADDED", &entry, None);
                if self.ended || self.silent {
                    return false;
                }
            }
            return true;
        }
        if let Some(revision) = self.initial_end.take() {
            let line = self.view.bookmark(revision, true);
            self.push(line);
            return true;
        }
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state.lock();
        if state.epoch != self.epoch {
            self.ended = true;
            return false;
        }
        let changes = match &mut self.reader {
            Some(reader) => state.store.read(&self.view.resource.plural, reader, BATCH),
            None => Vec::new(),
        };
        let current = state.store.revision;
        self.view.now = state.clock.seconds();
        drop(state);
        let caught_up = changes.len() < BATCH;
        for change in changes {
            if change.revision <= self.start || !change.key.starts_with(&*self.within) {
                continue;
            }
            let before = change
                .before
                .as_ref()
                .filter(|entry| self.selection.selects(entry));
            let after = change
                .after
                .as_ref()
                .filter(|entry| self.selection.selects(entry));
            match (before, after) {
                (None, Some(entry)) => self.send("ADDED", entry, None),
                (Some(_), Some(entry)) => self.send("MODIFIED", entry, None),
                (Some(entry), None) => self.send("DELETED", entry, Some(change.revision)),
                (None, None) => continue,
            }
            self.told = change.revision;
            if self.ended || self.silent {
                return false;
            }
        }
        let now = Instant::now();
        if caught_up {
            if self.bookmarks && now >= self.next_bookmark {
                self.next_bookmark = next_bookmark(now, self.deadline);
                if current > self.told {
                    self.told = current;
                    let line = self.view.bookmark(current, false);
                    self.push(line);
                }
            }
            if now >= self.deadline {
                self.ended = true;
            }
        }
        !caught_up
    }

    fn send(&mut self, kind: &str, entry: &Arc<Entry>, revision: Option<u64>) {
        let line = self.view.event(kind, entry, revision, self.first_line);
        self.first_line = false;
        self.push(line);
    }

    /// Applies the faults that need no event at this place.
    fn boundary(&mut self) {
        let events = self.events;
        let Some(at) = self
            .faults
            .iter()
            .position(|fault| fault.at == events && fault.action.is_between_events())
        else {
            return;
        };
        match self.faults.swap_remove(at).action {
            StreamAction::Reset => {
                self.lines.push_back(Line::Broken);
                self.ended = true;
            }
            StreamAction::Error(error) => self.refuse(&error),
            StreamAction::Silence => self.silent = true,
            _ => self.ended = true,
        }
    }

    /// Queues one event's line, unless a fault has other plans.
    fn push(&mut self, line: Vec<u8>) {
        self.boundary();
        if self.ended || self.silent {
            return;
        }
        let events = self.events;
        self.events += 1;
        let held = self.held_back.take();
        let fault = self
            .faults
            .iter()
            .position(|fault| fault.at == events)
            .map(|at| self.faults.swap_remove(at).action);
        let mut queue = |line: Vec<u8>| self.lines.push_back(Line::Text(line));
        match fault {
            None => queue(line),
            Some(StreamAction::Drop) => {}
            Some(StreamAction::Duplicate) => {
                queue(line.clone());
                queue(line);
            }
            Some(StreamAction::Reorder) => self.held_back = Some(line),
            Some(StreamAction::Garbage) => {
                queue(b"{\"type\":\"MODIFIED\",\"obj\xffect\":<html>\n".to_vec());
            }
            Some(StreamAction::Truncate { newline }) => {
                let mut half = line;
                half.truncate(half.len() / 2);
                if newline {
                    half.push(b'\n');
                }
                queue(half);
                self.ended = true;
            }
            Some(_) => queue(line),
        }
        if let Some(held) = held {
            self.lines.push_back(Line::Text(held));
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(reader) = &self.reader {
            self.shared
                .state
                .lock()
                .store
                .close_reader(&self.view.resource.plural, reader);
        }
    }
}

fn next_bookmark(now: Instant, deadline: Instant) -> Instant {
    let last = deadline.checked_sub(LAST_BOOKMARK).unwrap_or(deadline);
    let next = now + BOOKMARK_PERIOD;
    if last > now { next.min(last) } else { next }
}

pub(super) fn broken() -> BoxError {
    std::io::Error::new(
        std::io::ErrorKind::ConnectionReset,
        "connection reset by the fake cluster",
    )
    .into()
}
