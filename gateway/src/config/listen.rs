//! `health` and `admin`: where the service itself can be asked.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::document::Document;
use super::node::Path;

/// Where `/healthz`, `/readyz` and `/metrics` are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthConfig {
    /// An address and a port; port 0 takes a free one, which the log tells.
    pub listen: SocketAddr,
}

/// Where the state can be looked at and a reload be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminConfig {
    /// An address and a port; port 0 takes a free one, which the log tells. Nobody is asked for a password here, so it
    /// is a loopback address unless another one is written down.
    pub listen: SocketAddr,
}

impl Default for HealthConfig {
    /// Everywhere, port 8080: kubelet and Prometheus ask from outside.
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8080),
        }
    }
}

impl Default for AdminConfig {
    /// On loopback, port 9911.
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9911),
        }
    }
}

impl AdminConfig {
    pub(super) fn check(&self, path: &Path, document: &mut Document) {
        if !self.listen.ip().is_loopback() {
            let reason = format!(
                "{} is no loopback address, and the admin API asks nobody who they are: whoever reaches it sees \
                 the configuration and may reload",
                self.listen
            );
            document.warn(&path.key("listen"), reason);
        }
    }
}

/// Faults for listeners that would be in each other's way.
pub(super) fn check_distinct(listeners: &[(Path, SocketAddr)], document: &mut Document) {
    for (number, (path, address)) in listeners.iter().enumerate() {
        let clash = listeners[..number].iter().find(|(_, other)| {
            address.port() != 0
                && address.port() == other.port()
                && (address.ip() == other.ip()
                    || address.ip().is_unspecified()
                    || other.ip().is_unspecified())
        });
        if let Some((other, at)) = clash {
            document.fault(path, format!("{address} is taken by {other}, {at}"));
        }
    }
}
