//! What can go wrong with a watcher, said so that a person knows what to do.

use std::sync::Arc;
use std::time::Duration;

use super::reflector::LIST;
use crate::client::ClientError;
use crate::resource::Gvr;

/// A configuration that cannot work, found without asking a server.
#[derive(Clone, Debug, thiserror::Error)]
#[error("watcher of {gvr}: invalid {field}: {reason}")]
pub struct ConfigError {
    gvr: Gvr,
    field: &'static str,
    reason: String,
}

impl ConfigError {
    pub(super) fn new(gvr: &Gvr, field: &'static str, reason: &(impl ToString + ?Sized)) -> Self {
        Self {
            gvr: gvr.clone(),
            field,
            reason: reason.to_string(),
        }
    }

    /// The name of the setting that is wrong, such as `namespace` or `index_by`.
    pub fn field(&self) -> &str {
        self.field
    }
}

/// What stands between a watcher and its server, as [`Status`](super::Status) shows it. Cheap to clone.
#[derive(Clone, Debug, thiserror::Error)]
#[error("watcher of {}: {}{}{}", .0.watcher, .0.operation(), .0.problem, .0.hint())]
pub struct WatchError(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    watcher: String,
    operation: &'static str,
    problem: Problem,
}

/// What went wrong with one request, event or object.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the server ended the watch at once")]
    EndedAtOnce,
    #[error("the server sent nothing for {0:?} after it should have ended the watch")]
    Silent(Duration),
    #[error("the body broke off: {0}")]
    Broken(String),
    #[error("the answer is no {expected}: {found}")]
    Foreign { expected: String, found: String },
    #[error("a line of the watch cannot be read: {0}")]
    Garbled(String),
    #[error("{0} cannot be read and keeps its old state: {1}")]
    Unreadable(String, String),
    #[error("events came out of order after resource version {0}")]
    Disorder(String),
    #[error(
        "the list is of resource version {listed}, older than {seen}, which was already seen; the server lags or was restored from a backup"
    )]
    Stale { listed: String, seen: String },
    #[error("the server sent no initial events within {0:?}; lists are read in pages from now on")]
    NoProgress(Duration),
    #[error("the server sent an error: {message} ({code})")]
    ErrorEvent { code: u16, message: String },
    #[error("the store failed: {0}")]
    Store(String),
    #[error("the server offers no {0} for this resource, so that it cannot be watched")]
    NotWatchable(&'static str),
    #[error("its objects live in namespaces, so that one of them is named with its namespace")]
    NoNamespace,
    #[error("the server does not serve it yet; waiting for the resource to be served")]
    NotYetServed,
}

impl Problem {
    /// The client's error, if it is one.
    pub(super) fn client_error(&self) -> Option<&ClientError> {
        match self {
            Self::Client(error) => Some(error),
            _ => None,
        }
    }

    /// Whether only somebody's action helps: waiting for the sync is of no use.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::Client(error) => {
                error.is_not_served() || error.is_forbidden() || error.is_scope()
            }
            Self::NotWatchable(_) | Self::NoNamespace => true,
            _ => false,
        }
    }

    /// Whether the server takes the request for one that it will never understand.
    fn is_invalid(&self) -> bool {
        let code = self.client_error().and_then(ClientError::code);
        matches!(code, Some(400 | 422))
    }
}

impl Inner {
    /// What was being done; the client's errors say so themselves.
    fn operation(&self) -> String {
        if self.problem.client_error().is_some() {
            String::new()
        } else {
            format!("{}: ", self.operation)
        }
    }

    fn hint(&self) -> &'static str {
        match &self.problem {
            Problem::Client(error) if error.is_forbidden() => {
                "; grant the verbs list and watch on this resource to the user or service account"
            }
            Problem::Client(error) if error.is_unauthorized() => {
                "; the credentials are missing, wrong or expired"
            }
            _ => "",
        }
    }
}

impl WatchError {
    pub(super) fn new(watcher: &str, operation: &'static str, problem: Problem) -> Self {
        Self(Arc::new(Inner {
            watcher: watcher.to_owned(),
            operation,
            problem,
        }))
    }

    /// Whether the server refused for a reason that waiting does not mend: no permission, no such resource, a namespace for
    /// a cluster-scoped one, or a selector that it does not take.
    pub fn is_refusal(&self) -> bool {
        self.0.problem.is_refusal() || self.0.operation == LIST && self.0.problem.is_invalid()
    }

    /// Whether the server forbade it.
    pub fn is_forbidden(&self) -> bool {
        matches!(&self.0.problem, Problem::Client(error) if error.is_forbidden())
    }

    /// Whether the server does not serve the resource.
    pub fn is_not_served(&self) -> bool {
        matches!(&self.0.problem, Problem::Client(error) if error.is_not_served())
    }

    /// Whether two errors are the same state, so that it is told once: the words may differ in details.
    pub(super) fn is_same_state(&self, other: &Self) -> bool {
        use Problem as P;
        self.0.operation == other.0.operation
            && match (&self.0.problem, &other.0.problem) {
                (P::Client(a), P::Client(b)) => {
                    a.status().map(|s| s.code) == b.status().map(|s| s.code)
                }
                (P::Unreadable(a, _), P::Unreadable(b, _)) => a == b,
                (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
            }
    }
}

/// How long was waited, unless it was not waited at all.
fn after(deadline: Duration) -> String {
    if deadline.is_zero() {
        return " yet".to_owned();
    }
    format!(" after {deadline:?}")
}

/// Why a watcher is not synced.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The deadline passed.
    #[error("watcher of {watcher} is not synced{}{}", after(*.deadline), .last_error.as_ref().map_or_else(
        || ": the server has not sent all objects yet".to_owned(), |error| format!(": {error}")))]
    Deadline {
        /// Which watcher.
        watcher: String,
        /// How long was waited.
        deadline: Duration,
        /// What stands in the way, if anything is known to.
        last_error: Option<WatchError>,
    },
    /// The server refuses what the watcher asks; waiting does not mend it. The watcher goes on asking, ever less
    /// often, so that a later wait can succeed once the reason is gone.
    #[error(transparent)]
    Refused(WatchError),
    /// The watcher was stopped.
    #[error("watcher of {watcher} was stopped before it was synced")]
    Stopped {
        /// Which watcher.
        watcher: String,
    },
}
