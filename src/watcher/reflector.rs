//! What every watcher stands on: lists, then watches, and never diverges from the server.
//!
//! The guarantee: at any moment what was handed on equals some past state of the server for every object, in order, and
//! after any finite series of faults it converges to the present one. The [`machine`] decides; this file does the I/O it
//! asks for and hands [`Event`]s on. It never retries on its own, and never keeps an object.

mod answer;
mod audit;
mod backoff;
mod framer;
#[cfg(feature = "__fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod list;
mod machine;
mod mutant;
mod request;
mod reread;
mod unread;
mod watch;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::client::Body;
use tokio::time::Instant;

pub(super) use backoff::Backoff;
pub(super) use list::LIST;
pub use machine::InitialList;
pub(super) use request::{Target, by_name};

use self::answer::refusal_of;
use self::machine::{Input, Machine, Outcome, Refusal, Step};
use self::unread::Unread;
use super::discovery;
use super::error::{Problem, WatchError};
use super::mutation::{Mutation, is_on};
use super::relist::Asked;
use super::status::StatusCell;
use crate::client::{Client, ClientError};
use crate::indexer::{Indexed, Indexer};
use crate::object::Object;
use crate::resource::ObjectRef;
use crate::store::{StoreError, Stored};

/// How long the body of a list may stall before the connection is taken for dead.
const BODY_STALL: Duration = Duration::from_secs(30);

/// How many events are handed on before others in the task get a turn.
const EVENTS_WITHOUT_PAUSE: u8 = 32;

/// What a reflector hands on.
#[derive(Debug)]
pub(super) enum Event {
    /// A list begins; what was handed on of an unfinished one is void.
    Init {
        /// Whether versions are in doubt, so that what is stored of an object may be another content of the same version.
        doubted: bool,
    },
    /// An object of the list.
    InitApply(Indexed),
    /// An object of the list was deleted while the list was streamed.
    InitDelete(ObjectRef),
    /// An object of the list cannot be read: its old state stays. `None` if it is not even known which.
    InitUnreadable(Option<ObjectRef>),
    /// The list is complete.
    InitDone,
    /// The list that an audit made is complete: whatever differs is a fault, to be reported and repaired.
    AuditDone,
    /// The list is given up, and what is stored stays.
    InitAbort,
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
    /// Lists that somebody wants.
    asked: Asked,
    /// The watch timeout asked of the server is drawn from once to twice this.
    watch_timeout: Duration,
    /// How often the store is compared with the server.
    audit: Option<Duration>,
    /// When it is next.
    audit_due: Option<Instant>,
    /// Whether a resource that is not served is waited for.
    wait_for_resource: bool,
    /// Whether the resource may have been defined anew since its kind was found out.
    rediscover: bool,
    /// How many list attempts were given up in a row for an object without a name.
    nameless: u8,
    /// Objects that are to be read by themselves.
    unread: Unread,
    /// How many audits were left out in a row.
    audits_left_out: u8,
    /// How many events were handed on without a pause.
    unpaused: u8,
    /// The newest version that was seen beside the watch: of an object or a deletion in a list, of an object read by itself,
    /// or of the list that did not have it. What is stored may show it, so that events up to it may be older, and a list
    /// before it is stale.
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
    pub(super) asked: Asked,
    pub(super) watch_timeout: Duration,
    pub(super) audit: Option<Duration>,
    pub(super) initial_list: InitialList,
    pub(super) wait_for_resource: bool,
    pub(super) random: fastrand::Rng,
}

/// Why a step is over.
enum Stop {
    /// The machine said so.
    Over,
    /// Something failed, of which neither the machine nor the status knows yet.
    Fault(Box<Fault>),
}

/// Something that ends a step.
struct Fault {
    operation: &'static str,
    problem: Problem,
    input: Input,
}

impl Stop {
    fn fault(operation: &'static str, problem: Problem, input: Input) -> Self {
        Self::Fault(Box::new(Fault {
            operation,
            problem,
            input,
        }))
    }

    /// The connection failed, or gave what cannot be used.
    fn failed(operation: &'static str, problem: Problem) -> Self {
        Self::fault(operation, problem, Input::Failed)
    }

