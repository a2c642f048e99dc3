//! Reads watches and streaming lists, event by event.

use std::cmp::Ordering;
use std::time::Duration;

use kube::client::Body;
use tokio::time::Instant;

use super::answer::{Identity, Line, identify, parse_line};
use super::framer::Lines;
use super::machine::Input;
use super::{Event, Reflector, Sink, Stop, next_chunk};
use crate::resource::{ObjectRef, compare_resource_versions};
use crate::watcher::error::Problem;
use crate::watcher::mutation::{Mutation, is_on};

/// How long past its own timeout a server may keep a watch open without a word.
const WATCH_GRACE: Duration = Duration::from_secs(30);

/// How long a streaming list may make no progress before lists are read in pages: servers that do not know streaming
/// lists, and proxies that do not let them through, send nothing at all.
const NO_PROGRESS: Duration = Duration::from_secs(10);

/// How long a streaming list may take in all.
const INITIAL_EVENTS_MOST: Duration = Duration::from_secs(300);

/// How long a watch that follows a failure must hold before it counts as connected, so that one which is opened and
/// ended again and again is not announced each time.
const STEADY: Duration = Duration::from_secs(1);

/// Where an event stands among those already seen.
pub(super) enum Place {
    /// Next.
    InOrder,
    /// In order, but a newer state is already stored.
    Known,
    /// It, or a newer state of the same object, was already seen.
    Repeated,
    /// Older than what was seen, and not known: an event may have been missed.
    Disorder,
}

/// An open watch or streaming list.
struct Open {
    operation: &'static str,
    body: Body,
    lines: Lines,
    opened: Instant,
    last_read: Instant,
    timeout: Duration,
    /// Whether the status was told that it is connected.
    connected: bool,
}

/// What the wait for data came to.
enum Waited {
    Data(bytes::Bytes),
    End,
    Broken(String),
    /// A watch that follows a failure has held long enough.
    Steady,
    /// The store is to be compared with the server.
    Audit,
    /// Somebody wants a list.
    ListWanted,
    /// Objects that were put off are to be read.
    Unread,
    TimedOut,
}

impl<K: Sink> Reflector<K> {
    /// Reads a streaming list, and goes on with the watch that it becomes.
    pub(super) async fn stream(&mut self) -> Result<(), Stop> {
        self.begin("streaming list").await?;
        self.asked.begin();
        self.follow("streaming list", None).await
    }

    /// Reads a watch from a version.
    pub(super) async fn watch(&mut self, version: &str) -> Result<(), Stop> {
        self.follow("watch", Some(version)).await
    }

    async fn follow(&mut self, operation: &'static str, version: Option<&str>) -> Result<(), Stop> {
        let timeout = self.watch_timeout.mul_f64(1.0 + self.random.f64());
        let body = self
            .open(operation, self.target.watch(version, timeout))
            .await?;
        self.input(Input::Opened).await?;
        if self.machine.is_watching() {
            self.unread.reopened();
            if self.unread.due().is_none_or(|due| due <= Instant::now()) {
                self.reread_unread(false).await?;
            }
        }
        let opened = Instant::now();
        let lines = Lines::default();
        let mut open = Open {
            operation,
            body,
            lines,
            opened,
            last_read: opened,
            timeout,
            connected: false,
        };
        loop {
            match self.wait(&mut open).await {
                Waited::Data(chunk) => {
                    let mut chunk = &chunk[..];
                    while let Some(line) = open
                        .lines
                        .next(&mut chunk)
                        .map_err(|error| Stop::garbled(operation, error.to_string()))?
                    {
                        self.line(operation, line).await?;
                    }
                    // Now, since the time that the lines took here is not the server's.
                    open.last_read = Instant::now();
                }
                Waited::End => return self.end(open).await,
                Waited::Broken(reason) => {
                    return Err(Stop::failed(operation, Problem::Broken(reason)));
                }
                Waited::Steady => {
                    self.status.connected(self.scope);
                    open.connected = true;
                }
                Waited::Audit => {
                    let begun = Instant::now();
                    self.run_audit().await?;
                    // Nothing was read meanwhile; but an audit is no sign of life of the watch.
                    open.last_read += begun.elapsed();
                }
                Waited::ListWanted => self.input(Input::ListWanted).await?,
                Waited::Unread => {
                    let begun = Instant::now();
                    self.reread_unread(false).await?;
                    open.last_read += begun.elapsed();
                }
                Waited::TimedOut if self.machine.is_watching() => {
                    return Err(Stop::failed(operation, Problem::Silent(WATCH_GRACE)));
                }
                Waited::TimedOut => {
                    let problem = Problem::NoProgress(open.last_read.elapsed());
                    return Err(Stop::fault(operation, problem, Input::NoProgress));
                }
            }
        }
    }

