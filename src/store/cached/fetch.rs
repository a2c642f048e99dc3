//! Fetches one body, and decides whether it is the one that was asked for.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::header::{ACCEPT, HeaderValue};
use kube::client::Body as RequestBody;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::kept::Kept;
use super::metrics::Counters;
use crate::client::{Client, ClientError, DEFAULT_BODY_LIMIT, Renewal, object_path};
use crate::indexer::Indexer;
use crate::object::{DecodeError, Object};
use crate::resource::{Gvr, ObjectRef};
use crate::store::StoreSchema;

/// How many bodies one store fetches at a time: as many as an API server answers without noticing, and enough that a list
/// takes a sixteenth of the time that it would take one by one.
pub const FETCHES_AT_ONCE: usize = 16;

/// How often a body older than what the watch told is asked for again, as from a server that lags behind its peers.
const OLD_ANSWERS: u32 = 3;

/// How long to wait before it is asked again, doubled each time.
const OLD_ANSWER_WAIT: Duration = Duration::from_millis(100);

/// A body and when it was asked for.
#[derive(Clone)]
pub(super) struct Body {
    object: Object,
    asked: Instant,
}

impl Body {
    pub(super) fn object(&self) -> &Object {
        &self.object
    }

    pub(super) fn into_object(self) -> Object {
        self.object
    }

    /// Whether it was asked for less than so long ago.
    pub(super) fn is_fresh(&self, ttl: Duration) -> bool {
        self.asked.elapsed() < ttl
    }
}

/// Why there is no body.
#[derive(Clone)]
pub(super) enum Unfetched {
    /// There is no such object any more.
    Gone,
    Failed(FetchError),
}

/// Why a body could not be fetched; the source of a [`StoreError::Failed`](crate::store::StoreError::Failed). Cheap to
/// clone: all who waited for the fetch get the same.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub struct FetchError(Arc<Problem>);

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("the request failed")]
    Client(#[from] ClientError),
    #[error("the answer cannot be read")]
    Decode(#[from] DecodeError),
    #[error("the answer is {0}")]
    Foreign(String),
    #[error(
        "the server answers with resource version {answered}, but the watch has told {told}; it lags behind its peers"
    )]
    Old { answered: String, told: String },
}

impl FetchError {
    /// What the client said, if the request failed.
    pub fn client_error(&self) -> Option<&ClientError> {
        match &*self.0 {
            Problem::Client(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the server forbade it: the verb `get` is needed beside `list` and `watch`.
    pub fn is_forbidden(&self) -> bool {
        self.client_error().is_some_and(ClientError::is_forbidden)
    }

    /// Whether no answer came.
    pub fn is_unreachable(&self) -> bool {
        self.client_error().is_some_and(ClientError::is_unreachable)
    }
}

pub(super) struct Fetcher {
    client: Client,
    gvr: Gvr,
    indexer: Arc<Indexer>,
    slots: Semaphore,
    counters: Arc<Counters>,
}

impl Fetcher {
    pub(super) fn new(client: Client, schema: &StoreSchema, counters: Arc<Counters>) -> Self {
        Self {
            client,
            gvr: schema.gvr.clone(),
            indexer: Arc::clone(&schema.indexer),
            slots: Semaphore::new(FETCHES_AT_ONCE),
            counters,
        }
    }

    /// Fetches the body of an object in the state that is kept of it, or a later one.
    pub(super) async fn fetch(&self, kept: &Kept) -> Result<Body, Unfetched> {
        let fetched = self.try_fetch(kept).await;
        match &fetched {
            Ok(_) => {}
            Err(Unfetched::Gone) => self.counters.gone(),
            Err(Unfetched::Failed(_)) => self.counters.failure(),
        }
        fetched
    }

    async fn try_fetch(&self, kept: &Kept) -> Result<Body, Unfetched> {
        let reference = kept.reference();
        // It is never closed.
        let _slot = self.slots.acquire().await;
        let mut wait = OLD_ANSWER_WAIT;
        for attempt in 1.. {
            let asked = Instant::now();
            let (object, selected) = self.get(&reference).await?;
            let order = kept.compare(&object);
            if order == Some(Ordering::Less) {
                if attempt < OLD_ANSWERS {
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                    continue;
                }
                let version = |version: Option<&str>| version.unwrap_or_default().to_owned();
                return Err(Problem::Old {
                    answered: version(object.resource_version()),
                    told: version(kept.resource_version()),
                }
                .into());
            }
            // What has the name now is another object, or none that is selected: the watch will tell.
            if !selected || !kept.is_same_object(&object) {
                return Err(Unfetched::Gone);
            }
            return Ok(Body { object, asked });
        }
        Err(Unfetched::Gone)
    }

    /// One request, and one more after credentials were renewed.
    async fn get(&self, reference: &ObjectRef) -> Result<(Object, bool), Unfetched> {
        let mut answer = self.ask(reference).await;
        if let Err(error) = &answer
            && (error.is_unauthorized() || error.is_credentials())
            && matches!(
                self.client.renew().await,
                Ok(Renewal::Renewed | Renewal::TooSoon(_))
            )
        {
            answer = self.ask(reference).await;
        }
        let body = match answer {
            Ok(body) => body,
            Err(error) if error.is_api_not_found() => return Err(Unfetched::Gone),
            Err(error) => return Err(Problem::Client(error).into()),
        };
        let indexed = self.indexer.decode(&body, None).map_err(Problem::Decode)?;
        let (object, _) = indexed.record.into_parts();
        if object.api_version() != self.gvr.api_version() {
            let found: String = format!("a {} {}", object.api_version(), object.kind());
            return Err(Problem::Foreign(found.chars().take(200).collect()).into());
        }
        if object.reference() != *reference {
            return Err(Problem::Foreign(format!("of {}", object.reference())).into());
        }
        Ok((object, indexed.selected))
    }

    async fn ask(&self, reference: &ObjectRef) -> Result<bytes::Bytes, ClientError> {
        let path = object_path(&self.gvr, reference.namespace(), reference.name());
        let mut request = Request::new(RequestBody::empty());
        // Names are encoded, so that this cannot fail; if it did, the answer would be no object.
        *request.uri_mut() = path.parse().unwrap_or_default();
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(ACCEPT, json);
        self.counters.fetch();
        let asked = Instant::now();
        let answer = self.client.call(request, DEFAULT_BODY_LIMIT).await;
        self.counters.took(asked.elapsed());
        answer
    }
}

impl From<Problem> for Unfetched {
    fn from(problem: Problem) -> Self {
        Self::Failed(FetchError(Arc::new(problem)))
    }
}
