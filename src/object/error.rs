//! What can go wrong between text, objects and types.
//!
//! No message repeats content of a document: it may be a secret. Keys are named, since they tell where the trouble is.

use std::fmt;

use serde::de::{Expected, Unexpected};

/// Why a text is no [`Object`](super::Object).
///
/// The message names the reason and the place, and never shows what stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    reason: Reason,
    position: Option<Position>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Syntax(&'static str),
    Truncated,
    TooDeep,
    TooLarge(usize),
    NoName,
    Unwritable,
}

/// A place in JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The byte within the line, from 1.
    pub column: usize,
    /// The byte within the text, from 0.
    pub offset: usize,
}

impl DecodeError {
    pub(super) fn new(reason: Reason) -> Self {
        Self {
            reason,
            position: None,
        }
    }

    /// At a byte of a text.
    pub(super) fn at(reason: Reason, json: &[u8], offset: usize) -> Self {
        let before = json.get(..offset).unwrap_or(json);
        let newline = before.iter().rposition(|&byte| byte == b'\n');
        Self {
            reason,
            position: Some(Position {
                line: 1 + before.iter().filter(|&&byte| byte == b'\n').count(),
                column: before.len() - newline.map_or(0, |newline| newline + 1) + 1,
                offset: before.len(),
            }),
        }
    }

    /// Whether the text is not JSON. A text that merely ends early is [truncated](Self::is_truncated) instead.
    pub fn is_syntax(&self) -> bool {
        matches!(self.reason, Reason::Syntax(_))
    }

    /// Whether the text ends in the middle of the document.
    pub fn is_truncated(&self) -> bool {
        matches!(self.reason, Reason::Truncated)
    }

    /// Whether arrays and maps are nested deeper than [`MAX_DEPTH`](super::MAX_DEPTH).
    pub fn is_too_deep(&self) -> bool {
        matches!(self.reason, Reason::TooDeep)
    }

    /// Whether the text is longer than [`MAX_BYTES`](super::MAX_BYTES).
    pub fn is_too_large(&self) -> bool {
        matches!(self.reason, Reason::TooLarge(_))
    }

    /// Whether the text is JSON, but no object with a `metadata.name`.
    pub fn is_nameless(&self) -> bool {
        matches!(self.reason, Reason::NoName)
    }

    /// Where reading stopped, if the trouble has a place.
    pub fn position(&self) -> Option<Position> {
        self.position
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::Syntax(reason) => write!(f, "the object is not valid JSON: {reason}")?,
            Reason::Truncated => f.write_str("the object's JSON ends early")?,
            Reason::TooDeep => write!(
                f,
                "the object is nested deeper than {} levels",
                super::MAX_DEPTH
            )?,
            Reason::TooLarge(bytes) => write!(
                f,
                "the object has {bytes} bytes, more than the {} that are read",
                super::MAX_BYTES
            )?,
            Reason::NoName => f.write_str("the object has no metadata.name")?,
            Reason::Unwritable => f.write_str("the value cannot be written as JSON")?,
        }
        match self.position {
            Some(Position { line, column, .. }) => write!(f, ", at line {line}, column {column}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Why a value does not have the form of a type.
///
/// The message names the field and what was expected there: `spec.replicas: expected i32, found a string`. It does not show
/// the value, unless the type puts it into a message of its own.
#[derive(Debug)]
pub struct ParseError(Box<Parse>);

#[derive(Debug)]
struct Parse {
    /// From the innermost outwards.
    path: Vec<Step>,
    message: String,
}

#[derive(Debug)]
enum Step {
    Key(Box<str>),
    Index(usize),
}

impl ParseError {
    /// The same, seen from the map around it.
    pub(super) fn under_key(mut self, key: &str) -> Self {
        self.0.path.push(Step::Key(key.into()));
        self
    }

    /// The same, seen from the array around it.
    pub(super) fn at_index(mut self, index: usize) -> Self {
        self.0.path.push(Step::Index(index));
        self
    }

    /// The field in question, such as `spec.ports[0].port`; empty for the value as a whole.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for step in self.0.path.iter().rev() {
            match step {
                Step::Index(index) => path.push_str(&format!("[{index}]")),
                Step::Key(key) if key.contains(['.', '/', '\'', '[']) => {
                    path.push_str(&format!("['{key}']"));
                }
                Step::Key(key) => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(key);
                }
            }
        }
        path
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path();
        if !path.is_empty() {
            write!(f, "{path}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for ParseError {}

/// As serde's own messages, less the values.
impl serde::de::Error for ParseError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(Box::new(Parse {
            path: Vec::new(),
            message: message.to_string(),
        }))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!(
            "expected {expected}, found {}",
            describe(found)
        ))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!(
            "expected {expected}, found {} that is not",
            describe(found)
        ))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format_args!("expected one of {}", expected.join(", ")))
    }
}

fn describe(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "an integer",
        Unexpected::Float(_) => "a floating-point number",
        Unexpected::Char(_) | Unexpected::Str(_) => "a string",
        Unexpected::Bytes(_) => "bytes",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "an array",
        Unexpected::Map => "a map",
        _ => "something else",
    }
}
