//! Plays one recording against a fresh cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::TokioExecutor;
use kube::client::Body;
use kubedex::fake::{FakeCluster, FakeServer};
use serde_json::Value;

use super::bindings::Bindings;
use super::case::{Case, Request, Response, Step};
use super::compare;

/// How often a step marked `poll` is tried.
const TRIES: usize = 20;
/// How long an event that must come may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The user without rights that recordings speak of.
const VIEWER_TOKEN: &str = "a-viewers-token";

/// A way to a cluster.
pub(super) struct Transport {
    cluster: FakeCluster,
    client: kube::Client,
    admin_token: String,
    /// How long nothing must come for a watch to count as silent.
    silence: Duration,
    _server: Option<FakeServer>,
}

impl Transport {
    fn new(
        cluster: FakeCluster,
        client: kube::Client,
        silence: Duration,
        server: Option<FakeServer>,
    ) -> Self {
        cluster.add_token(VIEWER_TOKEN, "viewer");
        Self {
            admin_token: cluster.admin_token(),
            cluster,
            client,
            silence,
            _server: server,
        }
    }

    pub(super) fn in_process() -> Self {
        let cluster = FakeCluster::builder().strict().build();
        let client = cluster.anonymous_client();
        Self::new(cluster, client, Duration::from_millis(400), None)
    }

    pub(super) async fn socket() -> Self {
        let cluster = FakeCluster::builder().strict().build();
        let server = cluster.serve().await.unwrap();
        let url = server.http_url();
        let hyper = HyperClient::builder(TokioExecutor::new()).build_http();
        let service =
            tower::util::MapRequest::new(hyper, move |mut request: http::Request<Body>| {
                let target = format!("{url}{}", request.uri().path_and_query().unwrap());
                *request.uri_mut() = target.parse().unwrap();
                request
            });
        let client = kube::Client::new(service, "default");
        Self::new(cluster, client, Duration::from_millis(400), Some(server))
    }

    async fn send(&self, request: &Request, bindings: &Bindings) -> Result<Answer, String> {
        let path = bindings.fill(&request.path)?;
        let body = match (&request.body, &request.text) {
            (Some(value), _) => bindings.fill(&value.to_string())?,
            (None, Some(text)) => text.clone(),
            (None, None) => String::new(),
        };
        let mut builder = http::Request::builder()
            .method(request.method.as_str())
            .uri(path)
            .header("User-Agent", "conformance/1.0");
        if !request
            .headers
            .keys()
            .any(|name| name.eq_ignore_ascii_case("accept"))
        {
            builder = builder.header("Accept", "application/json");
        }
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if request.body.is_some() || request.text.is_some() {
            let kind = request
                .content_type
                .as_deref()
                .unwrap_or("application/json");
            builder = builder.header("Content-Type", kind);
        }
        let token = match request.user.as_deref() {
            None => Some(self.admin_token.as_str()),
            Some("viewer") => Some(VIEWER_TOKEN),
            Some("none") => None,
            Some(_) => Some("a-token-that-nobody-has"),
        };
        if let Some(token) = token {
            builder = builder.header("Authorization", format!("Bearer {token}"));
        }
        let request = builder
            .body(Body::from(body.into_bytes()))
            .map_err(|error| error.to_string())?;
        let response = self
            .client
            .clone()
            .send(request)
            .await
            .map_err(|error| error.to_string())?;
        let (parts, body) = response.into_parts();
        let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in ["Content-Type", "Retry-After", "Warning"] {
            let values: Vec<String> = parts
                .headers
                .get_all(name)
                .iter()
                .map(|value| value.to_str().unwrap().to_owned())
                .collect();
            if !values.is_empty() {
                headers.insert(name.to_owned(), values);
            }
        }
        Ok(Answer {
            status: parts.status.as_u16(),
            headers,
            stream: Stream {
                body,
                buffer: Vec::new(),
            },
        })
    }
}

struct Answer {
    status: u16,
    headers: BTreeMap<String, Vec<String>>,
    stream: Stream,
}

struct Stream {
    body: Body,
    buffer: Vec<u8>,
}

enum Next {
    Event(Value),
    End,
    Silence,
}

impl Stream {
    async fn all(mut self) -> Result<Bytes, String> {
        let mut whole = std::mem::take(&mut self.buffer);
        let rest = self
            .body
            .collect()
            .await
            .map_err(|error| error.to_string())?;
        whole.extend_from_slice(&rest.to_bytes());
        Ok(whole.into())
    }

    /// The next event, waiting for `silence` at most (`None`: as long as it takes).
    async fn next(&mut self, silence: Option<Duration>) -> Result<Next, String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return serde_json::from_slice(&line)
                    .map(Next::Event)
                    .map_err(|error| format!("an event is no JSON: {error}"));
            }
            let frame = match silence {
                Some(silence) => match tokio::time::timeout(silence, self.body.frame()).await {
                    Ok(frame) => frame,
                    Err(_) => return Ok(Next::Silence),
                },
                None => self.body.frame().await,
            };
            match frame {
                Some(Ok(frame)) => self
                    .buffer
                    .extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
                Some(Err(error)) => return Err(error.to_string()),
                None if self.buffer.is_empty() => return Ok(Next::End),
                None => return Err("the stream ends within a line".to_owned()),
            }
        }
    }
}

fn is_plain_bookmark(event: &Value) -> bool {
    event["type"] == "BOOKMARK" && event["object"]["metadata"]["annotations"].is_null()
}

struct Player<'a> {
    case: &'a Case,
    transport: Transport,
    bindings: Bindings,
    watches: BTreeMap<String, Stream>,
}

