//! Reads one object by itself, when a list or an event has it in a form that cannot be read, so that no update is lost.
//!
//! It is read by a list of that one name, under the selectors of the watch: an object that no longer matches is then not
//! found, and nothing but the permission to list is needed.

use std::cmp::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::answer::{Envelope, Identity, identify, refusal_of};
use super::framer::{FrameError, Items, MOST_PIECE, Piece};
use super::list::MOST_UNREAD;
use super::machine::Input;
use super::watch::Place;
use super::{BODY_STALL, Event, Reflector, Sink, Stop};
use crate::client::{ClientError, read_body};
use crate::indexer::Indexed;
use crate::resource::{ObjectRef, compare_resource_versions};
use crate::watcher::error::Problem;

const REREAD: &str = "reading one object";

/// An object whose events cannot be read is read by itself no more often than this, while there is room to put it off. What
/// comes in between is put off, and the watch goes on; without room it is read at once.
const REREAD_EVERY: Duration = Duration::from_secs(1);

enum Unread {
    /// The server refused, or was not reached.
    Request(ClientError),
    /// The answer is not about the object, or not of now: it broke off, or somebody else or a server that lags behind
    /// gave it.
    Answer(String),
    /// The answer did not come to its end in time. Nobody may wait so long for one object after the other.
    Stalled,
    /// It is the object, which cannot be read.
    Content(String),
}

impl Unread {
    /// What to tell of it; `None` if the same request may succeed soon.
    fn lasting(&self) -> Option<String> {
        match self {
            Self::Request(error) if error.code().is_none() || refusal_of(error).is_passing() => {
                None
            }
            Self::Stalled => None,
            Self::Request(error) => Some(error.to_string()),
            Self::Answer(reason) | Self::Content(reason) => Some(reason.clone()),
        }
    }

    /// Ends the step for it, after an object could not be read for `reason`.
    fn stop(self, reason: &str) -> Stop {
        match self {
            Self::Request(error) => {
                let code = error.code();
                let input = code.map_or(Input::Failed, |_| Input::Refused(refusal_of(&error)));
                Stop::fault(REREAD, Problem::Client(error), input)
            }
            Self::Stalled => {
                let stalled = format!("{reason}; its answer did not end for {BODY_STALL:?}");
                Stop::failed(REREAD, Problem::Broken(stalled))
            }
            Self::Answer(again) | Self::Content(again) => {
                Stop::garbled(REREAD, format!("{reason}; {again}"))
            }
        }
    }
}

