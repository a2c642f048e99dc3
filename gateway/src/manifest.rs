//! Manifests: Services and EndpointSlices from YAML and JSON files, as `kubectl apply -f` would take them.
//!
//! A file holds any number of documents; a document is an object or a list of objects. What is neither a Service nor
//! an EndpointSlice is counted and passed over. Everything wrong is an error with its file, document and line, and
//! reading goes on, so that one run names all of it; nothing that is wrong is passed over.
//!
//! An object that comes twice replaces the earlier one, as with `kubectl apply`, and is reported as a [`Duplicate`].

mod error;
mod files;
mod locate;
mod text;

pub use error::ManifestError;
pub use files::STDIN;
pub use text::Format;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::Read;
use std::path::Path;

use kubedex::{Object, ObjectRef};
use serde_json::{Map, Value};

use crate::discovery::Kind;
use crate::translate::{EndpointSlice, Service};
use error::Place;
use text::Document;

/// Reads manifests, one source after the other.
#[derive(Debug)]
pub struct Reader {
    namespace: Box<str>,
    objects: Vec<Object>,
    origins: HashMap<(Kind, ObjectRef), (usize, Origin)>,
    duplicates: Vec<Duplicate>,
    ignored: BTreeMap<String, usize>,
    errors: Vec<ManifestError>,
}

/// What the manifests hold.
#[derive(Debug, Default)]
pub struct Manifests {
    /// Services and EndpointSlices, each once, in the order of their first appearance.
    pub objects: Vec<Object>,
    /// Objects that came more than once.
    pub duplicates: Vec<Duplicate>,
    /// How many objects of other kinds were passed over, by kind.
    pub ignored: BTreeMap<String, usize>,
}

/// An object that came twice; the later one counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    object: String,
    earlier: Origin,
    later: Origin,
}

/// Where an object stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    file: Box<str>,
    document: usize,
    line: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            document,
            line,
        } = self;
        write!(f, "{file} (document {document}, line {line})")
    }
}

impl fmt::Display for Duplicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} in {} is replaced by the one in {}",
            self.object, self.earlier, self.later
        )
    }
}

impl Reader {
    /// Objects that name no namespace get this one.
    pub fn new(default_namespace: &str) -> Self {
        Self {
            namespace: default_namespace.into(),
            objects: Vec::new(),
            origins: HashMap::new(),
            duplicates: Vec::new(),
            ignored: BTreeMap::new(),
            errors: Vec::new(),
        }
    }

    /// Reads a file, or the `.yaml`, `.yml` and `.json` files in and under a directory in the order of their names,
    /// or what `stdin` gives if the path is [`STDIN`]. Hidden files and directories are passed over.
    pub fn read(&mut self, path: &Path, stdin: impl Read) {
        if path == Path::new(STDIN) {
            match files::read_to_string(stdin) {
                Ok(text) => self.read_text("stdin", &text, Format::of_text(&text)),
                Err(error) => self.errors.push(ManifestError::io("stdin", error)),
            }
            return;
        }
        let (files, errors) = files::expand(path);
        self.errors.extend(errors);
        for file in files {
            let name = file.display().to_string();
            match std::fs::File::open(&file).and_then(files::read_to_string) {
                Ok(text) => self.read_text(&name, &text, Format::of_file(&file, &text)),
                Err(error) => self.errors.push(ManifestError::io(&name, error)),
            }
        }
    }

    /// Reads the documents of one text; `file` is what errors call it.
    pub fn read_text(&mut self, file: &str, text: &str, format: Format) {
        let (documents, error) = format.documents(text);
        for Document { value, span } in documents {
            let mut path = Vec::new();
            let at = At { file, text, span };
            self.read_value(value, None, &mut path, &at);
        }
        self.errors.extend(error.map(|error| error.in_file(file)));
    }

    /// What was read.
    ///
    /// # Errors
    /// Everything that was wrong, in the order it was met; never empty.
    pub fn finish(self) -> Result<Manifests, Vec<ManifestError>> {
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        Ok(Manifests {
            objects: self.objects,
            duplicates: self.duplicates,
            ignored: self.ignored,
        })
    }

