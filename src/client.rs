//! How to reach a cluster, and what it serves.
//!
//! A [`Client`] is one connection to one cluster: it sends requests, knows the default namespace, and finds out the kind
//! and scope of a [`Gvr`]. Whatever goes wrong is a [`ClientError`] that can be asked what it is. Nothing here retries,
//! watches or caches objects, and no credential is ever logged or printed.
//!
//! ```no_run
//! use k8s_openapi::api::core::v1::ConfigMap;
//! use kubedex::client::Client;
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder()
//!     .context("staging")
//!     .user_agent("my-gateway/1.4")
//!     .build()
//!     .await?;
//! // Typed access, over the same connections:
//! let maps: kube::Api<ConfigMap> = kube::Api::default_namespaced(client.kube());
//! # let _ = maps;
//! # Ok(())
//! # }
//! ```

mod body;
mod builder;
mod credentials;
mod discovery;
mod error;
mod kubeconfig;
mod limit;
mod near;
mod path;
mod proxy;
mod renewal;
mod source;
mod transport;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response};
use kube::client::Body;
use serde::de::DeserializeOwned;

use crate::resource::Gvr;

pub use builder::{CREDENTIALS_TIMEOUT, ClientBuilder};
pub use discovery::ApiResource;
pub use error::ClientError;
pub use path::{collection_path, object_path};
pub use renewal::{RENEWAL_INTERVAL, Renewal};
pub use transport::{
    DEFAULT_CONNECT_TIMEOUT, KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES,
    POOL_IDLE_TIMEOUT,
};

pub(crate) use body::read_body;
use discovery::Catalogue;
use renewal::Origin;
use transport::{Lane, Transport};

/// How long a request may take until its response headers arrive, unless told otherwise: 65 seconds.
///
/// The API server itself gives a request up after 60 seconds (`--request-timeout`), so that nothing is to be expected
/// later. An established watch is not limited by it.
pub const DEFAULT_RESPONSE_TIMEOUT: Duration = Duration::from_secs(65);

/// The largest answer that [`Client::call`] reads, unless told otherwise: 32 MiB. The largest object that etcd stores is
/// 1.5 MiB, and the largest discovery documents have a few MiB.
pub(crate) const DEFAULT_BODY_LIMIT: usize = 32 * 1024 * 1024;

/// Access to one cluster. Cloning is a reference count; all clones share connections, credentials and what was discovered.
#[derive(Clone)]
pub struct Client {
    kube: Arc<kube::Client>,
    shared: Arc<Shared>,
}

struct Shared {
    /// For messages only; unknown for a caller's own client.
    cluster_url: Option<Box<str>>,
    response_timeout: Duration,
    user_agent: HeaderValue,
    catalogue: Catalogue,
    /// What the client was built from, and what to build another kube client on; none for a caller's own.
    ours: Option<(Arc<Origin>, Transport)>,
}

impl Client {
    /// Finds a cluster as kubectl does: by the files that `KUBECONFIG` names, by `~/.kube/config`, or by the service
    /// account of the pod that this runs in. The first that there is counts, even if it turns out to be broken.
    ///
    /// # Errors
    /// As for [`ClientBuilder::build`].
    ///
    /// # Cancel safety
    /// As for [`ClientBuilder::build`].
    pub async fn infer() -> Result<Self, ClientError> {
        Self::builder().build().await
    }

    /// Chooses what [`Client::infer`] leaves open: which kubeconfig, which context, limits and timeouts.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    /// Whether [`Client::infer`] would find anything to be configured from, in order or not.
    pub fn is_configured() -> bool {
        Self::builder().is_configured()
    }

    /// Takes a client that was built elsewhere: with its own credentials, layers and connections.
    ///
    /// The deadline for response headers holds for it too ([`DEFAULT_RESPONSE_TIMEOUT`]), around all that its layers do.
    /// What differs from a client that was built here: kube's own stack retries some refusals (429, 503, 504) before we
    /// see them, logs each failed request as an error, and sets no TCP keepalive; and its credentials cannot be renewed
    /// by us ([`Client::renew`]).
    pub fn from_kube(client: kube::Client) -> Self {
        Self {
            kube: Arc::new(client),
            shared: Arc::new(Shared {
                cluster_url: None,
                response_timeout: DEFAULT_RESPONSE_TIMEOUT,
                user_agent: HeaderValue::from_static(USER_AGENT),
                catalogue: Catalogue::default(),
                ours: None,
            }),
        }
    }

