//! How a gateway speaks to a cluster's endpoints, as far as its protocol and application protocol say.

use serde::{Deserialize, Serialize};

use crate::model::{Cluster, Protocol};

/// What a consumer puts on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wire {
    /// HTTP/1.1 in clear text.
    Http,
    /// HTTP over TLS; TLS says which version.
    Https,
    /// HTTP/2 in clear text, without an upgrade.
    H2c,
    /// Bytes over TCP.
    Tcp,
    /// UDP datagrams.
    Udp,
}

/// What is spoken to TCP clusters that do not say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DefaultProtocol {
    /// HTTP/1.1 in clear text.
    #[default]
    Http,
    /// Bytes over TCP.
    Tcp,
}

impl Wire {
    /// How to speak to a cluster; `None` if its protocol is neither TCP nor UDP.
    ///
    /// | application protocol, in any case | over TCP |
    /// | --- | --- |
    /// | `http`, `ws`, `kubernetes.io/ws` | HTTP/1.1 |
    /// | `https`, `h2`, `wss`, `kubernetes.io/wss`, `grpcs` | HTTPS |
    /// | `h2c`, `kubernetes.io/h2c`, `http2`, `grpc` | HTTP/2 in clear text |
    /// | none | as `default` says |
    /// | any other | bytes |
    pub fn of(cluster: &Cluster, default: DefaultProtocol) -> Option<Self> {
        match cluster.protocol {
            Protocol::Tcp => {}
            Protocol::Udp => return Some(Self::Udp),
            _ => return None,
        }
        let Some(named) = cluster.app_protocol.as_deref() else {
            return Some(match default {
                DefaultProtocol::Http => Self::Http,
                DefaultProtocol::Tcp => Self::Tcp,
            });
        };
        Some(Self::named(named))
    }

    /// What an application protocol over TCP means.
    pub(super) fn named(app_protocol: &str) -> Self {
        let is_one_of = |names: &[&str]| {
            names
                .iter()
                .any(|name| name.eq_ignore_ascii_case(app_protocol))
        };
        if is_one_of(&["http", "ws", "kubernetes.io/ws"]) {
            Self::Http
        } else if is_one_of(&["https", "h2", "wss", "kubernetes.io/wss", "grpcs"]) {
            Self::Https
        } else if is_one_of(&["h2c", "kubernetes.io/h2c", "http2", "grpc"]) {
            Self::H2c
        } else {
            Self::Tcp
        }
    }

    /// Whether an application protocol over TLS is HTTP/2 and nothing else.
    pub(super) fn is_http2_over_tls(app_protocol: &str) -> bool {
        ["h2", "grpcs"]
            .iter()
            .any(|name| name.eq_ignore_ascii_case(app_protocol))
    }

    /// Whether it is HTTP of any kind.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https | Self::H2c)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_application_protocol_decides_over_tcp_only() {
        let wire = |protocol: &str, app_protocol: Option<&str>| {
            let cluster = Cluster {
                app_protocol: app_protocol.map(Into::into),
                ..Cluster::new("x", protocol.into())
            };
            Wire::of(&cluster, DefaultProtocol::Http)
        };
        assert_eq!(wire("TCP", None), Some(Wire::Http));
        assert_eq!(wire("TCP", Some("HTTP")), Some(Wire::Http));
        assert_eq!(wire("TCP", Some("kubernetes.io/ws")), Some(Wire::Http));
        assert_eq!(wire("TCP", Some("kubernetes.io/wss")), Some(Wire::Https));
        assert_eq!(wire("TCP", Some("grpc")), Some(Wire::H2c));
        assert_eq!(wire("TCP", Some("redis")), Some(Wire::Tcp));
        assert_eq!(wire("TCP", Some("")), Some(Wire::Tcp));
        assert_eq!(wire("UDP", Some("http")), Some(Wire::Udp));
        assert_eq!(wire("SCTP", None), None);
        let cluster = Cluster::new("x", Protocol::Tcp);
        assert_eq!(Wire::of(&cluster, DefaultProtocol::Tcp), Some(Wire::Tcp));
    }
}
