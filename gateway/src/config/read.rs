//! From the tree to types: a deserializer whose errors know where they happened.
//!
//! It is strict: a number is no text, and text is no number. Only a key with nothing after it reads as an empty mapping
//! where one is wanted, since that is what is left when all lines below it are comments.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::document::NOTHING;
use super::error::suggestion;
use super::node::{Key, Node, Path, Place, Step, Value};

/// What is wanted where the service listens.
const ADDRESS: &str = "an IP address with a port, such as 127.0.0.1:8080";

/// Why something cannot be read.
#[derive(Debug)]
pub(super) struct ReadError {
    pub(super) kind: Kind,
    pub(super) message: String,
    /// `None` until it has passed the first value that has a place.
    pub(super) place: Option<Place>,
    /// From where the reading began; its steps in reverse while the error rises.
    steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A key that must be there is not.
    Missing(&'static str),
    /// Anything else.
    Wrong,
}

impl ReadError {
    fn new(message: String) -> Self {
        Self {
            kind: Kind::Wrong,
            message,
            place: None,
            steps: Vec::new(),
        }
    }

    fn at(mut self, place: Place) -> Self {
        self.place.get_or_insert(place);
        self
    }

    fn within(mut self, step: Step, place: Place) -> Self {
        self.steps.push(step);
        self.at(place)
    }

    /// The way from where the reading began to what is wrong.
    pub(super) fn path(&self) -> Path {
        Path(self.steps.iter().rev().cloned().collect())
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(match message.to_string() {
            text if text == "invalid socket address syntax" => format!("it is not {ADDRESS}"),
            text if text == "invalid IP address syntax" => "it is not an IP address".to_owned(),
            text => text,
        })
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = expected.to_string();
        let quote = matches!(
            found,
            Unexpected::Unsigned(_)
                | Unexpected::Signed(_)
                | Unexpected::Float(_)
                | Unexpected::Bool(_)
        ) && expected.contains("string");
        let hint = if quote { "; put it in quotes" } else { "" };
        Self::new(format!(
            "{} is not {}{hint}",
            described(found),
            plain(&expected)
        ))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!(
            "{} is not {}",
            described(found),
            plain(&expected.to_string())
        ))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(unknown_key(field, expected))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!(
            "`{variant}` is not one of {}{}",
            expected.join(", "),
            suggestion(variant, expected)
        ))
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            kind: Kind::Missing(field),
            ..Self::new(format!("`{field}` is missing"))
        }
    }
}

/// What is said of a key that nobody knows.
pub(super) fn unknown_key(key: &str, known: &[&str]) -> String {
    match (known, &*suggestion(key, known)) {
        ([], _) => format!("there is no key `{key}`; nothing is set here"),
        (_, "") => format!(
            "there is no key `{key}`; the keys here are {}",
            known.join(", ")
        ),
        (_, suggestion) => format!("there is no key `{key}`{suggestion}"),
    }
}

fn described(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Str(text) => format!("`{text}`"),
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(number) => format!("`{number}`"),
        Unexpected::Signed(number) => format!("`{number}`"),
        Unexpected::Float(number) => format!("`{number}`"),
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a mapping".to_owned(),
        other => other.to_string(),
    }
}

/// Rust's words in the user's.
fn plain(expected: &str) -> String {
    match expected {
        "a string" | "string" => "text".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "u8" => "a number from 0 to 255".to_owned(),
        "u16" => "a number from 0 to 65535".to_owned(),
        "u32" | "u64" | "usize" => "a whole number of 0 or more".to_owned(),
        "socket address" => ADDRESS.to_owned(),
        "nonzero u16" | "a nonzero u16" => "a number from 1 to 65535".to_owned(),
        _ if expected.starts_with("struct ") || expected == "a map" => "a mapping".to_owned(),
        _ => expected.to_owned(),
    }
}

/// Reads a value; errors say where from here on.
#[derive(Clone, Copy)]
pub(super) struct Reader<'n>(pub(super) &'n Node);