    /// Waits for data, or for the time of something else.
    async fn wait(&mut self, open: &mut Open) -> Waited {
        let watching = self.machine.is_watching();
        if watching && !open.connected && !self.status.is_disturbed(self.scope) {
            self.status.connected(self.scope);
            open.connected = true;
        }
        let limit = if watching && is_on(Mutation::SilenceEndured) {
            Instant::now() + Duration::from_secs(86_400)
        } else if watching {
            (open.opened + open.timeout + WATCH_GRACE).max(open.last_read + WATCH_GRACE)
        } else {
            (open.last_read + NO_PROGRESS).min(open.opened + INITIAL_EVENTS_MOST)
        };
        let steady = (watching && !open.connected).then(|| Instant::now() + STEADY);
        let audit = self.audit_due().filter(|_| watching && open.connected);
        let unread = self.unread.due().filter(|_| watching);
        let list = self.unread.list_due().filter(|_| watching);
        let until = [steady, audit, unread, list]
            .into_iter()
            .flatten()
            .fold(limit, Instant::min);
        // Data that is ready each time comes before any time that has passed, below.
        let is_due = |due: Option<Instant>| due.is_some_and(|due| due <= Instant::now());
        if (watching && self.asked.is_open()) || is_due(list) {
            return Waited::ListWanted;
        }
        if is_due(unread) {
            return Waited::Unread;
        }
        if is_due(audit) {
            return Waited::Audit;
        }
        let chunk = tokio::time::timeout_at(until, next_chunk(&mut open.body));
        let chunk = tokio::select! {
            biased;
            chunk = chunk => chunk,
            () = self.asked.opened(), if watching => return Waited::ListWanted,
        };
        match chunk {
            Ok(Ok(Some(chunk))) => Waited::Data(chunk),
            Ok(Ok(None)) => Waited::End,
            Ok(Err(reason)) => Waited::Broken(reason),
            Err(_) if until == limit => Waited::TimedOut,
            Err(_) if Some(until) == list => Waited::ListWanted,
            Err(_) if Some(until) == unread => Waited::Unread,
            Err(_) if Some(until) == audit => Waited::Audit,
            Err(_) => Waited::Steady,
        }
    }

    /// The body ended: cleanly, or with a last line that lacks its end.
    async fn end(&mut self, mut open: Open) -> Result<(), Stop> {
        if let Some(rest) = open.lines.rest() {
            self.line(open.operation, rest).await?;
        }
        if self.machine.would_back_off(Instant::now()) {
            return Err(Stop::fault(
                open.operation,
                Problem::EndedAtOnce,
                Input::Ended,
            ));
        }
        self.input(Input::Ended).await
    }

    async fn line(&mut self, operation: &'static str, line: &[u8]) -> Result<(), Stop> {
        let line = match parse_line(line) {
            Ok(line) => line,
            Err(_) if is_on(Mutation::GarbledSkipped) => return Ok(()),
            Err(reason) => return Err(Stop::garbled(operation, reason)),
        };
        match line {
            Line::Changed(json) => self.changed(operation, json).await,
            Line::Deleted(json) => self.deleted(operation, json).await,
            Line::Bookmark {
                version,
                ends_initial_events: true,
            } if !self.machine.is_watching() => {
                let stale = self.stale(&version);
                let input = Input::InitialEventsEnd { version };
                match stale {
                    Some(problem) => Err(Stop::fault(operation, problem, input)),
                    None => self.input(input).await,
                }
            }
            Line::Bookmark { version, .. } => {
                if self.machine.goes_back(&version) {
                    let problem = Problem::Disorder(self.machine.version().to_owned());
                    let input = Input::Bookmark { version };
                    return Err(Stop::fault(operation, problem, input));
                }
                self.input(Input::Bookmark { version }).await?;
                self.reached();
                Ok(())
            }
            Line::Error { refusal, message } => {
                let problem = Problem::ErrorEvent {
                    code: refusal.code,
                    message,
                };
                Err(Stop::fault(operation, problem, Input::Refused(refusal)))
            }
        }
    }

