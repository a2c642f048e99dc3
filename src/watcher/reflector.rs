//! What every watcher stands on: lists, then watches, and never diverges from the server.
//!
//! The guarantee: at any moment what was handed on equals some past state of the server for every object, in order, and
//! after any finite series of faults it converges to the present one. The [`machine`] decides; this file does the I/O it
//! asks for and hands [`Event`]s on. It never retries on its own, and never keeps an object.

mod answer;
mod backoff;
mod framer;
mod machine;
mod request;

use std::cmp::Ordering;
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering as Memory};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::client::Body;
use tokio::time::Instant;

pub(super) use backoff::Backoff;
pub use machine::InitialList;
pub(super) use request::Target;

use self::answer::{Envelope, Line, identify, parse_line, refusal_of};
use self::framer::{FrameError, Items, Lines, MOST_PIECE};
use self::machine::{Input, Machine, Outcome, Step};
use super::error::{Problem, WatchError};
use super::status::StatusCell;
use crate::client::{Client, ClientError, read_body};
use crate::indexer::{Indexed, Indexer};
use crate::object::Object;
use crate::resource::{ObjectRef, compare_resource_versions};
use crate::store::{StoreError, Stored};

/// How long the body of a list may stall before the connection is taken for dead.
const BODY_STALL: Duration = Duration::from_secs(30);

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

/// What a reflector hands on.
#[derive(Debug)]
pub(super) enum Event {
    /// A list begins; what was handed on of an unfinished one is void.
    Init,
    /// An object of the list.
    InitApply(Indexed),
    /// An object of the list was deleted while the list was streamed.
    InitDelete(ObjectRef),
    /// An object of the list cannot be read: its old state stays. `None` if it is not even known which.
    InitUnreadable(Option<ObjectRef>),
    /// The list is complete.
    InitDone,
    /// An object was created or modified.
    Apply(Indexed),
    /// An object was deleted; its last state, if the server sent it.
    Delete(ObjectRef, Option<Object>),
}

/// Where a reflector's events go. Each is dealt with before the next one is read.
pub(super) trait Sink: Send {
    /// Takes one event.
    fn accept(&mut self, event: Event) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// What is stored of an object.
    fn known(&self, reference: &ObjectRef) -> Option<Stored>;

    /// A list was completed as of this version.
    fn synced(&mut self, version: &str);

    /// Everything up to this version was handed on.
    fn reached(&mut self, version: &str);
}

/// One list/watch loop.
pub(super) struct Reflector<K> {
    pub(super) client: Client,
    pub(super) target: Target,
    /// `apiVersion` and `kind` of the objects, as discovered.
    type_meta: (Box<str>, Box<str>),
    indexer: Arc<Indexer>,
    machine: Machine,
    sink: K,
    status: Arc<StatusCell>,
    /// Which of the watcher's reflectors this is.
    scope: usize,
    /// The watch timeout asked of the server is drawn from once to twice this.
    watch_timeout: Duration,
    /// Whether streaming lists were found to be refused, by any of the watcher's reflectors.
    streaming_refused: Arc<AtomicBool>,
    /// An object was read by itself as of this version; events up to it may be older than what is stored.
    ahead: Option<String>,
    /// Whether the next list begins anew.
    fresh: bool,
    random: fastrand::Rng,
}

/// How a reflector is set up, beyond what it watches.
pub(super) struct Setup {
    pub(super) indexer: Arc<Indexer>,
    pub(super) status: Arc<StatusCell>,
    pub(super) scope: usize,
    pub(super) watch_timeout: Duration,
    pub(super) initial_list: InitialList,
    pub(super) streaming_refused: Arc<AtomicBool>,
    pub(super) random: fastrand::Rng,
}

/// The step is over; the machine knows how it ended.
struct Over;

