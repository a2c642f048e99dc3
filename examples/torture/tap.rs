//! Between a watcher and the cluster: notes what goes over the wire, holds it against [`Wire`], and adds the faults that
//! lie on the way: bodies in small pieces, bodies that stall, events whose object cannot be read.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use kube::client::Body;
use kubedex::Client;
use parking_lot::Mutex;

use super::asked::Asked;
use super::plan::{Fields, WatcherPlan};
use super::trace::Trace;
use super::wire::{Answer, Line, ListView, MANGLED, News, Wire};

/// More requests at one instant than this are a loop that does not wait.
const MOST_AT_ONCE: usize = 150;

/// More requests within a virtual minute than this are a loop that waits too little. One attempt at a list takes up to
/// twenty pages here, and each write can break a watch off and have the list made anew.
const MOST_PER_MINUTE: usize = 1200;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Stream = BoxStream<'static, Result<Frame<Bytes>, BoxError>>;

/// The wire of one watcher.
pub(super) struct Tap {
    who: usize,
    server: kube::Client,
    trace: Arc<Trace>,
    /// The watcher's field selector.
    fields: Option<&'static str>,
    state: Mutex<State>,
}

struct State {
    wires: HashMap<String, Wire>,
    random: fastrand::Rng,
    chopped: bool,
    mangled: u16,
    stalled: u16,
    lenient: bool,
    /// Times of the requests of the last minute.
    recent: VecDeque<Duration>,
    requests: u64,
    /// Answers being read.
    open: usize,
    /// The watcher was shut down.
    closed: bool,
    /// Each growth means that versions of objects may have gone back.
    went_back: u64,
}

impl Tap {
    pub(super) fn new(
        who: usize,
        server: kube::Client,
        trace: Arc<Trace>,
        plan: &WatcherPlan,
    ) -> Arc<Self> {
        Arc::new(Self {
            who,
            server,
            trace,
            fields: plan.fields.map(Fields::text),
            state: Mutex::new(State {
                wires: HashMap::new(),
                random: fastrand::Rng::with_seed(plan.seed),
                chopped: plan.chopped,
                mangled: plan.mangled,
                stalled: plan.stalled,
                lenient: plan.flaky_store,
                recent: VecDeque::new(),
                requests: 0,
                open: 0,
                closed: false,
                went_back: 0,
            }),
        })
    }

    /// A client of the cluster through this tap.
    pub(super) fn client(self: &Arc<Self>) -> Client {
        let tap = Arc::clone(self);
        let service = tower::service_fn(move |request: Request<Body>| {
            let tap = Arc::clone(&tap);
            async move { tap.answer(request).await }
        });
        Client::from_kube(kube::Client::new(service, "default"))
    }

    /// From now on nothing goes wrong on the way.
    pub(super) fn heal(&self) {
        let mut state = self.state.lock();
        (state.mangled, state.stalled) = (0, 0);
    }

