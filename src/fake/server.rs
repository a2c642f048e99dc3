//! From an HTTP request to an HTTP answer.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WARNING};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::body::{BoxError, FakeBody};
use super::fault::{Plan, StreamAction, StreamFault};
use super::negotiate::{self, Output};
use super::query::Query;
use super::rbac::{self, User};
use super::registry::{Registry, Resource, guess_plural};
use super::represent::View;
use super::rest::{Answer, Call, Content};
use super::route::RequestInfo;
use super::state::{RequestRecord, Shared, State};
use super::status::ApiError;
use super::watch::{Watch, broken};
use super::{decode, discovery, openapi, table};

/// Who is asking when the request itself does not say.
#[derive(Clone, Debug)]
pub(super) enum Identity {
    /// In process: this user, unless there is a token.
    User(User),
    /// Over a socket: nobody without a token.
    Token,
}

/// The cluster as a tower service: in process and behind the socket it is the same.
#[derive(Clone, Debug)]
pub(super) struct FakeService {
    pub(super) shared: Arc<Shared>,
    pub(super) identity: Identity,
}

impl<B> tower::Service<Request<B>> for FakeService
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<FakeBody>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<FakeBody>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(Into::into)?.to_bytes();
            service.answer(parts, body).await
        })
    }
}

/// An answer that still has to be given its body.
pub(super) enum Reply {
    Whole {
        code: u16,
        content_type: &'static str,
        chunks: VecDeque<Bytes>,
        retry_after: Option<u64>,
        warnings: Vec<String>,
    },
    Watch {
        watch: Box<Watch>,
        content_type: &'static str,
        warnings: Vec<String>,
    },
}

impl FakeService {
    async fn answer(&self, parts: Parts, body: Bytes) -> Result<Response<FakeBody>, BoxError> {
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let info = RequestInfo::parse(&parts.method, parts.uri.path(), &query);
        let user = self.authenticate(&parts.headers);
        let plan = {
            let mut state = self.shared.state.lock();
            let record = RequestRecord {
                method: parts.method.to_string(),
                path: parts.uri.path().to_owned(),
                query: parts.uri.query().unwrap_or_default().to_owned(),
                user: user
                    .as_ref()
                    .map_or_else(String::new, |user| user.name.clone()),
                verb: info.verb.clone(),
                at: state.clock.elapsed(),
            };
            let State { faults, random, .. } = &mut *state;
            let plan = faults.plan(&info, &record, random);
            state.record(record);
            plan
        };
        if !plan.delay.is_zero() {
            tokio::time::sleep(plan.delay).await;
        }
        if plan.refuse {
            return Err(std::io::Error::new(
                std::io::ErrorKind::ConnectionRefused,
                "connection refused by the fake cluster",
            )
            .into());
        }
        if plan.hang {
            return std::future::pending().await;
        }
        let Plan {
            error,
            stale,
            compact,
            restart,
            forget,
            stream,
            ..
        } = plan;
        let reply = {
            let mut state = self.shared.state.lock();
            if restart {
                state.epoch += 1;
                self.shared.restarted.notify_waiters();
            }
            if compact || forget {
                let now = state.store.revision;
                state.store.compact(now);
            }
            state.stale = stale.map(|revisions| state.store.revision.saturating_sub(revisions));
            let reply = match (error, user) {
                (Some(error), _) => refusal(&error, Vec::new()),
                (None, None) => refusal(&ApiError::unauthorized(), Vec::new()),
                (None, Some(user)) => self.reply(
                    &mut state,
                    &Asked {
                        method: &parts.method,
                        headers: &parts.headers,
                        info: &info,
                        query: &query,
                        body: &body,
                        user: &user,
                        direct: false,
                    },
                    &stream,
                ),
            };
            state.stale = None;
            reply
        };
        Ok(respond(reply, &stream))
    }

    /// `None`: a token that nobody has.
    fn authenticate(&self, headers: &HeaderMap) -> Option<User> {
        let token = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        match (token, &self.identity) {
            (Some(token), _) => self.shared.tokens.lock().get(token).cloned(),
            (None, Identity::User(user)) => Some(user.clone()),
            (None, Identity::Token) => Some(User::anonymous()),
        }
    }

