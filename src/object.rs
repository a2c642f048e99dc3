//! One immutable resource as the API server sent it.
//!
//! An [`Object`] reads as JSON and never changes; cloning it is a reference count. It is kept in one allocation of about half
//! the size of its JSON text (see `tape.rs`), with the strings that recur kept once for the process (`symbols.rs`).
//! Everything goes through [`ValueRef`]; nothing here builds a `serde_json::Value` unless asked for one.

mod content;
mod decode;
mod deserializer;
mod encode;
mod error;
mod mask;
mod place;
mod scan;
mod serialize;
mod symbols;
mod tape;
#[cfg(test)]
mod tests;
mod value_ref;

pub use error::{DecodeError, ParseError, Position};
pub use value_ref::{Kind, ValueRef};

pub(crate) use mask::{Mask, MaskStep};
pub(crate) use place::NamePlaces;
pub(crate) use value_ref::Key;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::resource::ObjectRef;
use encode::{Encoder, Path, with_encoder};
use error::Reason;
use symbols::Symbol;

/// The most levels of arrays and maps in an object. It is what `serde_json` reads, so whatever comes out of an object can be
/// read again. API servers take deeper ones where a schema leaves a field free; such an object cannot be read here.
pub const MAX_DEPTH: usize = 127;

/// The most bytes of JSON text that are read as one object: twenty times what etcd takes by default, so that only a
/// runaway body is refused.
pub const MAX_BYTES: usize = 32 * 1024 * 1024;

const METADATA: Key = Key::well_known("metadata", Symbol::new(0));
const NAME: Key = Key::well_known("name", Symbol::new(1));
const NAMESPACE: Key = Key::well_known("namespace", Symbol::new(2));
const UID: Key = Key::well_known("uid", Symbol::new(3));
const RESOURCE_VERSION: Key = Key::well_known("resourceVersion", Symbol::new(4));
const LABELS: Key = Key::well_known("labels", Symbol::new(5));
const ANNOTATIONS: Key = Key::well_known("annotations", Symbol::new(6));
const API_VERSION: Key = Key::well_known("apiVersion", Symbol::new(7));
const KIND: Key = Key::well_known("kind", Symbol::new(8));

/// One resource, immutable, cheap to clone.
#[derive(Clone)]
pub struct Object(Arc<str>);

/// How text becomes an object.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DecodeOptions<'o> {
    /// Fields to leave out.
    pub(crate) mask: Option<&'o Mask>,
    /// `apiVersion` and `kind` for items of a list, which lack them for built-in kinds. Given ones win.
    pub(crate) type_meta: Option<&'o (Box<str>, Box<str>)>,
}

impl Object {
    /// Reads one object from JSON text. Of duplicate keys the last one counts.
    ///
    /// # Errors
    /// When the text is not JSON, is longer than [`MAX_BYTES`] or nested deeper than [`MAX_DEPTH`], or is no object with
    /// `metadata.name`.
    pub fn from_json(json: &[u8]) -> Result<Self, DecodeError> {
        Self::decode(json, DecodeOptions::default())
    }

    /// Copies a JSON value.
    ///
    /// # Errors
    /// When the value is nested deeper than [`MAX_DEPTH`], or is no object with `metadata.name`.
    pub fn from_value(value: &Value) -> Result<Self, DecodeError> {
        with_encoder(|encoder| {
            encoder
                .value(Path::ROOT, value, MAX_DEPTH)
                .map_err(|encode::TooDeep| DecodeError::new(Reason::TooDeep))?;
            Self::finish(encoder, None)
        })
    }

    /// Copies a value of any type that is written as a Kubernetes object, such as those of `k8s-openapi`.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::ConfigMap;
    /// let mut config = ConfigMap::default();
    /// config.metadata.name = Some("settings".to_owned());
    /// let object = kubedex::Object::from_typed(&config).unwrap();
    /// assert_eq!((object.kind(), object.name()), ("ConfigMap", "settings"));
    /// ```
    ///
    /// # Errors
    /// When the value cannot be written as JSON, or as for [`Object::from_json`].
    pub fn from_typed<T: Serialize>(value: &T) -> Result<Self, DecodeError> {
        let json = serde_json::to_vec(value).map_err(|_| DecodeError::new(Reason::Unwritable))?;
        Self::from_json(&json)
    }

    pub(crate) fn decode(json: &[u8], options: DecodeOptions<'_>) -> Result<Self, DecodeError> {
        with_encoder(|encoder| {
            decode::decode(json, options, encoder)?;
            Self::finish(encoder, Some(json))
        })
    }

