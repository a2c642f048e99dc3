//! A server that does what a test says, request by request, for faults that no honest server commits.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use kube::client::Body;
use kubedex::Client;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

type AnyBody = UnsyncBoxBody<Bytes, std::io::Error>;

/// The server's side: requests come out, in the order they were made.
pub(crate) struct Scripted {
    calls: mpsc::UnboundedReceiver<Call>,
    /// The kind that discovery tells for `configmaps`.
    kind: Arc<Mutex<String>>,
}

/// One request that waits for its answer. Dropping it breaks the connection.
pub(crate) struct Call {
    /// Path and query.
    pub(crate) uri: String,
    /// The request's headers.
    pub(crate) headers: HeaderMap,
    answer: oneshot::Sender<Response<AnyBody>>,
}

/// The body of an answer, while it lasts. Dropping it ends the body cleanly.
pub(crate) struct Stream(mpsc::UnboundedSender<Result<Frame<Bytes>, std::io::Error>>);

/// A server, and a client of it. Discovery of `v1` (`configmaps`, `namespaces`) is answered without a script.
pub(crate) fn scripted() -> (Scripted, Client) {
    let (sender, calls) = mpsc::unbounded_channel();
    let kind = Arc::new(Mutex::new("ConfigMap".to_owned()));
    let told_kind = Arc::clone(&kind);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (sender, kind) = (sender.clone(), told_kind.lock().clone());
        async move {
            let uri = request
                .uri()
                .path_and_query()
                .map(ToString::to_string)
                .unwrap_or_default();
            if uri == "/api/v1" {
                return Ok(plain(
                    StatusCode::OK,
                    discovery(&kind).to_string(),
                    "application/json",
                ));
            }
            if matches!(uri.as_str(), "/api" | "/apis") {
                let body = status(404, "NotFound").to_string();
                return Ok(plain(StatusCode::NOT_FOUND, body, "application/json"));
            }
            let (answer, answered) = oneshot::channel();
            let _ = sender.send(Call {
                uri,
                headers: request.headers().clone(),
                answer,
            });
            answered
                .await
                .map_err(|_| std::io::Error::from(std::io::ErrorKind::ConnectionRefused))
        }
    });
    (
        Scripted { calls, kind },
        Client::from_kube(kube::Client::new(service, "default")),
    )
}

fn discovery(kind: &str) -> Value {
    let resource = |name: &str, kind: &str, namespaced: bool| json!({"name": name, "singularName": "", "kind": kind, "namespaced": namespaced, "verbs": ["get", "list", "watch"]});
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "v1", "resources": [
        resource("configmaps", kind, true),
        resource("namespaces", "Namespace", false),
        {"name": "bindings", "singularName": "", "kind": "Binding", "namespaced": true, "verbs": ["create"]},
    ]})
}

fn plain(status: StatusCode, body: String, content_type: &str) -> Response<AnyBody> {
    let body = Full::new(Bytes::from(body))
        .map_err(|never: Infallible| match never {})
        .boxed_unsync();
    Response::builder()
        .status(status)
        .header("content-type", content_type)
        .body(body)
        .unwrap()
}

impl Scripted {
    /// The next request. Under paused time this lets time pass until one comes.
    pub(crate) async fn next(&mut self) -> Call {
        self.calls.recv().await.expect("the client is gone")
    }

    /// The next request, which must be a paged list.
    pub(crate) async fn list(&mut self) -> Call {
        let call = self.next().await;
        assert!(!call.uri.contains("watch="), "{} is no list", call.uri);
        call
    }

    /// The next request, which must be a watch.
    pub(crate) async fn watch_any(&mut self) -> Call {
        let call = self.next().await;
        assert!(call.uri.contains("watch=true"), "{} is no watch", call.uri);
        call
    }

    /// From now on discovery tells another kind for `configmaps`.
    pub(crate) fn rename_kind(&self, kind: &str) {
        kind.clone_into(&mut self.kind.lock());
    }

