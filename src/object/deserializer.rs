//! Reads stored values into any type: serde's `Deserializer` straight over the tape.
//!
//! It answers as `serde_json`'s deserializer of a `Value` does, and lends strings for as long as the object lives.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::ParseError;
use super::tape::Token;
use super::value_ref::{Entries, Items, ValueRef};

impl ValueRef<'_> {
    fn unexpected(self) -> Unexpected<'static> {
        match self.token() {
            Token::Null => Unexpected::Unit,
            Token::Bool(value) => Unexpected::Bool(value),
            Token::Uint(value) => Unexpected::Unsigned(value),
            Token::Int(value) => Unexpected::Signed(value),
            Token::Float(value) => Unexpected::Float(value),
            Token::Text(_) | Token::Symbol(_) => Unexpected::Str(""),
            Token::Array(_) => Unexpected::Seq,
            Token::Map(_) => Unexpected::Map,
        }
    }
}

impl<'de> Deserializer<'de> for ValueRef<'de> {
    type Error = ParseError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParseError> {
        match self.token() {
            Token::Null => visitor.visit_unit(),
            Token::Bool(value) => visitor.visit_bool(value),
            Token::Uint(value) => visitor.visit_u64(value),
            Token::Int(value) => visitor.visit_i64(value),
            Token::Float(value) => visitor.visit_f64(value),
            Token::Text(text) => visitor.visit_borrowed_str(text),
            Token::Symbol(symbol) => visitor.visit_borrowed_str(symbol.text()),
            Token::Array(body) => {
                let mut access = Elements {
                    items: Items(body),
                    next: 0,
                };
                let value = visitor.visit_seq(&mut access)?;
                match access.items.count() {
                    0 => Ok(value),
                    _ => Err(ParseError::invalid_length(
                        ValueRef::len(self),
                        &"fewer elements in array",
                    )),
                }
            }
            Token::Map(body) => {
                let mut access = Fields {
                    entries: Entries(body),
                    current: None,
                };
                let value = visitor.visit_map(&mut access)?;
                match access.entries.count() {
                    0 => Ok(value),
                    _ => Err(ParseError::invalid_length(
                        ValueRef::len(self),
                        &"fewer elements in map",
                    )),
                }
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParseError> {
        match self.token() {
            Token::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ParseError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ParseError> {
        match self.token() {
            Token::Text(text) => visitor.visit_enum(Choice {
                variant: text,
                value: None,
            }),
            Token::Symbol(symbol) => visitor.visit_enum(Choice {
                variant: symbol.text(),
                value: None,
            }),
            Token::Map(body) => {
                let mut entries = Entries(body);
                match (entries.next(), entries.next()) {
                    (Some((variant, value)), None) => visitor.visit_enum(Choice {
                        variant,
                        value: Some(value),
                    }),
                    _ => Err(ParseError::invalid_value(
                        Unexpected::Map,
                        &"map with a single key",
                    )),
                }
            }
            _ => Err(ParseError::invalid_type(
                self.unexpected(),
                &"string or map",
            )),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParseError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier
    }
}

/// So that a value can stand where serde asks for something to read from.
impl<'de> IntoDeserializer<'de, ParseError> for ValueRef<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

struct Elements<'de> {
    items: Items<'de>,
    next: usize,
}

impl<'de> SeqAccess<'de> for Elements<'de> {
    type Error = ParseError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ParseError> {
        let Some(item) = self.items.next() else {
            return Ok(None);
        };
        let index = self.next;
        self.next += 1;
        seed.deserialize(item)
            .map(Some)
            .map_err(|error| error.at_index(index))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.clone().count())
    }
}

struct Fields<'de> {
    entries: Entries<'de>,
    current: Option<(&'de str, ValueRef<'de>)>,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = ParseError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ParseError> {
        self.current = self.entries.next();
        match self.current {
            Some((key, _)) => seed
                .deserialize(MapKey(key))
                .map(Some)
                .map_err(|error| error.under_key(key)),
            None => Ok(None),
        }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<T::Value, ParseError> {
        match self.current.take() {
            Some((key, value)) => seed
                .deserialize(value)
                .map_err(|error| error.under_key(key)),
            None => Err(ParseError::custom("value is missing")),
        }
    }
}

/// A key, which may stand for a number or a boolean where the type wants one.
struct MapKey<'de>(&'de str);

macro_rules! parsed_key {
    ($($method:ident $visit:ident $expected:literal,)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParseError> {
            match serde_json::from_str(self.0) {
                Ok(number) => visitor.$visit(number),
                Err(_) => Err(ParseError::invalid_type(Unexpected::Str(""), &$expected)),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for MapKey<'de> {
    type Error = ParseError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParseError> {
        BorrowedStrDeserializer::new(self.0).deserialize_any(visitor)
    }

    parsed_key! {
        deserialize_i8 visit_i8 "a number as key",
        deserialize_i16 visit_i16 "a number as key",
        deserialize_i32 visit_i32 "a number as key",
        deserialize_i64 visit_i64 "a number as key",
        deserialize_i128 visit_i128 "a number as key",
        deserialize_u8 visit_u8 "a number as key",
        deserialize_u16 visit_u16 "a number as key",
        deserialize_u32 visit_u32 "a number as key",
        deserialize_u64 visit_u64 "a number as key",
        deserialize_u128 visit_u128 "a number as key",
        deserialize_f32 visit_f32 "a number as key",
        deserialize_f64 visit_f64 "a number as key",
        deserialize_bool visit_bool "a boolean as key",
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParseError> {
        // A key cannot be null.
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ParseError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ParseError> {
        BorrowedStrDeserializer::new(self.0).deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// One variant of an enum.
struct Choice<'de> {
    variant: &'de str,
    value: Option<ValueRef<'de>>,
}

impl<'de> EnumAccess<'de> for Choice<'de> {
    type Error = ParseError;
    type Variant = Payload<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Payload<'de>), ParseError> {
        let variant = seed.deserialize(BorrowedStrDeserializer::new(self.variant))?;
        Ok((variant, Payload(self.value)))
    }
}

/// What a variant holds.
struct Payload<'de>(Option<ValueRef<'de>>);

impl<'de> VariantAccess<'de> for Payload<'de> {
    type Error = ParseError;

    fn unit_variant(self) -> Result<(), ParseError> {
        match self.0 {
            Some(value) => serde::Deserialize::deserialize(value),
            None => Ok(()),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<T::Value, ParseError> {
        match self.0 {
            Some(value) => seed.deserialize(value),
            None => Err(ParseError::invalid_type(
                Unexpected::UnitVariant,
                &"newtype variant",
            )),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, ParseError> {
        match self.0 {
            Some(value) => value.deserialize_tuple(length, visitor),
            None => Err(ParseError::invalid_type(
                Unexpected::UnitVariant,
                &"tuple variant",
            )),
        }
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ParseError> {
        match self.0 {
            Some(value) => value.deserialize_struct("", fields, visitor),
            None => Err(ParseError::invalid_type(
                Unexpected::UnitVariant,
                &"struct variant",
            )),
        }
    }
}
