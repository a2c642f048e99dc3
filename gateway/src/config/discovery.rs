//! `discovery`: which Services become clusters, and how.

use kubedex::resource::is_dns_label;
use kubedex::selector::LabelSelector;
use serde::{Deserialize, Serialize};

use super::document::Document;
use super::node::Path;
use crate::translate::{IpFamily, Options};

/// Which Services become clusters, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    pub ip_family: Option<Family>,
    /// The gateway's zone: use topology hints to stay within it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<Box<str>>,
    /// The gateway's node: use topology hints to stay on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<Box<str>>,
    /// List endpoints that drain also beside ready ones.
    pub include_draining: bool,
}

/// A family of addresses as Kubernetes spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Family {
    /// `IPv4`
    #[serde(rename = "IPv4")]
    V4,
    /// `IPv6`
    #[serde(rename = "IPv6")]
    V6,
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
    }

    /// How Services are translated.
    pub fn options(&self) -> Options {
        Options {
            zone: self.zone.clone(),
            node: self.node.clone(),
            ip_family: self.ip_family.map(|family| match family {
                Family::V4 => IpFamily::V4,
                Family::V6 => IpFamily::V6,
            }),
            include_draining: self.include_draining,
        }
    }
}
