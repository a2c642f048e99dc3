//! `metadata.managedFields`: who set what.

use super::query::WriteOptions;
use super::rest::{Call, Object};

/// Who writes, and how.
#[derive(Clone, Debug)]
pub(super) struct Manager {
    pub(super) name: String,
}

impl Manager {
    /// The manager of a plain write: named by the request, else by its user agent up to the slash.
    pub(super) fn updating(call: &Call<'_>, options: &WriteOptions) -> Self {
        let agent = call
            .headers
            .get(http::header::USER_AGENT)
            .and_then(|agent| agent.to_str().ok())
            .and_then(|agent| agent.split('/').next())
            .unwrap_or("unknown");
        Self {
            name: options.manager.clone().unwrap_or_else(|| agent.to_owned()),
        }
    }
}

pub(super) fn created(_call: &Call<'_>, _object: &mut Object, _manager: &Manager) {}

pub(super) fn updated(_call: &Call<'_>, _old: &Object, _new: &mut Object, _manager: &Manager) {}
