//! Reads one object by itself, when a list or an event has it in a form that cannot be read, so that no update is lost.
//!
//! It is read by a list of that one name, under the selectors of the watch: an object that no longer matches is then not
//! found, and nothing but the permission to list is needed.

use std::cmp::Ordering;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::answer::{Envelope, identify, refusal_of};
use super::framer::{FrameError, Items, MOST_PIECE, Piece};
use super::unread::{Admission, Failure};
use super::watch::Place;
use super::{Event, Reflector, Sink, Stop, renew_credentials};
use crate::client::{ClientError, read_body};
use crate::indexer::Indexed;
use crate::resource::{ObjectRef, compare_resource_versions};

const REREAD: &str = "reading one object";

/// How long the answer about one object may take. The watch waits meanwhile.
const REREAD_STALL: Duration = Duration::from_secs(10);

/// Why an object was not read.
enum Unreadable {
    /// The server refused, or was not reached.
    Request(ClientError),
    /// The answer is not about the object: it broke off, or somebody else gave it.
    Answer(String),
    /// A server gave it that lags behind the one of the watch.
    Stale(String),
    /// The answer did not come to its end in time.
    Stalled,
    /// It is the object, which cannot be read.
    Content(String),
}

impl Unreadable {
    /// What it means for the object; `None` if it is what the server has.
    fn failure(&self) -> Option<Failure> {
        match self {
            Self::Request(error) if error.code().is_none() || refusal_of(error).is_passing() => {
                Some(Failure::Passing)
            }
            Self::Request(_) => Some(Failure::Refused),
            Self::Stale(_) => Some(Failure::Passing),
            Self::Answer(_) | Self::Stalled => Some(Failure::Useless),
            Self::Content(_) => None,
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(error) => error.fmt(f),
            Self::Answer(reason) | Self::Stale(reason) | Self::Content(reason) => {
                f.write_str(reason)
            }
            Self::Stalled => write!(f, "the answer did not end within {REREAD_STALL:?}"),
        }
    }
}

impl<K: Sink> Reflector<K> {
    /// An event's object cannot be read, for `reason`: reads the object by itself, now or soon.
    pub(super) async fn reread(
        &mut self,
        operation: &'static str,
        json: &[u8],
        reason: String,
    ) -> Result<(), Stop> {
        let identity =
            identify(json).and_then(|identity| Some((identity.reference, identity.version?)));
        let Some((reference, version)) = identity else {
            return Err(Stop::garbled(operation, reason));
        };
        match self.place(&version, &reference) {
            Place::InOrder => {}
            Place::Known => return self.applied(version).await,
            Place::Repeated => return Ok(()),
            Place::Disorder => return Err(self.disorder(operation)),
        }
        match self.unread.admit(&reference, Instant::now()) {
            Admission::Now => match self.read_alone(&reference, &version).await {
                Ok(Some(indexed)) => self.accept(operation, Event::Apply(indexed)).await?,
                // The watch will tell of it in its place.
                Ok(None) => {}
                Err(why) => self.not_read_at_once(reference, &reason, &why).await,
            },
            Admission::Later => {}
            Admission::NoRoom => {
                self.report_unreadable(operation, &reference.to_string(), reason);
            }
        }
        self.applied(version).await
    }

    /// Reads what waits to be read. What fails is tried again after a wait, and ends this if the server is to be left in
    /// peace. Within a list, what is read belongs to it.
    pub(super) async fn reread_unread(&mut self, within_list: bool) -> Result<(), Stop> {
        let was_empty = self.unread.is_empty();
        let since = self.machine.version().to_owned();
        while let Some(waiting) = self.unread.next(Instant::now()) {
            let why = match self.read_alone(&waiting.reference, &since).await {
                Ok(found) => {
                    self.unread.succeeded();
                    match found {
                        Some(indexed) if within_list => {
                            self.accept(REREAD, Event::InitApply(indexed)).await?;
                        }
                        Some(indexed) if self.is_news(&indexed) => {
                            self.accept(REREAD, Event::Apply(indexed)).await?;
                        }
                        _ => {}
                    }
                    continue;
                }
                Err(why) => why,
            };
            let reference = waiting.reference.clone();
            let is_told = match why.failure() {
                None => {
                    self.unread.succeeded();
                    true
                }
                Some(failure) => {
                    self.renew_for(&why).await;
                    let jitter = self.random.f64();
                    self.unread.failed(waiting, failure, Instant::now(), jitter)
                }
            };
            if is_told {
                self.report_reread(&reference, "it was unreadable", &why);
            }
            if self.unread.due().is_some() {
                break;
            }
        }
        if !within_list && !was_empty {
            self.reached();
            self.answer();
        }
        Ok(())
    }