    /// An object, or a list of them; `path` is the way to it through lists' items. Items of a typed list may leave
    /// out what the list's own type says.
    fn read_value(
        &mut self,
        value: Value,
        item_type: Option<(&str, &str)>,
        path: &mut Vec<usize>,
        at: &At<'_>,
    ) {
        let Value::Object(mut map) = value else {
            return self.fail(at, path, None, "it is not an object");
        };
        let text = |map: &Map<String, Value>, key: &str| {
            map.get(key)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
                .map(ToOwned::to_owned)
        };
        let (default_version, default_kind) = item_type.unzip();
        let Some(kind) = text(&map, "kind").or(default_kind.map(Into::into)) else {
            return self.fail(at, path, None, "it has no kind");
        };
        let Some(api_version) = text(&map, "apiVersion").or(default_version.map(Into::into)) else {
            return self.fail(at, path, Some(&kind), "it has no apiVersion");
        };
        if let Some(item_kind) = kind.strip_suffix("List")
            && matches!(map.get("items"), Some(Value::Array(_) | Value::Null))
        {
            // A `v1` `List` holds anything, so it says nothing about its items.
            let item_type = (!item_kind.is_empty()).then_some((&*api_version, item_kind));
            if let Some(Value::Array(items)) = map.remove("items") {
                for (index, item) in items.into_iter().enumerate() {
                    path.push(index);
                    self.read_value(item, item_type, path, at);
                    path.pop();
                }
            }
            return;
        }
        let Some(known) = Kind::of(&api_version, &kind) else {
            *self.ignored.entry(kind).or_default() += 1;
            return;
        };
        map.insert("apiVersion".into(), api_version.into());
        map.insert("kind".into(), kind.clone().into());
        if let Some(Value::Object(metadata)) = map.get_mut("metadata")
            && metadata
                .get("namespace")
                .is_none_or(|it| it.is_null() || it == "")
        {
            metadata.insert("namespace".into(), (&*self.namespace).into());
        }
        let object = match Object::from_value(&Value::Object(map)) {
            Ok(object) => object,
            Err(error) => return self.fail(at, path, Some(&kind), error),
        };
        let read = match known {
            Kind::Service => Service::read(&object).map(drop),
            Kind::EndpointSlice => EndpointSlice::read(&object).map(drop),
        };
        let label = format!("{kind} {}", object.reference());
        if let Err(error) = read {
            let located = at.span.locate(at.text, path, known);
            self.errors.push(match located {
                Some(located) => located.in_file(at.file).about(&label),
                None => at.error(&error).about(&label),
            });
            return;
        }
        self.add(known, label, object, at);
    }

    fn add(&mut self, kind: Kind, label: String, object: Object, at: &At<'_>) {
        let origin = Origin {
            file: at.file.into(),
            document: at.span.document,
            line: at.span.line,
        };
        let key = (kind, object.reference());
        match self.origins.get_mut(&key) {
            Some((index, earlier)) => {
                self.duplicates.push(Duplicate {
                    object: label,
                    earlier: std::mem::replace(earlier, origin.clone()),
                    later: origin,
                });
                if let Some(slot) = self.objects.get_mut(*index) {
                    *slot = object;
                }
            }
            None => {
                self.origins.insert(key, (self.objects.len(), origin));
                self.objects.push(object);
            }
        }
    }

    fn fail(&mut self, at: &At<'_>, path: &[usize], kind: Option<&str>, reason: impl fmt::Display) {
        let error = at.error(reason);
        let item = path.last().map(|index| format!("item {}", index + 1));
        let subject = match (item, kind) {
            (Some(item), Some(kind)) => Some(format!("{item}, {kind}")),
            (Some(item), None) => Some(item),
            (None, Some(kind)) => Some(kind.to_owned()),
            (None, None) => None,
        };
        self.errors.push(match subject {
            Some(subject) => error.about(&subject),
            None => error,
        });
    }
}

/// The document that is being read.
struct At<'a> {
    file: &'a str,
    text: &'a str,
    span: text::Span,
}

impl At<'_> {
    /// An error about the document as a whole.
    fn error(&self, reason: impl fmt::Display) -> ManifestError {
        let place = Place {
            document: self.span.document,
            line: self.span.line,
            column: None,
        };
        ManifestError::at(place, reason.to_string()).in_file(self.file)
    }
}

#[cfg(test)]
mod tests;
