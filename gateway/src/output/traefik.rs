//! Traefik: services for its file provider, as dynamic configuration in YAML (`kubedex.yaml`).
//!
//! Services only: routers, middlewares and transports are its users' business, in files of their own. A file that Traefik
//! finds fault with is dropped as a whole, so what it does not take, such as an empty map, is never written.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::escape::TRAEFIK;
use super::wire::{DefaultProtocol, Wire};
use super::{File, Output, Rendering, hashed, inexpressible, quoted};
use crate::model::{Cluster, Problem, Snapshot};

/// How services for Traefik are written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TraefikConfig {
    /// Whether TCP clusters without an application protocol become HTTP services, which is the default, or TCP services.
    pub default_protocol: DefaultProtocol,
    /// Put before every name, such as `eu-1/`; empty by default. It keeps the services of several Kubernetes clusters
    /// apart.
    pub name_prefix: String,
    /// How HTTP services keep a client at one server when the cluster asks for it; not at all by default.
    pub client_ip_affinity: ClientIpAffinity,
    /// The `serversTransport` of services that are reached by HTTPS, such as `internal@file`, which says what
    /// certificates are trusted; Traefik's own default if there is none.
    pub servers_transport: Option<String>,
}

/// How Traefik keeps a client at one server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientIpAffinity {
    /// Not at all, which is a problem of each cluster that asks for it.
    #[default]
    None,
    /// By the strategy `hrw`, which hashes the client's address. Traefik has it since 3.5; older ones refuse the whole
    /// file.
    Hrw,
}

/// Renders a snapshot for Traefik's file provider.
#[derive(Clone, Debug, Default)]
pub struct Traefik {
    config: TraefikConfig,
}

/// What kinds of services there are, in the order in which they are written.
const SECTIONS: [&str; 3] = ["http", "tcp", "udp"];

impl Traefik {
    /// As the configuration says.
    pub fn new(config: TraefikConfig) -> Self {
        Self { config }
    }

    fn service(&self, text: &mut String, cluster: &Cluster, wire: Wire) {
        let name = &cluster.name;
        let name = TRAEFIK.escape(&format!("{}{name}", self.config.name_prefix));
        let (key, scheme) = match wire {
            Wire::Http => ("url", "http://"),
            Wire::Https => ("url", "https://"),
            Wire::H2c => ("url", "h2c://"),
            Wire::Tcp | Wire::Udp => ("address", ""),
        };
        let _ = writeln!(text, "    \"{name}\":\n      loadBalancer:");
        if wire.is_http() && self.keeps_clients(cluster) {
            text.push_str("        strategy: hrw\n");
        }
        if let (Wire::Https, Some(transport)) = (wire, &self.config.servers_transport) {
            let _ = writeln!(text, "        serversTransport: {}", quoted(transport));
        }
        let mut servers = cluster.served().filter(|(_, drains)| !drains).peekable();
        // A load balancer with nothing in it is refused, one with an empty list is not.
        if servers.peek().is_none() {
            text.push_str("        servers: []\n");
            return;
        }
        text.push_str("        servers:\n");
        for (endpoint, _) in servers {
            let socket = endpoint.socket();
            let _ = writeln!(text, "          - {key}: \"{scheme}{socket}\"");
        }
    }

    fn keeps_clients(&self, cluster: &Cluster) -> bool {
        cluster.session_affinity.is_some()
            && self.config.client_ip_affinity == ClientIpAffinity::Hrw
    }

    fn problem(&self, cluster: &Cluster, wire: Option<Wire>) -> Option<Problem> {
        let what = match (wire, cluster.session_affinity) {
            (None, _) => {
                let protocol = &cluster.protocol;
                format!("there are no services for {protocol}; the cluster is left out")
            }
            (Some(_), None) => return None,
            (Some(Wire::Tcp | Wire::Udp), Some(_)) => {
                "TCP and UDP services have no session affinity; clients go to any server".into()
            }
            (Some(_), Some(affinity)) if self.keeps_clients(cluster) => hashed(affinity),
            (Some(_), Some(_)) => {
                "affinity to client addresses needs the option `client_ip_affinity: hrw` and Traefik 3.5; \
                 clients go to any server"
                    .into()
            }
        };
        Some(inexpressible("traefik", cluster, what))
    }
}

impl Output for Traefik {
    fn format(&self) -> &'static str {
        "traefik"
    }

    fn render(&mut self, snapshot: &Snapshot, _last: Option<&Snapshot>) -> Rendering {
        let mut sections = SECTIONS.map(|_| String::new());
        let mut problems = Vec::new();
        for cluster in snapshot.clusters() {
            let wire = Wire::of(cluster, self.config.default_protocol);
            problems.extend(self.problem(cluster, wire));
            let section = match wire {
                Some(Wire::Http | Wire::Https | Wire::H2c) => 0,
                Some(Wire::Tcp) => 1,
                Some(Wire::Udp) => 2,
                None => continue,
            };
            if let Some(wire) = wire {
                self.service(&mut sections[section], cluster, wire);
            }
        }
        let mut text = "# Written by kubedex-gateway; changes are overwritten.\n".to_owned();
        for (name, section) in SECTIONS.iter().zip(&sections) {
            if !section.is_empty() {
                let _ = write!(text, "{name}:\n  services:\n{section}");
            }
        }
        if sections.iter().all(String::is_empty) {
            text.push_str("{}\n");
        }
        let file = File::text("kubedex.yaml", "application/yaml", text);
        Rendering::whole(vec![file], problems)
    }
}
