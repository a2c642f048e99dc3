//! `publish`: which outputs are written to which sinks.

use std::collections::HashSet;
use std::path::PathBuf;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use super::document::Document;
use super::error::suggestion;
use super::node::Path;
use super::place::{self, resolved};
use crate::output::backends::{Backends, BackendsConfig};
use crate::output::envoy::{EnvoyFiles, EnvoyFilesConfig, EnvoyFilesError};
use crate::output::haproxy::{Haproxy, HaproxyConfig, Slots};
use crate::output::json::Json;
use crate::output::nginx::{Nginx, NginxConfig};
use crate::output::prometheus::Prometheus;
use crate::output::traefik::{Traefik, TraefikConfig};
use crate::output::{self, Output};
use crate::sink::directory::{Directory, DirectoryConfig};
#[cfg(feature = "s3")]
use crate::sink::s3::{S3, S3Config};
use crate::sink::stdout::Stdout;
use crate::sink::{self, Sink};

/// One output written to one sink.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishConfig {
    /// What it is called in logs and metrics; unique. Unless set: the format and the kind of sink, and a number if there
    /// are several.
    pub name: String,
    /// Which output.
    pub format: Format,
    /// Which sink.
    pub sink: SinkConfig,
    /// Whether only the leader writes.
    pub leader_only: bool,
}

/// An output and its options.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Format {
    /// `backends`: names and targets, as discovery bridges pass them on.
    Backends(BackendsConfig),
    /// `envoy`: files for Envoy's file-based discovery.
    Envoy(EnvoyFilesConfig),
    /// `haproxy`: a backend for each cluster.
    Haproxy(HaproxyConfig),
    /// `json`: everything in one document.
    Json,
    /// `nginx`: an upstream for each cluster.
    Nginx(NginxConfig),
    /// `prometheus`: targets for file-based discovery.
    Prometheus,
    /// `traefik`: the file provider's dynamic configuration.
    Traefik(TraefikConfig),
}

/// The formats by name.
const FORMATS: [&str; 7] = [
    "backends",
    "envoy",
    "haproxy",
    "json",
    "nginx",
    "prometheus",
    "traefik",
];

/// A sink and where it writes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SinkConfig {
    /// `stdout`: standard output.
    Stdout,
    /// `directory`: files in a directory.
    Directory(DirectoryConfig),
    /// `s3`: objects in an S3-compatible store.
    #[cfg(feature = "s3")]
    S3(S3Config),
}

/// The sinks by name.
const SINKS: [&str; 3] = ["stdout", "directory", "s3"];

/// The keys of an entry besides the sink.
const KEYS: [&str; 4] = ["format", "options", "name", "leader_only"];

/// What has no options.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// What a publication is made of.
#[derive(Debug)]
pub struct Parts {
    /// What renders.
    pub output: Box<dyn Output>,
    /// What writes.
    pub sink: Box<dyn Sink>,
}

/// Why something cannot be published: which publication, and what is wrong with which of its fields.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("publication {name}: {field}: {reason}")]
pub struct PublishError {
    name: String,
    field: String,
    reason: String,
}

/// Reads the list; `None` if something is wrong with it, which is noted. The entries that can be read are checked also if
/// others cannot.
pub(super) fn read(path: &Path, document: &mut Document) -> Option<Vec<PublishConfig>> {
    let items = document.items(path);
    let count = items.len();
    let readable = items
        .into_iter()
        .filter_map(|item| Some((entry(&item, document)?, item)));
    let (mut entries, items): (Vec<_>, Vec<_>) = readable.unzip();
    let mut names: HashSet<String> = HashSet::new();
    for (entry, item) in entries.iter().zip(&items) {
        if !entry.name.is_empty() && !names.insert(entry.name.clone()) {
            let reason = format!("another publication is called `{}`", entry.name);
            document.fault(&item.key("name"), reason);
        }
    }
    for entry in entries.iter_mut().filter(|entry| entry.name.is_empty()) {
        let base = format!("{}-{}", entry.format.name(), entry.sink.name());
        let numbered = (2_u32..).map(|number| format!("{base}-{number}"));
        let free = std::iter::once(base.clone())
            .chain(numbered)
            .find(|name| !names.contains(name));
        entry.name = free.unwrap_or(base);
        names.insert(entry.name.clone());
    }
    distinct(&entries, &items, document);
    for (entry, item) in entries.iter().zip(&items) {
        if let Err(error) = entry.build() {
            let path = item.join(&Path::parse(&error.field));
            // It need not be checked where it runs: what is looked for in the environment and in other files may be there.
            if ["s3.credentials_file", "s3.ca_file"].contains(&error.field.as_str()) {
                document.warn(&path, format!("{}; it does not run here", error.reason));
            } else {
                document.fault(&path, error.reason);
            }
        }
        #[cfg(feature = "s3")]
        if let SinkConfig::S3(config) = &entry.sink
            && let Some(file) = &config.credentials_file
        {
            place::warn_unless_opened(&item.dotted("s3.credentials_file"), file, document);
        }
        #[cfg(feature = "s3")]
        if let SinkConfig::S3(config) = &entry.sink
            && config.is_top()
        {
            let reason = format!(
                "without `prefix` and `cluster_id` it writes at the top of {}; two gateways that do overwrite each other",
                config.url()
            );
            document.warn(&item.key("s3"), reason);
        }
    }
    (entries.len() == count).then_some(entries)
}