    /// The next request, which must be a watch from this version.
    pub(crate) async fn watch(&mut self, version: &str) -> Call {
        let call = self.next().await;
        assert!(
            call.uri.contains("watch=true")
                && call.uri.ends_with(&format!("resourceVersion={version}")),
            "{} is no watch from {version}",
            call.uri
        );
        assert_eq!(call.headers["accept-encoding"], "identity");
        call
    }

    /// Whether a request has come that was not taken yet.
    pub(crate) fn is_idle(&self) -> bool {
        self.calls.is_empty()
    }
}

impl Call {
    /// Answers with JSON.
    pub(crate) fn json(self, status: u16, body: &Value) {
        self.text(status, "application/json", body.to_string());
    }

    /// Answers with any text.
    pub(crate) fn text(self, status: u16, content_type: &str, body: impl Into<String>) {
        let _ = self.answer.send(plain(
            StatusCode::from_u16(status).unwrap(),
            body.into(),
            content_type,
        ));
    }

    /// Refuses as an API server does.
    pub(crate) fn refuse(self, code: u16, reason: &str) {
        self.json(code, &status(code, reason));
    }

    /// Answers with a whole list.
    pub(crate) fn items(self, version: &str, items: &[Value]) {
        self.json(200, &list(version, None, items));
    }

    /// Answers with a body that is written bit by bit.
    pub(crate) fn stream(self) -> Stream {
        let (sender, mut frames) = mpsc::unbounded_channel();
        let body = StreamBody::new(
            futures::stream::poll_fn(move |context| frames.poll_recv(context)).boxed(),
        );
        let body = body.boxed_unsync();
        let response = Response::builder()
            .header("content-type", "application/json")
            .body(body)
            .unwrap();
        let _ = self.answer.send(response);
        Stream(sender)
    }
}

impl Stream {
    /// Writes bytes as they are.
    pub(crate) fn write(&self, text: impl Into<String>) {
        let _ = self.0.send(Ok(Frame::data(Bytes::from(text.into()))));
    }

    /// Writes an event.
    pub(crate) fn event(&self, kind: &str, object: &Value) {
        self.write(format!("{}\n", json!({"type": kind, "object": object})));
    }

    /// Writes a bookmark.
    pub(crate) fn bookmark(&self, version: &str) {
        self.event("BOOKMARK", &json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"resourceVersion": version}}));
    }

    /// Writes the bookmark that ends the initial events.
    pub(crate) fn initial_events_end(&self, version: &str) {
        let annotations = json!({"k8s.io/initial-events-end": "true"});
        let metadata = json!({"resourceVersion": version, "annotations": annotations});
        self.event(
            "BOOKMARK",
            &json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata}),
        );
    }

    /// Breaks the connection.
    pub(crate) fn reset(self) {
        let _ = self.0.send(Err(std::io::ErrorKind::ConnectionReset.into()));
    }

    /// Waits until the client has dropped the body.
    pub(crate) async fn dropped(&self) {
        self.0.closed().await;
    }
}

/// A `Status` as an API server writes it.
pub(crate) fn status(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("refused: {reason}"), "reason": reason, "code": code})
}

/// A page of a list.
pub(crate) fn list(version: &str, token: Option<&str>, items: &[Value]) -> Value {
    // Items of a list of a built-in kind lack these two.
    let items: Vec<Value> = items
        .iter()
        .cloned()
        .map(|mut item| {
            if item["kind"] == "ConfigMap" {
                item.as_object_mut()
                    .unwrap()
                    .retain(|key, _| key != "kind" && key != "apiVersion");
            }
            item
        })
        .collect();
    let mut metadata = json!({"resourceVersion": version});
    if let Some(token) = token {
        metadata["continue"] = token.into();
    }
    json!({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": metadata, "items": items})
}

/// A ConfigMap in the namespace `n`.
pub(crate) fn config_map(name: &str, version: &str, content: &str) -> Value {
    json!({"kind": "ConfigMap", "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "n", "uid": format!("uid-{name}"), "resourceVersion": version},
        "data": {"k": content}})
}
