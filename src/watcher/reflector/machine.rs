//! The list/watch state machine: (state, input) to (state, next step), without I/O, clock or randomness of its own.
//!
//! ```text
//!              ┌──────────────── refused, no progress ───────────────┐
//!              │                                                     ▼
//!   start ─► Stream ── initial-events-end ─► Watch ◄── last page ── List ◄─┐ next page,
//!              ▲                             │ ▲ │                   ▲ └───┘ 410: one full list
//!              │                             │ └─┘ end, timeout,     │
//!              │                             │     5xx, 429, reset,  │
//!              │                             │     garbled line once │
//!              └──── 410, other 4xx, disorder, garbled twice, ───────┘
//!                    a list wanted
//! ```
//!
//! Every arrow but the clean ones waits first ([`Backoff`]). A list that is wanted waits only if the watch was waiting. Two counters of failures are kept, since a list that
//! succeeds is progress for listing, not for watching: a server that lists well and refuses every watch is asked ever
//! less often.

use std::cmp::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::backoff::Backoff;
use crate::resource::compare_resource_versions;
use crate::watcher::mutation::{Mutation, is_on};

/// A watch that lasted this long, or half the time that was asked for, counts as progress even if nothing happened on it.
const STAYED_UP: Duration = Duration::from_secs(10);

/// How often a list older than what was already seen is asked again before it is taken for the truth.
const STALE_LISTS: u8 = 3;

/// How often a watch may be refused because its version lies in the server's future before a list is made.
const FUTURE_REFUSALS: u8 = 3;

/// How often a streaming list may break off before a paged one is tried instead.
const BROKEN_STREAMS: u8 = 3;

/// How often a list without a limit may fail before one in pages, or a streaming one, is tried again: a server may be able to
/// give that only.
const FAILED_WHOLE_LISTS: u8 = 2;

/// How many pages a list may have. A server that gives ever new tokens is not followed further: the list is then begun anew
/// without a limit, after a wait, as is one of more objects than this times the page size.
pub(super) const MOST_PAGES: u32 = 10_000;

/// How the initial list is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitialList {
    /// Streaming if the server can, else paged; found out and remembered.
    #[default]
    Auto,
    /// Always in pages, followed by a watch.
    Paged,
}

/// What the driver has to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Wait, then ask again.
    Wait(Duration),
    /// Read one page of a list; `limit` says whether in pages at all.
    List { token: Option<String>, limit: bool },
    /// Open a streaming list, which goes on as a watch.
    Stream,
    /// Open a watch from this version.
    Watch { version: String },
}

/// A refusal by the server: an answer other than 2xx, or an ERROR event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The HTTP status code, or the code of the `Status`.
    pub(super) code: u16,
    /// Whether the reason is Expired or Gone, whatever the code.
    pub(super) expired: bool,
    /// Whether the version asked for lies in the server's future.
    pub(super) too_new: bool,
    /// How long the server asks to wait.
    pub(super) retry_after: Option<Duration>,
}

impl Refusal {
    fn is_expired(&self) -> bool {
        self.expired || self.code == 410
    }

    /// Whether the fault lies with the server, and the same request may succeed later.
    pub(super) fn is_passing(&self) -> bool {
        self.code == 429 || self.code == 401 || self.code >= 500
    }

    /// Whether the server does not know or allow the parameters of a streaming list.
    fn rejects_parameters(&self) -> bool {
        matches!(self.code, 400 | 405 | 406 | 415 | 422)
    }
}

/// What happened to the step that was being done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// A list page was read to its end.
    Page {
        version: String,
        token: Option<String>,
    },
    /// A stream or watch was opened.
    Opened,
    /// The streaming list is complete as of this version.
    InitialEventsEnd { version: String },
    /// An event was applied.
    Applied { version: String },
    /// A bookmark was read.
    Bookmark { version: String },
    /// A line was no event of this resource.
    Garbled,
    /// An event came out of order, so that one may be missing.
    Disorder,
    /// What was read could not be stored.
    NotStored,
    /// The server refused.
    Refused(Refusal),
    /// The connection failed: not made, reset, or no answer in time.
    Failed,
    /// The body ended cleanly.
    Ended,
    /// A streaming list made no progress in time.
    NoProgress,
    /// Somebody wants a list that begins now, though nothing is amiss. Only a watch is given up for it: a list that is
    /// being made is finished first, or lists asked for again and again would never be complete.
    ListWanted,
}

