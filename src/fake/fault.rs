//! Faults: what goes wrong, for which requests, and how often.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::route::RequestInfo;
use super::state::RequestRecord;
use super::status::ApiError;
use crate::resource::Gvr;

/// Something that goes wrong with some requests.
///
/// Made by naming what happens, narrowed by whom it hits and how often, and handed to
/// [`FakeCluster::inject`](super::FakeCluster::inject). By default it hits the first request of all, once.
///
/// ```
/// # use kubedex::fake::{FakeCluster, Fault};
/// # use kubedex::Gvr;
/// # use std::time::Duration;
/// let cluster = FakeCluster::new();
/// let pods = Gvr::new("", "v1", "pods");
/// cluster.inject(Fault::status(429).retry_after(Duration::from_secs(2)).verb("list").resource(&pods).times(3));
/// cluster.inject(Fault::truncated_line(5).verb("watch").always());
/// cluster.inject(Fault::connection_refused().with_probability(0.1).always());
/// ```
///
/// Faults of a stream name the place by the number of events before it: `Fault::end_after(2)` sends two events and
/// ends. For an answer that is no watch, they strike in the middle of the body.
#[derive(Clone)]
pub struct Fault {
    action: Action,
    verb: Option<String>,
    resource: Option<Gvr>,
    predicate: Option<Predicate>,
    skip: u64,
    left: Option<u64>,
    probability: Option<f64>,
    hits: u64,
}

type Predicate = Arc<dyn Fn(&RequestRecord) -> bool + Send + Sync>;

/// Names an injected fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FaultId(u64);

#[derive(Clone, Debug)]
enum Action {
    Status {
        code: u16,
        message: Option<String>,
        retry_after: Option<u64>,
    },
    Latency(Duration),
    Refuse,
    Hang,
    Stale(u64),
    Compact,
    Restart {
        forget: bool,
    },
    Stream(StreamFault),
}

/// A fault at a place of a stream.
#[derive(Clone, Debug)]
pub(super) struct StreamFault {
    /// Events before it.
    pub(super) at: usize,
    pub(super) action: StreamAction,
}

#[derive(Clone, Debug)]
pub(super) enum StreamAction {
    Reset,
    End,
    Truncate { newline: bool },
    Garbage,
    Drop,
    Duplicate,
    Reorder,
    Error(ApiError),
    Silence,
}

impl StreamAction {
    /// Strikes without waiting for the next event.
    pub(super) fn is_between_events(&self) -> bool {
        matches!(
            self,
            Self::Reset | Self::End | Self::Error(_) | Self::Silence
        )
    }
}

impl Fault {
    fn new(action: Action) -> Self {
        Self {
            action,
            verb: None,
            resource: None,
            predicate: None,
            skip: 0,
            left: Some(1),
            probability: None,
            hits: 0,
        }
    }

    fn stream(at: usize, action: StreamAction) -> Self {
        Self::new(Action::Stream(StreamFault { at, action }))
    }

    /// Answers with an HTTP status and a `Status` that fits it.
    pub fn status(code: u16) -> Self {
        Self::new(Action::Status {
            code,
            message: None,
            retry_after: None,
        })
    }

    /// Answers later.
    pub fn latency(delay: Duration) -> Self {
        Self::new(Action::Latency(delay))
    }

    /// There is no connection: in process the request fails, over a socket the connection closes without an answer.
    pub fn connection_refused() -> Self {
        Self::new(Action::Refuse)
    }

    /// The answer never starts.
    pub fn hang() -> Self {
        Self::new(Action::Hang)
    }

    /// A list is answered as it was this many revisions ago, by a server that lags behind.
    pub fn stale_list(revisions: u64) -> Self {
        Self::new(Action::Stale(revisions))
    }

    /// Everything before the present revision is forgotten just before the request is answered.
    pub fn compaction() -> Self {
        Self::new(Action::Compact)
    }

    /// The API server restarts just before the request is answered: all open watches end.
    pub fn restart() -> Self {
        Self::new(Action::Restart { forget: false })
    }

    /// Like [`Fault::restart`], and the new server remembers only the present.
    pub fn restart_without_memory() -> Self {
        Self::new(Action::Restart { forget: true })
    }

    /// The connection breaks after `events` events.
    pub fn reset_after(events: usize) -> Self {
        Self::stream(events, StreamAction::Reset)
    }

    /// The body ends cleanly after `events` events.
    pub fn end_after(events: usize) -> Self {
        Self::stream(events, StreamAction::End)
    }

    /// After `events` events comes half a line without a line break, and the end.
    pub fn truncated_line(events: usize) -> Self {
        Self::stream(events, StreamAction::Truncate { newline: false })
    }

    /// After `events` events comes half a line with a line break, and the end.
    pub fn truncated_line_with_newline(events: usize) -> Self {
        Self::stream(events, StreamAction::Truncate { newline: true })
    }

    /// In place of the event after `events` events comes a line that is no JSON; the watch goes on.
    pub fn garbage_line(events: usize) -> Self {
        Self::stream(events, StreamAction::Garbage)
    }

    /// The event after `events` events is lost. No real server does this: for testing an audit.
    pub fn dropped_event(events: usize) -> Self {
        Self::stream(events, StreamAction::Drop)
    }

    /// The event after `events` events comes twice.
    pub fn duplicated_event(events: usize) -> Self {
        Self::stream(events, StreamAction::Duplicate)
    }