impl<K: Sink> Reflector<K> {
    pub(super) fn new(client: Client, target: Target, kind: &str, sink: K, setup: Setup) -> Self {
        let type_meta = if target.metadata_only {
            ("meta.k8s.io/v1".into(), "PartialObjectMetadata".into())
        } else {
            (target.gvr.api_version().into(), kind.into())
        };
        Self {
            client,
            target,
            type_meta,
            indexer: setup.indexer,
            machine: Machine::new(setup.initial_list),
            sink,
            status: setup.status,
            scope: setup.scope,
            watch_timeout: setup.watch_timeout,
            streaming_refused: setup.streaming_refused,
            ahead: None,
            fresh: true,
            random: setup.random,
        }
    }

    /// Runs until dropped.
    ///
    /// # Cancel safety
    /// Dropping the future ends every request at once; the sink has dealt with each event handed to it or not at all.
    pub(super) async fn run(mut self) -> Infallible {
        loop {
            if self.streaming_refused.load(Memory::Relaxed) {
                self.machine.refuse_streaming();
            }
            let step = self.machine.next();
            if !matches!(step, Step::Wait(_) | Step::Watch { .. })
                && std::mem::take(&mut self.fresh)
            {
                // A sink takes the beginning of a list without touching its store.
                let _ = self.sink.accept(Event::Init).await;
            }
            // Whatever way a step ends, the machine was told.
            let _over = match step {
                Step::Wait(wait) => {
                    tokio::time::sleep(wait).await;
                    Err(Over)
                }
                Step::List { token, limit } => self.list(token, limit).await,
                Step::Stream => self.watch(None).await,
                Step::Watch { version } => self.watch(Some(version)).await,
            };
        }
    }

    /// Tells the machine what happened.
    async fn input(&mut self, input: Input) -> Result<(), Over> {
        let outcome = self.machine.input(input, Instant::now(), self.random.f64());
        if self.machine.streaming_refused() {
            self.streaming_refused.store(true, Memory::Relaxed);
        }
        match outcome {
            Outcome::Continue => Ok(()),
            Outcome::Next => Err(Over),
            Outcome::Restart => {
                self.fresh = true;
                Err(Over)
            }
            Outcome::Synced { went_back } => {
                if went_back {
                    let listed = self.machine.version().to_owned();
                    tracing::warn!(
                        watcher = self.status.watcher(),
                        listed,
                        "the server went back in time, persistently; its state is taken for the truth"
                    );
                }
                self.ahead = None;
                let version = self.machine.version().to_owned();
                self.accept("list", Event::InitDone).await?;
                self.sink.synced(&version);
                Ok(())
            }
        }
    }

    /// Reports a problem and tells the machine.
    async fn fail(
        &mut self,
        operation: &'static str,
        problem: Problem,
        input: Input,
    ) -> Result<(), Over> {
        self.status.failed(
            self.scope,
            &WatchError::new(self.status.watcher(), operation, problem),
        );
        self.input(input).await
    }

    /// Reports what does not stop the watch.
    fn warn(&self, operation: &'static str, problem: Problem) {
        self.status
            .warn(&WatchError::new(self.status.watcher(), operation, problem));
    }

    /// Hands an event on.
    async fn accept(&mut self, operation: &'static str, event: Event) -> Result<(), Over> {
        // Everything here is ready at once, so that without this a long list would keep the thread to itself.
        tokio::task::consume_budget().await;
        match self.sink.accept(event).await {
            Ok(()) => Ok(()),
            Err(error) => {
                self.status.failed(
                    self.scope,
                    &WatchError::new(
                        self.status.watcher(),
                        operation,
                        Problem::Store(error.to_string()),
                    ),
                );
                self.machine
                    .input(Input::NotStored, Instant::now(), self.random.f64());
                self.fresh = true;
                Err(Over)
            }
        }
    }