/// What an input means for what is being built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Go on reading.
    Continue,
    /// The list is complete: swap it in, then go on.
    Synced {
        /// The list is older than what was seen before, persistently.
        went_back: bool,
    },
    /// The step is over; ask for the next one. What was built of a list is still good.
    Next,
    /// The step is over, and what was built of a list is void.
    Restart,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    List { token: Option<String>, limit: bool },
    Stream,
    Watch,
}

/// The state of one reflector.
#[derive(Debug)]
pub(super) struct Machine {
    strategy: InitialList,
    phase: Phase,
    wait: Option<Duration>,
    /// The version to resume from; while a list is made, the newest that was seen before.
    version: String,
    list_backoff: Backoff,
    watch_backoff: Backoff,
    opened: Option<Instant>,
    /// How many pages of this list were read.
    pages: u32,
    /// Whether a watch made progress since the last list.
    watched: bool,
    /// Whether this stream or watch made progress.
    progressed: bool,
    garbled_at: Option<String>,
    stale_lists: u8,
    future_refusals: u8,
    broken_streams: u8,
    /// How many lists without a limit failed in a row.
    failed_whole_lists: u8,
    streaming_refused: bool,
    /// Whether a streaming list was complete once.
    streamed: bool,
    /// How long a watch must last to count as progress.
    stayed_up: Duration,
}

impl Machine {
    /// `watch_timeout` is the least time that a watch is asked to last.
    pub(super) fn new(strategy: InitialList, watch_timeout: Duration) -> Self {
        let mut machine = Self {
            strategy,
            phase: Phase::Stream,
            wait: None,
            version: String::new(),
            list_backoff: Backoff::default(),
            watch_backoff: Backoff::default(),
            opened: None,
            pages: 0,
            watched: false,
            progressed: false,
            garbled_at: None,
            stale_lists: 0,
            future_refusals: 0,
            broken_streams: 0,
            failed_whole_lists: 0,
            streaming_refused: false,
            streamed: false,
            stayed_up: STAYED_UP.min(watch_timeout / 2),
        };
        machine.phase = machine.first_phase();
        machine
    }

    /// The version that the store has reached; while a list is made, the newest that was seen before. Empty if none was.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Notes that what is stored shows a state as of this version, so that a list that is older is stale. Only before a
    /// list.
    pub(super) fn has_seen(&mut self, version: &str) {
        let is_newer = self.version.is_empty()
            || compare_resource_versions(version, &self.version) == Some(Ordering::Greater);
        if is_newer {
            version.clone_into(&mut self.version);
        }
    }

    /// Whether the machine is watching, the list being complete.
    pub(super) fn is_watching(&self) -> bool {
        self.phase == Phase::Watch
    }

    /// Whether an end of the watch would count as a failure: there was no progress on it, and it did not stay up.
    pub(super) fn would_back_off(&self, now: Instant) -> bool {
        !self.is_watching() || !(self.progressed || self.stayed_up(now))
    }

    /// Whether lists older than what was seen have come so often that the next one is taken for the truth.
    pub(super) fn believes_old_lists(&self) -> bool {
        self.stale_lists >= STALE_LISTS || is_on(Mutation::StaleListBelieved)
    }

    /// Whether a page that goes on with this token begins the list anew: the server gives the same page again and again, or
    /// ever new ones.
    pub(super) fn has_no_end(&self, next: &str) -> bool {
        match &self.phase {
            Phase::List { token, .. } => {
                token.as_deref() == Some(next) || (token.is_some() && self.pages + 1 >= MOST_PAGES)
            }
            Phase::Stream | Phase::Watch => false,
        }
    }

    /// Whether a bookmark of this version is older than what was seen on this watch.
    pub(super) fn goes_back(&self, version: &str) -> bool {
        self.is_watching()
            && compare_resource_versions(version, &self.version) == Some(Ordering::Less)
    }

    /// Whether a streaming list was refused, for others of the same resource to know once a list in pages is complete: then it
    /// was not the request as such.
    pub(super) fn streaming_refused(&self) -> bool {
        self.streaming_refused
    }

    /// Takes over that streaming lists are refused.
    pub(super) fn refuse_streaming(&mut self) {
        self.streaming_refused = true;
        if self.phase == Phase::Stream {
            self.phase = self.first_phase();
        }
    }

    /// What to do next.
    pub(super) fn next(&mut self) -> Step {
        if let Some(wait) = self.wait.take().filter(|wait| !wait.is_zero()) {
            return Step::Wait(wait);
        }
        self.opened = None;
        self.progressed = false;
        match &self.phase {
            Phase::List { token, limit } => Step::List {
                token: token.clone(),
                limit: *limit,
            },
            Phase::Stream => Step::Stream,
            Phase::Watch => Step::Watch {
                version: self.version.clone(),
            },
        }
    }

