//! What can go wrong between us and a cluster, as one opaque error with questions.
//!
//! The message is complete on one line: it names the operation, what the server or the network said, and what to do where
//! that is known. It never holds a credential; what an exec plugin prints, or a line of a kubeconfig, is left out.

pub(super) mod words;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Response, StatusCode, header};
use kube::client::{AuthError, Body};
use kube::core::Status;

use super::body::read_prefix;
use super::transport::NoResponse;
use crate::resource::Gvr;
use words::{chain, credentials, excerpt, links, printable, unreachable};

/// How much of a refusal's body is read: the Status objects of API servers are a few hundred bytes, but one that lists
/// many causes may be longer.
const REFUSAL_LIMIT: usize = 256 * 1024;

/// Why something that was asked of a cluster did not happen. Cloning is a reference count.
#[derive(Clone)]
pub struct ClientError {
    failure: Arc<Failure>,
}

struct Failure {
    operation: Box<str>,
    kind: Kind,
}

enum Kind {
    /// There is no configuration.
    NotConfigured { looked: String },
    /// There is one, and it cannot be used.
    Configuration { reason: String },
    /// The kubeconfig does not have the context that was chosen.
    UnknownContext { name: String, known: String },
    /// The server answered, and the answer was no.
    Refused {
        code: StatusCode,
        status: Box<Status>,
        retry_after: Option<Duration>,
    },
    /// The server has no such resource.
    NotServed { gvr: Gvr, hint: String },
    /// The request contradicts what the resource is.
    Scope { reason: String },
    /// No connection could be had.
    Unreachable {
        cluster: Option<Box<str>>,
        cause: String,
    },
    /// The connection ended before the answer did.
    Broken { cause: String },
    /// The server did not answer in time.
    Timeout {
        missing: &'static str,
        after: Duration,
    },
    /// The answer is larger than we read.
    TooLarge { limit: usize },
    /// The answer is not what an API server sends.
    Malformed { cause: String },
    /// The request cannot be written down.
    Invalid { cause: String },
    /// The credentials could not be had.
    Credentials { cause: String },
}

impl ClientError {
    /// Whether there is no configuration at all: no kubeconfig was named or found, and this is no pod.
    pub fn is_not_configured(&self) -> bool {
        matches!(self.failure.kind, Kind::NotConfigured { .. })
    }

    /// Whether the configuration cannot be used: a kubeconfig that cannot be read or is malformed, an unknown context, a
    /// bad certificate authority and so on. No configuration at all is something else.
    pub fn is_configuration(&self) -> bool {
        matches!(
            self.failure.kind,
            Kind::Configuration { .. } | Kind::UnknownContext { .. }
        )
    }

    /// Whether the kubeconfig does not have the context that was chosen; the message names those that it has.
    pub fn is_unknown_context(&self) -> bool {
        matches!(self.failure.kind, Kind::UnknownContext { .. })
    }

    /// Whether the server has no such object, or no such resource ([`ClientError::is_not_served`]).
    pub fn is_not_found(&self) -> bool {
        self.is_not_served() || self.code() == Some(404)
    }

    /// Whether the server does not have the resource at all: its group, version or plural name is unknown there.
    pub fn is_not_served(&self) -> bool {
        matches!(self.failure.kind, Kind::NotServed { .. })
    }

    /// Whether the caller may not do that.
    pub fn is_forbidden(&self) -> bool {
        self.code() == Some(403)
    }

    /// Whether the server did not accept the credentials.
    pub fn is_unauthorized(&self) -> bool {
        self.code() == Some(401)
    }

    /// Whether a write met another state than it was made for, or an object that exists.
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// Whether an object of that name exists already.
    pub fn is_already_exists(&self) -> bool {
        self.status().is_some_and(Status::is_already_exists)
    }

    /// Whether the resource version or the continue token is too old (410).
    pub fn is_gone(&self) -> bool {
        self.code() == Some(410)
    }

    /// Whether the server asks to be left alone for a while (429).
    pub fn is_too_many_requests(&self) -> bool {
        self.code() == Some(429)
    }

