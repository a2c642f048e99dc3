//! A web server on loopback that answers as a test says and remembers what it was asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub(crate) type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// The head of a request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) uri: String,
    pub(crate) headers: http::HeaderMap,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Ends its tasks when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Answers each request by the function; `None` never answers.
    pub(crate) async fn start(
        answer: impl Fn(&Seen) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let (log, answer) = (Arc::clone(&seen), Arc::new(answer));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                connections.spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        let seen = Seen {
                            uri: request.uri().to_string(),
                            headers: request.headers().clone(),
                        };
                        let answer = answer(&seen);
                        log.lock().unwrap().push(seen);
                        async move {
                            match answer {
                                Some(answer) => Ok::<_, Infallible>(answer),
                                None => std::future::pending().await,
                            }
                        }
                    });
                    // A client that goes away in the middle is what some tests are about.
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            address,
            seen,
            _tasks: tasks,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// A kubeconfig with one context `test` for this server.
    pub(crate) fn kubeconfig(&self, directory: &Path, user: &str) -> PathBuf {
        write_kubeconfig(directory, &format!("{{server: '{}'}}", self.url()), user)
    }
}

/// A kubeconfig with one context `test`; cluster and user as YAML flow maps.
pub(crate) fn write_kubeconfig(directory: &Path, cluster: &str, user: &str) -> PathBuf {
    let path = directory.join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
         clusters: [{{name: c, cluster: {cluster}}}]\n\
         users: [{{name: u, user: {user}}}]\n\
         contexts: [{{name: test, context: {{cluster: c, user: u}}}}]\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

pub(crate) fn answer(code: u16, content_type: &str, body: impl Into<Bytes>) -> Answer {
    Response::builder()
        .status(StatusCode::from_u16(code).unwrap())
        .header("content-type", content_type)
        .body(Full::new(body.into()).boxed_unsync())
        .unwrap()
}

pub(crate) fn json(code: u16, body: &str) -> Option<Answer> {
    Some(answer(code, "application/json", body.to_owned()))
}

/// A body whose second part comes after a pause, as a watch's does.
pub(crate) struct Paused {
    parts: Vec<&'static str>,
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
    time: Duration,
}

impl Paused {
    pub(crate) fn new(parts: &[&'static str], time: Duration) -> Self {
        Self {
            parts: parts.iter().rev().copied().collect(),
            pause: None,
            time,
        }
    }
}

impl Body for Paused {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(cx));
        }
        self.pause = Some(Box::pin(tokio::time::sleep(self.time)));
        let part = self.parts.pop();
        std::task::Poll::Ready(
            part.map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes())))),
        )
    }
}