    async fn changed(&mut self, operation: &'static str, json: &[u8]) -> Result<(), Stop> {
        let streaming = !self.machine.is_watching();
        match self.decode(json, false) {
            Ok(indexed) if streaming => {
                self.note_ahead(indexed.record.object().resource_version());
                self.accept(operation, Event::InitApply(indexed)).await
            }
            Ok(indexed) => {
                let object = indexed.record.object();
                let version = object.resource_version().map(str::to_owned);
                let version = version.ok_or_else(|| Stop::garbled(operation, NO_VERSION))?;
                let reference = object.reference();
                match self.place(&version, &reference) {
                    Place::InOrder => self.accept(operation, Event::Apply(indexed)).await?,
                    Place::Known => {}
                    Place::Repeated => return Ok(()),
                    Place::Disorder => return Err(self.disorder(operation)),
                }
                self.applied(version).await
            }
            Err(_) if is_on(Mutation::UnreadableSkipped) => Ok(()),
            Err(reason) if streaming => {
                let Some(Identity { reference, .. }) = identify(json) else {
                    return Err(Stop::garbled(operation, reason));
                };
                self.leave_unread(operation, &reference, reason);
                self.accept(operation, Event::InitUnreadable(Some(reference)))
                    .await
            }
            Err(reason) => self.reread(operation, json, reason).await,
        }
    }

    async fn deleted(&mut self, operation: &'static str, json: &[u8]) -> Result<(), Stop> {
        let object = self
            .decode(json, false)
            .map(|indexed| indexed.record.into_parts().0)
            .ok();
        let (reference, version) = match &object {
            Some(object) => (
                object.reference(),
                object.resource_version().map(str::to_owned),
            ),
            None => {
                let identity = identify(json)
                    .ok_or_else(|| Stop::garbled(operation, "a deletion without a name"))?;
                (identity.reference, identity.version)
            }
        };
        if !self.machine.is_watching() {
            self.note_ahead(version.as_deref());
            return self.accept(operation, Event::InitDelete(reference)).await;
        }
        let version = version.ok_or_else(|| Stop::garbled(operation, NO_VERSION))?;
        match self.place_deletion(&version, &reference) {
            Place::InOrder => {
                self.accept(operation, Event::Delete(reference, object))
                    .await?;
            }
            Place::Known => {}
            Place::Repeated => return Ok(()),
            Place::Disorder => return Err(self.disorder(operation)),
        }
        self.applied(version).await
    }

    /// Notes that an event was dealt with.
    pub(super) async fn applied(&mut self, version: String) -> Result<(), Stop> {
        self.input(Input::Applied { version }).await?;
        self.reached();
        Ok(())
    }

    /// Notes how far the watch has come, unless something before that is still to be read.
    pub(super) fn reached(&mut self) {
        if self.machine.is_watching() && self.unread.is_settled() {
            self.sink.reached(self.machine.version());
        }
    }

    pub(super) fn disorder(&self, operation: &'static str) -> Stop {
        let problem = Problem::Disorder(self.machine.version().to_owned());
        Stop::fault(operation, problem, Input::Disorder)
    }

    /// Where a creation or modification stands among the events already seen.
    pub(super) fn place(&self, version: &str, reference: &ObjectRef) -> Place {
        let known_is_as_new = || {
            self.known_version(version, reference)
                .is_some_and(|order| order != Ordering::Less)
        };
        if is_on(Mutation::DisorderIgnored) {
            return Place::InOrder;
        }
        if not_after(version, self.machine.version()) {
            return if known_is_as_new() {
                Place::Repeated
            } else {
                Place::Disorder
            };
        }
        if self
            .ahead
            .as_deref()
            .is_some_and(|ahead| not_after(version, ahead))
            && known_is_as_new()
        {
            return Place::Known;
        }
        Place::InOrder
    }

    /// The same for a deletion. It may carry the version of what it deletes, and it may tell of an object's leaving a
    /// selector at the very version that was read by itself.
    fn place_deletion(&self, version: &str, reference: &ObjectRef) -> Place {
        let is_old = not_after(version, self.machine.version());
        if self.sink.known(reference).is_none() {
            return if is_old {
                Place::Repeated
            } else {
                Place::InOrder
            };
        }
        match self.known_version(version, reference) {
            Some(Ordering::Greater) if is_old => Place::Repeated,
            Some(Ordering::Greater) => Place::Known,
            Some(Ordering::Less) if is_old => Place::Disorder,
            _ => Place::InOrder,
        }
    }

    /// How the stored version of an object compares with this one.
    fn known_version(&self, version: &str, reference: &ObjectRef) -> Option<Ordering> {
        let known = self.sink.known(reference)?;
        compare_resource_versions(known.resource_version()?, version)
    }
}

fn not_after(version: &str, mark: &str) -> bool {
    compare_resource_versions(version, mark).is_some_and(|order| order != Ordering::Greater)
}

const NO_VERSION: &str = "an object without a resource version";
