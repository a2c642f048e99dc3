//! What a client is made from, checked in one place.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use kube::Config;
use parking_lot::RwLock;

use super::error::ClientError;
use super::limit::Bucket;
use super::proxy::{self, ProxyEnvironment};
use super::renewal::Origin;
use super::source::{self, Environment, Source};
use super::transport::{self, DEFAULT_CONNECT_TIMEOUT, Lane, Lanes, Transport};
use super::{Client, DEFAULT_RESPONSE_TIMEOUT, USER_AGENT};

/// How long making the credentials ready may take, an exec plugin included: two minutes. A plugin may ask somebody to log
/// in with a browser; one that hangs must not hang us.
pub const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(120);

/// How to make a [`Client`]; see [`Client::builder`].
#[derive(Clone)]
#[must_use]
pub struct ClientBuilder {
    source: Source,
    context: Option<String>,
    user_agent: Option<String>,
    limit: Option<(f64, u32)>,
    connect_timeout: Duration,
    response_timeout: Duration,
}

impl ClientBuilder {
    pub(super) fn new() -> Self {
        Self {
            source: Source::Infer,
            context: None,
            user_agent: None,
            limit: None,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            response_timeout: DEFAULT_RESPONSE_TIMEOUT,
        }
    }

    /// Reads this kubeconfig, and nothing else.
    pub fn kubeconfig(mut self, path: impl Into<PathBuf>) -> Self {
        self.source = Source::Files(vec![path.into()]);
        self
    }

    /// Uses the service account of the pod that this runs in, and nothing else.
    pub fn in_cluster(mut self) -> Self {
        self.source = Source::InCluster;
        self
    }

    /// Uses this configuration, and nothing else. Its timeouts and its retry setting are not used: those of this builder
    /// are, and nothing is retried.
    pub fn config(mut self, config: Config) -> Self {
        self.source = Source::Given(Box::new(config));
        self
    }

    /// Chooses a context of the kubeconfig, instead of its `current-context`.
    pub fn context(mut self, name: impl Into<String>) -> Self {
        self.context = Some(name.into());
        self
    }

    /// Adds to the user agent, which begins with `kubedex/<version>`: name and version of your program, such as
    /// `my-gateway/1.4`.
    pub fn user_agent(mut self, text: impl Into<String>) -> Self {
        self.user_agent = Some(text.into());
        self
    }

    /// Sends at most `qps` requests per second, after a burst of up to `burst`. Without it there is no limit: the API
    /// server has its own (priority and fairness). Watches are never held back.
    pub fn limit(mut self, qps: f64, burst: u32) -> Self {
        self.limit = Some((qps, burst));
        self
    }

    /// How long a connection may take to be made, name lookup and TLS included; [`DEFAULT_CONNECT_TIMEOUT`] unless set.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a request may take until its response headers arrive; [`DEFAULT_RESPONSE_TIMEOUT`] unless set.
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// Whether there is anything to be configured from: something given here, `KUBECONFIG`, a default kubeconfig, or a pod
    /// around us. It says nothing about whether that is in order.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.context.is_some() || self.source.settle(&Environment::current()).is_some()
    }

    /// Reads the configuration and makes the client. Nothing is sent to the cluster yet.
    ///
    /// # Errors
    /// [`ClientError::is_not_configured`] when there is nothing to read; [`ClientError::is_configuration`] when what there
    /// is cannot be used, with the file and what is wrong in it; [`ClientError::is_credentials`] when an exec plugin or a
    /// token file fails.
    ///
    /// # Cancel safety
    /// Safe, but an exec plugin that was started runs on.
    pub async fn build(self) -> Result<Client, ClientError> {
        self.build_in(Environment::current(), ProxyEnvironment::current())
            .await
    }

    pub(super) async fn build_in(
        self,
        environment: Environment,
        proxies: ProxyEnvironment,
    ) -> Result<Client, ClientError> {
        let wrong =
            |reason: &str| ClientError::configuration("client configuration", reason.to_owned());
        if self.connect_timeout.is_zero() || self.response_timeout.is_zero() {
            return Err(wrong("a timeout of zero would let no request succeed"));
        }
        let user_agent = match &self.user_agent {
            Some(own) => HeaderValue::try_from(format!("{USER_AGENT} {}", own.trim()))
                .map_err(|_| wrong("the user agent has characters that no HTTP header may have"))?,
            None => HeaderValue::from_static(USER_AGENT),
        };
        let bucket = match self.limit {
            Some((qps, burst)) => Some(Arc::new(Bucket::new(qps, burst).map_err(wrong)?)),
            None => None,
        };
        let recipe = Recipe {
            source: self.source,
            context: self.context,
            environment,
            proxies,
            connect_timeout: self.connect_timeout,
        };
        let built = recipe.build().await?;
        let transport = Transport {
            lanes: Arc::new(RwLock::new(Arc::new(built.lanes))),
            lane: Lane::Common,
            bucket,
            user_agent: user_agent.clone(),
            response_timeout: self.response_timeout,
        };
        let origin = Origin::new(
            built.again,
            built.cluster_url.clone(),
            Arc::clone(&transport.lanes),
        );
        Ok(Client::assemble(
            transport,
            built.cluster_url,
            built.default_namespace,
            origin,
        ))
    }
}

