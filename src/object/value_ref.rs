//! A borrowed JSON value inside an object.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Number, Value};

use super::ParseError;
use super::content;
use super::symbols::{self, Role, SYMBOLS, Symbol};
use super::tape::{self, Token};

/// A JSON value inside an [`Object`](super::Object): a cheap, copyable view.
///
/// It is a serde `Deserializer` and is `Serialize`, so it can be read into any type and written in any format. Two values
/// are equal when `serde_json` says so of what they stand for: the order of keys does not matter, and `1` is not `1.0`.
#[derive(Clone, Copy)]
pub struct ValueRef<'a>(&'a str);

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

/// A key to look up many times: it is found by comparing numbers wherever it was stored as a symbol.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    text: Cow<'static, str>,
    symbol: Option<Symbol>,
}

impl Key {
    /// Prepares a key. It stays in the process's table of symbols for ever, so this is for keys of a configuration, not for
    /// those of data.
    pub(crate) fn new(text: &str) -> Self {
        SYMBOLS.prepare();
        Self {
            text: Cow::Owned(text.to_owned()),
            symbol: SYMBOLS.add(symbols::hash(text.as_bytes()), text, Role::Key),
        }
    }

    /// A key of which a text's symbol is known already.
    pub(super) const fn well_known(text: &'static str, symbol: Symbol) -> Self {
        Self {
            text: Cow::Borrowed(text),
            symbol: Some(symbol),
        }
    }

    /// The key as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

/// The text of a token that is a string.
#[inline]
pub(super) fn text_of(token: Token<'_>) -> Option<&str> {
    match token {
        Token::Text(text) => Some(text),
        Token::Symbol(symbol) => Some(symbol.text()),
        _ => None,
    }
}

impl<'a> ValueRef<'a> {
    /// The value at the start of a tape.
    #[inline]
    pub(super) fn new(tape: &'a str) -> Self {
        Self(tape)
    }

    /// What stands here. A tape that ends early reads as `null`.
    #[inline]
    pub(super) fn token(self) -> Token<'a> {
        tape::read(self.0).map_or(Token::Null, |(token, _)| token)
    }

    /// Where the tape is read from.
    pub(super) fn start(self) -> *const u8 {
        self.0.as_ptr()
    }

    /// The JSON type.
    pub fn kind(self) -> Kind {
        match self.token() {
            Token::Null => Kind::Null,
            Token::Bool(_) => Kind::Bool,
            Token::Uint(_) | Token::Int(_) | Token::Float(_) => Kind::Number,
            Token::Text(_) | Token::Symbol(_) => Kind::String,
            Token::Array(_) => Kind::Array,
            Token::Map(_) => Kind::Map,
        }
    }

    /// Whether this is `null`.
    pub fn is_null(self) -> bool {
        matches!(self.token(), Token::Null)
    }

    /// The boolean, if it is one.
    pub fn as_bool(self) -> Option<bool> {
        match self.token() {
            Token::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The number as `i64`, if it is an integer that fits.
    pub fn as_i64(self) -> Option<i64> {
        match self.token() {
            Token::Uint(value) => i64::try_from(value).ok(),
            Token::Int(value) => Some(value),
            _ => None,
        }
    }

    /// The number as `u64`, if it is an integer that fits.
    pub fn as_u64(self) -> Option<u64> {
        match self.token() {
            Token::Uint(value) => Some(value),
            _ => None,
        }
    }

    /// The number as `f64`, if it is a number; integers of more than 53 bits are rounded.
    #[allow(clippy::cast_precision_loss)]
    pub fn as_f64(self) -> Option<f64> {
        match self.token() {
            Token::Uint(value) => Some(value as f64),
            Token::Int(value) => Some(value as f64),
            Token::Float(value) => Some(value),
            _ => None,
        }
    }

    /// The number as `serde_json` holds it, if it is one; its `Display` is the JSON text.
    pub fn as_number(self) -> Option<Number> {
        match self.token() {
            Token::Uint(value) => Some(value.into()),
            Token::Int(value) => Some(value.into()),
            Token::Float(value) => Number::from_f64(value),
            _ => None,
        }
    }

    /// The string, if it is one.
    #[inline]
    pub fn as_str(self) -> Option<&'a str> {
        text_of(self.token())
    }

    /// The value under a key of a map.
    pub fn get(self, key: &str) -> Option<ValueRef<'a>> {
        let Token::Map(body) = self.token() else {
            return None;
        };
        // A key that is no symbol by now stands in no tape as one.
        let symbol = SYMBOLS.find(symbols::hash(key.as_bytes()), key.as_bytes());
        tape::find(body, key, symbol).map(ValueRef)
    }

