//! Clusters: a name, how to speak to it, and the endpoints behind it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// A group of endpoints that serve the same thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cluster {
    /// The name, unique among all clusters: `k8s/{namespace}/{service}:{port name or number}` for discovered ones.
    pub name: Arc<str>,
    /// The transport protocol.
    pub protocol: Protocol,
    /// The application protocol, as its owner declared it, such as `http` or `kubernetes.io/h2c`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<Box<str>>,
    /// The endpoints, in a stable order; empty when none can be used now.
    pub endpoints: Vec<Endpoint>,
    /// Which requests must reach the same endpoint; `None` when any may go anywhere.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub session_affinity: Option<SessionAffinity>,
}

impl Cluster {
    /// A cluster without endpoints.
    pub fn new(name: impl Into<Arc<str>>, protocol: Protocol) -> Self {
        Self {
            name: name.into(),
            protocol,
            app_protocol: None,
            endpoints: Vec::new(),
            session_affinity: None,
        }
    }

    /// The endpoints, each with whether a consumer is to be told that it drains: those listed beside ready ones (C6 in
    /// the vectors' policy) are; those that serve since nothing else is left (C5) must be taken for healthy.
    pub fn served(&self) -> impl ExactSizeIterator<Item = (&Endpoint, bool)> {
        let beside_ready = self
            .endpoints
            .iter()
            .any(|endpoint| endpoint.state == State::Ready);
        self.endpoints.iter().map(move |endpoint| {
            let drains = beside_ready && endpoint.state == State::Draining;
            (endpoint, drains)
        })
    }

    /// How many endpoints new traffic may go to: those that [`Cluster::served`] gives and that do not drain.
    pub fn serving(&self) -> usize {
        self.served().filter(|(_, drains)| !drains).count()
    }
}

/// One place to send traffic to. Within a cluster, address and port make an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// The IP address; printed in canonical form (RFC 5952 for IPv6).
    pub address: IpAddr,
    /// The port, never 0.
    pub port: u16,
    /// Whether it takes new traffic.
    pub state: State,
    /// The zone it is in, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<Box<str>>,
    /// The node it is on, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<Box<str>>,
}

impl Endpoint {
    /// Address and port, which identify the endpoint within its cluster; IPv6 prints in brackets.
    pub fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }
}

/// Whether an endpoint takes new traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It serves and takes new traffic.
    Ready,
    /// It is going away and still serves: for what it has already, or when nothing else is left.
    Draining,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ready => "ready",
            Self::Draining => "draining",
        })
    }
}

/// A transport protocol.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Protocol {
    /// `TCP`
    Tcp,
    /// `UDP`
    Udp,
    /// `SCTP`
    Sctp,
    /// Any other, as its owner wrote it.
    Other(Box<str>),
}

impl Protocol {
    /// The name in capitals, or as its owner wrote it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
            Self::Other(name) => name,
        }
    }
}

impl From<&str> for Protocol {
    fn from(name: &str) -> Self {
        match name {
            "TCP" => Self::Tcp,
            "UDP" => Self::Udp,
            "SCTP" => Self::Sctp,
            other => Self::Other(other.into()),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Protocol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Which requests must reach the same endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "session_affinity")]
#[non_exhaustive]
pub enum SessionAffinity {
    /// Those from the same client address.
    #[serde(rename = "ClientIP")]
    ClientIp {
        /// How long a client that is silent is remembered; whole seconds.
        #[serde(
            rename = "session_affinity_timeout_seconds",
            serialize_with = "seconds"
        )]
        timeout: Duration,
    },
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_secs())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn absent_values_have_no_key() {
        let cluster = Cluster {
            name: "k8s/a/b:http".into(),
            protocol: Protocol::Tcp,
            app_protocol: None,
            endpoints: vec![Endpoint {
                address: "2001:DB8:0::1".parse().unwrap(),
                port: 80,
                state: State::Draining,
                zone: None,
                node: None,
            }],
            session_affinity: None,
        };
        assert_eq!(
            serde_json::to_value(&cluster).unwrap(),
            json!({
                "name": "k8s/a/b:http",
                "protocol": "TCP",
                "endpoints": [{"address": "2001:db8::1", "port": 80, "state": "draining"}],
            })
        );
    }

    #[test]
    fn session_affinity_stands_beside_the_other_keys() {
        let cluster = Cluster {
            name: "x".into(),
            protocol: Protocol::from("QUIC"),
            app_protocol: Some("http".into()),
            endpoints: Vec::new(),
            session_affinity: Some(SessionAffinity::ClientIp {
                timeout: Duration::from_secs(600),
            }),
        };
        assert_eq!(
            serde_json::to_value(&cluster).unwrap(),
            json!({
                "name": "x",
                "protocol": "QUIC",
                "app_protocol": "http",
                "endpoints": [],
                "session_affinity": "ClientIP",
                "session_affinity_timeout_seconds": 600,
            })
        );
    }
}