    /// Takes in what happened. `jitter` is a random number in `0.0..1.0`.
    pub(super) fn input(&mut self, input: Input, now: Instant, jitter: f64) -> Outcome {
        match self.phase.clone() {
            Phase::List { token, limit } => self.list_input(input, token.as_ref(), limit, jitter),
            Phase::Stream => self.stream_input(input, now, jitter),
            Phase::Watch => self.watch_input(input, now, jitter),
        }
    }

    fn list_input(
        &mut self,
        input: Input,
        token: Option<&String>,
        limit: bool,
        jitter: f64,
    ) -> Outcome {
        let continued = token.is_some();
        let has_no_end = match &input {
            Input::Page { token, .. } => token.as_ref().is_some_and(|next| self.has_no_end(next)),
            _ => false,
        };
        if let Input::Page { .. } = input {
            self.pages = if continued { self.pages + 1 } else { 1 };
        }
        let is_failure = !matches!(input, Input::Page { .. } | Input::ListWanted);
        if !limit && (has_no_end || (is_failure && !continued)) {
            self.failed_whole_lists = self.failed_whole_lists.saturating_add(1);
            if self.failed_whole_lists >= FAILED_WHOLE_LISTS {
                self.failed_whole_lists = 0;
                let retry_after = match input {
                    Input::Refused(refusal) => refusal.retry_after,
                    _ => None,
                };
                self.wait = Some(self.list_backoff.fail(jitter, retry_after));
                self.phase = self.first_phase();
                return Outcome::Restart;
            }
        }
        match input {
            Input::ListWanted => Outcome::Continue,
            Input::Page { .. } if has_no_end => {
                self.wait = Some(self.list_backoff.fail(jitter, None));
                self.phase = Phase::List {
                    token: None,
                    limit: false,
                };
                Outcome::Restart
            }
            Input::Page {
                token: Some(next), ..
            } => {
                self.phase = Phase::List {
                    token: Some(next),
                    limit,
                };
                Outcome::Next
            }
            Input::Page {
                version,
                token: None,
            } => self.complete(version, jitter),
            Input::Refused(refusal) if refusal.is_expired() && continued => {
                self.phase = Phase::List {
                    token: None,
                    limit: false,
                };
                Outcome::Restart
            }
            Input::Refused(refusal) => {
                self.wait = Some(self.list_backoff.fail(jitter, refusal.retry_after));
                if refusal.is_passing() {
                    return Outcome::Next;
                }
                self.phase = Phase::List {
                    token: None,
                    limit: !continued,
                };
                Outcome::Restart
            }
            Input::NotStored => {
                self.wait = Some(self.list_backoff.fail(jitter, None));
                self.phase = self.first_phase();
                Outcome::Restart
            }
            // A further page is of the version of the first one, and can be read again. The first one is of another
            // version when it is asked for again, so that nothing of it may stay.
            _ => {
                self.wait = Some(self.list_backoff.fail(jitter, None));
                if continued || is_on(Mutation::BrokenPageKept) {
                    Outcome::Next
                } else {
                    Outcome::Restart
                }
            }
        }
    }

    fn stream_input(&mut self, input: Input, now: Instant, jitter: f64) -> Outcome {
        match input {
            Input::Opened => {
                self.opened = Some(now);
                return Outcome::Continue;
            }
            Input::Applied { .. } | Input::Bookmark { .. } | Input::ListWanted => {
                return Outcome::Continue;
            }
            Input::InitialEventsEnd { version } => return self.complete(version, jitter),
            // A server that could do it before is ailing, or one of several: this time a list in pages will do.
            Input::NoProgress => self.refused_stream(),
            Input::Refused(refusal) if refusal.rejects_parameters() => self.refused_stream(),
            Input::Refused(refusal) => {
                self.wait = Some(self.list_backoff.fail(jitter, refusal.retry_after));
                self.broken_streams = self.broken_streams.saturating_add(1);
            }
            _ => {
                self.wait = Some(self.list_backoff.fail(jitter, None));
                self.broken_streams = self.broken_streams.saturating_add(1);
            }
        }
        self.phase = self.first_phase();
        Outcome::Restart
    }

    fn refused_stream(&mut self) {
        if self.streamed {
            self.broken_streams = BROKEN_STREAMS;
        } else {
            self.streaming_refused = true;
        }
    }