    /// The value under a prepared key of a map.
    #[inline]
    pub(crate) fn get_key(self, key: &Key) -> Option<ValueRef<'a>> {
        let Token::Map(body) = self.token() else {
            return None;
        };
        tape::find(body, &key.text, key.symbol).map(ValueRef)
    }

    /// The element at a place of an array; takes a step per element before it.
    pub fn at(self, index: usize) -> Option<ValueRef<'a>> {
        self.items().nth(index)
    }

    /// The number of elements or entries, which are counted; 0 for everything that has none.
    pub fn len(self) -> usize {
        match self.token() {
            Token::Array(body) => Items(body).count(),
            Token::Map(body) => Entries(body).count(),
            _ => 0,
        }
    }

    /// Whether there are no elements or entries.
    pub fn is_empty(self) -> bool {
        match self.token() {
            Token::Array(body) | Token::Map(body) => body.is_empty(),
            _ => true,
        }
    }

    /// The elements of an array; none for everything else.
    pub fn items(self) -> impl Iterator<Item = ValueRef<'a>> {
        match self.token() {
            Token::Array(body) => Items(body),
            _ => Items(""),
        }
    }

    /// The entries of a map, in the order in which the server sent them; none for everything else.
    pub fn entries(self) -> impl Iterator<Item = (&'a str, ValueRef<'a>)> {
        match self.token() {
            Token::Map(body) => Entries(body),
            _ => Entries(""),
        }
    }

    /// Reads the value into any type, straight from the stored form. Strings can be borrowed.
    ///
    /// # Errors
    /// When the value does not have the type's form.
    pub fn parse<T: Deserialize<'a>>(self) -> Result<T, ParseError> {
        T::deserialize(self)
    }

    /// The value as a `serde_json` value.
    pub fn to_value(self) -> Value {
        match self.token() {
            Token::Null => Value::Null,
            Token::Bool(value) => Value::Bool(value),
            Token::Uint(value) => Value::from(value),
            Token::Int(value) => Value::from(value),
            Token::Float(value) => Value::from(value),
            Token::Text(text) => Value::from(text),
            Token::Symbol(symbol) => Value::from(symbol.text()),
            Token::Array(body) => Value::Array(Items(body).map(ValueRef::to_value).collect()),
            Token::Map(body) => Value::Object(
                Entries(body)
                    .map(|(key, value)| (key.to_owned(), value.to_value()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    /// The value as JSON text.
    pub fn to_json(self) -> String {
        // Keys are strings and numbers are finite: nothing here can fail to be written.
        serde_json::to_string(&self).unwrap_or_default()
    }
}

/// The elements of an array.
#[derive(Clone)]
pub(super) struct Items<'a>(pub(super) &'a str);

impl<'a> Iterator for Items<'a> {
    type Item = ValueRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let value = ValueRef(self.0);
        self.0 = tape::skip(self.0)?;
        Some(value)
    }
}

/// The entries of a map.
#[derive(Clone)]
pub(super) struct Entries<'a>(pub(super) &'a str);

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a str, ValueRef<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (key, value) = tape::read(self.0)?;
        self.0 = tape::skip(value)?;
        Some((text_of(key)?, ValueRef(value)))
    }
}

impl PartialEq for ValueRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        content::equal(*self, *other)
    }
}

/// Tells the type and never the content, which may be secret.
impl fmt::Debug for ValueRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ValueRef({:?})", self.kind())
    }
}