impl fmt::Debug for ClientBuilder {
    /// Without the configuration itself, which may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("context", &self.context)
            .field("user_agent", &self.user_agent)
            .field("limit", &self.limit)
            .field("connect_timeout", &self.connect_timeout)
            .field("response_timeout", &self.response_timeout)
            .finish_non_exhaustive()
    }
}

/// All that is needed to read the configuration, once more too.
#[derive(Clone)]
pub(super) struct Recipe {
    source: Source,
    context: Option<String>,
    environment: Environment,
    proxies: ProxyEnvironment,
    connect_timeout: Duration,
}

/// What came of it.
pub(super) struct Built {
    pub(super) lanes: Lanes,
    pub(super) cluster_url: Box<str>,
    pub(super) default_namespace: String,
    /// The same source and context, whatever the current ones are by then.
    pub(super) again: Recipe,
}

impl Recipe {
    /// Reads and builds beside the runtime, since files and exec plugins block.
    pub(super) async fn build(&self) -> Result<Built, ClientError> {
        let recipe = self.clone();
        let work = tokio::task::spawn_blocking(move || recipe.build_blocking());
        match tokio::time::timeout(CREDENTIALS_TIMEOUT, work).await {
            Ok(Ok(built)) => built,
            // kube panics on a token that no header can hold; nothing else in there is known to.
            Ok(Err(error)) => Err(ClientError::no_credentials(
                "client configuration",
                if error.is_panic() {
                    "what the authentication provider gave cannot be used"
                } else {
                    "the runtime is shutting down"
                },
            )),
            Err(_) => Err(ClientError::no_credentials(
                "client configuration",
                format!("the exec plugin was not done after {CREDENTIALS_TIMEOUT:?}"),
            )),
        }
    }

    fn build_blocking(self) -> Result<Built, ClientError> {
        let loaded = source::load(&self.source, self.context.as_deref(), &self.environment)?;
        let origin = loaded.origin;
        let url = &loaded.config.cluster_url;
        if !matches!(url.scheme_str(), Some("https" | "http")) || url.host().is_none() {
            return Err(ClientError::configuration(
                origin,
                "the cluster's server is no address; one begins with https:// or http://",
            ));
        }
        let cluster_url = without_userinfo(url);
        let none = ProxyEnvironment::default();
        let proxies = if loaded.proxy_by_environment {
            &self.proxies
        } else {
            &none
        };
        let proxy = proxy::choose(url, loaded.proxy.as_deref(), proxies)
            .map_err(|reason| ClientError::configuration(origin.clone(), reason))?;
        let default_namespace = loaded.config.default_namespace.clone();
        let lanes = transport::build(loaded.config, &origin, proxy.as_ref(), self.connect_timeout)?;
        Ok(Built {
            lanes,
            cluster_url,
            default_namespace,
            again: Self {
                source: loaded.source,
                context: loaded.context,
                ..self
            },
        })
    }
}

/// The address as it may be shown.
fn without_userinfo(url: &http::Uri) -> Box<str> {
    let port = url
        .port()
        .map_or_else(String::new, |port| format!(":{port}"));
    format!(
        "{}://{}{port}{}",
        url.scheme_str().unwrap_or_default(),
        url.host().unwrap_or_default(),
        url.path().trim_end_matches('/')
    )
    .into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Request;
    use kube::client::Body;
    use rcgen::{CertificateParams, KeyPair};
    use rustls::pki_types::PrivateKeyDer;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// A server that answers one request and returns its head, and its certificate.
    async fn api_server() -> (u16, String, tokio::task::JoinHandle<String>) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = TlsAcceptor::from(Arc::new(config));
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .await
                .unwrap();
            String::from_utf8(head).unwrap()
        });
        (port, certificate.pem(), task)
    }

    #[tokio::test]
    async fn in_a_pod_the_service_account_is_all_that_is_needed() {
        let (port, certificate, server) = api_server().await;
        let account = tempfile::tempdir().unwrap();
        for (name, content) in [
            ("ca.crt", certificate.as_str()),
            ("namespace", "web\n"),
            ("token", "of-the-account\n"),
        ] {
            std::fs::write(account.path().join(name), content).unwrap();
        }
        let environment = Environment::pod(account.path().to_owned(), "127.0.0.1", port);
        let client = Client::builder()
            .build_in(environment, ProxyEnvironment::default())
            .await
            .unwrap();
        assert_eq!(client.default_namespace(), "web");
        let request = Request::get("/version").body(Body::empty()).unwrap();
        assert_eq!(client.send(request).await.unwrap().status(), 200);
        let head = server.await.unwrap();
        assert!(head.contains("Bearer of-the-account\r\n"), "{head}");
    }

    #[tokio::test]
    async fn what_is_missing_in_a_service_account_is_named() {
        let account = tempfile::tempdir().unwrap();
        for (name, content) in [("namespace", "web"), ("ca.crt", ""), ("token", "")] {
            let environment = Environment::pod(account.path().to_owned(), "127.0.0.1", 1);
            let error = Client::builder()
                .build_in(environment, ProxyEnvironment::default())
                .await
                .unwrap_err();
            let path = account.path().join(name);
            assert!(
                error.to_string().contains(path.to_str().unwrap()),
                "{error}"
            );
            std::fs::write(path, content).unwrap();
        }
    }
}