    /// Tells those who asked for a list that it is there, unless something of it is still to be read.
    pub(super) fn answer(&self) {
        if self.unread.is_answered() {
            self.asked.answer();
        }
    }

    async fn not_read_at_once(&mut self, reference: ObjectRef, reason: &str, why: &Unreadable) {
        let told = reference.clone();
        let is_told = match why.failure() {
            None => true,
            Some(failure) => {
                self.renew_for(why).await;
                let (now, jitter) = (Instant::now(), self.random.f64());
                self.unread.failed_at_once(reference, failure, now, jitter)
            }
        };
        if is_told {
            self.report_reread(&told, reason, why);
        }
    }

    async fn renew_for(&self, why: &Unreadable) {
        if let Unreadable::Request(error) = why {
            renew_credentials(&self.client, error, &self.status).await;
        }
    }

    /// Whether what is stored of an object is not newer.
    fn is_news(&self, indexed: &Indexed) -> bool {
        let object = indexed.record.object();
        self.sink.known(&object.reference()).is_none_or(|known| {
            let versions = known.resource_version().zip(object.resource_version());
            versions.and_then(|(known, read)| compare_resource_versions(known, read))
                != Some(Ordering::Greater)
        })
    }

    fn report_reread(&self, reference: &ObjectRef, reason: &str, why: &Unreadable) {
        let reason = format!("{reason}; read by itself: {why}");
        self.report_unreadable(REREAD, &reference.to_string(), reason);
    }

    /// Reads an object by itself, as of `since` or later. `None` if it is not there, or not for this watch.
    async fn read_alone(
        &mut self,
        reference: &ObjectRef,
        since: &str,
    ) -> Result<Option<Indexed>, Unreadable> {
        let (found, as_of) = self.list_one(reference, since).await?;
        match &found {
            Some(indexed) => self.note_ahead(indexed.record.object().resource_version()),
            // It went since: what is stored of it is no state that the watch has reached or passed, until it tells of that.
            None => self.note_ahead(Some(&as_of)),
        }
        Ok(found)
    }

    /// Notes that a state as of this version was seen, which the watch may not have reached.
    pub(super) fn note_ahead(&mut self, version: Option<&str>) {
        let Some(version) = version else { return };
        let is_further = self.ahead.as_deref().is_none_or(|ahead| {
            compare_resource_versions(version, ahead) == Some(Ordering::Greater)
        });
        if is_further {
            version.clone_into(self.ahead.get_or_insert_default());
        }
    }

    /// The object, if it is there, and the version of the list that shows it.
    async fn list_one(
        &self,
        reference: &ObjectRef,
        since: &str,
    ) -> Result<(Option<Indexed>, String), Unreadable> {
        let operation = format!("reading {reference}");
        let answer = async {
            let response = self.client.send(self.target.list_one(reference)).await?;
            if response.status().is_success() {
                read_body(&operation, response.into_body(), MOST_PIECE).await
            } else {
                Err(ClientError::refusal(&operation, response).await)
            }
        };
        let body = match tokio::time::timeout(REREAD_STALL, answer).await {
            Ok(answer) => answer.map_err(Unreadable::Request)?,
            Err(_) => return Err(Unreadable::Stalled),
        };
        self.only_item(&body, reference, since)
    }

    /// The object in a list of at most one.
    fn only_item(
        &self,
        body: &[u8],
        reference: &ObjectRef,
        since: &str,
    ) -> Result<(Option<Indexed>, String), Unreadable> {
        let answer = |error: FrameError| Unreadable::Answer(error.to_string());
        let mut items = Items::new();
        let mut found = None;
        let mut rest = body;
        while let Some(piece) = items.next(&mut rest).map_err(answer)? {
            let Piece::Item(item) = piece else { continue };
            match self.decode(item, true) {
                // A server that ignores the selector must not pass another object off as this one.
                Ok(indexed) if indexed.record.object().reference() == *reference => {
                    found = Some(Ok(indexed));
                }
                Ok(_) => {}
                Err(reason) => match identify(item) {
                    Some(other) if other.reference != *reference => {}
                    Some(_) => found = Some(Err(Unreadable::Content(reason))),
                    None => return Err(Unreadable::Answer(reason)),
                },
            }
        }
        let envelope = items.finish().map_err(answer)?;
        let (api_version, kind) = &self.type_meta;
        let envelope = Envelope::parse(&envelope, api_version, kind).map_err(Unreadable::Answer)?;
        let version = envelope.version();
        if compare_resource_versions(version, since) == Some(Ordering::Less) {
            let reason = format!("the server is at {version}, before the event at {since}");
            return Err(Unreadable::Stale(reason));
        }
        Ok((found.transpose()?, version.to_owned()))
    }
}
