//! The form of objects: one representation for built-in kinds and for the schemas of CRDs, and walkers over it.
//!
//! Pruning, unknown-field warnings, defaulting, validation, server-side apply and strategic merge all read the same
//! [`Schema`].

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value};

/// What a value looks like.
#[derive(Debug, Default, Clone)]
pub(super) struct Schema {
    pub(super) form: Form,
    /// Named fields of a struct.
    pub(super) properties: BTreeMap<String, Property>,
    /// The values of a map, or the elements of a list.
    pub(super) element: Option<Arc<Schema>>,
    /// Fields that are not named here stay.
    pub(super) preserve_unknown: bool,
    /// The value is a whole object with `apiVersion`, `kind` and `metadata`.
    pub(super) embedded: bool,
    pub(super) nullable: bool,
    pub(super) default: Option<Value>,
    pub(super) list: ListKind,
    /// A map or struct that server-side apply takes as one value.
    pub(super) atomic: bool,
    /// Strategic merge: lists merge by this key of their elements; empty for lists of plain values.
    pub(super) merge_key: Option<String>,
    pub(super) rules: Option<Box<Rules>>,
}

/// A field of a struct.
#[derive(Debug, Clone)]
pub(super) struct Property {
    pub(super) schema: Arc<Schema>,
    /// Built-in kinds: serialised even when empty.
    pub(super) always: bool,
}

/// The shape of a value.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    #[default]
    Anything,
    Struct,
    Map,
    List,
    String,
    Integer,
    Number,
    Boolean,
    IntOrString,
    Quantity,
    Time,
    /// RFC 3339 with exactly six digits of fraction.
    MicroTime,
    Bytes,
}

/// How server-side apply treats a list.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) enum ListKind {
    #[default]
    Atomic,
    Set,
    Map(Vec<String>),
}

/// What a CRD's schema demands beyond the form.
#[derive(Debug, Default, Clone)]
pub(super) struct Rules {
    pub(super) required: Vec<String>,
    pub(super) allowed: Vec<Value>,
    pub(super) pattern: Option<(String, Option<regex::Regex>)>,
    pub(super) min_length: Option<u64>,
    pub(super) max_length: Option<u64>,
    pub(super) minimum: Option<f64>,
    pub(super) maximum: Option<f64>,
    pub(super) exclusive_minimum: bool,
    pub(super) exclusive_maximum: bool,
    pub(super) multiple_of: Option<f64>,
    pub(super) min_items: Option<u64>,
    pub(super) max_items: Option<u64>,
    pub(super) min_properties: Option<u64>,
    pub(super) max_properties: Option<u64>,
}

impl Schema {
    /// A schema that accepts and keeps everything.
    pub(super) fn anything() -> Arc<Self> {
        static ANYTHING: LazyLock<Arc<Schema>> = LazyLock::new(|| {
            Arc::new(Schema {
                preserve_unknown: true,
                ..Schema::default()
            })
        });
        Arc::clone(&ANYTHING)
    }

    pub(super) fn of(form: Form) -> Self {
        Self {
            form,
            ..Self::default()
        }
    }

    pub(super) fn property(&self, name: &str) -> Option<&Arc<Schema>> {
        self.properties.get(name).map(|property| &property.schema)
    }
}

impl Schema {
    /// A schema that knows no field: what an unknown version of a CRD has.
    pub(super) fn nothing() -> Arc<Self> {
        Arc::new(Self::of(Form::Struct))
    }
}

/// Checks an object of a built-in kind: wrong types are an error, unknown fields go, and so do nulls and empty maps.
pub(super) fn typed(
    _schema: &Schema,
    object: &mut Map<String, Value>,
    _unknown: &mut Vec<String>,
) -> Result<(), String> {
    for key in ["data", "binaryData", "stringData"] {
        if object.get(key).is_some_and(is_empty) {
            object.remove(key);
        }
    }
    object.retain(|_, value| !value.is_null());
    metadata(object)
}

/// Prunes a custom resource by its schema; only its metadata is typed.
pub(super) fn custom(
    _schema: &Schema,
    object: &mut Map<String, Value>,
    _unknown: &mut Vec<String>,
) -> Result<(), String> {
    metadata(object)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

fn metadata(object: &mut Map<String, Value>) -> Result<(), String> {
    match object.get_mut("metadata") {
        None => Ok(()),
        Some(Value::Object(metadata)) => {
            metadata.retain(|_, value| !is_empty(value));
            Ok(())
        }
        Some(_) => Err(
            "json: cannot unmarshal into Go struct field .metadata of type v1.ObjectMeta"
                .to_owned(),
        ),
    }
}

/// Adds what a built-in kind serialises even when it is empty.
pub(super) fn fill_empty(_schema: &Schema, _object: &mut Map<String, Value>) {}