    /// From now on there must be no request.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let open = state.open;
        drop(state);
        if open > 0 {
            self.fail(format!(
                "R20: {open} answers are still being read after shutdown"
            ));
        }
    }

    pub(super) fn requests(&self) -> u64 {
        self.state.lock().requests
    }

    pub(super) fn went_back(&self) -> u64 {
        self.state.lock().went_back
    }

    fn fail(&self, reason: String) {
        self.trace.fail(Some(self.who), reason);
    }

    fn note(&self, text: String) {
        self.trace.note(Some(self.who), text);
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Body>,
    ) -> Result<Response<StreamBody<Stream>>, BoxError> {
        let uri = request.uri().clone();
        let asked = Asked::read(&uri, self.fields);
        let collection = asked.collection(&uri);
        self.note(format!("? {asked:?} {collection}"));
        let Some(answer) = self.asks(&asked, &collection) else {
            // Time must go on for the schedule to end.
            return std::future::pending().await;
        };
        let response = match self.server.send(request).await {
            Ok(response) => response,
            Err(error) => {
                self.note(format!("! {asked:?}: no answer"));
                return Err(error.into());
            }
        };
        let (parts, body) = response.into_parts();
        if !parts.status.is_success() {
            let code = parts.status.as_u16();
            self.note(format!("! {asked:?}: {code}"));
            self.with(&collection, |wire| wire.refused(&asked, code));
        }
        let read = Reading {
            tap: Arc::clone(&self),
            body,
            interesting: parts.status.is_success(),
            asked,
            collection,
            answer,
            pieces: VecDeque::new(),
            seen: Vec::new(),
        };
        self.state.lock().open += 1;
        let stream = futures::stream::unfold(read, |mut read| async move {
            let frame = read.next().await?;
            Some((frame, read))
        });
        Ok(Response::from_parts(parts, StreamBody::new(stream.boxed())))
    }

    /// Takes note of a request; `None` if there were far too many.
    fn asks(&self, asked: &Asked, collection: &str) -> Option<Answer> {
        let now = self.trace.now();
        let mut state = self.state.lock();
        state.requests += 1;
        state.recent.push_back(now);
        while let Some(first) = state.recent.front()
            && now - *first > Duration::from_secs(60)
        {
            state.recent.pop_front();
        }
        let at_once = state.recent.iter().rev().take_while(|at| **at == now);
        let (at_once, recent, closed) = (at_once.count(), state.recent.len(), state.closed);
        drop(state);
        if closed {
            self.fail("R20: a request after shutdown".to_owned());
        }
        if at_once > MOST_AT_ONCE || recent > MOST_PER_MINUTE {
            self.fail(format!(
                "R6, R7: {at_once} requests at once, {recent} within a minute"
            ));
            return None;
        }
        match self.with(collection, |wire| wire.asks(asked)) {
            Ok(answer) => Some(answer),
            Err(complaint) => {
                self.fail(complaint);
                Some(Answer::default())
            }
        }
    }

    /// The watcher is asked for a list.
    pub(super) fn list_wanted(&self) {
        let mut state = self.state.lock();
        state.wires.values_mut().for_each(Wire::list_wanted);
    }

    /// A state as of this version was perhaps read; of which namespace, does not matter.
    fn shows(&self, version: u64) {
        let mut state = self.state.lock();
        state
            .wires
            .values_mut()
            .for_each(|wire| wire.shows(version));
    }

    fn with<R>(&self, collection: &str, act: impl FnOnce(&mut Wire) -> R) -> R {
        let mut state = self.state.lock();
        let lenient = state.lenient;
        let wire = state.wires.entry(collection.to_owned()).or_default();
        wire.lenient = lenient;
        act(wire)
    }

    fn heard(&self, news: News) {
        if news == News::WentBack {
            self.note("the server went back in time, persistently".to_owned());
            self.state.lock().went_back += 1;
        }
    }
}

/// One answer being read.
struct Reading {
    tap: Arc<Tap>,
    body: Body,
    /// It is a success.
    interesting: bool,
    asked: Asked,
    collection: String,
    answer: Answer,
    pieces: VecDeque<Bytes>,
    /// A line that is not whole yet, or all of a page.
    seen: Vec<u8>,
}

