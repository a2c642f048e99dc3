//! Loads manifests: YAML with several documents, JSON, lists, files and folders.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::decode::yaml_options;
use super::{FakeCluster, FakeError};
use crate::object::Object;

/// Why manifests could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A file or folder cannot be read.
    #[error("{path} cannot be read", path = path.display())]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// Why it cannot.
        source: std::io::Error,
    },
    /// A text is neither YAML nor JSON.
    #[error("{origin} is no YAML: {reason}")]
    Syntax {
        /// The file, or `the manifest`.
        origin: String,
        /// The parser's words, with line and column.
        reason: String,
    },
    /// The cluster refuses an object.
    #[error("document {document} of {origin} cannot be applied")]
    Refused {
        /// The file, or `the manifest`.
        origin: String,
        /// The document's number, from 1.
        document: usize,
        /// The refusal.
        source: Box<FakeError>,
    },
}

impl FakeCluster {
    /// Applies every object of a YAML or JSON text, in the order that lets them in: definitions and namespaces first.
    /// A `status` in them is stored. Lists are taken apart.
    ///
    /// # Errors
    /// When the text cannot be read or an object is refused; those before it are applied.
    pub fn load(&self, text: &str) -> Result<Vec<Object>, LoadError> {
        self.load_from(text, "the manifest")
    }

    /// Applies a manifest file, or all `.yaml`, `.yml` and `.json` files of a folder by name.
    ///
    /// # Errors
    /// As [`FakeCluster::load`], and when a file cannot be read.
    pub fn load_path(&self, path: &Path) -> Result<Vec<Object>, LoadError> {
        let read = |source| LoadError::Read {
            path: path.to_owned(),
            source,
        };
        if !path.is_dir() {
            let text = std::fs::read_to_string(path).map_err(read)?;
            return self.load_from(&text, &path.display().to_string());
        }
        let mut files: Vec<PathBuf> = std::fs::read_dir(path)
            .map_err(read)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                path.extension().is_some_and(|extension| {
                    ["yaml", "yml", "json"]
                        .iter()
                        .any(|known| extension == *known)
                })
            })
            .collect();
        files.sort();
        let mut loaded = Vec::new();
        for file in files {
            loaded.extend(self.load_path(&file)?);
        }
        Ok(loaded)
    }

    fn load_from(&self, text: &str, origin: &str) -> Result<Vec<Object>, LoadError> {
        let mut objects: Vec<(usize, Value)> = Vec::new();
        for (index, document) in documents(text, origin)?.into_iter().enumerate() {
            flatten(index + 1, document, &mut objects);
        }
        objects.sort_by_key(
            |(_, object)| match object.get("kind").and_then(Value::as_str) {
                Some("CustomResourceDefinition") => 0,
                Some("Namespace") => 1,
                _ => 2,
            },
        );
        objects
            .into_iter()
            .map(|(document, object)| {
                self.apply(object).map_err(|source| LoadError::Refused {
                    origin: origin.to_owned(),
                    document,
                    source: Box::new(source),
                })
            })
            .collect()
    }
}

fn documents(text: &str, origin: &str) -> Result<Vec<Value>, LoadError> {
    let json: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(text)
        .into_iter()
        .collect();
    if let Ok(documents) = json {
        return Ok(documents);
    }
    serde_saphyr::from_multiple_with_options(text, yaml_options()).map_err(|error| {
        LoadError::Syntax {
            origin: origin.to_owned(),
            reason: error.to_string(),
        }
    })
}

/// The objects of a document; empty documents have none.
fn flatten(document: usize, value: Value, objects: &mut Vec<(usize, Value)>) {
    let is_list = value
        .get("kind")
        .and_then(Value::as_str)
        .is_some_and(|kind| kind.ends_with("List"));
    match value {
        Value::Null => {}
        Value::Object(mut map) if is_list && map.contains_key("items") => {
            if let Some(Value::Array(items)) = map.remove("items") {
                for item in items {
                    flatten(document, item, objects);
                }
            }
        }
        value => objects.push((document, value)),
    }
}
