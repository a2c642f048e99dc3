//! The right to write, for sinks that only one of several replicas may write to.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use kubedex::leader_election::{FencingToken, WorkGuard};

use super::SinkError;

/// The right to write at this time. Cloning is a reference count.
#[derive(Clone, Debug, Default)]
pub struct Permit {
    fencing: Option<Arc<dyn Fencing>>,
    token: Option<Arc<str>>,
}

/// What a leader holds: a token that is greater than that of every leader of the same Lease before it.
pub trait Fencing: fmt::Debug + Send + Sync {
    /// The token, a decimal number of any length.
    fn token(&self) -> &str;

    /// The uid of the Lease by which it leads, so that tokens of another cluster are told apart; empty if that is not
    /// known.
    fn lease(&self) -> &str {
        ""
    }

    /// Whether the holder is certain to lead at this moment.
    ///
    /// # Errors
    /// When it is not, and why.
    fn check(&self) -> Result<(), Box<dyn Error + Send + Sync>>;

    /// Keeps leadership from being handed on while work goes on that nobody else sees.
    fn guard(&self) -> Option<WorkGuard> {
        None
    }
}

impl Fencing for FencingToken {
    fn token(&self) -> &str {
        self.as_str()
    }

    fn lease(&self) -> &str {
        self.lease_uid()
    }

    fn check(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(Self::check(self)?)
    }

    fn guard(&self) -> Option<WorkGuard> {
        Some(Self::guard(self))
    }
}

impl Permit {
    /// The right of who is alone, or shares with others that write the same: no token.
    pub fn unfenced() -> Self {
        Self::default()
    }

    /// The right of a leader.
    pub fn fenced(fencing: impl Fencing + 'static) -> Self {
        let token = match (fencing.lease(), fencing.token()) {
            ("", token) => token.into(),
            (lease, token) => format!("{lease}/{token}").into(),
        };
        Self {
            fencing: Some(Arc::new(fencing)),
            token: Some(token),
        }
    }

    /// The leader's token, after the uid of its Lease and a slash where that is known; `None` if nobody needs to lead.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Whether a write may be done at this moment.
    ///
    /// # Errors
    /// When leadership is lost. It may come back, by another token.
    pub fn check(&self) -> Result<(), SinkError> {
        match &self.fencing {
            Some(fencing) => fencing
                .check()
                .map_err(|error| SinkError::passing("no longer the leader", error)),
            None => Ok(()),
        }
    }

    /// Keeps leadership from being handed on before work has ended that goes on after its future is dropped.
    pub fn guard(&self) -> Option<WorkGuard> {
        self.fencing.as_deref().and_then(Fencing::guard)
    }
}

impl PartialEq for Permit {
    /// By token: it is the same time of leading.
    fn eq(&self, other: &Self) -> bool {
        self.token() == other.token()
    }
}

impl Eq for Permit {}
