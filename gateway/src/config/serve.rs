//! `http`: documents for consumers that ask for them.

use std::collections::HashSet;
use std::net::SocketAddr;

use serde::{Serialize, Serializer};

use super::document::Document;
use super::node::Path;
use super::publish::{Format, SinkConfig};
use crate::http::{HttpConfig, MAX_CONNECTIONS, SNAPSHOT};
use crate::output::traefik::TraefikConfig;

/// Documents for consumers that ask for them, beside the snapshot itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ServeConfig {
    /// Where they are served.
    pub http: HttpConfig,
    /// The documents; `/traefik` and `/prometheus` unless set.
    pub documents: Vec<DocumentConfig>,
}

/// One document.
#[derive(Clone, Debug, PartialEq)]
pub struct DocumentConfig {
    /// Its path, such as `/traefik`.
    pub path: String,
    /// The output that makes it.
    pub format: Format,
}

/// Reads the section; `None` if something is wrong with it, which is noted.
pub(super) fn read(path: &Path, document: &mut Document) -> Option<ServeConfig> {
    document.allow(path, &["listen", "max_connections", "documents"]);
    let missing = "`listen` is missing: an address such as 127.0.0.1:8081";
    let listen: Option<SocketAddr> = document.require(path, "listen", missing);
    let connections = path.key("max_connections");
    let max_connections = if document.has(&connections) {
        let number: Option<usize> = document.read(&connections);
        if number == Some(0) {
            document.fault(&connections, "at least one connection is needed");
        }
        number
    } else {
        Some(MAX_CONNECTIONS)
    };
    let documents = if document.has(&path.key("documents")) {
        documents(&path.key("documents"), document)
    } else {
        Some(defaults())
    };
    let http = HttpConfig {
        max_connections: max_connections?,
        ..HttpConfig::new(listen?)
    };
    Some(ServeConfig {
        http,
        documents: documents?,
    })
}

fn defaults() -> Vec<DocumentConfig> {
    let document = |path: &str, format| DocumentConfig {
        path: path.to_owned(),
        format,
    };
    vec![
        document("/traefik", Format::Traefik(TraefikConfig::default())),
        document("/prometheus", Format::Prometheus),
    ]
}

fn documents(path: &Path, document: &mut Document) -> Option<Vec<DocumentConfig>> {
    let items = document.items(path);
    let mut paths = HashSet::from([SNAPSHOT.to_owned()]);
    let mut documents = Vec::new();
    for item in &items {
        document.allow(item, &["path", "format", "options"]);
        let missing = "`path` is missing: one such as /traefik";
        let at: Option<String> = document.require(item, "path", missing);
        if let Some(at) = &at {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte);
            if !at.starts_with('/') || at.len() < 2 || !at.bytes().all(is_plain) {
                let reason =
                    format!("`{at}` is no path such as /traefik, of letters, digits and -_.");
                document.fault(&item.key("path"), reason);
            } else if !paths.insert(at.clone()) {
                document.fault(&item.key("path"), format!("`{at}` is served already"));
            }
        }
        let format = super::publish::format(item, document);
        if let Some(format) = &format {
            check_format(item, format, document);
        }
        documents.push(
            at.zip(format)
                .map(|(path, format)| DocumentConfig { path, format }),
        );
    }
    documents.into_iter().collect()
}

fn check_format(item: &Path, format: &Format, document: &mut Document) {
    match format {
        Format::Envoy(_) => {
            let reason = "it makes several files, and a document is one; see `xds`";
            document.fault(&item.key("format"), reason);
        }
        Format::Nginx(_) => {
            let reason = "it makes a file for http and one for stream, and a document is one";
            document.fault(&item.key("format"), reason);
        }
        Format::Haproxy(config) if config.slots_file.is_some() => {
            let reason = "slots are kept for what is published, not for what is asked for";
            document.fault(&item.key("options").key("slots_file"), reason);
        }
        format => {
            if let Err((field, reason)) = format.build(&SinkConfig::Stdout) {
                document.fault(&item.key("options").dotted(field), reason);
            }
        }
    }
}

impl Serialize for ServeConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            listen: SocketAddr,
            max_connections: usize,
            documents: &'a [DocumentConfig],
        }
        Written {
            listen: self.http.listen,
            max_connections: self.http.max_connections,
            documents: &self.documents,
        }
        .serialize(serializer)
    }
}

impl Serialize for DocumentConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            path: &'a str,
            format: &'static str,
            options: serde_json::Value,
        }
        Written {
            path: &self.path,
            format: self.format.name(),
            options: self.format.options().map_err(serde::ser::Error::custom)?,
        }
        .serialize(serializer)
    }
}