    /// A line is no event.
    fn garbled(operation: &'static str, reason: impl Into<String>) -> Self {
        Self::fault(operation, Problem::Garbled(reason.into()), Input::Garbled)
    }
}

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
            machine: Machine::new(setup.initial_list, setup.watch_timeout),
            sink,
            status: setup.status,
            scope: setup.scope,
            asked: setup.asked,
            watch_timeout: setup.watch_timeout,
            audit: setup.audit,
            audit_due: None,
            wait_for_resource: setup.wait_for_resource,
            rediscover: false,
            nameless: 0,
            unread: Unread::default(),
            audits_left_out: 0,
            unpaused: 0,
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
            if self.client.is_streaming_refused(&self.target.gvr) {
                self.machine.refuse_streaming();
            }
            if self.asked.is_open() && self.machine.is_watching() {
                let _over = self.input(Input::ListWanted).await;
            }
            let ended = match self.machine.next() {
                Step::Wait(_) if is_on(Mutation::NoBackoff) => continue,
                Step::Wait(wait) => {
                    tokio::time::sleep(wait).await;
                    continue;
                }
                Step::List { token, limit } => {
                    let limit = limit || is_on(Mutation::ExpiredPagesRestart);
                    self.list(token, limit).await
                }
                Step::Stream => self.stream().await,
                Step::Watch { version } => self.watch(&version).await,
            };
            if let Err(Stop::Fault(fault)) = ended {
                let Fault {
                    operation,
                    problem,
                    input,
                } = *fault;
                self.status.failed(
                    self.scope,
                    &WatchError::new(self.status.watcher(), operation, problem),
                );
                // Only a complete list can fail here once more, and no fault is one.
                let _over = self.input(input).await;
            }
        }
    }

    /// Tells the machine what happened.
    async fn input(&mut self, input: Input) -> Result<(), Stop> {
        let input = mutant::understood(input, &self.machine);
        let outcome = self.machine.input(input, Instant::now(), self.random.f64());
        match outcome {
            Outcome::Continue => Ok(()),
            Outcome::Next => Err(Stop::Over),
            Outcome::Restart => {
                self.fresh = true;
                Err(Stop::Over)
            }
            Outcome::Synced { went_back } => self.synced(went_back).await,
        }
    }

    async fn synced(&mut self, went_back: bool) -> Result<(), Stop> {
        let version = self.machine.version().to_owned();
        if went_back {
            tracing::warn!(
                watcher = self.status.watcher(),
                version,
                "the server went back in time, persistently; its state is taken for the truth"
            );
            self.ahead = None;
        }
        if self.machine.streaming_refused() {
            self.client.note_streaming_refused(&self.target.gvr);
        }
        self.reread_unread(true).await?;
        self.accept("list", Event::InitDone).await?;
        self.sink.synced(&version);
        self.nameless = 0;
        self.answer();
        Ok(())
    }

    /// Begins a list, unless this is a further page or the same page again.
    async fn begin(&mut self, operation: &'static str) -> Result<(), Stop> {
        if !self.fresh {
            return Ok(());
        }
        if self.rediscover {
            let resolved =
                discovery::resolve(&self.client, &self.target, self.wait_for_resource).await;
            let not_found = Input::Refused(Refusal {
                code: 404,
                ..Refusal::default()
            });
            let resource =
                resolved.map_err(|problem| Stop::fault("discovery", problem, not_found))?;
            if !self.target.metadata_only {
                self.type_meta.1 = resource.kind.into();
            }
            self.rediscover = false;
        }
        if let Some(ahead) = &self.ahead {
            self.machine.has_seen(ahead);
        }
        self.fresh = false;
        self.unread.begin_list();
        let doubted = self.machine.believes_old_lists();
        self.accept(operation, Event::Init { doubted }).await
    }

    /// Hands an event on.
    async fn accept(&mut self, operation: &'static str, event: Event) -> Result<(), Stop> {
        // Everything here is ready at once, so that without this a long list would keep the thread to itself. The pause
        // comes before tokio's own budget is used up, which the callbacks beside this share.
        self.unpaused += 1;
        if self.unpaused >= EVENTS_WITHOUT_PAUSE {
            self.unpaused = 0;
            tokio::task::yield_now().await;
        }
        let accepted = self.sink.accept(event).await;
        accepted.map_err(|error| {
            Stop::fault(
                operation,
                Problem::Store(error.to_string()),
                Input::NotStored,
            )
        })
    }

    /// Reports an object that cannot be read, which does not stop the watch.
    fn report_unreadable(&self, operation: &'static str, object: &str, reason: String) {
        let problem = Problem::Unreadable(object.to_owned(), reason);
        self.status.unreadable(
            object,
            &WatchError::new(self.status.watcher(), operation, problem),
        );
    }

    /// Sends a request; anything but a success with JSON is a fault.
    async fn open(
        &mut self,
        operation: &'static str,
        request: Request<Body>,
    ) -> Result<Body, Stop> {
        let response = match self.client.send(request).await {
            Ok(response) => response,
            Err(error) => {
                renew_credentials(&self.client, &error, &self.status).await;
                return Err(Stop::failed(operation, Problem::Client(error)));
            }
        };
        if !response.status().is_success() {
            let error = self.refusal(operation, response).await;
            let refusal = refusal_of(&error);
            return Err(Stop::fault(
                operation,
                Problem::Client(error),
                Input::Refused(refusal),
            ));
        }
        if let Some(found) = foreign_content(&response) {
            let expected = "JSON".to_owned();
            return Err(Stop::failed(
                operation,
                Problem::Foreign { expected, found },
            ));
        }
        Ok(response.into_body())
    }

    /// Reads a refusal and does what can be done about it here.
    async fn refusal(&mut self, operation: &'static str, response: Response<Body>) -> ClientError {
        let described = format!("{operation} of {}", self.target.gvr);
        let (parts, body) = response.into_parts();
        let without_body = Response::from_parts(parts.clone(), Body::empty());
        let whole = ClientError::refusal(&described, Response::from_parts(parts, body));
        let error = match tokio::time::timeout(BODY_STALL, whole).await {
            Ok(error) => error,
            Err(_) => ClientError::refusal(&described, without_body).await,
        };
        if error.code() == Some(404) {
            // What is watched may be gone, or come back as something else.
            self.client.forget(&self.target.gvr);
            self.rediscover = true;
        }
        renew_credentials(&self.client, &error, &self.status).await;
        error
    }

    /// Reads one object of ours; the reason if it is none.
    fn decode(&self, json: &[u8], listed: bool) -> Result<Indexed, String> {
        let type_meta = listed.then_some(&self.type_meta);
        let indexed = self
            .indexer
            .decode(json, type_meta)
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