    /// Answers at once; under the lock, so that requests have an order.
    pub(super) fn reply(
        &self,
        state: &mut State,
        asked: &Asked<'_>,
        faults: &[StreamFault],
    ) -> Reply {
        let info = asked.info;
        if let Err(error) = rbac::authorize(state, asked.user, info) {
            return refusal(&error, Vec::new());
        }
        let segments: Vec<&str> = info
            .path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .collect();
        if info.is_resource {
            return self.resource(state, asked, faults);
        }
        match (asked.method, &segments[..]) {
            (&Method::GET, ["healthz" | "livez" | "readyz", ..]) => text("ok"),
            (&Method::GET, ["version"]) => json_reply(200, &version(), Vec::new()),
            (&Method::POST, ["debug", "compact"]) => {
                let now = state.store.revision;
                state.store.compact(now);
                json_reply(200, &json!({"compacted": now}), Vec::new())
            }
            (&Method::GET, ["openapi", rest @ ..]) => {
                match openapi::answer(&state.registry, rest) {
                    Some(document) => json_reply(200, &document, Vec::new()),
                    None => refusal(&ApiError::page_not_found(), Vec::new()),
                }
            }
            (&Method::GET, _) => {
                match discovery::answer(&state.registry, &segments, asked.headers) {
                    Some(found) => match negotiate::by_route(asked.headers).and(found) {
                        Ok(document) => Reply::Whole {
                            code: 200,
                            content_type: document.content_type,
                            chunks: VecDeque::from([document.value.to_string().into()]),
                            retry_after: None,
                            warnings: Vec::new(),
                        },
                        Err(error) => refusal(&error, Vec::new()),
                    },
                    None => refusal(&ApiError::page_not_found(), Vec::new()),
                }
            }
            _ => refusal(&ApiError::page_not_found(), Vec::new()),
        }
    }

    fn resource(&self, state: &mut State, asked: &Asked<'_>, faults: &[StreamFault]) -> Reply {
        let info = asked.info;
        let found = state
            .registry
            .find(&info.group, &info.resource)
            .or_else(|| register_on_the_fly(state, asked))
            .and_then(|resource| {
                let version = resource
                    .versions
                    .iter()
                    .position(|version| version.name == info.version)?;
                Some((resource, version))
            });
        let Some((resource, version)) = found else {
            return refusal(
                &if Registry::is_built_in_group(&info.group) {
                    ApiError::no_such_resource()
                } else {
                    ApiError::page_not_found()
                },
                Vec::new(),
            );
        };
        let mut call = Call {
            state,
            info,
            query: asked.query,
            headers: asked.headers,
            body: asked.body,
            user: asked.user,
            direct: asked.direct,
            resource: Arc::clone(&resource),
            version,
            warnings: Vec::new(),
        };
        let answered = call.run();
        let namespace = call.namespace().to_owned();
        let warnings = std::mem::take(&mut call.warnings);
        let result = answered.and_then(|(output, answer)| {
            let view = View {
                resource,
                version,
                form: output.form,
                include: table::Include::read(asked.query, output.form)?,
                now: state.clock.seconds(),
            };
            self.write(
                state,
                view,
                output,
                answer,
                &namespace,
                faults,
                warnings.clone(),
            )
        });
        result.unwrap_or_else(|error| refusal(&error, warnings))
    }

    #[allow(clippy::too_many_arguments)] // the parts of one answer, taken apart nowhere else
    fn write(
        &self,
        state: &mut State,
        view: View,
        output: Output,
        answer: Answer,
        namespace: &str,
        faults: &[StreamFault],
        warnings: Vec<String>,
    ) -> Result<Reply, ApiError> {
        let content_type = if output.yaml {
            "application/yaml"
        } else {
            "application/json"
        };
        let chunks = match answer.content {
            Content::Json(value) => VecDeque::from([value.to_string().into()]),
            Content::Object(entry) => VecDeque::from([view.object(&entry)?.into()]),
            Content::List(list) => view.list(&list)?,
            Content::Watch(options) => {
                let watch = Watch::open(
                    &self.shared,
                    state,
                    view,
                    namespace,
                    &options,
                    faults.to_vec(),
                )?;
                return Ok(Reply::Watch {
                    watch: Box::new(watch),
                    content_type,
                    warnings,
                });
            }
        };
        Ok(Reply::Whole {
            code: answer.code,
            content_type,
            chunks,
            retry_after: None,
            warnings,
        })
    }
}

/// A request, read.
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    pub(super) headers: &'a HeaderMap,
    pub(super) info: &'a RequestInfo,
    pub(super) query: &'a Query,
    pub(super) body: &'a [u8],
    pub(super) user: &'a User,
    /// By the cluster's own methods: a status in a written object is stored.
    pub(super) direct: bool,
}

