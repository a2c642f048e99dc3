//! Why a store could not do what was asked.

use std::error::Error;
use std::fmt;

use crate::resource::Gvr;

/// Why a store could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no index of this name.
    #[error("there is no index {index:?} of {gvr}; {}", Names(.known))]
    UnknownIndex {
        /// What is watched.
        gvr: Gvr,
        /// The name asked for.
        index: String,
        /// The named indexes that there are.
        known: Vec<String>,
    },
    /// More components were given than the index has.
    #[error("{given} key components were given for {} of {gvr}, which has {expected}", Title(.index))]
    TooManyComponents {
        /// What is watched.
        gvr: Gvr,
        /// The index; empty for the primary one.
        index: String,
        /// How many were given.
        given: usize,
        /// How many the index has.
        expected: usize,
    },
    /// The store failed to read or write.
    #[error("the store of {gvr} failed to {operation}")]
    Failed {
        /// What is watched.
        gvr: Gvr,
        /// What it tried, with the object if there is one: `fetch shop/cart`.
        operation: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
}

struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("it has no named indexes, only the primary one, \"\""),
            names => write!(f, "there are \"\" (the primary one), {}", quoted(names)),
        }
    }
}

fn quoted(names: &[String]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("{name:?}")).collect();
    quoted.join(", ")
}

struct Title<'a>(&'a str);

impl fmt::Display for Title<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => f.write_str("the primary index"),
            name => write!(f, "index {name:?}"),
        }
    }
}
