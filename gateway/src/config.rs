//! The configuration file, `gateway.yaml`.
//!
//! It is read as a tree that knows its places, section by section, so that every fault is told at once, each with its
//! line, column and field. A key that nobody knows is a fault, and so is one with nothing after it where a value is wanted. What
//! can be checked without a server is checked here; nothing is written and nobody is asked, but files that it names may be
//! read.
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
mod place;
mod publish;
mod read;
mod serve;

pub use cluster::ClusterConfig;
pub use discovery::DiscoveryConfig;
pub use election::{DEFAULT_LEASE, ElectionConfig};
pub use error::{ConfigError, Fault};
pub use file::{MAX_SIZE, read};
pub use listen::{AdminConfig, HealthConfig};
pub use percent::Percent;
pub use publish::{Format, Parts, PublishConfig, PublishError, SinkConfig};
pub use serve::{DocumentConfig, ServeConfig};

use std::path::Path as FilePath;

use serde::Serialize;
use serde_json::Value;

use crate::engine::EngineConfig;
use crate::model::Origin;
use crate::statics::{self, FieldError, StaticCluster};
#[cfg(feature = "xds")]
use crate::xds::{XdsConfig, XdsError};
use document::Document;
use node::Path;

/// A configuration that was checked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    /// Which cluster is watched.
    pub cluster: ClusterConfig,
    /// Which Services become clusters, and how.
    pub discovery: DiscoveryConfig,
    /// Which of a static and a discovered cluster of the same name is used.
    pub static_precedence: Origin,
    /// Clusters that are not discovered.
    #[serde(rename = "static", skip_serializing_if = "Vec::is_empty")]
    pub statics: Vec<StaticCluster>,
    /// Which outputs are written to which sinks.
    pub publish: Vec<PublishConfig>,
    /// Documents for consumers that ask for them; `None` serves none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<ServeConfig>,
    /// Where Envoys are told by ADS; `None` tells none.
    #[cfg(feature = "xds")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xds: Option<XdsConfig>,
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
const SECTIONS: [&str; 10] = [
    "cluster",
    "discovery",
    "static_precedence",
    "static",
    "publish",
    "http",
    "xds",
    "health",
    "admin",
    "leader_election",
];

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn load(path: &FilePath) -> Result<Self, ConfigError> {
        Self::load_with_text(path).map(|(config, _)| config)
    }

    /// As [`Config::load`], with what stands in the file.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn load_with_text(path: &FilePath) -> Result<(Self, String), ConfigError> {
        let name = path.display().to_string();
        match read(path) {
            Ok(text) => Self::parse(&name, &text).map(|config| (config, text)),
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
            _ => {
                let mut faults = document.faults;
                if faults.is_empty() {
                    faults.push(Fault::of_file("something in it cannot be used"));
                }
                Err(ConfigError::new(file, faults))
            }
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
        let precedence = if document.has_value(&at("static_precedence")) {
            document.read(&at("static_precedence"))
        } else {
            Some(Origin::Static)
        };
        let statics: Option<Vec<StaticCluster>> = if document.has_value(&at("static")) {
            document.read(&at("static"))
        } else {
            Some(Vec::new())
        };
        if let Some(Err(errors)) = statics.as_deref().map(statics::check) {
            for FieldError { path, reason } in errors {
                document.fault(&Path::parse(&path), reason);
            }
        }
        let publish = publish::read(&at("publish"), document);
        let http = if document.has(&at("http")) {
            serve::read(&at("http"), document)
        } else {
            None
        };
        #[cfg(feature = "xds")]
        let xds = xds(&at("xds"), document);
        #[cfg(not(feature = "xds"))]
        if document.has(&at("xds")) {
            let reason = "this program was built without the feature `xds`";
            document.fault(&at("xds"), reason);
        }
        let health: Option<HealthConfig> = document.read_section(&at("health"));
        let admin: Option<AdminConfig> = document.read_section(&at("admin"));
        if let Some(admin) = &admin {
            admin.check(&at("admin"), document);
        }
        let mut listeners = Vec::new();
        listeners.extend(health.map(|health| (at("health").key("listen"), health.listen)));
        listeners.extend(admin.map(|admin| (at("admin").key("listen"), admin.listen)));
        let http_listen = http.as_ref().map(|http| http.http.listen);
        listeners.extend(http_listen.map(|listen| (at("http").key("listen"), listen)));
        #[cfg(feature = "xds")]
        listeners.extend(
            xds.as_ref()
                .map(|xds| (at("xds").key("listen"), xds.listen)),
        );
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
        let publish = publish?;
        leaders(&publish, election.is_some(), document);
        if publish.is_empty() && !document.has(&at("http")) && !document.has(&at("xds")) {
            let reason = "nothing is published: there is no `publish`, `http` or `xds`";
            document.warn(&Path::default(), reason);
        }
        Some(Self {
            cluster: cluster?,
            discovery: discovery?,
            static_precedence: precedence?,
            statics: statics?,
            publish,
            http,
            #[cfg(feature = "xds")]
            xds,
            health: health?,
            admin: admin?,
            leader_election: election,
            warnings: Vec::new(),
        })
    }

    /// What the engine is to do.
    pub fn engine(&self) -> EngineConfig {
        EngineConfig {
            live: self.discovery.live(),
            coalescing: self.discovery.coalescing,
            guard: self.discovery.guard,
            statics: self.statics.clone(),
            static_precedence: self.static_precedence,
        }
    }

    /// What counts once another configuration is taken up while this one runs, and the sections of that which need a
    /// restart.
    pub fn reloaded(&self, other: Self) -> (Self, Vec<&'static str>) {
        let mut needs_restart = Vec::new();
        let mut section = |name, differs| {
            if differs {
                needs_restart.push(name);
            }
        };
        section("cluster", self.cluster != other.cluster);
        section("publish", self.publish != other.publish);
        section("http", self.http != other.http);
        #[cfg(feature = "xds")]
        section("xds", self.xds != other.xds);
        section("health", self.health != other.health);
        section("admin", self.admin != other.admin);
        section(
            "leader_election",
            self.leader_election != other.leader_election,
        );
        let next = Self {
            discovery: other.discovery,
            static_precedence: other.static_precedence,
            statics: other.statics,
            warnings: other.warnings,
            ..self.clone()
        };
        (next, needs_restart)
    }

    /// The configuration as it counts, with every default, and secrets masked.
    pub fn effective(&self) -> Value {
        // Everything in it has string keys and forms that JSON has.
        let mut value = serde_json::to_value(self).unwrap_or_default();
        mask::mask(&mut value);
        mask::drop_absent(&mut value);
        value
    }
}