    /// Whether no answer came: no connection, a broken one, or no answer in time.
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self.failure.kind,
            Kind::Unreachable { .. } | Kind::Broken { .. } | Kind::Timeout { .. }
        )
    }

    /// Whether a deadline passed without an answer.
    pub fn is_timeout(&self) -> bool {
        matches!(self.failure.kind, Kind::Timeout { .. })
    }

    /// Whether a namespace was given for a cluster-scoped resource, or one that is no namespace's name.
    pub fn is_scope(&self) -> bool {
        matches!(self.failure.kind, Kind::Scope { .. })
    }

    /// Whether the credentials could not be had: an exec plugin failed, or a token file cannot be read.
    pub fn is_credentials(&self) -> bool {
        matches!(self.failure.kind, Kind::Credentials { .. })
    }

    /// Whether it was an API server that does not know the path, and not some other web server: in words, or in a Status.
    pub(crate) fn is_api_not_found(&self) -> bool {
        self.code() == Some(404)
            && self.status().is_some_and(|status| {
                !status.reason.is_empty() || status.message.starts_with("404 page not found")
            })
    }

    /// The HTTP status code of a refusal.
    pub fn code(&self) -> Option<u16> {
        match &self.failure.kind {
            Kind::Refused { code, .. } => Some(code.as_u16()),
            _ => None,
        }
    }

    /// What the server said in a refusal. Where it was no `Status`, one is made of the code and the text.
    pub fn status(&self) -> Option<&Status> {
        match &self.failure.kind {
            Kind::Refused { status, .. } => Some(status),
            _ => None,
        }
    }

    /// How long the server asks to wait before another attempt, by header or in its `Status`.
    pub fn retry_after(&self) -> Option<Duration> {
        match &self.failure.kind {
            Kind::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    fn new(operation: impl Into<Box<str>>, kind: Kind) -> Self {
        Self {
            failure: Arc::new(Failure {
                operation: operation.into(),
                kind,
            }),
        }
    }

    pub(super) fn not_configured(looked: String) -> Self {
        Self::new("client configuration", Kind::NotConfigured { looked })
    }

    /// The origin is what cannot be used: the file, the context.
    pub(super) fn configuration(origin: impl Into<Box<str>>, reason: impl Into<String>) -> Self {
        Self::new(
            origin,
            Kind::Configuration {
                reason: reason.into(),
            },
        )
    }

    pub(super) fn unknown_context(origin: impl Into<Box<str>>, name: &str, known: &[&str]) -> Self {
        Self::new(
            origin,
            Kind::UnknownContext {
                name: name.to_owned(),
                known: known.join(", "),
            },
        )
    }

    pub(super) fn no_credentials(origin: impl Into<Box<str>>, cause: impl Into<String>) -> Self {
        Self::new(
            origin,
            Kind::Credentials {
                cause: cause.into(),
            },
        )
    }

    /// What kube says while it builds layers of a configuration.
    pub(super) fn from_config(origin: &str, error: &kube::Error) -> Self {
        match error {
            kube::Error::Auth(error) => Self::no_credentials(origin, credentials(error)),
            kube::Error::InferKubeconfig(error) => Self::configuration(origin, chain(error)),
            error => Self::configuration(origin, chain(error)),
        }
    }

    /// Reads a refusal: a JSON `Status`, or whatever a proxy in between wrote.
    pub(crate) async fn refusal(operation: &str, response: Response<Body>) -> Self {
        let code = response.status();
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        // What the server said matters less than that it said no: a body that breaks off is no error of its own.
        let body = read_prefix(operation, response.into_body(), REFUSAL_LIMIT)
            .await
            .map(|(bytes, _)| bytes)
            .unwrap_or_default();
        Self::refused(operation, code, retry_after, &body)
    }

    /// A refusal by its parts.
    pub(crate) fn refused(
        operation: &str,
        code: StatusCode,
        retry_after: Option<Duration>,
        body: &[u8],
    ) -> Self {
        let status = parse_status(body).unwrap_or_else(|| {
            Status::failure(&excerpt(&String::from_utf8_lossy(body)), "").with_code(code.as_u16())
        });
        Self::from_status(operation, code, retry_after, status)
    }

    fn from_status(
        operation: &str,
        code: StatusCode,
        retry_after: Option<Duration>,
        mut status: Status,
    ) -> Self {
        if status.code == 0 {
            status.code = code.as_u16();
        }
        let retry_after = retry_after.or_else(|| {
            let seconds = status.details.as_ref()?.retry_after_seconds;
            (seconds > 0).then(|| Duration::from_secs(seconds.into()))
        });
        Self::new(
            operation,
            Kind::Refused {
                code,
                status: Box::new(status),
                retry_after,
            },
        )
    }

    pub(super) fn not_served(gvr: &Gvr, hint: String) -> Self {
        Self::new(
            format!("resolve {gvr}"),
            Kind::NotServed {
                gvr: gvr.clone(),
                hint,
            },
        )
    }

    pub(super) fn scope(gvr: &Gvr, reason: String) -> Self {
        Self::new(format!("address {gvr}"), Kind::Scope { reason })
    }

    pub(crate) fn timeout(
        operation: impl Into<Box<str>>,
        missing: &'static str,
        after: Duration,
    ) -> Self {
        Self::new(operation, Kind::Timeout { missing, after })
    }

    pub(super) fn too_large(operation: &str, limit: usize) -> Self {
        Self::new(operation, Kind::TooLarge { limit })
    }

    pub(crate) fn malformed(
        operation: impl Into<Box<str>>,
        cause: &(dyn StdError + 'static),
    ) -> Self {
        let cause = chain(cause);
        Self::new(operation, Kind::Malformed { cause })
    }

    pub(crate) fn invalid(
        operation: impl Into<Box<str>>,
        cause: &(dyn StdError + 'static),
    ) -> Self {
        let cause = chain(cause);
        Self::new(operation, Kind::Invalid { cause })
    }

    /// Sorts out what kube's client says.
    pub(crate) fn from_kube(
        operation: impl Into<Box<str>>,
        cluster: Option<&str>,
        error: &kube::Error,
    ) -> Self {
        let operation = operation.into();
        let kind = match error {
            kube::Error::Api(status) => {
                let code =
                    StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                return Self::from_status(&operation, code, None, (**status).clone());
            }
            kube::Error::Auth(error) => Kind::Credentials {
                cause: credentials(error),
            },
            kube::Error::Service(error) => transport(&**error, cluster),
            kube::Error::HyperError(error) => transport(error, cluster),
            error => Kind::Broken {
                cause: chain(error),
            },
        };
        Self::new(operation, kind)
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operation = &self.failure.operation;
        match &self.failure.kind {
            Kind::NotConfigured { looked } => f.write_str(looked),
            Kind::Configuration { reason } => write!(f, "{operation}: {reason}"),
            Kind::UnknownContext { name, known } => {
                write!(f, "{operation}: there is no context {name:?}")?;
                if known.is_empty() {
                    f.write_str("; it has no contexts")
                } else {
                    write!(f, "; it has {known}")
                }
            }
            Kind::Refused { code, status, .. } => {
                write!(f, "{operation}: the server answered {code}")?;
                if !status.message.is_empty() {
                    write!(f, ": {}", printable(&status.message))?;
                }
                match code.as_u16() {
                    401 => f.write_str("; the credentials are missing, wrong or expired"),
                    404 if status.reason.is_empty() && !self.is_api_not_found() => {
                        f.write_str("; is this the address of an API server?")
                    }
                    _ => Ok(()),
                }
            }
            Kind::NotServed { gvr, hint } => {
                write!(f, "the server does not have the resource {gvr}; {hint}")
            }
            Kind::Scope { reason } => f.write_str(reason),
            Kind::Unreachable { cluster, cause } => write!(
                f,
                "{operation}: cannot reach {}: {cause}",
                cluster.as_deref().unwrap_or("the API server")
            ),
            Kind::Broken { cause } => write!(f, "{operation}: the connection broke: {cause}"),
            Kind::Timeout { missing, after } => {
                write!(f, "{operation}: {missing} after {after:?}")
            }
            Kind::TooLarge { limit } => {
                write!(f, "{operation}: the answer has more than {limit} bytes")
            }
            Kind::Malformed { cause } => write!(
                f,
                "{operation}: the answer is not what an API server sends: {cause}"
            ),
            Kind::Invalid { cause } => write!(f, "{operation}: invalid request: {cause}"),
            Kind::Credentials { cause } => write!(f, "{operation}: no credentials: {cause}"),
        }
    }
}

impl fmt::Debug for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientError({self})")
    }
}

impl StdError for ClientError {}

/// What happened below HTTP.
fn transport(error: &(dyn StdError + 'static), cluster: Option<&str>) -> Kind {
    for error in links(error) {
        if let Some(error) = error.downcast_ref::<NoResponse>() {
            return Kind::Timeout {
                missing: "no response headers",
                after: error.after,
            };
        }
        if let Some(error) = error.downcast_ref::<AuthError>() {
            return Kind::Credentials {
                cause: credentials(error),
            };
        }
        if let Some(connect) = error.downcast_ref::<hyper_util::client::legacy::Error>()
            && connect.is_connect()
        {
            return Kind::Unreachable {
                cluster: cluster.map(Into::into),
                cause: connect.source().map_or_else(|| chain(connect), unreachable),
            };
        }
    }
    Kind::Broken {
        cause: chain(error),
    }
}

/// A Status object, if that is what it is.
fn parse_status(body: &[u8]) -> Option<Status> {
    #[derive(serde::Deserialize)]
    struct Kind {
        kind: String,
    }
    let kind: Kind = serde_json::from_slice(body).ok()?;
    if kind.kind != "Status" {
        return None;
    }
    serde_json::from_slice(body).ok()
}

#[cfg(test)]
mod tests;
