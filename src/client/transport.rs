//! From a configuration to a service that sends requests: kube's layers for address, headers, credentials and TLS over
//! hyper's client, with our own deadlines and limits.
//!
//! There is no layer that retries or logs: whoever asks decides what an answer means. What is swapped when credentials are
//! renewed is all of it; requests under way end on the connections that they began on.

use std::error::Error as StdError;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, HeaderValue, USER_AGENT};
use http::{Request, Response, Uri};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::rt::{Read, Write};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::Config;
use kube::client::{Body, ConfigExt as _};
use parking_lot::RwLock;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt as _};
use tower_http::ServiceExt as _;
use tower_http::decompression::DecompressionLayer;

use super::credentials::Credentials;
use super::error::ClientError;
use super::limit::Bucket;

/// How long a connection may take to be made, name lookup and TLS included, unless told otherwise: 10 seconds. A lost
/// packet is repeated after 1, 3 and 7 seconds, so that this bears three losses.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an idle connection is kept for the next request: 45 seconds, below the idle timeouts of common load
/// balancers (60 seconds and more), which drop a connection without a word.
pub const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(45);

/// A connection on which nothing arrives is probed after 20 seconds, then each 10 seconds, and given up after the third
/// probe: a dead peer is noticed within 50 seconds, also under a watch that waits for events.
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(20);
/// See [`KEEPALIVE_IDLE`].
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// See [`KEEPALIVE_IDLE`].
pub const KEEPALIVE_PROBES: u32 = 3;

/// How long sent data may stay unacknowledged: as long as keepalive bears silence, which it does not watch over while data
/// is under way. Where the system can set it (Linux).
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(50);

type ResponseBody = UnsyncBoxBody<Bytes, BoxError>;
type Stack = BoxCloneSyncService<Request<Body>, Response<ResponseBody>, BoxError>;

/// No response headers within the deadline.
#[derive(Debug, thiserror::Error)]
#[error("no response headers after {after:?}")]
pub(super) struct NoResponse {
    pub(super) after: Duration,
}

/// Two stacks with the same credentials and connections of their own.
pub(super) struct Lanes {
    credentials: Credentials,
    common: Stack,
    separate: Stack,
}

/// Which of the two a client uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Common,
    Separate,
}

/// Builds both stacks. Blocking, since credentials may come from a program.
pub(super) fn build(
    mut config: Config,
    origin: &str,
    proxy: Option<&Intercept>,
    connect_timeout: Duration,
) -> Result<Lanes, ClientError> {
    // With two providers compiled in, rustls panics unless one was chosen. A choice made before stays.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let credentials = Credentials::take(&mut config, origin)?;
    let connector = tcp_connector(connect_timeout);
    let wrong = |error: &kube::Error| ClientError::from_config(origin, error);
    let Some(proxy) = proxy else {
        return layers(&config, origin, credentials, connector, connect_timeout);
    };
    let target = proxy.uri().clone();
    match target.scheme_str() {
        Some("socks5" | "socks5h") => {
            let mut socks = SocksV5::new(target, connector);
            if let Some((user, password)) = proxy.raw_auth() {
                socks = socks.with_auth(user.to_owned(), password.to_owned());
            }
            layers(&config, origin, credentials, socks, connect_timeout)
        }
        Some("http") => {
            let tunnel = authorized(Tunnel::new(target, connector), proxy);
            layers(&config, origin, credentials, tunnel, connect_timeout)
        }
        Some("https") => {
            // The proxy's certificate is a public one, not the cluster's.
            let public = Config::new(target.clone())
                .rustls_https_connector_with_connector(connector)
                .map_err(|error| wrong(&error))?;
            let tunnel = authorized(Tunnel::new(target, public), proxy);
            layers(&config, origin, credentials, tunnel, connect_timeout)
        }
        scheme => Err(ClientError::configuration(
            origin,
            format!(
                "a proxy of the kind {} is not supported",
                scheme.unwrap_or_default()
            ),
        )),
    }
}

fn authorized<C>(tunnel: Tunnel<C>, proxy: &Intercept) -> Tunnel<C> {
    match proxy.basic_auth() {
        Some(auth) => tunnel.with_auth(auth.clone()),
        None => tunnel,
    }
}