/// Where Envoys are told, if so.
#[cfg(feature = "xds")]
fn xds(path: &Path, document: &mut Document) -> Option<XdsConfig> {
    if !document.has(path) {
        return None;
    }
    let config: XdsConfig = document.read_section(path)?;
    if let Err(error) = config.check() {
        let field = match &error {
            XdsError::Insecure { .. } | XdsError::Listen { .. } => "listen",
            XdsError::UpstreamCa { .. } => "upstream_ca",
            _ => "tls",
        };
        let mut reason = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            reason = format!("{reason}: {error}");
            cause = error.source();
        }
        let path = path.key(field);
        // It need not be checked where it runs, and the certificates are there.
        if field == "tls" {
            document.warn(&path, format!("{reason}; it does not run here"));
        } else {
            document.fault(&path, reason);
        }
    }
    Some(config)
}

/// Faults and warnings for publications that only a leader writes.
fn leaders(publish: &[PublishConfig], has_election: bool, document: &mut Document) {
    let path = Path::from("publish");
    let mut any = false;
    for (index, publication) in publish.iter().enumerate() {
        any |= publication.leader_only;
        if let Some(at) = publication.sink.shared_place()
            && has_election
            && !publication.leader_only
        {
            let reason = format!(
                "every replica writes to {at}, and they overwrite each other; `leader_only: true` lets one of them"
            );
            document.warn(&path.index(index).key(publication.sink.name()), reason);
        }
        if publication.leader_only && !has_election {
            let reason = "there is no `leader_election`; `leader_election: {}` takes the defaults";
            document.fault(&path.index(index).key("leader_only"), reason);
        }
    }
    if has_election && !any {
        let reason = "no publication is `leader_only`, so that every replica writes all of them";
        document.warn(&Path::from("leader_election"), reason);
    }
}

#[cfg(test)]
mod tests;
