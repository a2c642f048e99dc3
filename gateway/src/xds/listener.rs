//! Connections: accepts them, speaks TLS and HTTP/2, and ends them in order.
//!
//! Every task started here is joined here: connections, and what HTTP/2 starts for them, which ends with its connection.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::service::{Shared, respond};
use super::tls::Certificates;

/// The most connections at a time; a further one waits until another is closed.
const MAX_CONNECTIONS: usize = 1024;
/// The most streams of one connection. Envoy needs one.
const MAX_STREAMS: u32 = 16;
/// The longest headers of a request, in bytes.
const MAX_HEADERS: u32 = 16 << 10;
/// How long a client may take to shake hands, and then to ask for something.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection may be silent before it is asked for a sign of life.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// How long the sign of life may take.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long connections may take to end when the server shuts down.
const GRACE: Duration = Duration::from_secs(5);
/// How long to wait when no connection can be accepted, as when there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until it is told to stop, and has ended all connections when it returns.
pub(super) async fn serve(
    listener: TcpListener,
    certificates: Option<Arc<Certificates>>,
    shared: Shared,
) {
    let mut connections = JoinSet::new();
    let streams = TaskTracker::new();
    let stop = shared.stop.clone();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((socket, peer)) => {
                    let (certificates, shared) = (certificates.clone(), shared.clone());
                    let tasks = Tasks::of(&streams);
                    connections.spawn(async move {
                        if let Err(error) = connection(socket, certificates, shared, tasks).await {
                            tracing::debug!(%peer, %error, "a connection ended");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted");
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = sleep(ACCEPT_PAUSE) => {}
                    }
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(GRACE, ended).await.is_err() {
        connections.shutdown().await;
    }
    streams.close();
    streams.wait().await;
}

async fn connection(
    socket: TcpStream,
    certificates: Option<Arc<Certificates>>,
    shared: Shared,
    tasks: Tasks,
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let Some(certificates) = certificates else {
        return speak(socket, shared, tasks).await;
    };
    let nodes = Arc::clone(&shared.nodes);
    let stop = shared.stop.clone();
    let handshake = async {
        let (config, error) = tokio::task::spawn_blocking(move || certificates.current())
            .await
            .map_err(io::Error::other)?;
        let error = error.map(|error| chain(&error));
        if nodes.set_tls_error(error.as_deref())
            && let Some(error) = error
        {
            tracing::error!(
                error,
                "certificates cannot be read; those read before stay in use"
            );
        }
        TlsAcceptor::from(config).accept(socket).await
    };
    let stream = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        stream = timeout(HANDSHAKE, handshake) => stream.map_err(io::Error::from)??,
    };
    speak(stream, shared, tasks).await
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

async fn speak<S>(stream: S, shared: Shared, tasks: Tasks) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let _gone = tasks.gone.clone().drop_guard();
    let stop = shared.stop.clone();
    let was_used = Arc::new(AtomicBool::new(false));
    let used = Arc::clone(&was_used);
    let service = service_fn(move |request| {
        used.store(true, Ordering::Relaxed);
        respond(shared.clone(), request)
    });
    let mut builder = http2::Builder::new(tasks);
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADERS);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let silent = async {
        sleep(HANDSHAKE).await;
        if was_used.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    let result = tokio::select! {
        result = connection.as_mut() => result,
        // HTTP/2 asks for a sign of life only of who has greeted.
        () = silent => return Ok(()),
        () = stop.cancelled() => {
            // A client that has said nothing may never do so; nothing is lost by not waiting for it.
            if !was_used.load(Ordering::Relaxed) {
                return Ok(());
            }
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
    };
    result.map_err(io::Error::other)
}

/// The tasks of a connection, which end with it. All of them are awaited when the server ends.
#[derive(Clone)]
struct Tasks {
    all: TaskTracker,
    gone: CancellationToken,
}

impl Tasks {
    fn of(all: &TaskTracker) -> Self {
        Self {
            all: all.clone(),
            gone: CancellationToken::new(),
        }
    }
}

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        let gone = self.gone.clone();
        self.all
            .spawn(async move { gone.run_until_cancelled_owned(task).await });
    }
}
