//! A borrowed JSON value inside an object.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// A JSON value inside an [`Object`](super::Object): a cheap, copyable view.
#[derive(Clone, Copy)]
pub struct ValueRef<'a>(&'a Value);

/// The JSON type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number
    Number,
    /// A string
    String,
    /// An array
    Array,
    /// An object: a map of strings to values
    Map,
}

impl<'a> ValueRef<'a> {
    pub(super) fn new(value: &'a Value) -> Self {
        Self(value)
    }

    /// The JSON type.
    pub fn kind(self) -> Kind {
        match self.0 {
            Value::Null => Kind::Null,
            Value::Bool(_) => Kind::Bool,
            Value::Number(_) => Kind::Number,
            Value::String(_) => Kind::String,
            Value::Array(_) => Kind::Array,
            Value::Object(_) => Kind::Map,
        }
    }

    /// Whether this is `null`.
    pub fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// The boolean, if it is one.
    pub fn as_bool(self) -> Option<bool> {
        self.0.as_bool()
    }

    /// The number as `i64`, if it is one that fits.
    pub fn as_i64(self) -> Option<i64> {
        self.0.as_i64()
    }

    /// The number as `u64`, if it is one that fits.
    pub fn as_u64(self) -> Option<u64> {
        self.0.as_u64()
    }

    /// The number as `f64`, if it is a number.
    pub fn as_f64(self) -> Option<f64> {
        self.0.as_f64()
    }

    /// The string, if it is one.
    pub fn as_str(self) -> Option<&'a str> {
        self.0.as_str()
    }

    /// The value under a key of a map.
    pub fn get(self, key: &str) -> Option<ValueRef<'a>> {
        self.0.as_object()?.get(key).map(ValueRef)
    }

    /// The element at a place of an array.
    pub fn at(self, index: usize) -> Option<ValueRef<'a>> {
        self.0.as_array()?.get(index).map(ValueRef)
    }

    /// The number of elements or entries; 0 for everything that has none.
    pub fn len(self) -> usize {
        match self.0 {
            Value::Array(items) => items.len(),
            Value::Object(map) => map.len(),
            _ => 0,
        }
    }

    /// Whether there are no elements or entries.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The elements of an array; none for everything else.
    pub fn items(self) -> impl Iterator<Item = ValueRef<'a>> {
        self.0.as_array().into_iter().flatten().map(ValueRef)
    }

    /// The entries of a map; none for everything else.
    pub fn entries(self) -> impl Iterator<Item = (&'a str, ValueRef<'a>)> {
        self.0
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.as_str(), ValueRef(value)))
    }

    /// Reads the value into any type.
    ///
    /// # Errors
    /// When the value does not have the type's form.
    pub fn parse<T: DeserializeOwned>(self) -> Result<T, serde_json::Error> {
        T::deserialize(self.0)
    }

    /// The value as a `serde_json` value.
    pub fn to_value(self) -> Value {
        self.0.clone()
    }

    /// The value as JSON text.
    pub fn to_json(self) -> String {
        self.0.to_string()
    }
}
