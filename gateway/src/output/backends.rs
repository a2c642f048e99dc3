//! Backends: names with their targets, in the shape that discovery bridges pass on.
//!
//! ```json
//! {"backends":[{"name":"k8s/shop/api:http","targets":[{"ip":"10.0.0.1","port":8080,"protocol":"TCP"}]}]}
//! ```
//!
//! The shape has no place for session affinity, zones and states: a target that drains beside ready ones is left out.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{File, Output, Rendering, inexpressible};
use crate::model::{Cluster, Snapshot};

/// How backends are written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackendsConfig {
    /// Put before every name, such as `eu-1/`; empty by default.
    pub name_prefix: String,
    /// The language; JSON by default.
    pub encoding: Encoding,
}

/// A language to write in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// `backends.json`
    #[default]
    Json,
    /// `backends.yaml`
    Yaml,
}

/// Renders a snapshot as backends.
#[derive(Clone, Debug, Default)]
pub struct Backends {
    config: BackendsConfig,
}

#[derive(Serialize)]
struct Document<'a> {
    backends: Vec<Backend<'a>>,
}

#[derive(Serialize)]
struct Backend<'a> {
    name: Cow<'a, str>,
    targets: Vec<Target<'a>>,
}

#[derive(Serialize)]
struct Target<'a> {
    ip: IpAddr,
    port: u16,
    protocol: &'a str,
}

impl Backends {
    /// As the configuration says.
    pub fn new(config: BackendsConfig) -> Self {
        Self { config }
    }

    fn backend<'a>(&self, cluster: &'a Cluster) -> Backend<'a> {
        let prefix = self.config.name_prefix.as_str();
        let name = if prefix.is_empty() {
            Cow::Borrowed(&*cluster.name)
        } else {
            Cow::Owned(format!("{prefix}{}", cluster.name))
        };
        let targets = cluster
            .served()
            .filter(|(_, drains)| !drains)
            .map(|(endpoint, _)| Target {
                ip: endpoint.address,
                port: endpoint.port,
                protocol: cluster.protocol.as_str(),
            });
        Backend {
            name,
            targets: targets.collect(),
        }
    }
}

impl Output for Backends {
    fn format(&self) -> &'static str {
        "backends"
    }

    fn render(&mut self, snapshot: &Snapshot, _last: Option<&Snapshot>) -> Rendering {
        let clusters = snapshot.clusters();
        let document = Document {
            backends: clusters.map(|cluster| self.backend(cluster)).collect(),
        };
        let file = match self.config.encoding {
            Encoding::Json => {
                let text = super::json(&document);
                File::text("backends.json", "application/json", text)
            }
            Encoding::Yaml => File::text("backends.yaml", "application/yaml", yaml(&document)),
        };
        let problems = snapshot
            .clusters()
            .filter(|cluster| cluster.session_affinity.is_some())
            .map(|cluster| {
                let what = "a backend has no session affinity; requests go to any target";
                inexpressible("backends", cluster, what)
            });
        Rendering::whole(vec![file], problems.collect())
    }
}

/// YAML by hand: every string is a JSON string, which YAML reads as the same.
fn yaml(document: &Document<'_>) -> String {
    let mut text = String::new();
    if document.backends.is_empty() {
        text.push_str("backends: []\n");
        return text;
    }
    text.push_str("backends:\n");
    for backend in &document.backends {
        text.push_str("  - name: ");
        text.push_str(&super::quoted(&backend.name));
        if backend.targets.is_empty() {
            text.push_str("\n    targets: []\n");
            continue;
        }
        text.push_str("\n    targets:\n");
        for target in &backend.targets {
            let Target { ip, port, protocol } = target;
            text.push_str(&format!(
                "      - ip: \"{ip}\"\n        port: {port}\n        protocol: {}\n",
                super::quoted(protocol)
            ));
        }
    }
    text
}