impl<K: Sink> Reflector<K> {
    /// An event's object cannot be read, for `reason`: reads the object by itself.
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
        if self.is_put_off(&reference) {
            return self.applied(version).await;
        }
        match self.read_alone(&reference, &version).await {
            Ok(Some(indexed)) => self.accept(operation, Event::Apply(indexed)).await?,
            // The watch will tell of it in its place.
            Ok(None) => {}
            Err(Unread::Content(again)) => self.report_reread(&reference, &reason, &again),
            // What the event told is still to be had: by the watch once more, or by a list.
            Err(unread) => {
                self.reread.remove(&reference);
                return Err(unread.stop(&reason));
            }
        }
        self.applied(version).await
    }

    /// As [`Reflector::reread`], for an event before the end of a streaming list.
    pub(super) async fn reread_listed(
        &mut self,
        operation: &'static str,
        json: &[u8],
        reason: String,
    ) -> Result<(), Stop> {
        let Some(Identity { reference, version }) = identify(json) else {
            return Err(Stop::garbled(operation, reason));
        };
        if self.reread_listed >= MOST_UNREAD {
            self.report_unreadable(operation, &reference.to_string(), reason);
            let unreadable = Event::InitUnreadable(Some(reference));
            return self.accept(operation, unreadable).await;
        }
        self.reread_listed += 1;
        let event = match self
            .read_alone(&reference, &version.unwrap_or_default())
            .await
        {
            Ok(Some(indexed)) => Event::InitApply(indexed),
            Ok(None) => Event::InitUnreadable(Some(reference)),
            Err(Unread::Content(again)) => {
                self.report_reread(&reference, &reason, &again);
                Event::InitUnreadable(Some(reference))
            }
            Err(unread) if unread.lasting().is_some() => {
                self.leave_unread(operation, &reference, reason);
                Event::InitUnreadable(Some(reference))
            }
            Err(unread) => return Err(unread.stop(&reason)),
        };
        self.accept(operation, event).await
    }

    /// Whether an object of an event is put off: it was read by itself a short while ago, or many were. There is room for so many
    /// only; what finds none is read at once.
    fn is_put_off(&mut self, reference: &ObjectRef) -> bool {
        if self.unread_due.is_some() && self.unread.contains(reference) {
            return true;
        }
        let now = Instant::now();
        let is_recent = |at: &Instant| now.duration_since(*at) < REREAD_EVERY;
        if !self.reread.get(reference).is_some_and(is_recent) {
            self.reread.retain(|_, at| is_recent(at));
            if self.reread.len() < MOST_UNREAD {
                self.reread.insert(reference.clone(), now);
                return false;
            }
        }
        if !self.unread.contains(reference) {
            if self.unread.len() >= MOST_UNREAD {
                return false;
            }
            self.unread.push(reference.clone());
        }
        self.unread_due.get_or_insert(now + REREAD_EVERY);
        true
    }

    /// When objects that were put off are to be read.
    pub(super) fn unread_due(&self) -> Option<Instant> {
        self.unread_due
    }

    /// Reads what a list had in a form that could not be read, now that it is complete, and what was put off. What is refused is
    /// tried again when a watch is opened next.
    pub(super) async fn reread_unread(&mut self) -> Result<(), Stop> {
        self.unread_due = None;
        let since = self.machine.version().to_owned();
        let mut left = std::mem::take(&mut self.unread);
        while let Some(reference) = left.pop() {
            if let Some(at) = self.reread.get_mut(&reference) {
                *at = Instant::now();
            }
            let unread = match self.read_alone(&reference, &since).await {
                Ok(Some(indexed)) if self.is_news(&indexed) => {
                    self.accept(REREAD, Event::Apply(indexed)).await?;
                    continue;
                }
                Ok(_) => continue,
                Err(unread) => unread,
            };
            let Some(again) = unread.lasting() else {
                self.unread.append(&mut left);
                self.unread.push(reference);
                return Err(unread.stop("it was unreadable"));
            };
            self.report_reread(&reference, "it was unreadable", &again);
            if !matches!(unread, Unread::Content(_)) {
                self.unread.push(reference);
            }
        }
        Ok(())
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

    fn report_reread(&self, reference: &ObjectRef, reason: &str, again: &str) {
        let reason = format!("{reason}; read by itself: {again}");
        self.report_unreadable(REREAD, &reference.to_string(), reason);
    }

    /// Reads an object by itself, as of `since` or later. `None` if it is not there, or not for this watch.
    async fn read_alone(
        &mut self,
        reference: &ObjectRef,
        since: &str,
    ) -> Result<Option<Indexed>, Unread> {
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
    ) -> Result<(Option<Indexed>, String), Unread> {
        let operation = format!("reading {reference}");
        let response = self
            .client
            .send(self.target.list_one(reference))
            .await
            .map_err(Unread::Request)?;
        let answer = async {
            if response.status().is_success() {
                read_body(&operation, response.into_body(), MOST_PIECE).await
            } else {
                Err(ClientError::refusal(&operation, response).await)
            }
        };
        let body = match tokio::time::timeout(BODY_STALL, answer).await {
            Ok(answer) => answer.map_err(Unread::Request)?,
            Err(_) => return Err(Unread::Stalled),
        };
        self.only_item(&body, reference, since)
    }

    /// The object in a list of at most one.
    fn only_item(
        &self,
        body: &[u8],
        reference: &ObjectRef,
        since: &str,
    ) -> Result<(Option<Indexed>, String), Unread> {
        let answer = |error: FrameError| Unread::Answer(error.to_string());
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
                    Some(_) => found = Some(Err(Unread::Content(reason))),
                    None => return Err(Unread::Answer(reason)),
                },
            }
        }
        let envelope = items.finish().map_err(answer)?;
        let (api_version, kind) = &self.type_meta;
        let envelope = Envelope::parse(&envelope, api_version, kind).map_err(Unread::Answer)?;
        let version = envelope.version();
        if compare_resource_versions(version, since) == Some(Ordering::Less) {
            let reason = format!("the server is at {version}, before the event at {since}");
            return Err(Unread::Answer(reason));
        }
        Ok((found.transpose()?, version.to_owned()))
    }
}
