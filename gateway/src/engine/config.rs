//! What an engine is to do: plain data, checked as a whole.

use std::sync::Arc;
use std::time::Duration;

use kubedex::resource::is_dns_label;
use kubedex::selector::LabelSelector;
use serde::{Deserialize, Serialize};

use crate::guard::GuardConfig;
use crate::live::{COALESCING, LiveConfig};
use crate::model::{Cluster, Origin};
use crate::statics::{self, FieldError, StaticCluster};
use crate::translate::{Choice, IpFamily, Options};

use super::duration;

/// The longest coalescing: who waits longer for news has no use for a watch.
pub const MOST_COALESCING: Duration = Duration::from_secs(60);

/// What an engine is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// What is discovered, and how.
    pub discovery: DiscoveryConfig,
    /// Clusters that are not discovered.
    pub statics: Vec<StaticCluster>,
    /// Which of a static and a discovered cluster of the same name is used.
    pub static_precedence: Origin,
}

impl Default for EngineConfig {
    /// Everything is discovered; a static cluster overrides a discovered one.
    fn default() -> Self {
        Self {
            discovery: DiscoveryConfig::default(),
            statics: Vec::new(),
            static_precedence: Origin::Static,
        }
    }
}

/// What is discovered, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiscoveryConfig {
    /// The namespaces; none means all.
    pub namespaces: Vec<String>,
    /// A label selector on Services, such as `app=web,tier!=cache`.
    pub selector: Option<String>,
    /// Use addresses of this family only.
    pub ip_family: Option<IpFamily>,
    /// The gateway's zone, for topology hints.
    pub zone: Option<Box<str>>,
    /// The gateway's node, for topology hints.
    pub node: Option<Box<str>>,
    /// List endpoints that drain also beside ready ones.
    pub include_draining: bool,
    /// The Service ports to make clusters of, by name, or by number where they have none; none means all.
    pub ports: Vec<Box<str>>,
    /// The annotation by which Services say whether they are wanted; without it all are.
    pub annotation: Option<Choice>,
    /// The first change is published at once, then there is at most one publication in this time; at most
    /// [`MOST_COALESCING`], 0 for none.
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

impl EngineConfig {
    /// Checks all of it, and gives the static clusters. The paths of errors are those of the configuration file: of
    /// discovery below `discovery`, of static clusters below `static`.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn check(&self) -> Result<Vec<Arc<Cluster>>, Vec<FieldError>> {
        let mut errors = self.discovery.check();
        match statics::check(&self.statics) {
            Ok(clusters) if errors.is_empty() => return Ok(clusters),
            Ok(_) => {}
            Err(more) => errors.extend(more),
        }
        Err(errors)
    }
}

impl DiscoveryConfig {
    fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut add = |field: &str, reason: &str| {
            errors.push(FieldError {
                path: format!("discovery.{field}"),
                reason: reason.to_owned(),
            });
        };
        for (index, name) in self.namespaces.iter().enumerate() {
            if !is_dns_label(name) {
                let reason = "a namespace has at most 63 of a-z, 0-9 and -, and no - at either end";
                add(&format!("namespaces[{index}]"), reason);
            }
        }
        if let Some(text) = &self.selector {
            match text.parse::<LabelSelector>() {
                Ok(selector) if selector.is_empty() => {
                    add("selector", "it selects everything; leave it out");
                }
                Ok(_) => {}
                Err(error) => add("selector", &error.to_string()),
            }
        }
        for (index, port) in self.ports.iter().enumerate() {
            if port.is_empty() {
                add(
                    &format!("ports[{index}]"),
                    "it is empty; a port without a name is called by its number",
                );
            }
        }
        if self.annotation.as_ref().is_some_and(|it| it.key.is_empty()) {
            add("annotation.key", "it is empty");
        }
        if self.coalescing > MOST_COALESCING {
            add("coalescing", "it is more than a minute");
        }
        errors
    }

    /// What of it the watchers and the translation need.
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