impl Reading {
    async fn next(&mut self) -> Option<Result<Frame<Bytes>, BoxError>> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                let stall = {
                    let State {
                        random, stalled, ..
                    } = &mut *self.tap.state.lock();
                    (random.u16(..10_000) < *stalled).then(|| random.u64(..40_000))
                };
                if let Some(stall) = stall {
                    self.tap.note(format!("a body stalls for {stall} ms"));
                    tokio::time::sleep(Duration::from_millis(stall)).await;
                }
                self.read(&piece);
                return Some(Ok(Frame::data(piece)));
            }
            match self.body.frame().await {
                None => {
                    self.ended();
                    return None;
                }
                Some(Err(error)) => {
                    self.tap.note(format!("! {:?}: broken off", self.asked));
                    return Some(Err(error.into()));
                }
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        let data = self.mangle(data);
                        self.chop(data);
                    }
                }
            }
        }
    }

    fn is_watch(&self) -> bool {
        matches!(self.asked, Asked::Watch(_) | Asked::Stream)
    }

    /// Makes the object of an event unreadable now and then.
    fn mangle(&self, data: Bytes) -> Bytes {
        let mangles = {
            let State {
                random, mangled, ..
            } = &mut *self.tap.state.lock();
            random.u16(..10_000) < *mangled
        };
        if !mangles || matches!(self.asked, Asked::Get | Asked::Discovery) {
            return data;
        }
        if !self.is_watch() {
            return self.mangle_item(&data);
        }
        let mut lines = Vec::with_capacity(data.len());
        for line in data.split_inclusive(|byte| *byte == b'\n') {
            let kinds = [
                "ConfigMap",
                "Secret",
                "Widget",
                "Gadget",
                "PartialObjectMetadata",
            ];
            let text = String::from_utf8_lossy(line);
            let is_change = text.contains("\"ADDED\"") || text.contains("\"MODIFIED\"");
            let kind = kinds
                .map(|kind| format!("\"kind\":\"{kind}\""))
                .into_iter()
                .find(|kind| text.contains(kind));
            match kind.filter(|_| is_change) {
                Some(kind) => lines.extend_from_slice(
                    text.replacen(&kind, &format!("\"kind\":\"{MANGLED}\""), 1)
                        .as_bytes(),
                ),
                None => lines.extend_from_slice(line),
            }
        }
        lines.into()
    }

    /// The same for one item of a list.
    fn mangle_item(&self, data: &Bytes) -> Bytes {
        const METADATA: &str = "\"metadata\":{";
        let text = String::from_utf8_lossy(data);
        let places: Vec<usize> = text.match_indices(METADATA).map(|(at, _)| at).collect();
        // The first is the list's own.
        let Some(items) = places.get(1..).filter(|items| !items.is_empty()) else {
            return data.clone();
        };
        let at = items[self.tap.state.lock().random.usize(..items.len())];
        let (before, after) = text.split_at(at);
        self.tap.note("an item is mangled".to_owned());
        format!("{before}\"kind\":\"{MANGLED}\",{after}").into()
    }

    /// Cuts data into pieces at random places.
    fn chop(&mut self, mut data: Bytes) {
        let state = &mut *self.tap.state.lock();
        while state.chopped && data.len() > 1 && self.pieces.len() < 12 {
            let at = if state.random.bool() {
                state.random.usize(1..data.len().min(9))
            } else {
                state.random.usize(1..data.len())
            };
            self.pieces.push_back(data.split_to(at));
        }
        if !data.is_empty() {
            self.pieces.push_back(data);
        }
    }

    /// A piece goes to the watcher.
    fn read(&mut self, piece: &[u8]) {
        if !self.interesting {
            return;
        }
        self.seen.extend_from_slice(piece);
        if !self.is_watch() {
            return;
        }
        let mut seen = std::mem::take(&mut self.seen);
        let mut start = 0;
        while let Some(length) = seen[start..].iter().position(|byte| *byte == b'\n') {
            self.line(&seen[start..start + length]);
            start += length + 1;
        }
        seen.drain(..start);
        self.seen = seen;
    }

    fn line(&mut self, text: &[u8]) {
        if text.trim_ascii().is_empty() {
            return;
        }
        let line: Option<Line> = serde_json::from_slice(text).ok();
        let shown = line
            .as_ref()
            .map_or_else(|| "a garbled line".to_owned(), Line::show);
        self.tap.note(format!("< {shown}"));
        let answer = &mut self.answer;
        let news = self
            .tap
            .with(&self.collection, |wire| wire.reads(answer, line.as_ref()));
        self.tap.heard(news);
    }

    fn ended(&mut self) {
        if !self.interesting {
            return;
        }
        let seen = std::mem::take(&mut self.seen);
        if self.is_watch() {
            self.line(&seen);
            self.tap.note(format!("< end of {:?}", self.asked));
            return;
        }
        let page = serde_json::from_slice::<ListView>(&seen);
        match (&self.asked, page) {
            (Asked::List { .. } | Asked::Page | Asked::Audit, Ok(page)) => {
                self.tap
                    .note(format!("< end of {:?} @{}", self.asked, page.version()));
                let news = self
                    .tap
                    .with(&self.collection, |wire| wire.read_page(&page));
                self.tap.heard(news);
            }
            (Asked::Get | Asked::Discovery, Ok(answer)) => {
                self.tap.shows(answer.version());
                self.tap.note(format!("< end of {:?}", self.asked));
            }
            (_, Err(_)) => {
                self.seen = seen;
                self.tap
                    .note(format!("< end of {:?}, unfinished", self.asked));
            }
            (_, Ok(_)) => {}
        }
    }
}

/// The newest version that a part of a list names.
fn newest(text: &str) -> Option<u64> {
    let versions = text.split("\"resourceVersion\":\"").skip(1);
    versions
        .filter_map(|rest| rest.split('"').next()?.parse().ok())
        .max()
}

impl Drop for Reading {
    fn drop(&mut self) {
        // What was read of a list that broke off.
        let read = String::from_utf8_lossy(&self.seen);
        if let Some(version) = newest(&read).filter(|_| !self.is_watch()) {
            self.tap.shows(version);
        }
        self.tap.state.lock().open -= 1;
    }
}
