//! The form of objects: one representation for built-in kinds and for the schemas of CRDs, and walkers over it.
//!
//! Pruning, unknown-field warnings, defaulting, validation, server-side apply and strategic merge all read the same
//! [`Schema`].

mod dsl;
mod kinds;
mod openapi;
mod validate;
mod walk;

pub(super) use dsl::{built_in, object_meta};
pub(super) use openapi::read as from_crd;
pub(super) use validate::{validate, validate_status};
pub(super) use walk::{custom, fill_empty, typed};

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::Value;

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
    pub(super) format: Option<String>,
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

impl PartialEq for Rules {
    /// Patterns are equal when their text is.
    fn eq(&self, other: &Self) -> bool {
        let text = |rules: &Self| rules.pattern.as_ref().map(|(text, _)| text.clone());
        self.required == other.required
            && self.allowed == other.allowed
            && text(self) == text(other)
            && self.format == other.format
            && (self.min_length, self.max_length) == (other.min_length, other.max_length)
            && (self.minimum, self.maximum) == (other.minimum, other.maximum)
            && (self.exclusive_minimum, self.exclusive_maximum)
                == (other.exclusive_minimum, other.exclusive_maximum)
            && self.multiple_of == other.multiple_of
            && (self.min_items, self.max_items) == (other.min_items, other.max_items)
            && (self.min_properties, self.max_properties)
                == (other.min_properties, other.max_properties)
    }
}