/// A lenient cluster serves a resource from its first object on: kind and scope are taken from it.
fn register_on_the_fly(state: &mut State, asked: &Asked<'_>) -> Option<Arc<Resource>> {
    let info = asked.info;
    let creates = matches!(info.verb.as_str(), "create" | "update" | "patch");
    if !state.lenient || !creates || Registry::is_built_in_group(&info.group) {
        return None;
    }
    let document = decode::yaml(asked.body).ok()?;
    let kind = document.value.get("kind")?.as_str()?;
    Some(state.registry.insert(Resource::schemaless(
        &info.group,
        &info.version,
        &info.resource,
        kind,
        !info.namespace.is_empty(),
    )))
}

/// The resource of an object, registered when the cluster does not know it yet.
pub(super) fn resource_for(
    state: &mut State,
    group: &str,
    version: &str,
    kind: &str,
    namespaced: bool,
) -> Option<Arc<Resource>> {
    if let Some(found) = state.registry.find_kind(group, kind) {
        return Some(found);
    }
    if !state.lenient || Registry::is_built_in_group(group) {
        return None;
    }
    Some(state.registry.insert(Resource::schemaless(
        group,
        version,
        &guess_plural(kind),
        kind,
        namespaced,
    )))
}

fn text(text: &'static str) -> Reply {
    Reply::Whole {
        code: 200,
        content_type: "text/plain; charset=utf-8",
        chunks: VecDeque::from([Bytes::from_static(text.as_bytes())]),
        retry_after: None,
        warnings: Vec::new(),
    }
}

fn json_reply(code: u16, value: &Value, warnings: Vec<String>) -> Reply {
    Reply::Whole {
        code,
        content_type: "application/json",
        chunks: VecDeque::from([value.to_string().into()]),
        retry_after: None,
        warnings,
    }
}

fn refusal(error: &ApiError, warnings: Vec<String>) -> Reply {
    let (content_type, body) = if error.plain_text {
        ("text/plain; charset=utf-8", error.message.clone())
    } else {
        ("application/json", error.to_value().to_string())
    };
    Reply::Whole {
        code: error.code,
        content_type,
        chunks: VecDeque::from([body.into()]),
        retry_after: error.retry_after,
        warnings,
    }
}

/// Makes the HTTP response, broken where faults want it.
fn respond(reply: Reply, faults: &[StreamFault]) -> Response<FakeBody> {
    let (code, content_type, retry_after, warnings, body) = match reply {
        Reply::Whole {
            code,
            content_type,
            chunks,
            retry_after,
            warnings,
        } => {
            let body = match faults.first() {
                Some(fault) => damaged(chunks, &fault.action),
                None => FakeBody::chunks(chunks),
            };
            (code, content_type, retry_after, warnings, body)
        }
        Reply::Watch {
            watch,
            content_type,
            warnings,
        } => {
            let stream = futures::stream::unfold(watch, |mut watch| async move {
                let chunk = watch.next().await?;
                Some((chunk, watch))
            });
            (200, content_type, None, warnings, FakeBody::stream(stream))
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(seconds) = retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    for warning in warnings {
        let escaped = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{escaped}\"")) {
            headers.append(WARNING, value);
        }
    }
    response
}

/// A body that is no watch, struck in the middle.
fn damaged(chunks: VecDeque<Bytes>, action: &StreamAction) -> FakeBody {
    let whole: Vec<u8> = chunks.into_iter().flatten().collect();
    let half = Bytes::copy_from_slice(&whole[..whole.len() / 2]);
    let first = futures::stream::iter([Ok::<_, BoxError>(half.clone())]);
    match action {
        StreamAction::Reset => FakeBody::stream(futures::StreamExt::chain(
            first,
            futures::stream::iter([Err(broken())]),
        )),
        StreamAction::End | StreamAction::Truncate { .. } => FakeBody::full(half),
        StreamAction::Garbage => FakeBody::full("<html><body>not the API server</body></html>"),
        StreamAction::Silence => {
            FakeBody::stream(futures::StreamExt::chain(first, futures::stream::pending()))
        }
        _ => FakeBody::full(whole),
    }
}

fn version() -> Value {
    json!({
        "major": "1",
        "minor": "36",
        "emulationMajor": "1",
        "emulationMinor": "36",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35",
        "gitVersion": "v1.36.0+kubedex",
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": "fake/fake",
    })
}