fn entry(path: &Path, document: &mut Document) -> Option<PublishConfig> {
    let known: Vec<&str> = KEYS.into_iter().chain(SINKS).collect();
    document.allow(path, &known);
    let name = document.read::<String>(&path.key("name"));
    if name.as_deref().is_some_and(|name| !is_name(name)) {
        let reason = "a name has 1 to 63 letters, digits, and -_. within";
        document.fault(&path.key("name"), reason);
    }
    let leader_only = document.read(&path.key("leader_only")).unwrap_or(false);
    let format = format(path, document);
    let sinks: Vec<&str> = SINKS
        .into_iter()
        .filter(|sink| document.has(&path.key(sink)))
        .collect();
    let sink = match sinks.as_slice() {
        [sink] => self::sink(sink, &path.key(sink), document),
        [] => {
            let reason = format!("say where to write, by one of {}", SINKS.join(", "));
            document.fault(path, reason);
            None
        }
        [_, second, ..] => {
            let reason = "there is a sink already; write another entry for this one";
            document.fault(&path.key(second), reason);
            None
        }
    };
    Some(PublishConfig {
        name: name.unwrap_or_default(),
        format: format?,
        sink: sink?,
        leader_only,
    })
}

/// Reads `format` and `options` of what stands at a path.
pub(super) fn format(path: &Path, document: &mut Document) -> Option<Format> {
    let at = path.key("format");
    let missing = format!("`format` is missing: one of {}", FORMATS.join(", "));
    let name: String = document.require(path, "format", &missing)?;
    let options = path.key("options");
    let format = match name.as_str() {
        "backends" => Format::Backends(document.read_section(&options)?),
        "envoy" => Format::Envoy(document.read_section(&options)?),
        "haproxy" => Format::Haproxy(document.read_section(&options)?),
        "json" => {
            document.read_section::<Nothing>(&options)?;
            Format::Json
        }
        "nginx" => Format::Nginx(document.read_section(&options)?),
        "prometheus" => {
            document.read_section::<Nothing>(&options)?;
            Format::Prometheus
        }
        "traefik" => Format::Traefik(document.read_section(&options)?),
        other => {
            let reason = format!(
                "`{other}` is not one of {}{}",
                FORMATS.join(", "),
                suggestion(other, &FORMATS)
            );
            document.fault(&at, reason);
            return None;
        }
    };
    Some(format)
}

fn sink(name: &str, path: &Path, document: &mut Document) -> Option<SinkConfig> {
    match name {
        "directory" => document.read_section(path).map(SinkConfig::Directory),
        #[cfg(feature = "s3")]
        "s3" => document.read_section(path).map(SinkConfig::S3),
        #[cfg(not(feature = "s3"))]
        "s3" => {
            document.fault(path, "this program was built without the feature `s3`");
            None
        }
        _ => document
            .read_section::<Nothing>(path)
            .map(|Nothing {}| SinkConfig::Stdout),
    }
}

/// Whether it is 1 to 63 letters, digits, and -_. within.
pub(super) fn is_name(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    bytes.len() <= 63
        && bytes.iter().copied().all(is_inner)
        && is_end(bytes.first())
        && is_end(bytes.last())
}

/// Faults for publications that would remove or replace each other's files, and warnings for those that may.
fn distinct(entries: &[PublishConfig], items: &[Path], document: &mut Document) {
    for (number, (entry, item)) in entries.iter().zip(items).enumerate() {
        let path = item.key(entry.sink.name());
        for other in &entries[..number] {
            match entry.sink.relation(&other.sink) {
                Relation::Apart => {}
                Relation::Same => {
                    document.fault(&path, format!("{} writes there already", other.name));
                }
                Relation::Nested => {
                    let name = &other.name;
                    let reason = format!(
                        "this directory and that of {name} are one below the other; they may be in each other's way"
                    );
                    document.warn(&path, reason);
                }
            }
            let slots = entry.format.slots_file();
            if slots.is_some() && slots == other.format.slots_file() {
                let reason = format!("{} keeps its slots there already", other.name);
                document.fault(&item.dotted("options.slots_file"), reason);
            }
        }
    }
}

/// How the places of two sinks lie to each other.
enum Relation {
    Apart,
    Same,
    Nested,
}

impl PublishConfig {
    /// The error for an option that its output does not take.
    pub(crate) fn wrong_option(&self, error: &output::ConfigError) -> PublishError {
        PublishError {
            name: self.name.clone(),
            field: format!("options.{}", error.field()),
            reason: error.reason().to_owned(),
        }
    }