    fn assemble(
        transport: Transport,
        cluster_url: Box<str>,
        default_namespace: String,
        origin: Arc<Origin>,
    ) -> Self {
        Self {
            kube: Arc::new(kube::Client::new(transport.clone(), default_namespace)),
            shared: Arc::new(Shared {
                cluster_url: Some(cluster_url),
                response_timeout: transport.response_timeout,
                user_agent: transport.user_agent.clone(),
                catalogue: Catalogue::default(),
                ours: Some((origin, transport)),
            }),
        }
    }

    /// The same cluster and credentials over connections of its own, and without the rate limit: for what must not wait
    /// behind other traffic. A caller's own client has only the connections that it has, and is returned as it is. To be
    /// called within a runtime, since the new client has a task.
    pub(crate) fn separate(&self) -> Self {
        let Some((_, transport)) = &self.shared.ours else {
            return self.clone();
        };
        let transport = Transport {
            lane: Lane::Separate,
            ..transport.clone()
        };
        Self {
            kube: Arc::new(kube::Client::new(transport, self.default_namespace())),
            shared: Arc::clone(&self.shared),
        }
    }

    /// The cluster's address, without anything secret; unknown for a caller's own client.
    pub fn cluster_url(&self) -> Option<&str> {
        self.shared.cluster_url.as_deref()
    }

    /// Reads the configuration again, because the server no longer accepts the credentials (401), or they could not be
    /// had. All clones profit, and those of [`Client::kube`] too; requests under way are not touched.
    ///
    /// Concurrent callers share one attempt, and there is at most one each [`RENEWAL_INTERVAL`].
    ///
    /// # Errors
    /// As for [`ClientBuilder::build`]; the client stays as it was.
    ///
    /// # Cancel safety
    /// Safe: the attempt goes on as long as another caller waits for it.
    pub async fn renew(&self) -> Result<Renewal, ClientError> {
        match &self.shared.ours {
            Some((origin, _)) => origin.renew().await,
            None => Ok(Renewal::NotOurs),
        }
    }

    /// The client of the `kube` crate underneath, for typed or dynamic access with [`kube::Api`].
    pub fn kube(&self) -> kube::Client {
        (*self.kube).clone()
    }

    /// The namespace that is meant when none is named: of the kubeconfig's context, of the service account, or
    /// `default`.
    pub fn default_namespace(&self) -> &str {
        self.kube.default_namespace()
    }

    /// Sends a request whose URI is a path with its query, and returns the answer with the body still to be read.
    ///
    /// Any answer of the server is `Ok`, whatever its status code.
    ///
    /// # Errors
    /// No answer came: the server is unreachable, the connection broke, the deadline for response headers passed, or
    /// the credentials could not be had.
    ///
    /// # Cancel safety
    /// Dropping the future drops the request; whether the server saw it is then unknown.
    pub async fn send(&self, mut request: Request<Body>) -> Result<Response<Body>, ClientError> {
        request
            .headers_mut()
            .entry(header::USER_AGENT)
            .or_insert_with(|| self.shared.user_agent.clone());
        let operation = describe(&request);
        let sent = self.kube.send(request);
        let answer = if self.shared.ours.is_some() {
            // Our transport keeps the deadline itself, without the time that a rate limit takes.
            sent.await
        } else {
            let limit = self.shared.response_timeout;
            match tokio::time::timeout(limit, sent).await {
                Ok(answer) => answer,
                Err(_) => {
                    return Err(ClientError::timeout(
                        operation,
                        "no response headers",
                        limit,
                    ));
                }
            }
        };
        answer.map_err(|error| ClientError::from_kube(operation, self.cluster_url(), &error))
    }