    /// The event after `events` events comes after its successor.
    pub fn reordered_event(events: usize) -> Self {
        Self::stream(events, StreamAction::Reorder)
    }

    /// After `events` events comes an ERROR event with a `Status` of this code, and the end.
    pub fn error_event(events: usize, code: u16) -> Self {
        let mut error = ApiError::injected(code, None, None);
        if code == 410 {
            error.message = "too old resource version: 1 (2)".to_owned();
        }
        Self::stream(events, StreamAction::Error(error))
    }

    /// After `events` events nothing comes any more, not even the end.
    pub fn silence_after(events: usize) -> Self {
        Self::stream(events, StreamAction::Silence)
    }

    /// A status fault asks to be retried later, in whole seconds.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        if let Action::Status { retry_after, .. } = &mut self.action {
            *retry_after = Some(delay.as_secs());
        }
        self
    }

    /// A status fault says this.
    #[must_use]
    pub fn message(mut self, text: impl Into<String>) -> Self {
        match &mut self.action {
            Action::Status { message, .. } => *message = Some(text.into()),
            Action::Stream(StreamFault {
                action: StreamAction::Error(error),
                ..
            }) => {
                error.message = text.into();
            }
            _ => {}
        }
        self
    }

    /// Hits only requests with this verb, such as `list` or `watch` (see [`RequestRecord::verb`]).
    #[must_use]
    pub fn verb(mut self, verb: impl Into<String>) -> Self {
        self.verb = Some(verb.into());
        self
    }

    /// Hits only requests for this resource.
    #[must_use]
    pub fn resource(mut self, gvr: &Gvr) -> Self {
        self.resource = Some(gvr.clone());
        self
    }

    /// Hits only requests that fulfil this, too.
    #[must_use]
    pub fn when(
        mut self,
        predicate: impl Fn(&RequestRecord) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.predicate = Some(Arc::new(predicate));
        self
    }

    /// Lets the first `requests` that it would hit pass.
    #[must_use]
    pub fn after(mut self, requests: u64) -> Self {
        self.skip = requests;
        self
    }

    /// Hits one request; the default.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// Hits this many requests.
    #[must_use]
    pub fn times(mut self, requests: u64) -> Self {
        self.left = Some(requests);
        self
    }

    /// Hits every request.
    #[must_use]
    pub fn always(mut self) -> Self {
        self.left = None;
        self
    }

    /// Hits each request with this probability, between 0 and 1, drawn from the cluster's seed.
    #[must_use]
    pub fn with_probability(mut self, probability: f64) -> Self {
        self.probability = Some(probability);
        self
    }

    fn fits(&self, info: &RequestInfo, record: &RequestRecord) -> bool {
        self.verb.as_ref().is_none_or(|verb| *verb == record.verb)
            && self.resource.as_ref().is_none_or(|gvr| {
                info.is_resource
                    && gvr.group() == info.group
                    && gvr.version() == info.version
                    && gvr.resource() == info.resource
            })
            && self.predicate.as_ref().is_none_or(|fits| fits(record))
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault")
            .field("action", &self.action)
            .field("verb", &self.verb)
            .field("resource", &self.resource)
            .field("left", &self.left)
            .field("probability", &self.probability)
            .field("hits", &self.hits)
            .finish_non_exhaustive()
    }
}

/// What happens to one request.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) delay: Duration,
    pub(super) refuse: bool,
    pub(super) hang: bool,
    pub(super) error: Option<ApiError>,
    pub(super) stale: Option<u64>,
    pub(super) compact: bool,
    pub(super) restart: bool,
    pub(super) forget: bool,
    pub(super) stream: Vec<StreamFault>,
}

/// The faults of a cluster.
#[derive(Debug, Default)]
pub(super) struct Faults {
    list: Vec<(FaultId, Fault)>,
    next: u64,
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) -> FaultId {
        self.next += 1;
        let id = FaultId(self.next);
        self.list.push((id, fault));
        id
    }

    pub(super) fn remove(&mut self, id: FaultId) {
        self.list.retain(|(known, _)| *known != id);
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
    }

    pub(super) fn hits(&self, id: FaultId) -> u64 {
        self.list
            .iter()
            .find(|(known, _)| *known == id)
            .map_or(0, |(_, fault)| fault.hits)
    }

    pub(super) fn plan(
        &mut self,
        info: &RequestInfo,
        record: &RequestRecord,
        random: &mut fastrand::Rng,
    ) -> Plan {
        let mut plan = Plan::default();
        for (_, fault) in &mut self.list {
            if fault.left == Some(0) || !fault.fits(info, record) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            if fault
                .probability
                .is_some_and(|probability| random.f64() >= probability)
            {
                continue;
            }
            if let Some(left) = &mut fault.left {
                *left -= 1;
            }
            fault.hits += 1;
            match &fault.action {
                Action::Status {
                    code,
                    message,
                    retry_after,
                } => {
                    plan.error.get_or_insert_with(|| {
                        ApiError::injected(*code, message.clone(), *retry_after)
                    });
                }
                Action::Latency(delay) => plan.delay += *delay,
                Action::Refuse => plan.refuse = true,
                Action::Hang => plan.hang = true,
                Action::Stale(revisions) => plan.stale = Some(*revisions),
                Action::Compact => plan.compact = true,
                Action::Restart { forget } => {
                    plan.restart = true;
                    plan.forget |= forget;
                }
                Action::Stream(stream) => plan.stream.push(stream.clone()),
            }
        }
        plan
    }
}
