//! Reads lists, page by page, decoding items as they arrive.

use std::cmp::Ordering;

use http::Request;
use kube::client::Body;

use super::answer::{Envelope, identify};
use super::framer::{FrameError, Items};
use super::machine::Input;
use super::{BODY_STALL, Event, Reflector, Sink, Stop, next_chunk};
use crate::resource::compare_resource_versions;
use crate::watcher::error::Problem;

const LIST: &str = "list";

impl<K: Sink> Reflector<K> {
    /// Reads one page.
    pub(super) async fn list(&mut self, token: Option<String>, limit: bool) -> Result<(), Stop> {
        self.begin(LIST).await?;
        let envelope = self
            .page(LIST, self.target.list(token.as_deref(), limit))
            .await?;
        let version = envelope.version().to_owned();
        match envelope.token() {
            Some(token) => {
                self.input(Input::Page {
                    version,
                    token: Some(token.to_owned()),
                })
                .await
            }
            None => {
                self.check_age(
                    LIST,
                    &version,
                    Input::Page {
                        version: version.clone(),
                        token: None,
                    },
                )?;
                self.input(Input::Page {
                    version,
                    token: None,
                })
                .await
            }
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
            while let Some(item) = items
                .next(&mut chunk)
                .map_err(|error| self.no_list(operation, error))?
            {
                let event = match self.decode(item, true) {
                    Ok(indexed) => Event::InitApply(indexed),
                    Err(reason) => self.unreadable(operation, item, reason),
                };
                self.accept(operation, event).await?;
            }
        }
        let envelope = items
            .finish()
            .map_err(|error| self.no_list(operation, error))?;
        Envelope::parse(&envelope).map_err(|found| {
            let expected = format!("list of {}", self.target.gvr);
            Stop::failed(operation, Problem::Foreign { expected, found })
        })
    }

    fn no_list(&self, operation: &'static str, error: FrameError) -> Stop {
        let problem = match error {
            FrameError::Truncated => Problem::Broken(error.to_string()),
            FrameError::NoList | FrameError::TooLarge => Problem::Foreign {
                expected: format!("list of {}", self.target.gvr),
                found: error.to_string(),
            },
        };
        Stop::failed(operation, problem)
    }

    /// An object of a list that cannot be read: reported, and passed over.
    pub(super) fn unreadable(&self, operation: &'static str, json: &[u8], reason: String) -> Event {
        let reference = identify(json).map(|identity| identity.reference);
        let named = reference.as_ref().map_or_else(
            || "an object without a name".to_owned(),
            ToString::to_string,
        );
        self.warn(operation, Problem::Unreadable(named, reason));
        Event::InitUnreadable(reference)
    }

    /// A complete list that is older than what was seen is a fault; how often, the machine decides.
    pub(super) fn check_age(
        &self,
        operation: &'static str,
        version: &str,
        input: Input,
    ) -> Result<(), Stop> {
        let seen = self.machine.version();
        if compare_resource_versions(version, seen) == Some(Ordering::Less)
            && !self.machine.believes_old_lists()
        {
            let problem = Problem::Stale {
                listed: version.to_owned(),
                seen: seen.to_owned(),
            };
            return Err(Stop::fault(operation, problem, input));
        }
        Ok(())
    }
}