    fn finish(encoder: &Encoder, json: Option<&[u8]>) -> Result<Self, DecodeError> {
        let object = Self(encoder.finish().map_err(|_| {
            let reason = Reason::Syntax("a string is not UTF-8");
            match json.map(|json| (json, std::str::from_utf8(json))) {
                Some((json, Err(error))) => DecodeError::at(reason, json, error.valid_up_to()),
                _ => DecodeError::new(reason),
            }
        })?);
        if object.name().is_empty() {
            return Err(DecodeError::new(Reason::NoName));
        }
        Ok(object)
    }

    /// A copy without the masked fields.
    pub(crate) fn without(&self, mask: &Mask) -> Self {
        if mask.is_empty() {
            return self.clone();
        }
        with_encoder(|encoder| {
            // Parts of a tape make a tape: neither step can fail.
            match (encoder.copy_masked(&self.0, mask.root()), encoder.finish()) {
                (Some(_), Ok(tape)) => Self(tape),
                _ => self.clone(),
            }
        })
    }

    /// The whole document.
    #[inline]
    pub fn root(&self) -> ValueRef<'_> {
        ValueRef::new(&self.0)
    }

    /// The bytes that this object takes on the heap, shared by all its clones; the process's table of symbols, which has a
    /// fixed bound, is not counted.
    pub fn heap_size(&self) -> usize {
        // The text and the two counts before it.
        self.0.len() + 2 * size_of::<usize>()
    }

    /// Whether two are clones of one object, and not only equal.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn metadata(&self, key: &Key) -> Option<&str> {
        self.root()
            .get_key(&METADATA)?
            .get_key(key)?
            .as_str()
            .filter(|text| !text.is_empty())
    }

    /// `apiVersion`, such as `apps/v1`; empty if the object has none.
    pub fn api_version(&self) -> &str {
        self.root()
            .get_key(&API_VERSION)
            .and_then(ValueRef::as_str)
            .unwrap_or_default()
    }

    /// `kind`, such as `Deployment`; empty if the object has none.
    pub fn kind(&self) -> &str {
        self.root()
            .get_key(&KIND)
            .and_then(ValueRef::as_str)
            .unwrap_or_default()
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        self.metadata(&NAME).unwrap_or_default()
    }

    /// `metadata.namespace`; `None` for a cluster-scoped object.
    pub fn namespace(&self) -> Option<&str> {
        self.metadata(&NAMESPACE)
    }

    /// `metadata.uid`: tells an object from a later one of the same name.
    pub fn uid(&self) -> Option<&str> {
        self.metadata(&UID)
    }

    /// `metadata.resourceVersion`.
    pub fn resource_version(&self) -> Option<&str> {
        self.metadata(&RESOURCE_VERSION)
    }

    /// The value of one label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.root()
            .get_key(&METADATA)?
            .get_key(&LABELS)?
            .get(key)?
            .as_str()
    }

    /// The value of one annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.root()
            .get_key(&METADATA)?
            .get_key(&ANNOTATIONS)?
            .get(key)?
            .as_str()
    }

    /// The labels.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.string_map(&LABELS)
    }

    /// The annotations.
    pub fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.string_map(&ANNOTATIONS)
    }

    fn string_map<'a>(&'a self, key: &Key) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.root()
            .get_key(&METADATA)
            .and_then(|metadata| metadata.get_key(key))
            .into_iter()
            .flat_map(ValueRef::entries)
            .filter_map(|(key, value)| Some((key, value.as_str()?)))
    }

    /// Namespace and name.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef::new(self.namespace(), self.name())
    }

    /// Reads the object into any type, such as those of `k8s-openapi`, straight from the stored form. Types that borrow
    /// strings borrow them from the object.
    ///
    /// # Errors
    /// When the content does not have the type's form.
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, ParseError> {
        self.root().parse()
    }

    /// The object as a `serde_json` value.
    pub fn to_value(&self) -> Value {
        self.root().to_value()
    }

    /// The object as JSON text.
    pub fn to_json(&self) -> String {
        self.root().to_json()
    }

    /// Whether two objects have the same content: everything but `metadata.resourceVersion` and
    /// `metadata.managedFields`, in whatever order the keys stand.
    pub fn same_content(&self, other: &Self) -> bool {
        self.ptr_eq(other) || content::same(self.root(), other.root())
    }

    /// A hash of what [`Object::same_content`] compares; stable within one process.
    pub fn content_hash(&self) -> u64 {
        content::hash_of(self.root())
    }
}

/// Equal when all of the document is equal, resource version included.
impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.ptr_eq(other) || self.root() == other.root()
    }
}

/// Names the object and never shows its content, which may be secret.
impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({} {})", self.kind(), self.reference())
    }
}
