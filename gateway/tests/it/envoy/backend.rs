//! Servers behind Envoy, and a client before it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long any one thing may take that is waited for. Less than the 15 s after which Envoy gives up waiting for the
/// endpoints of a changed cluster: it must not have to.
pub(super) const PATIENCE: Duration = Duration::from_secs(12);

/// A server that answers every request with 200 and its own address.
pub(super) struct Backend {
    pub(super) address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Backend {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let app = Router::new().fallback(move || async move { address.to_string() });
        let task = tokio::spawn(async move {
            let server = axum::serve(listener, app);
            server.with_graceful_shutdown(stopped).await.unwrap();
        });
        Self {
            address,
            stop,
            task,
        }
    }

    /// Answers what it has begun to, and is gone.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }
}

/// Sends a GET request over a connection of its own: the status, and the body.
pub(super) async fn get(
    to: SocketAddr,
    path: &str,
    cluster: &str,
) -> Result<(u16, String), String> {
    let exchange = async {
        let mut socket = TcpStream::connect(to).await?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: test\r\nx-cluster: {cluster}\r\nconnection: close\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = match timeout(PATIENCE, exchange).await {
        Ok(answer) => answer.map_err(|error| error.to_string())?,
        Err(_) => return Err("no answer".to_owned()),
    };
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.get(9..12).and_then(|code| code.parse().ok());
    status
        .map(|status| (status, body.to_owned()))
        .ok_or(answer.clone())
}

/// Requests that go on until they are stopped.
pub(super) struct Load {
    stop: CancellationToken,
    task: JoinHandle<Vec<String>>,
    pub(super) answered: Arc<AtomicUsize>,
}

impl Load {
    pub(super) fn start(to: SocketAddr, path: &'static str) -> Self {
        let stop = CancellationToken::new();
        let answered = Arc::new(AtomicUsize::new(0));
        let (stopped, count) = (stop.clone(), Arc::clone(&answered));
        let task = tokio::spawn(async move {
            let mut failures = Vec::new();
            while !stopped.is_cancelled() {
                match get(to, path, "").await {
                    Ok((200, _)) => {}
                    other => failures.push(format!("{other:?}")),
                }
                count.fetch_add(1, Ordering::Relaxed);
            }
            failures
        });
        Self {
            stop,
            task,
            answered,
        }
    }

    /// How many requests there were, and those that failed.
    pub(super) async fn stop(self) -> (usize, Vec<String>) {
        self.stop.cancel();
        let failures = timeout(PATIENCE, self.task).await.unwrap().unwrap();
        (self.answered.load(Ordering::Relaxed), failures)
    }
}
