//! Static clusters: those that the configuration lists instead of Kubernetes.
//!
//! What is written is plain data; [`check`] makes clusters of it or says what is wrong, and where, all at once. A name
//! may be any, also one of a discovered cluster (`k8s/…`), which is then overridden; see
//! [`assemble`](crate::assemble).

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::duration;
use crate::model::{Cluster, Endpoint, Protocol, SessionAffinity, State};
use crate::translate::DEFAULT_SESSION_AFFINITY_TIMEOUT;

/// The longest name of a cluster, in bytes: more than `k8s/{namespace}/{service}:{port}` can be.
pub const MOST_NAME: usize = 512;

/// The longest zone, node or application protocol, in bytes: what Kubernetes allows for such a name.
const MOST_LABEL: usize = 317;

/// The longest time for which Kubernetes lets a client be remembered.
const MOST_AFFINITY: Duration = Duration::from_secs(86_400);

/// A cluster as the configuration has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticCluster {
    /// Its name, unique among static clusters; at most [`MOST_NAME`] bytes.
    pub name: String,
    /// `TCP`, which is the default, `UDP` or `SCTP`.
    #[serde(default)]
    pub protocol: StaticProtocol,
    /// The application protocol, such as `http`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
    /// Which requests must reach the same endpoint; none by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_affinity: Option<StaticAffinity>,
    /// Its endpoints, in any order; there may be none.
    #[serde(default)]
    pub endpoints: Vec<StaticEndpoint>,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StaticProtocol {
    /// `TCP`
    #[default]
    #[serde(rename = "TCP")]
    Tcp,
    /// `UDP`
    #[serde(rename = "UDP")]
    Udp,
    /// `SCTP`
    #[serde(rename = "SCTP")]
    Sctp,
}

/// An endpoint as the configuration has it. It is always ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticEndpoint {
    /// An IP address, without brackets.
    pub address: String,
    /// A port from 1 to 65535.
    pub port: u16,
    /// The zone it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The node it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// Session affinity as the configuration has it: `{type: ClientIP, timeout: 3h}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticAffinity {
    /// By what clients are told apart.
    #[serde(rename = "type")]
    pub kind: AffinityKind,
    /// How long a client that is silent is remembered: whole seconds, up to a day. The default is that of Kubernetes,
    /// [`DEFAULT_SESSION_AFFINITY_TIMEOUT`].
    #[serde(default = "default_affinity", with = "duration")]
    pub timeout: Duration,
}

/// By what clients are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AffinityKind {
    /// By their address.
    #[serde(rename = "ClientIP")]
    ClientIp,
}

fn default_affinity() -> Duration {
    DEFAULT_SESSION_AFFINITY_TIMEOUT
}

/// What is wrong with a value of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct FieldError {
    /// Where it stands, such as `static[2].endpoints[0].address`.
    pub path: String,
    /// What is wrong, in a clause that a person can act on.
    pub reason: String,
}

/// Makes clusters, sorted by name, of what is written; their endpoints are in the order of discovered ones (D4): IPv4
/// first, then by address as a number, then by port.
///
/// # Errors
/// Everything that is wrong, each with its path below `static`.
pub fn check(statics: &[StaticCluster]) -> Result<Vec<Arc<Cluster>>, Vec<FieldError>> {
    let mut errors = Errors::default();
    let mut names: HashMap<&str, usize> = HashMap::new();
    let mut clusters = Vec::with_capacity(statics.len());
    for (index, written) in statics.iter().enumerate() {
        let path = format!("static[{index}]");
        errors.text(format_args!("{path}.name"), &written.name, MOST_NAME);
        if let Some(first) = names.get(written.name.as_str()) {
            errors.add(
                format_args!("{path}.name"),
                format!("static[{first}] has the same name"),
            );
        } else {
            names.insert(&written.name, index);
        }
        clusters.push(Arc::new(cluster(written, &path, &mut errors)));
    }
    if !errors.0.is_empty() {
        return Err(errors.0);
    }
    clusters.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(clusters)
}

fn cluster(written: &StaticCluster, path: &str, errors: &mut Errors) -> Cluster {
    if let Some(text) = &written.app_protocol {
        errors.text(format_args!("{path}.app_protocol"), text, MOST_LABEL);
    }
    if let Some(affinity) = &written.session_affinity
        && (affinity.timeout.subsec_nanos() != 0
            || !(Duration::from_secs(1)..=MOST_AFFINITY).contains(&affinity.timeout))
    {
        errors.add(
            format_args!("{path}.session_affinity.timeout"),
            "it is not whole seconds from 1s to 24h".to_owned(),
        );
    }
    let mut seen: BTreeMap<(IpAddr, u16), usize> = BTreeMap::new();
    let mut endpoints = Vec::with_capacity(written.endpoints.len());
    for (index, endpoint) in written.endpoints.iter().enumerate() {
        let path = format!("{path}.endpoints[{index}]");
        for (field, text) in [("zone", &endpoint.zone), ("node", &endpoint.node)] {
            if let Some(text) = text {
                errors.text(format_args!("{path}.{field}"), text, MOST_LABEL);
            }
        }
        if endpoint.port == 0 {
            errors.add(
                format_args!("{path}.port"),
                "a port is from 1 to 65535".to_owned(),
            );
        }
        let Ok(address) = endpoint.address.parse::<IpAddr>() else {
            errors.add(
                format_args!("{path}.address"),
                format!(
                    "{:?} is no IP address; names are not resolved",
                    shortened(&endpoint.address)
                ),
            );
            continue;
        };
        if let Some(first) = seen.insert((address, endpoint.port), index) {
            errors.add(
                format_args!("{path}"),
                format!("endpoints[{first}] has the same address and port"),
            );
        }
        endpoints.push(Endpoint {
            address,
            port: endpoint.port,
            state: State::Ready,
            zone: endpoint.zone.as_deref().map(Into::into),
            node: endpoint.node.as_deref().map(Into::into),
        });
    }
    // IpAddr sorts IPv4 before IPv6 and each as a number.
    endpoints.sort_by_key(|endpoint| (endpoint.address, endpoint.port));
    Cluster {
        app_protocol: written.app_protocol.as_deref().map(Into::into),
        endpoints,
        session_affinity: written
            .session_affinity
            .map(|affinity| match affinity.kind {
                AffinityKind::ClientIp => SessionAffinity::ClientIp {
                    timeout: affinity.timeout,
                },
            }),
        ..Cluster::new(written.name.as_str(), written.protocol.into())
    }
}

impl From<StaticProtocol> for Protocol {
    fn from(protocol: StaticProtocol) -> Self {
        match protocol {
            StaticProtocol::Tcp => Self::Tcp,
            StaticProtocol::Udp => Self::Udp,
            StaticProtocol::Sctp => Self::Sctp,
        }
    }
}

#[derive(Default)]
struct Errors(Vec<FieldError>);

impl Errors {
    fn add(&mut self, path: fmt::Arguments<'_>, reason: String) {
        let path = path.to_string();
        self.0.push(FieldError { path, reason });
    }

    /// Text that goes to consumers: something, not endless, without what would break a line or a terminal.
    fn text(&mut self, path: fmt::Arguments<'_>, text: &str, most: usize) {
        let reason = if text.is_empty() {
            "it is empty".to_owned()
        } else if text.len() > most {
            format!("it has {} bytes; the most is {most}", text.len())
        } else if text.chars().any(char::is_control) {
            format!("{text:?} has a control character")
        } else if text.trim() != text {
            format!("{text:?} has a blank at an end")
        } else {
            return;
        };
        self.add(path, reason);
    }
}

/// A value as it is shown in an error.
fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests;