    /// Sends a request; an answer other than a success of JSON is told to the machine.
    async fn open(
        &mut self,
        operation: &'static str,
        request: Request<Body>,
    ) -> Result<Body, Over> {
        match self.client.send(request).await {
            Ok(response) if response.status().is_success() => {
                let found = foreign_content(&response);
                match found {
                    None => Ok(response.into_body()),
                    Some(found) => {
                        let expected = "JSON".to_owned();
                        self.fail(
                            operation,
                            Problem::Foreign { expected, found },
                            Input::Failed,
                        )
                        .await?;
                        Err(Over)
                    }
                }
            }
            Ok(response) => {
                let described = format!("{operation} of {}", self.target.gvr);
                let (parts, body) = response.into_parts();
                let short = Response::from_parts(parts.clone(), Body::empty());
                let error = match tokio::time::timeout(
                    BODY_STALL,
                    ClientError::refusal(&described, Response::from_parts(parts, body)),
                )
                .await
                {
                    Ok(error) => error,
                    Err(_) => ClientError::refusal(&described, short).await,
                };
                self.refused(operation, error).await
            }
            Err(error) => {
                renew_credentials(&self.client, &error, &self.status).await;
                self.fail(operation, Problem::Client(error), Input::Failed)
                    .await?;
                Err(Over)
            }
        }
    }

    async fn refused(&mut self, operation: &'static str, error: ClientError) -> Result<Body, Over> {
        let refusal = refusal_of(&error);
        if error.is_not_served() {
            self.client.forget(&self.target.gvr);
        }
        renew_credentials(&self.client, &error, &self.status).await;
        self.fail(operation, Problem::Client(error), Input::Refused(refusal))
            .await?;
        Err(Over)
    }

    // ---- list ----

