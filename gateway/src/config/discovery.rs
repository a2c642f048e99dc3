//! `discovery`: which Services become clusters, and how.

use std::num::NonZeroU16;
use std::time::Duration;

use kubedex::resource::{is_dns_label, is_dns_subdomain};
use kubedex::selector::LabelSelector;
use serde::{Deserialize, Serialize};

use super::document::Document;
use super::duration;
use super::node::Path;
use super::publish::is_name;
use crate::engine::MOST_COALESCING;
use crate::guard::GuardConfig;
use crate::live::{COALESCING, LiveConfig};
use crate::translate::{Choice, IpFamily, Options};

/// Which Services become clusters, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiscoveryConfig {
    /// The namespaces; none means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// A label selector on Services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Use addresses of this family only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_family: Option<IpFamily>,
    /// The gateway's zone: use topology hints to stay within it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<Box<str>>,
    /// The gateway's node: use topology hints to stay on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<Box<str>>,
    /// List endpoints that drain also beside ready ones.
    pub include_draining: bool,
    /// The Service ports to make clusters of, by name, or by number where they have none; none means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Box<str>>,
    /// The annotation by which Services say whether they are wanted; without it all are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotation: Option<Choice>,
    /// The first change is published at once, then there is at most one publication in this time; 0 for no bound.
    #[serde(with = "duration")]
    pub coalescing: Duration,
    /// When a sudden loss of most endpoints is held back.
    pub guard: GuardConfig,
}

impl Default for DiscoveryConfig {
    fn default() -> Self {
        Self {
            namespaces: Vec::new(),
            selector: None,
            ip_family: None,
            zone: None,
            node: None,
            include_draining: false,
            ports: Vec::new(),
            annotation: None,
            coalescing: COALESCING,
            guard: GuardConfig::default(),
        }
    }
}

impl DiscoveryConfig {
    pub(super) fn check(&self, path: &Path, document: &mut Document) {
        let namespaces = path.key("namespaces");
        for (index, namespace) in self.namespaces.iter().enumerate() {
            let at = namespaces.index(index);
            if !is_dns_label(namespace) {
                let reason = format!(
                    "`{namespace}` is no namespace: at most 63 of a-z, 0-9 and -, and no - at either end"
                );
                document.fault(&at, reason);
            } else if self.namespaces[..index].contains(namespace) {
                document.fault(&at, format!("`{namespace}` stands in the list before"));
            }
        }
        if self.namespaces.is_empty() && document.has(&namespaces) {
            let reason = "the list is empty; leave it out to watch all namespaces";
            document.fault(&namespaces, reason);
        }
        if let Some(selector) = &self.selector {
            let at = path.key("selector");
            match selector.parse::<LabelSelector>() {
                Ok(selector) if selector.is_empty() => {
                    document.fault(&at, "it selects everything; leave it out instead");
                }
                Ok(_) => {}
                Err(error) => document.fault(&at, error.to_string()),
            }
        }
        for (field, text) in [("zone", &self.zone), ("node", &self.node)] {
            if text.as_deref().is_some_and(|text| text.trim().is_empty()) {
                document.fault(&path.key(field), "it is empty; leave it out instead");
            }
        }
        let ports = path.key("ports");
        for (index, port) in self.ports.iter().enumerate() {
            let at = ports.index(index);
            let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
            if port.is_empty() {
                let reason = "it is empty; a port without a name is called by its number";
                document.fault(&at, reason);
            } else if !is_dns_label(port) {
                let reason = format!(
                    "`{port}` is no port: a name has at most 63 of a-z, 0-9 and -, and no - at either end"
                );
                document.fault(&at, reason);
            } else if is_number && port.parse::<NonZeroU16>().is_err() {
                document.fault(&at, format!("`{port}` is no port: write 1 to 65535"));
            }
        }
        if self.ports.is_empty() && document.has(&ports) {
            let reason = "the list is empty; leave it out to make clusters of all ports";
            document.fault(&ports, reason);
        }
        if let Some(Choice { key, .. }) = &self.annotation
            && !is_qualified_name(key)
        {
            let reason = format!("`{key}` is no annotation's key, such as example.com/expose");
            document.fault(&path.key("annotation").key("key"), reason);
        }
        if self.coalescing > MOST_COALESCING {
            document.fault(&path.key("coalescing"), "it is more than a minute");
        }
    }

    /// What is watched, and how Services are translated.
    pub fn live(&self) -> LiveConfig {
        LiveConfig {
            namespaces: self.namespaces.clone(),
            selector: self.selector.clone(),
            options: Options {
                zone: self.zone.clone(),
                node: self.node.clone(),
                ip_family: self.ip_family,
                include_draining: self.include_draining,
                ports: self.ports.iter().cloned().collect(),
                annotation: self.annotation.clone(),
            },
        }
    }
}

/// Whether Kubernetes takes it for the key of an annotation: a name, and perhaps a domain and a slash before it.
fn is_qualified_name(key: &str) -> bool {
    match key.split_once('/') {
        Some((domain, name)) => is_dns_subdomain(&domain.to_ascii_lowercase()) && is_name(name),
        None => is_name(key),
    }
}
