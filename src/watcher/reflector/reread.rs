//! Reads one object by itself, when an event about it cannot be read, so that no update is lost.

use super::answer::{identify, refusal_of};
use super::framer::MOST_PIECE;
use super::machine::Input;
use super::watch::Place;
use super::{BODY_STALL, Event, Reflector, Sink, Stop};
use crate::client::{ClientError, read_body};
use crate::indexer::Indexed;
use crate::resource::ObjectRef;
use crate::watcher::error::Problem;

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
        let event = match identify(json) {
            None => self.unreadable(operation, json, reason),
            Some(identity) => match self.read_alone(&identity.reference, &reason).await? {
                Some(indexed) => Event::InitApply(indexed),
                None => Event::InitUnreadable(Some(identity.reference)),
            },
        };
        self.accept(operation, event).await
    }

    /// Reads an object by itself. `None` if there is none, of which the watch will tell in its place, or if it still
    /// cannot be read, which is reported.
    async fn read_alone(
        &mut self,
        reference: &ObjectRef,
        reason: &str,
    ) -> Result<Option<Indexed>, Stop> {
        match self.get(reference).await {
            Ok(Some(indexed)) => {
                self.ahead = indexed
                    .record
                    .object()
                    .resource_version()
                    .map(str::to_owned);
                Ok(Some(indexed))
            }
            Ok(None) => Ok(None),
            Err(Unread::Content(again)) => {
                let problem = Problem::Unreadable(
                    reference.to_string(),
                    format!("{reason}; read by itself: {again}"),
                );
                self.warn("get", problem);
                Ok(None)
            }
            Err(Unread::Request(error)) => {
                let input = error
                    .code()
                    .map_or(Input::Failed, |_| Input::Refused(refusal_of(&error)));
                Err(Stop::fault("get", Problem::Client(error), input))
            }
        }
    }

    /// Reads one object; `None` if there is none.
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
}