    /// Reads one page, decoding items as they arrive.
    async fn list(&mut self, token: Option<String>, limit: bool) -> Result<(), Over> {
        let mut body = self
            .open("list", self.target.list(token.as_deref(), limit))
            .await?;
        let mut items = Items::new();
        loop {
            let chunk = match tokio::time::timeout(BODY_STALL, next_chunk(&mut body)).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => break,
                Ok(Err(reason)) => {
                    return self
                        .fail("list", Problem::Broken(reason), Input::Failed)
                        .await;
                }
                Err(_) => {
                    let reason = format!("nothing came for {BODY_STALL:?}");
                    return self
                        .fail("list", Problem::Broken(reason), Input::Failed)
                        .await;
                }
            };
            let mut chunk = &chunk[..];
            loop {
                match items.next(&mut chunk) {
                    Ok(Some(item)) => self.list_item(item).await?,
                    Ok(None) => break,
                    Err(error) => return self.not_a_list(error).await,
                }
            }
        }
        let envelope = match items.finish() {
            Ok(envelope) => envelope,
            Err(error) => return self.not_a_list(error).await,
        };
        match Envelope::parse(&envelope) {
            Ok(envelope) => {
                let version = envelope.version().to_owned();
                let token = envelope.token().map(str::to_owned);
                self.complete("list", Input::Page { version, token }).await
            }
            Err(found) => {
                let expected = format!("list of {}", self.target.gvr);
                self.fail("list", Problem::Foreign { expected, found }, Input::Failed)
                    .await
            }
        }
    }

    async fn not_a_list(&mut self, error: FrameError) -> Result<(), Over> {
        let problem = match error {
            FrameError::Truncated => Problem::Broken(error.to_string()),
            FrameError::NoList | FrameError::TooLarge => Problem::Foreign {
                expected: format!("list of {}", self.target.gvr),
                found: error.to_string(),
            },
        };
        self.fail("list", problem, Input::Failed).await
    }

    async fn list_item(&mut self, item: &[u8]) -> Result<(), Over> {
        let event = match self.decode(item, true) {
            Ok(indexed) => Event::InitApply(indexed),
            Err(reason) => self.unreadable(item, reason),
        };
        self.accept("list", event).await
    }

    /// An object of a list that cannot be read: reported, and passed over.
    fn unreadable(&self, json: &[u8], reason: String) -> Event {
        let reference = identify(json).map(|identity| identity.reference);
        let named = reference.as_ref().map_or_else(
            || "an object without a name".to_owned(),
            ToString::to_string,
        );
        self.warn("list", Problem::Unreadable(named, reason));
        Event::InitUnreadable(reference)
    }

    /// Reports a list that is older than what was seen, if this one is.
    async fn complete(&mut self, operation: &'static str, input: Input) -> Result<(), Over> {
        if let Input::Page {
            version,
            token: None,
        }
        | Input::InitialEventsEnd { version } = &input
            && compare_resource_versions(version, self.machine.version()) == Some(Ordering::Less)
        {
            let problem = Problem::Stale {
                listed: version.clone(),
                seen: self.machine.version().to_owned(),
            };
            return self.fail(operation, problem, input).await;
        }
        self.input(input).await
    }

    // ---- watch ----

    /// Reads a watch from `version`, or a streaming list that goes on as a watch, until it ends.
    async fn watch(&mut self, version: Option<String>) -> Result<(), Over> {
        let operation = if version.is_some() {
            "watch"
        } else {
            "streaming list"
        };
        let timeout = self.watch_timeout.mul_f64(1.0 + self.random.f64());
        let mut body = self
            .open(operation, self.target.watch(version.as_deref(), timeout))
            .await?;
        self.input(Input::Opened).await?;
        let opened = Instant::now();
        let mut last_read = opened;
        let mut connected = false;
        let mut lines = Lines::default();
        loop {
            let streaming = !self.machine.is_watching();
            if !streaming && !connected && !self.status.is_disturbed(self.scope) {
                self.status.connected(self.scope);
                connected = true;
            }
            let limit = if streaming {
                (last_read + NO_PROGRESS).min(opened + INITIAL_EVENTS_MOST)
            } else {
                (opened + timeout + WATCH_GRACE).max(last_read + WATCH_GRACE)
            };
            let until = if streaming || connected {
                limit
            } else {
                limit.min(Instant::now() + STEADY)
            };
            let chunk = match tokio::time::timeout_at(until, next_chunk(&mut body)).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => return self.ended(operation, &mut lines).await,
                Ok(Err(reason)) => {
                    return self
                        .fail(operation, Problem::Broken(reason), Input::Failed)
                        .await;
                }
                Err(_) if streaming => {
                    let problem = Problem::NoProgress(Instant::now().duration_since(last_read));
                    return self.fail(operation, problem, Input::NoProgress).await;
                }
                Err(_) if until < limit => {
                    self.status.connected(self.scope);
                    connected = true;
                    continue;
                }
                Err(_) => {
                    return self
                        .fail(operation, Problem::Silent(WATCH_GRACE), Input::Failed)
                        .await;
                }
            };
            last_read = Instant::now();
            let mut chunk = &chunk[..];
            loop {
                match lines.next(&mut chunk) {
                    Ok(Some(line)) => self.line(operation, line).await?,
                    Ok(None) => break,
                    Err(error) => return self.garbled(operation, error.to_string()).await,
                }
            }
        }
    }

    /// The body ended: cleanly, or with a last line that lacks its end.
    async fn ended(&mut self, operation: &'static str, lines: &mut Lines) -> Result<(), Over> {
        if let Some(rest) = lines.rest() {
            self.line(operation, rest).await?;
        }
        self.input(Input::Ended).await.inspect_err(|_| {
            if self.machine.is_backing_off() {
                let error = WatchError::new(self.status.watcher(), operation, Problem::EndedAtOnce);
                self.status.failed(self.scope, &error);
            }
        })
    }

    async fn garbled(&mut self, operation: &'static str, reason: String) -> Result<(), Over> {
        self.fail(operation, Problem::Garbled(reason), Input::Garbled)
            .await
    }

    async fn line(&mut self, operation: &'static str, line: &[u8]) -> Result<(), Over> {
        match parse_line(line) {
            Ok(Line::Changed(json)) => self.changed(operation, json).await,
            Ok(Line::Deleted(json)) => self.deleted(operation, json).await,
            Ok(Line::Bookmark {
                version,
                ends_initial_events: true,
            }) if !self.machine.is_watching() => {
                self.complete(operation, Input::InitialEventsEnd { version })
                    .await
            }
            Ok(Line::Bookmark { version, .. }) => {
                self.input(Input::Bookmark { version }).await?;
                if self.machine.is_watching() {
                    self.progressed();
                }
                Ok(())
            }
            Ok(Line::Error { refusal, message }) => {
                let problem = Problem::ErrorEvent {
                    code: refusal.code,
                    message,
                };
                self.fail(operation, problem, Input::Refused(refusal)).await
            }
            Err(reason) => self.garbled(operation, reason).await,
        }
    }

    fn progressed(&mut self) {
        self.sink.reached(self.machine.version());
    }

    async fn changed(&mut self, operation: &'static str, json: &[u8]) -> Result<(), Over> {
        let streaming = !self.machine.is_watching();
        match self.decode(json, false) {
            Ok(indexed) if streaming => {
                self.accept(operation, Event::InitApply(indexed)).await?;
                self.input(Input::Applied {
                    version: String::new(),
                })
                .await
            }
            Ok(indexed) => {
                let object = indexed.record.object();
                let Some(version) = object.resource_version().map(str::to_owned) else {
                    return self
                        .garbled(operation, "an object without a resource version".to_owned())
                        .await;
                };
                let reference = object.reference();
                match self.place(&version, &reference) {
                    Place::InOrder => self.accept(operation, Event::Apply(indexed)).await?,
                    Place::Known => {}
                    Place::Repeated => return Ok(()),
                    Place::Disorder => return self.disorder(operation).await,
                }
                self.applied(version).await
            }
            Err(reason) if streaming => {
                let event = self.unreadable(json, reason);
                self.accept(operation, event).await
            }
            Err(reason) => self.reread(operation, json, reason).await,
        }
    }

    async fn deleted(&mut self, operation: &'static str, json: &[u8]) -> Result<(), Over> {
        let object = self
            .decode(json, false)
            .map(|indexed| indexed.record.into_parts().0);
        let identity = match &object {
            Ok(object) => Some((
                object.reference(),
                object.resource_version().map(str::to_owned),
            )),
            Err(_) => identify(json).map(|identity| (identity.reference, identity.version)),
        };
        let Some((reference, version)) = identity else {
            return self
                .garbled(operation, "a deletion without a name".to_owned())
                .await;
        };
        if !self.machine.is_watching() {
            return self.accept(operation, Event::InitDelete(reference)).await;
        }
        let Some(version) = version else {
            return self
                .garbled(operation, "an object without a resource version".to_owned())
                .await;
        };
        match self.place(&version, &reference) {
            Place::InOrder => {
                self.accept(operation, Event::Delete(reference, object.ok()))
                    .await?;
            }
            Place::Known => {}
            Place::Repeated => return Ok(()),
            Place::Disorder if self.sink.known(&reference).is_none() => return Ok(()),
            Place::Disorder => return self.disorder(operation).await,
        }
        self.applied(version).await
    }

    async fn applied(&mut self, version: String) -> Result<(), Over> {
        self.input(Input::Applied { version }).await?;
        self.progressed();
        Ok(())
    }

    async fn disorder(&mut self, operation: &'static str) -> Result<(), Over> {
        let problem = Problem::Disorder(self.machine.version().to_owned());
        self.fail(operation, problem, Input::Disorder).await
    }

    /// Where an event stands among those already seen.
    fn place(&self, version: &str, reference: &ObjectRef) -> Place {
        let known_is_newer = || {
            let known = self.sink.known(reference)?;
            let order = compare_resource_versions(known.resource_version()?, version)?;
            Some(order != Ordering::Less)
        };
        if compare_resource_versions(version, self.machine.version())
            .is_some_and(|order| order != Ordering::Greater)
        {
            return if known_is_newer().unwrap_or(false) {
                Place::Repeated
            } else {
                Place::Disorder
            };
        }
        let behind = self
            .ahead
            .as_deref()
            .and_then(|ahead| compare_resource_versions(version, ahead));
        if behind.is_some_and(|order| order != Ordering::Greater)
            && known_is_newer().unwrap_or(false)
        {
            return Place::Known;
        }
        Place::InOrder
    }

    /// An event's object cannot be read: reads the object by itself, so that the update is not lost.
    async fn reread(
        &mut self,
        operation: &'static str,
        json: &[u8],
        reason: String,
    ) -> Result<(), Over> {
        let identity =
            identify(json).and_then(|identity| Some((identity.reference, identity.version?)));
        let Some((reference, version)) = identity else {
            return self.garbled(operation, reason).await;
        };
        match self.place(&version, &reference) {
            Place::InOrder => {}
            Place::Known => return self.applied(version).await,
            Place::Repeated => return Ok(()),
            Place::Disorder => return self.disorder(operation).await,
        }
        match self.get(&reference).await {
            Ok(Some(indexed)) => {
                self.ahead = indexed
                    .record
                    .object()
                    .resource_version()
                    .map(str::to_owned);
                self.accept(operation, Event::Apply(indexed)).await?;
            }
            // Deleted meanwhile: the watch will say so, in its place.
            Ok(None) => {}
            Err(Unread::Content(again)) => {
                let problem = Problem::Unreadable(
                    reference.to_string(),
                    format!("{reason}; read by itself: {again}"),
                );
                self.warn(operation, problem);
            }
            Err(Unread::Request(error)) => {
                let input = error
                    .code()
                    .map_or(Input::Failed, |_| Input::Refused(refusal_of(&error)));
                return self.fail("get", Problem::Client(error), input).await;
            }
        }
        self.applied(version).await
    }

    /// Reads one object by itself; `None` if there is none.
    async fn get(&self, reference: &ObjectRef) -> Result<Option<Indexed>, Unread> {
        let operation = format!("get of {reference}");
        let response = self
            .client
            .send(self.target.get(reference))
            .await
            .map_err(Unread::Request)?;
        let answer = async {
            if response.status().is_success() {
                read_body(&operation, response.into_body(), MOST_PIECE).await
            } else {
                Err(ClientError::refusal(&operation, response).await)
            }
        };
        match tokio::time::timeout(BODY_STALL, answer).await {
            Ok(Ok(body)) => self.decode(&body, false).map(Some).map_err(Unread::Content),
            Ok(Err(error)) if error.is_not_found() => Ok(None),
            Ok(Err(error)) => Err(Unread::Request(error)),
            Err(_) => Err(Unread::Content("the answer stalled".to_owned())),
        }
    }

    /// Reads one object of ours; the reason if it is none.
    fn decode(&self, json: &[u8], listed: bool) -> Result<Indexed, String> {
        let indexed = self
            .indexer
            .decode(json, listed.then_some(&self.type_meta))
            .map_err(|error| error.to_string())?;
        let object = indexed.record.object();
        let (api_version, kind) = &self.type_meta;
        if object.api_version() != &**api_version || object.kind() != &**kind {
            let found: String = format!("{} {}", object.api_version(), object.kind())
                .chars()
                .take(200)
                .collect();
            return Err(format!("it is a {found} and no {api_version} {kind}"));
        }
        Ok(indexed)
    }
}

