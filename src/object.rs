//! One immutable resource as the API server sent it.
//!
//! An [`Object`] reads as JSON and never changes; cloning it is a reference count. How it is kept inside is nobody's
//! business: everything goes through [`ValueRef`].

mod mask;
mod value_ref;

pub use value_ref::{Kind, ValueRef};

pub(crate) use mask::{Mask, MaskStep};

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::resource::ObjectRef;

/// One resource, immutable, cheap to clone.
#[derive(Clone)]
pub struct Object(Arc<Value>);

/// Why a text is no [`Object`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The text is not JSON.
    #[error("the object is not valid JSON")]
    Syntax(#[source] serde_json::Error),
    /// The text is JSON, but no Kubernetes object.
    #[error("the object has no {0}")]
    Missing(&'static str),
}

/// How text becomes an object.
#[derive(Clone, Debug, Default)]
pub(crate) struct DecodeOptions {
    /// Fields to leave out.
    pub(crate) mask: Mask,
    /// `apiVersion` and `kind` for items of a list, which lack them for built-in kinds. Given ones win.
    pub(crate) type_meta: Option<(Box<str>, Box<str>)>,
}

impl Object {
    /// Reads one object from JSON text.
    ///
    /// # Errors
    /// When the text is not JSON, or is no object with `metadata.name`.
    pub fn from_json(json: &[u8]) -> Result<Self, DecodeError> {
        Self::decode(json, &DecodeOptions::default())
    }

    /// Takes over a JSON value.
    ///
    /// # Errors
    /// When the value is no object with `metadata.name`.
    pub fn from_value(value: &Value) -> Result<Self, DecodeError> {
        if value
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .is_none()
        {
            return Err(DecodeError::Missing("metadata.name"));
        }
        Ok(Self(Arc::new(value.clone())))
    }

    pub(crate) fn decode(json: &[u8], options: &DecodeOptions) -> Result<Self, DecodeError> {
        let mut value: Value = serde_json::from_slice(json).map_err(DecodeError::Syntax)?;
        if let (Some((api_version, kind)), Value::Object(map)) = (&options.type_meta, &mut value) {
            map.entry("apiVersion")
                .or_insert_with(|| Value::from(&**api_version));
            map.entry("kind").or_insert_with(|| Value::from(&**kind));
        }
        options.mask.apply(&mut value);
        Self::from_value(&value)
    }

    /// A copy without the masked fields.
    pub(crate) fn without(&self, mask: &Mask) -> Self {
        let mut value = (*self.0).clone();
        mask.apply(&mut value);
        Self(Arc::new(value))
    }

    /// The whole document.
    pub fn root(&self) -> ValueRef<'_> {
        ValueRef::new(&self.0)
    }

    fn metadata(&self, key: &str) -> Option<&str> {
        self.root()
            .get("metadata")?
            .get(key)?
            .as_str()
            .filter(|text| !text.is_empty())
    }

    /// `apiVersion`, such as `apps/v1`; empty if the object has none.
    pub fn api_version(&self) -> &str {
        self.root()
            .get("apiVersion")
            .and_then(ValueRef::as_str)
            .unwrap_or_default()
    }

    /// `kind`, such as `Deployment`; empty if the object has none.
    pub fn kind(&self) -> &str {
        self.root()
            .get("kind")
            .and_then(ValueRef::as_str)
            .unwrap_or_default()
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        self.metadata("name").unwrap_or_default()
    }

    /// `metadata.namespace`; `None` for a cluster-scoped object.
    pub fn namespace(&self) -> Option<&str> {
        self.metadata("namespace")
    }

    /// `metadata.uid`: tells an object from a later one of the same name.
    pub fn uid(&self) -> Option<&str> {
        self.metadata("uid")
    }

    /// `metadata.resourceVersion`.
    pub fn resource_version(&self) -> Option<&str> {
        self.metadata("resourceVersion")
    }

    /// The value of one label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.root()
            .get("metadata")?
            .get("labels")?
            .get(key)?
            .as_str()
    }

    /// The value of one annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.root()
            .get("metadata")?
            .get("annotations")?
            .get(key)?
            .as_str()
    }

    /// The labels.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.string_map("labels")
    }

    /// The annotations.
    pub fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.string_map("annotations")
    }

    fn string_map(&self, key: &str) -> impl Iterator<Item = (&str, &str)> {
        self.root()
            .get("metadata")
            .and_then(|metadata| metadata.get(key))
            .into_iter()
            .flat_map(ValueRef::entries)
            .filter_map(|(key, value)| Some((key, value.as_str()?)))
    }

    /// Namespace and name.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef::new(self.namespace(), self.name())
    }

    /// Reads the object into any type, such as those of `k8s-openapi`.
    ///
    /// # Errors
    /// When the content does not have the type's form.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
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
        content(&self.0) == content(&other.0)
    }

    /// A hash of what [`Object::same_content`] compares; stable within one process.
    pub fn content_hash(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        content(&self.0).to_string().hash(&mut hasher);
        hasher.finish()
    }
}

fn content(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(Value::Object(metadata)) = value.get_mut("metadata") {
        metadata.remove("resourceVersion");
        metadata.remove("managedFields");
    }
    value
}

/// Equal when all of the document is equal, resource version included.
impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

/// Names the object and never shows its content, which may be secret.
impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({} {})", self.kind(), self.reference())
    }
}