    fn watch_input(&mut self, input: Input, now: Instant, jitter: f64) -> Outcome {
        match input {
            Input::Opened => {
                self.opened = Some(now);
                Outcome::Continue
            }
            Input::Applied { version } => {
                // A deletion may carry the last version of what is gone.
                if compare_resource_versions(&version, &self.version) != Some(Ordering::Less) {
                    self.version = version;
                }
                self.progress();
                Outcome::Continue
            }
            Input::Bookmark { version } | Input::InitialEventsEnd { version } => {
                if self.goes_back(&version) {
                    return self.relist(jitter, None);
                }
                self.version = version;
                Outcome::Continue
            }
            Input::Refused(refusal) if refusal.is_expired() => {
                self.relist(jitter, refusal.retry_after)
            }
            Input::Refused(refusal)
                if refusal.too_new && self.future_refusals + 1 >= FUTURE_REFUSALS =>
            {
                self.future_refusals = 0;
                self.relist(jitter, refusal.retry_after)
            }
            Input::Refused(refusal) if refusal.is_passing() => {
                self.future_refusals += u8::from(refusal.too_new);
                self.retry(now, jitter, refusal.retry_after)
            }
            Input::Refused(refusal) => {
                self.note_uptime(now);
                self.watched = false;
                self.relist(jitter, refusal.retry_after)
            }
            Input::Ended => {
                self.note_uptime(now);
                if !self.progressed {
                    self.wait = Some(self.watch_backoff.fail(jitter, None));
                }
                Outcome::Next
            }
            Input::Garbled if self.garbled_at.as_deref() == Some(&self.version) => {
                self.garbled_at = None;
                self.relist(jitter, None)
            }
            Input::Garbled => {
                self.garbled_at = Some(self.version.clone());
                self.retry(now, jitter, None)
            }
            Input::Disorder | Input::NotStored => {
                self.watched = false;
                self.relist(jitter, None)
            }
            Input::ListWanted => {
                self.note_uptime(now);
                self.begin_anew()
            }
            Input::Failed | Input::NoProgress | Input::Page { .. } => self.retry(now, jitter, None),
        }
    }

    /// Opens the watch again from where it was, after a wait.
    fn retry(&mut self, now: Instant, jitter: f64, retry_after: Option<Duration>) -> Outcome {
        self.note_uptime(now);
        self.wait = Some(self.watch_backoff.fail(jitter, retry_after));
        Outcome::Next
    }

    /// Lists anew: at once if the watch had made progress since the last list, else after a wait.
    fn relist(&mut self, jitter: f64, retry_after: Option<Duration>) -> Outcome {
        if !self.watched || retry_after.is_some() {
            self.wait = Some(self.watch_backoff.fail(jitter, retry_after));
        }
        self.begin_anew()
    }

    /// A list is next.
    fn begin_anew(&mut self) -> Outcome {
        self.watched = false;
        self.broken_streams = 0;
        self.phase = self.first_phase();
        Outcome::Restart
    }

    /// The list is complete as of `version`, unless that is older than what was already seen.
    fn complete(&mut self, version: String, jitter: f64) -> Outcome {
        let stale = compare_resource_versions(&version, &self.version) == Some(Ordering::Less);
        if stale && !self.believes_old_lists() {
            self.stale_lists += 1;
            self.wait = Some(self.list_backoff.fail(jitter, None));
            self.phase = self.first_phase();
            return Outcome::Restart;
        }
        self.version = version;
        self.stale_lists = 0;
        self.broken_streams = 0;
        self.failed_whole_lists = 0;
        self.streamed |= self.phase == Phase::Stream;
        self.list_backoff.reset();
        self.phase = Phase::Watch;
        Outcome::Synced { went_back: stale }
    }

    fn progress(&mut self) {
        self.progressed = true;
        self.watched = true;
        self.garbled_at = None;
        self.future_refusals = 0;
        self.watch_backoff.reset();
    }

    /// A watch that stayed up is progress, too.
    fn note_uptime(&mut self, now: Instant) {
        if self.stayed_up(now) {
            self.progressed = true;
            self.watched = true;
            self.watch_backoff.reset();
        }
    }

    fn stayed_up(&self, now: Instant) -> bool {
        self.opened
            .is_some_and(|opened| now.saturating_duration_since(opened) >= self.stayed_up)
    }

    fn first_phase(&self) -> Phase {
        let streaming = self.strategy == InitialList::Auto
            && !self.streaming_refused
            && self.broken_streams < BROKEN_STREAMS;
        if streaming {
            Phase::Stream
        } else {
            Phase::List {
                token: None,
                limit: true,
            }
        }
    }
}

#[cfg(test)]
mod tests;