    /// Sends a request and reads the whole answer of at most `limit` bytes, for which the response timeout is granted
    /// once more. An answer that is no success becomes an error with the server's `Status`.
    ///
    /// # Cancel safety
    /// As for [`Client::send`].
    pub(crate) async fn call(
        &self,
        request: Request<Body>,
        limit: usize,
    ) -> Result<Bytes, ClientError> {
        let operation = describe(&request);
        let response = self.send(request).await?;
        let deadline = self.shared.response_timeout;
        let answer = async {
            if response.status().is_success() {
                read_body(&operation, response.into_body(), limit).await
            } else {
                Err(ClientError::refusal(&operation, response).await)
            }
        };
        match tokio::time::timeout(deadline, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(ClientError::timeout(
                operation,
                "an unfinished body",
                deadline,
            )),
        }
    }

    /// GET of a path with its query, as JSON.
    pub(crate) async fn get_json<T: DeserializeOwned>(
        &self,
        path_and_query: &str,
    ) -> Result<T, ClientError> {
        self.get_as(path_and_query, "application/json").await
    }

    /// GET in one of several representations of JSON.
    async fn get_as<T: DeserializeOwned>(
        &self,
        path_and_query: &str,
        accept: &'static str,
    ) -> Result<T, ClientError> {
        let request = Request::get(path_and_query).header(header::ACCEPT, accept);
        self.json(request.body(Body::empty()), path_and_query).await
    }

    /// POST or PUT of a JSON body, with a JSON answer.
    pub(crate) async fn write_json<T: DeserializeOwned>(
        &self,
        method: Method,
        path_and_query: &str,
        body: Vec<u8>,
    ) -> Result<T, ClientError> {
        let request = Request::builder()
            .method(method)
            .uri(path_and_query)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json");
        self.json(request.body(body.into()), path_and_query).await
    }

    async fn json<T: DeserializeOwned>(
        &self,
        request: http::Result<Request<Body>>,
        path_and_query: &str,
    ) -> Result<T, ClientError> {
        let request = request.map_err(|error| ClientError::invalid(path_and_query, &error))?;
        let operation = describe(&request);
        let bytes = self.call(request, DEFAULT_BODY_LIMIT).await?;
        serde_json::from_slice(&bytes).map_err(|error| ClientError::malformed(operation, &error))
    }

    /// Kind, scope and verbs of a resource, as the server says; positive answers are remembered.
    ///
    /// # Errors
    /// [`ClientError::is_not_served`] when the server has no such resource: the message names what comes near. Anything
    /// else, such as missing permission or an unreachable server, is kept apart.
    ///
    /// # Cancel safety
    /// Safe: nothing is remembered before it is complete.
    pub async fn resolve(&self, gvr: &Gvr) -> Result<ApiResource, ClientError> {
        match self.served(gvr).await? {
            Some(resource) => Ok(resource),
            None => Err(discovery::not_served(self, gvr).await),
        }
    }

    /// As [`Client::resolve`], but a resource that the server lacks is `None` and costs no further request: for those
    /// who wait for one to appear.
    ///
    /// # Errors
    /// Whatever kept the server from saying.
    ///
    /// # Cancel safety
    /// As for [`Client::resolve`].
    pub async fn served(&self, gvr: &Gvr) -> Result<Option<ApiResource>, ClientError> {
        discovery::served(self, &self.shared.catalogue, gvr).await
    }

    /// Forgets what was discovered of a resource, so that the next [`Client::resolve`] asks the server: for one that
    /// was served and no longer is.
    pub fn forget(&self, gvr: &Gvr) {
        self.shared.catalogue.forget(gvr);
    }

    /// Remembers that the server does not make streaming lists of a resource, for whoever lists it next.
    pub(crate) fn note_streaming_refused(&self, gvr: &Gvr) {
        self.shared.catalogue.note_streaming_refused(gvr);
    }

    /// Whether that was found out.
    pub(crate) fn is_streaming_refused(&self, gvr: &Gvr) -> bool {
        self.shared.catalogue.is_streaming_refused(gvr)
    }
}

impl From<kube::Client> for Client {
    fn from(client: kube::Client) -> Self {
        Self::from_kube(client)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("cluster_url", &self.shared.cluster_url)
            .field("default_namespace", &self.default_namespace())
            .finish_non_exhaustive()
    }
}

const USER_AGENT: &str = concat!("kubedex/", env!("CARGO_PKG_VERSION"));

/// What a request does, for messages: the method and the path, without the query.
fn describe(request: &Request<Body>) -> String {
    format!("{} {}", request.method(), request.uri().path())
}