impl Reader<'_> {
    fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.0.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Signed(value) => visitor.visit_i64(*value),
            Value::Unsigned(value) => visitor.visit_u64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(value) => visitor.visit_str(value),
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            Value::Map(entries) => visitor.visit_map(Entries {
                entries: entries.iter(),
                value: None,
            }),
        }
    }
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.visit(visitor).map_err(|error| error.at(self.0.place))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.0.value {
            Value::Null => Err(de::Error::custom(NOTHING)),
            _ => visitor.visit_some(self),
        }
        .map_err(|error: ReadError| error.at(self.0.place))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match self.0.value {
            Value::Null => visitor.visit_map(Entries {
                entries: [].iter(),
                value: None,
            }),
            // A struct would also take its fields in order, which nobody means.
            Value::List(_) => Err(de::Error::invalid_type(Unexpected::Seq, &"a map")),
            _ => self.visit(visitor),
        }
        .map_err(|error| error.at(self.0.place))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match &self.0.value {
            Value::Text(name) => {
                let name: StrDeserializer<'_, ReadError> = name.as_str().into_deserializer();
                visitor.visit_enum(name)
            }
            Value::Map(entries) => match entries.as_slice() {
                [(key, value)] => visitor.visit_enum(Variant { key, value }),
                _ => Err(de::Error::custom("exactly one key is wanted here")),
            },
            _ => {
                let unexpected = match self.0.value {
                    Value::Bool(value) => Unexpected::Bool(value),
                    Value::Unsigned(value) => Unexpected::Unsigned(value),
                    Value::Signed(value) => Unexpected::Signed(value),
                    Value::Float(value) => Unexpected::Float(value),
                    Value::List(_) => Unexpected::Seq,
                    _ => Unexpected::Unit,
                };
                Err(ReadError::new(format!(
                    "{} is not one of {}",
                    described(unexpected),
                    variants.join(", ")
                )))
            }
        }
        .map_err(|error| error.at(self.0.place))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

struct Items<'n>(std::slice::Iter<'n, (usize, Node)>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ReadError> {
        let Some((index, node)) = self.0.next() else {
            return Ok(None);
        };
        seed.deserialize(Reader(node))
            .map(Some)
            .map_err(|error| error.within(Step::Index(*index), node.place))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct Entries<'n> {
    entries: std::slice::Iter<'n, (Key, Node)>,
    value: Option<(&'n Key, &'n Node)>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ReadError> {
        let Some((key, node)) = self.entries.next() else {
            return Ok(None);
        };
        self.value = Some((key, node));
        let name: StrDeserializer<'_, ReadError> = key.name.as_str().into_deserializer();
        seed.deserialize(name)
            .map(Some)
            .map_err(|error| error.within(Step::Key(key.name.clone()), key.place))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        let Some((key, node)) = self.value.take() else {
            return Err(de::Error::custom("a value was read before its key"));
        };
        seed.deserialize(Reader(node))
            .map_err(|error| error.within(Step::Key(key.name.clone()), node.place))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// A mapping with one key, which says what it is.
struct Variant<'n> {
    key: &'n Key,
    value: &'n Node,
}

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = ReadError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), ReadError> {
        let name: StrDeserializer<'_, ReadError> = self.key.name.as_str().into_deserializer();
        seed.deserialize(name)
            .map_err(|error| error.within(Step::Key(self.key.name.clone()), self.key.place))
            .map(|name| (name, self))
    }
}

impl Variant<'_> {
    fn located(&self, error: ReadError) -> ReadError {
        error.within(Step::Key(self.key.name.clone()), self.value.place)
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = ReadError;

    fn unit_variant(self) -> Result<(), ReadError> {
        match self.value.value {
            Value::Null => Ok(()),
            _ => Err(self.located(de::Error::custom("nothing is set below this key"))),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, ReadError> {
        seed.deserialize(Reader(self.value))
            .map_err(|error| self.located(error))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, ReadError> {
        Reader(self.value)
            .deserialize_any(visitor)
            .map_err(|error| self.located(error))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        Reader(self.value)
            .deserialize_struct("", fields, visitor)
            .map_err(|error| self.located(error))
    }
}
