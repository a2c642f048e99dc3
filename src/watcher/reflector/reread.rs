//! Reads one object by itself, when a list or an event has it in a form that cannot be read, so that no update is lost.
//!
//! It is read by a list of that one name, under the selectors of the watch: an object that no longer matches is then not
//! found, and nothing but the permission to list is needed.

use std::cmp::Ordering;

use super::answer::{Envelope, identify, refusal_of};
use super::framer::{Items, MOST_PIECE, Piece};
use super::machine::Input;
use super::watch::Place;
use super::{BODY_STALL, Event, Reflector, Sink, Stop};
use crate::client::{ClientError, read_body};
use crate::indexer::Indexed;
use crate::resource::{ObjectRef, compare_resource_versions};
use crate::watcher::error::Problem;

const REREAD: &str = "reading one object";

enum Unread {
    Request(ClientError),
    Content(String),
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
        if let Some(indexed) = self.read_alone(&reference, &reason).await? {
            self.accept(operation, Event::Apply(indexed)).await?;
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
        let Some(identity) = identify(json) else {
            return Err(Stop::garbled(operation, reason));
        };
        let event = match self.read_alone(&identity.reference, &reason).await? {
            Some(indexed) => Event::InitApply(indexed),
            None => Event::InitUnreadable(Some(identity.reference)),
        };
        self.accept(operation, event).await
    }

    /// Reads what a list had in a form that could not be read, now that it is complete.
    pub(super) async fn reread_unread(&mut self) -> Result<(), Stop> {
        for reference in std::mem::take(&mut self.unread) {
            let Some(indexed) = self
                .read_alone(&reference, "the list had it in an unreadable form")
                .await?
            else {
                continue;
            };
            let is_newer = self.sink.known(&reference).is_none_or(|known| {
                let versions = known
                    .resource_version()
                    .zip(indexed.record.object().resource_version());
                versions.and_then(|(known, read)| compare_resource_versions(known, read))
                    != Some(Ordering::Greater)
            });
            if is_newer {
                self.accept(REREAD, Event::Apply(indexed)).await?;
            }
        }
        Ok(())
    }

    /// Reads an object by itself. `None` if it is not there, or not for this watch, of which the watch will tell in its
    /// place, or if it still cannot be read, which is reported.
    async fn read_alone(
        &mut self,
        reference: &ObjectRef,
        reason: &str,
    ) -> Result<Option<Indexed>, Stop> {
        match self.get(reference).await {
            Ok(Some(indexed)) => {
                self.note_ahead(indexed.record.object().resource_version());
                Ok(Some(indexed))
            }
            Ok(None) => Ok(None),
            Err(Unread::Content(again)) => {
                self.report_unreadable(
                    REREAD,
                    &reference.to_string(),
                    format!("{reason}; read by itself: {again}"),
                );
                Ok(None)
            }
            Err(Unread::Request(error)) => {
                let refusal = refusal_of(&error);
                if error.code().is_some() && !refusal.is_passing() {
                    self.report_unreadable(
                        REREAD,
                        &reference.to_string(),
                        format!("{reason}; read by itself: {error}"),
                    );
                    return Ok(None);
                }
                let input = error
                    .code()
                    .map_or(Input::Failed, |_| Input::Refused(refusal));
                Err(Stop::fault(REREAD, Problem::Client(error), input))
            }
        }
    }

    /// Notes that the store has a state as of this version, which the watch has not reached.
    fn note_ahead(&mut self, version: Option<&str>) {
        let Some(version) = version else { return };
        let is_further = self.ahead.as_deref().is_none_or(|ahead| {
            compare_resource_versions(version, ahead) == Some(Ordering::Greater)
        });
        if is_further {
            self.ahead = Some(version.to_owned());
        }
    }

    async fn get(&self, reference: &ObjectRef) -> Result<Option<Indexed>, Unread> {
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
            Err(_) => return Err(Unread::Content("the answer stalled".to_owned())),
        };
        let mut items = Items::new();
        let mut found = None;
        let mut rest = &body[..];
        while let Some(piece) = items
            .next(&mut rest)
            .map_err(|error| Unread::Content(error.to_string()))?
        {
            if let Piece::Item(item) = piece {
                let indexed = self.decode(item, true).map_err(Unread::Content)?;
                // A server that ignores the selector must not pass another object off as this one.
                if indexed.record.object().reference() == *reference {
                    found = Some(indexed);
                }
            }
        }
        let envelope = items
            .finish()
            .map_err(|error| Unread::Content(error.to_string()))?;
        let (api_version, kind) = &self.type_meta;
        Envelope::parse(&envelope, api_version, kind).map_err(Unread::Content)?;
        Ok(found)
    }
}
