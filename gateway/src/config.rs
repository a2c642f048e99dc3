//! The configuration file, `gateway.yaml`.
//!
//! It is read as a tree that knows its places, section by section, so that every fault is told at once, each with its
//! line, column and field. A key that nobody knows is a fault. What can be checked without a server is checked here;
//! nothing is opened, written or connected.
//!
//! The least configuration is `publish: [{format: json, stdout: {}}]`.

mod cluster;
mod discovery;
mod document;
pub mod duration;
mod election;
mod error;
mod file;
mod listen;
mod mask;
mod node;
mod percent;
mod read;

pub use cluster::ClusterConfig;
pub use discovery::DiscoveryConfig;
pub use election::{DEFAULT_LEASE, ElectionConfig};
pub use error::{ConfigError, Fault};
pub use file::{MAX_SIZE, read};
pub use listen::{AdminConfig, HealthConfig};
pub use mask::mask;
pub use percent::Percent;

use std::path::Path as FilePath;

use serde::Serialize;
use serde_json::Value;

use document::Document;
use node::Path;

/// A configuration that was checked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    /// Which cluster is watched.
    pub cluster: ClusterConfig,
    /// Which Services become clusters, and how.
    pub discovery: DiscoveryConfig,
    /// Where health and metrics are served.
    pub health: HealthConfig,
    /// Where the admin API is served.
    pub admin: AdminConfig,
    /// How replicas agree on one that writes; `None` if all do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader_election: Option<ElectionConfig>,
    /// What works and may not be meant, in the order in which it stands in the file.
    #[serde(skip)]
    pub warnings: Vec<Fault>,
}

/// The sections of the file.
const SECTIONS: [&str; 5] = ["cluster", "discovery", "health", "admin", "leader_election"];

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn load(path: &FilePath) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        match read(path) {
            Ok(text) => Self::parse(&name, &text),
            Err(error) => {
                let fault = Fault::of_file(format!("it cannot be read: {error}"));
                Err(ConfigError::new(&name, vec![fault]))
            }
        }
    }

    /// Reads and checks a text; `file` is what errors call it.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let mut document =
            Document::parse(text).map_err(|fault| ConfigError::new(file, vec![fault]))?;
        let config = Self::read(&mut document);
        match config {
            Some(mut config) if document.faults.is_empty() => {
                config.warnings = document.warnings;
                config.warnings.sort();
                Ok(config)
            }
            _ => Err(ConfigError::new(file, document.faults)),
        }
    }

    fn read(document: &mut Document) -> Option<Self> {
        document.allow(&Path::default(), &SECTIONS);
        let at = |section: &str| Path::from(section);

        let cluster: Option<ClusterConfig> = document.read_section(&at("cluster"));
        if let Some(cluster) = &cluster {
            cluster.check(&at("cluster"), document);
        }
        let discovery: Option<DiscoveryConfig> = document.read_section(&at("discovery"));
        if let Some(discovery) = &discovery {
            discovery.check(&at("discovery"), document);
        }
        let health: Option<HealthConfig> = document.read_section(&at("health"));
        let admin: Option<AdminConfig> = document.read_section(&at("admin"));
        if let Some(admin) = &admin {
            admin.check(&at("admin"), document);
        }
        let mut listeners = Vec::new();
        listeners.extend(health.map(|health| (at("health").key("listen"), health.listen)));
        listeners.extend(admin.map(|admin| (at("admin").key("listen"), admin.listen)));
        listen::check_distinct(&listeners, document);

        let election = if document.has(&at("leader_election")) {
            let election: Option<ElectionConfig> = document.read_section(&at("leader_election"));
            if let Some(election) = &election {
                election.check(&at("leader_election"), document);
            }
            election
        } else {
            None
        };
        Some(Self {
            cluster: cluster?,
            discovery: discovery?,
            health: health?,
            admin: admin?,
            leader_election: election,
            warnings: Vec::new(),
        })
    }

    /// The configuration as it counts, with every default, and secrets masked.
    pub fn effective(&self) -> Value {
        // Everything in it has string keys and forms that JSON has.
        let mut value = serde_json::to_value(self).unwrap_or_default();
        mask(&mut value);
        value
    }
}

#[cfg(test)]
mod tests;