pub(super) async fn replay(case: &Case, transport: Transport) -> Result<(), String> {
    let mut player = Player {
        case,
        transport,
        bindings: Bindings::default(),
        watches: BTreeMap::new(),
    };
    for setup in &case.setup {
        let answer = player
            .transport
            .send(&setup.request, &player.bindings)
            .await?;
        if !setup.accept.contains(&answer.status) {
            let status = answer.status;
            let body = answer.stream.all().await?;
            return Err(format!(
                "setup {} {} answered {status}: {}",
                setup.request.method,
                setup.request.path,
                String::from_utf8_lossy(&body)
            ));
        }
    }
    for (index, step) in case.steps.iter().enumerate() {
        let what = match (&step.request, &step.read) {
            (Some(request), _) => format!("{} {}", request.method, request.path),
            (None, Some(read)) => format!("read {read}"),
            _ => step.control.clone().unwrap_or_default(),
        };
        player
            .step(step)
            .await
            .map_err(|error| format!("step {} ({what}): {error}", index + 1))?;
    }
    Ok(())
}

impl Player<'_> {
    async fn step(&mut self, step: &Step) -> Result<(), String> {
        let empty = Response::default();
        let response = step.response.as_ref().unwrap_or(&empty);
        if let Some(control) = &step.control {
            assert_eq!(control, "compact");
            self.transport.cluster.compact();
            return Ok(());
        }
        if let Some(name) = &step.read {
            let mut stream = self.watches.remove(name).ok_or("no such watch is open")?;
            self.read(&mut stream, response).await?;
            self.watches.insert(name.clone(), stream);
            return Ok(());
        }
        let request = step.request.as_ref().ok_or("a step without a request")?;
        let mut tries = if step.poll { TRIES } else { 1 };
        loop {
            let before = self.bindings.clone();
            match self
                .exchange(request, response, step.watch.as_deref())
                .await
            {
                Err(error) if tries <= 1 => return Err(error),
                Err(_) => {
                    tries -= 1;
                    self.bindings = before;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Ok(()) => return Ok(()),
            }
        }
    }

    async fn exchange(
        &mut self,
        request: &Request,
        response: &Response,
        watch: Option<&str>,
    ) -> Result<(), String> {
        let answer = self.transport.send(request, &self.bindings).await?;
        let status = answer.status;
        if status != response.status {
            let body = answer.stream.all().await?;
            return Err(format!(
                "status {status}, not {}: {}",
                response.status,
                String::from_utf8_lossy(&body)
            ));
        }
        self.headers(response, &answer.headers)?;
        let mut stream = answer.stream;
        if let Some(name) = watch {
            self.watches.insert(name.to_owned(), stream);
            return Ok(());
        }
        if response.stream.is_some() {
            return self.read(&mut stream, response).await;
        }
        let body = stream.all().await?;
        if let Some(text) = &response.text {
            let found = String::from_utf8_lossy(&body);
            return self.bindings.unify(text, &found);
        }
        let Some(expected) = &response.body else {
            return Ok(());
        };
        let found: Value = serde_json::from_slice(&body).map_err(|error| {
            format!(
                "the answer is no JSON: {error}: {}",
                String::from_utf8_lossy(&body)
            )
        })?;
        compare::json(
            &mut self.bindings,
            &response.rules,
            expected,
            &found,
            self.case.managed_fields,
        )
        .map_err(|error| format!("{error}\n    answer: {found}"))
    }

    fn headers(
        &mut self,
        response: &Response,
        found: &BTreeMap<String, Vec<String>>,
    ) -> Result<(), String> {
        for (name, values) in found {
            if !response.headers.contains_key(name) {
                return Err(format!("a header too much: {name}: {values:?}"));
            }
        }
        for (name, expected) in &response.headers {
            let expected: Vec<&str> = match expected {
                Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
                other => other.as_str().into_iter().collect(),
            };
            let values = found.get(name).cloned().unwrap_or_default();
            if values.len() != expected.len() {
                return Err(format!("header {name} is {values:?}, not {expected:?}"));
            }
            for (expected, value) in expected.iter().zip(&values) {
                self.bindings.unify(expected, value)?;
            }
        }
        Ok(())
    }

    /// Reads exactly the recorded events; bookmarks that nobody expects are passed over.
    async fn read(&mut self, stream: &mut Stream, response: &Response) -> Result<(), String> {
        let expected = response.stream.as_deref().unwrap_or_default();
        let until_end = response.end.as_deref() == Some("eof");
        let mut found: Vec<Value> = Vec::new();
        let ended = loop {
            // What must come may take its time on a busy machine; that nothing comes is seen soon.
            let silence = if found.len() < expected.len() {
                PATIENCE
            } else {
                self.transport.silence
            };
            match stream.next((!until_end).then_some(silence)).await? {
                Next::Event(event) => {
                    let wanted = expected.get(found.len()).is_some_and(is_plain_bookmark);
                    if is_plain_bookmark(&event) && !wanted {
                        // The last of several counts.
                        if found.last().is_some_and(is_plain_bookmark) {
                            found.pop();
                            found.push(event);
                        }
                        continue;
                    }
                    found.push(event);
                }
                Next::End => break true,
                Next::Silence => break false,
            }
        };
        let all = Value::Array(found);
        compare::json(
            &mut self.bindings,
            &response.rules,
            &Value::from(expected),
            &all,
            self.case.managed_fields,
        )?;
        match (ended, until_end) {
            (true, false) => Err("the watch ended".to_owned()),
            (false, true) => Err("the watch goes on".to_owned()),
            _ => Ok(()),
        }
    }
}