fn tcp_connector(connect_timeout: Duration) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    // Shared among the addresses of a name, so that a dead one leaves time for the next.
    connector.set_connect_timeout(Some(connect_timeout));
    connector.set_keepalive(Some(KEEPALIVE_IDLE));
    connector.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    connector.set_keepalive_retries(Some(KEEPALIVE_PROBES));
    #[cfg(target_os = "linux")]
    connector.set_tcp_user_timeout(Some(UNACKNOWLEDGED_TIMEOUT));
    connector
}

/// All layers over a connector that may go through a proxy.
fn layers<C>(
    config: &Config,
    origin: &str,
    credentials: Credentials,
    connector: C,
    connect_timeout: Duration,
) -> Result<Lanes, ClientError>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: StdError + Send + Sync + 'static,
{
    let wrong = |error: &kube::Error| ClientError::from_config(origin, error);
    let tls = config
        .rustls_https_connector_with_connector(connector)
        .map_err(|error| wrong(&error))?;
    let mut connector = TimeoutConnector::new(tls);
    connector.set_connect_timeout(Some(connect_timeout));
    let headers = config
        .extra_headers_layer()
        .map_err(|error| wrong(&error))?;
    let auth = match &credentials {
        Credentials::Kube(layer) => Some(&**layer),
        _ => None,
    };
    let stack = || {
        let http: hyper_util::client::legacy::Client<_, Body> =
            hyper_util::client::legacy::Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(POOL_IDLE_TIMEOUT)
                .build(connector.clone());
        let service = ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .layer(
                DecompressionLayer::new()
                    .no_br()
                    .no_deflate()
                    .no_zstd()
                    .gzip(!config.disable_compression),
            )
            .option_layer(auth)
            .layer(headers.clone())
            .map_err(BoxError::from)
            .service(http)
            .map_response_body(erase);
        BoxCloneSyncService::new(service)
    };
    Ok(Lanes {
        common: stack(),
        separate: stack(),
        credentials,
    })
}

fn erase<B>(body: B) -> ResponseBody
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// What a kube client of ours sends through: the stack of the moment, within the limits that were set.
#[derive(Clone)]
pub(super) struct Transport {
    pub(super) lanes: Arc<RwLock<Arc<Lanes>>>,
    pub(super) lane: Lane,
    /// Not for watches, and not for the separate lane.
    pub(super) bucket: Option<Arc<Bucket>>,
    pub(super) user_agent: HeaderValue,
    pub(super) response_timeout: Duration,
}

impl Service<Request<Body>> for Transport {
    type Response = Response<ResponseBody>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    /// Always ready, so that no request waits behind one that is held back.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let transport = self.clone();
        Box::pin(async move {
            if let Some(bucket) = &transport.bucket
                && transport.lane == Lane::Common
                && !is_watch(request.uri())
            {
                bucket.acquire().await;
            }
            let after = transport.response_timeout;
            request
                .headers_mut()
                .entry(USER_AGENT)
                .or_insert(transport.user_agent);
            // Taken after the wait, so that credentials renewed meanwhile are used.
            let lanes = Arc::clone(&transport.lanes.read());
            let answer = async {
                if let Some(token) = lanes.credentials.token().await {
                    request.headers_mut().insert(AUTHORIZATION, token);
                }
                let stack = match transport.lane {
                    Lane::Common => lanes.common.clone(),
                    Lane::Separate => lanes.separate.clone(),
                };
                stack.oneshot(request).await
            };
            tokio::time::timeout(after, answer)
                .await
                .unwrap_or_else(|_| Err(NoResponse { after }.into()))
        })
    }
}

/// Whether a request is for a watch: such a one is open for minutes, and is not what a rate is meant for.
fn is_watch(uri: &Uri) -> bool {
    uri.query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.strip_prefix("watch="))
        .any(|value| !matches!(value, "0" | "f" | "F" | "false" | "False" | "FALSE" | ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_told_from_a_list() {
        for (uri, watch) in [
            ("/api/v1/pods?watch=true", true),
            ("/api/v1/pods?limit=1&watch=1", true),
            ("/api/v1/pods?watch=false", false),
            ("/api/v1/pods?allowWatch=true", false),
            ("/api/v1/pods", false),
        ] {
            assert_eq!(is_watch(&uri.parse().unwrap()), watch, "{uri}");
        }
    }
}