    /// The output and the sink. Nothing is written and nobody is asked; certificates are read.
    ///
    /// # Errors
    /// When one of them cannot work as it is configured.
    pub fn build(&self) -> Result<Parts, PublishError> {
        let wrong = |field: String, reason: String| PublishError {
            name: self.name.clone(),
            field,
            reason,
        };
        let output = self
            .format
            .build(&self.sink)
            .map_err(|(field, reason)| wrong(format!("options.{field}"), reason))?;
        let sink = self.sink.build().map_err(|error| {
            let field = format!("{}.{}", self.sink.name(), error.field());
            wrong(field, error.reason().to_owned())
        })?;
        Ok(Parts { output, sink })
    }
}

impl Format {
    /// Its name in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Backends(_) => "backends",
            Self::Envoy(_) => "envoy",
            Self::Haproxy(_) => "haproxy",
            Self::Json => "json",
            Self::Nginx(_) => "nginx",
            Self::Prometheus => "prometheus",
            Self::Traefik(_) => "traefik",
        }
    }

    /// Where slots are kept, however it is spelled.
    fn slots_file(&self) -> Option<PathBuf> {
        match self {
            Self::Haproxy(config) => config.slots_file.as_deref().map(resolved),
            _ => None,
        }
    }

    pub(crate) fn build(
        &self,
        sink: &SinkConfig,
    ) -> Result<Box<dyn Output>, (&'static str, String)> {
        let wrong = |error: output::ConfigError| (error.field(), error.reason().to_owned());
        Ok(match self.clone() {
            Self::Backends(config) => Box::new(Backends::new(config)),
            Self::Envoy(config) => {
                let directory = match sink {
                    SinkConfig::Directory(directory) => Some(directory.path.as_path()),
                    _ => None,
                };
                let output = EnvoyFiles::new(config, directory).map_err(|error| {
                    let field = match &error {
                        EnvoyFilesError::Relative { field, .. }
                        | EnvoyFilesError::NotUnicode { field, .. } => field,
                        _ => "root",
                    };
                    (field, error.to_string())
                })?;
                Box::new(output)
            }
            Self::Haproxy(config) => {
                Box::new(Haproxy::new(config, Slots::default()).map_err(wrong)?)
            }
            Self::Json => Box::new(Json),
            Self::Nginx(config) => Box::new(Nginx::new(config).map_err(wrong)?),
            Self::Prometheus => Box::new(Prometheus),
            Self::Traefik(config) => Box::new(Traefik::new(config)),
        })
    }

    pub(super) fn options(&self) -> Result<serde_json::Value, serde_json::Error> {
        match self {
            Self::Backends(config) => serde_json::to_value(config),
            Self::Envoy(config) => serde_json::to_value(config),
            Self::Haproxy(config) => serde_json::to_value(config),
            Self::Nginx(config) => serde_json::to_value(config),
            Self::Traefik(config) => serde_json::to_value(config),
            Self::Json | Self::Prometheus => Ok(serde_json::Value::Null),
        }
    }
}

impl SinkConfig {
    /// Its name in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Directory(_) => "directory",
            #[cfg(feature = "s3")]
            Self::S3(_) => "s3",
        }
    }

    /// Where it writes, if others can write there, too, from elsewhere.
    pub(super) fn shared_place(&self) -> Option<String> {
        match self {
            #[cfg(feature = "s3")]
            Self::S3(config) => Some(config.url()),
            _ => None,
        }
    }

    fn build(&self) -> Result<Box<dyn Sink>, sink::ConfigError> {
        Ok(match self.clone() {
            Self::Stdout => Box::new(Stdout::new()),
            Self::Directory(config) => {
                let timeout = config.command_timeout;
                sink::ConfigError::refuse_long_step("command_timeout", timeout)?;
                let both = timeout.saturating_add(config.command_interval);
                sink::ConfigError::refuse_long_steps("command_interval", "command_timeout", both)?;
                Box::new(Directory::open(config)?)
            }
            #[cfg(feature = "s3")]
            Self::S3(config) => {
                let timeout = config.request_timeout;
                sink::ConfigError::refuse_long_step("request_timeout", timeout)?;
                Box::new(S3::open(&config)?)
            }
        })
    }

    fn relation(&self, other: &Self) -> Relation {
        match (self, other) {
            (Self::Directory(one), Self::Directory(two)) => {
                let (one, two) = (resolved(&one.path), resolved(&two.path));
                if one == two {
                    Relation::Same
                } else if one.starts_with(&two) || two.starts_with(&one) {
                    Relation::Nested
                } else {
                    Relation::Apart
                }
            }
            #[cfg(feature = "s3")]
            (Self::S3(one), Self::S3(two)) if one.place() == two.place() => Relation::Same,
            _ => Relation::Apart,
        }
    }
}

impl Serialize for PublishConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("format", self.format.name())?;
        let options = self.format.options().map_err(serde::ser::Error::custom)?;
        if !options.is_null() {
            map.serialize_entry("options", &options)?;
        }
        match &self.sink {
            SinkConfig::Stdout => map.serialize_entry("stdout", &serde_json::json!({}))?,
            SinkConfig::Directory(config) => map.serialize_entry("directory", config)?,
            #[cfg(feature = "s3")]
            SinkConfig::S3(config) => map.serialize_entry("s3", config)?,
        }
        map.serialize_entry("leader_only", &self.leader_only)?;
        map.end()
    }
}