/// Has the client read its credentials again if the server no longer takes them, or they could not be had. Whether that
/// helped, the next attempt shows.
pub(super) async fn renew_credentials(client: &Client, error: &ClientError, status: &StatusCell) {
    if !error.is_unauthorized() && !error.is_credentials() {
        return;
    }
    if let Err(error) = client.renew().await {
        tracing::debug!(watcher = status.watcher(), %error, "credentials could not be renewed");
    }
}

enum Place {
    /// Next.
    InOrder,
    /// In order, but a newer state is already stored.
    Known,
    /// It, or a newer state of the same object, was already seen.
    Repeated,
    /// Older than what was seen, and not known: an event may have been missed.
    Disorder,
}

enum Unread {
    Request(ClientError),
    Content(String),
}

/// What an answer is instead of JSON.
fn foreign_content(response: &Response<Body>) -> Option<String> {
    let content_type = response.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    let is_json = content_type
        .split(';')
        .next()?
        .trim()
        .eq_ignore_ascii_case("application/json");
    (!is_json).then(|| content_type.chars().take(80).collect())
}

/// The next data of a body; `None` at its clean end, the reason if it broke off.
async fn next_chunk(body: &mut Body) -> Result<Option<Bytes>, String> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Ok(Some(data)),
                Err(_trailers) => {}
            },
            Some(Err(error)) => return Err(error.to_string()),
        }
    }
}
