//! Reads lists, page by page, decoding items as they arrive.

use std::cmp::Ordering;

use http::Request;
use kube::client::Body;

use super::answer::{Envelope, identify};
use super::framer::{FrameError, Items, Piece};
use super::machine::Input;
use super::{BODY_STALL, Event, Reflector, Sink, Stop, next_chunk};
use crate::resource::{ObjectRef, compare_resource_versions};
use crate::watcher::error::Problem;

/// A list, or its first page: its refusal is about what is watched.
pub(in crate::watcher) const LIST: &str = "list";

/// A further page, which is refused for its token, too.
const FURTHER_PAGE: &str = "further page of a list";

/// How often a page with an object that has no name is read again, before it is taken as it is: nobody knows which
/// object that is, so that nothing can be taken for deleted.
const NAMELESS_ATTEMPTS: u8 = 3;

impl<K: Sink> Reflector<K> {
    /// Reads one page.
    pub(super) async fn list(&mut self, token: Option<String>, limit: bool) -> Result<(), Stop> {
        self.begin(LIST).await?;
        if token.is_none() {
            self.asked.begin();
        }
        let operation = if token.is_none() { LIST } else { FURTHER_PAGE };
        let envelope = self
            .page(operation, self.target.list(token.as_deref(), limit))
            .await?;
        let version = envelope.version().to_owned();
        let token = envelope.token().map(str::to_owned);
        let problem = match &token {
            None => self.stale(&version),
            Some(token) => self.machine.has_no_end(token).then(|| Problem::Foreign {
                expected: "list with an end".to_owned(),
                found: "one that goes on and on".to_owned(),
            }),
        };
        let input = Input::Page { version, token };
        match problem {
            Some(problem) => Err(Stop::fault(LIST, problem, input)),
            None => self.input(input).await,
        }
    }

    /// Hands the items of one page on; what is around them is left.
    pub(super) async fn page(
        &mut self,
        operation: &'static str,
        request: Request<Body>,
    ) -> Result<Envelope, Stop> {
        let mut body = self.open(operation, request).await?;
        let mut items = Items::new();
        loop {
            let chunk = match tokio::time::timeout(BODY_STALL, next_chunk(&mut body)).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => break,
                Ok(Err(reason)) => return Err(Stop::failed(operation, Problem::Broken(reason))),
                Err(_) => {
                    let reason = format!("nothing came for {BODY_STALL:?}");
                    return Err(Stop::failed(operation, Problem::Broken(reason)));
                }
            };
            let mut chunk = &chunk[..];
            while let Some(piece) = items
                .next(&mut chunk)
                .map_err(|error| self.no_list(operation, error))?
            {
                match piece {
                    Piece::Head(head) => {
                        let (api_version, kind) = &self.type_meta;
                        Envelope::check_head(head, api_version, kind)
                            .map_err(|found| self.foreign(operation, found))?;
                    }
                    Piece::Item(item) => self.item(operation, item).await?,
                }
            }
        }
        let envelope = items
            .finish()
            .map_err(|error| self.no_list(operation, error))?;
        let (api_version, kind) = &self.type_meta;
        Envelope::parse(&envelope, api_version, kind)
            .map_err(|found| self.foreign(operation, found))
    }

    async fn item(&mut self, operation: &'static str, json: &[u8]) -> Result<(), Stop> {
        let event = match self.decode(json, true) {
            Ok(indexed) => {
                let object = indexed.record.object();
                self.note_ahead(object.resource_version());
                if self.unread.take_refused(&object.reference()) {
                    // Only an audit finds any. What is known to be missing is no difference.
                    let missing = Event::Apply(indexed.clone());
                    self.accept(operation, missing).await?;
                }
                Event::InitApply(indexed)
            }
            Err(reason) => match identify(json) {
                Some(identity) => {
                    self.leave_unread(operation, &identity.reference, reason);
                    Event::InitUnreadable(Some(identity.reference))
                }
                None if self.nameless < NAMELESS_ATTEMPTS => {
                    self.nameless += 1;
                    let problem =
                        Problem::Unreadable("an object without a name".to_owned(), reason);
                    return Err(Stop::failed(operation, problem));
                }
                None => {
                    self.report_unreadable(operation, "an object without a name", reason);
                    Event::InitUnreadable(None)
                }
            },
        };
        self.accept(operation, event).await
    }

    /// Puts an object off until the list is at its end.
    pub(super) fn leave_unread(
        &mut self,
        operation: &'static str,
        reference: &ObjectRef,
        reason: String,
    ) {
        if !self.unread.leave(reference) {
            self.report_unreadable(operation, &reference.to_string(), reason);
        }
    }

    fn foreign(&self, operation: &'static str, found: String) -> Stop {
        let expected = format!("list of {}", self.target.gvr);
        Stop::failed(operation, Problem::Foreign { expected, found })
    }

    fn no_list(&self, operation: &'static str, error: FrameError) -> Stop {
        match error {
            FrameError::Truncated => Stop::failed(operation, Problem::Broken(error.to_string())),
            FrameError::NoList | FrameError::TooLarge => self.foreign(operation, error.to_string()),
        }
    }

    /// A complete list that is older than what was seen is a fault; how often, the machine decides.
    pub(super) fn stale(&self, version: &str) -> Option<Problem> {
        let seen = self.machine.version();
        let is_older = compare_resource_versions(version, seen) == Some(Ordering::Less);
        (is_older && !self.machine.believes_old_lists()).then(|| Problem::Stale {
            listed: version.to_owned(),
            seen: seen.to_owned(),
        })
    }
}
