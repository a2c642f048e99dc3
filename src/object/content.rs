//! Equality and hashes of what tapes say.
//!
//! Both follow `serde_json`: the order of keys means nothing, `-0.0` equals `0.0`, and `1` differs from `1.0`. Neither builds
//! a value, and neither depends on which strings happen to be symbols.

use super::symbols::hash;
use super::tape::{self, Token};
use super::value_ref::{ValueRef, text_of};

/// How deep in the document, to know what is left out of the content.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Metadata,
    Inner,
}

impl Level {
    /// The level of the value under a key, or `None` if that is no content.
    #[inline]
    fn under(self, key: &str) -> Option<Self> {
        match self {
            Self::Root if key == "metadata" => Some(Self::Metadata),
            Self::Metadata if matches!(key, "resourceVersion" | "managedFields") => None,
            _ => Some(Self::Inner),
        }
    }
}

/// Whether two values are equal.
pub(super) fn equal(one: ValueRef<'_>, other: ValueRef<'_>) -> bool {
    values_equal(one.token(), other.token(), Level::Inner)
}

/// Whether two documents are equal, but for their resource version and managed fields.
pub(super) fn same(one: ValueRef<'_>, other: ValueRef<'_>) -> bool {
    values_equal(one.token(), other.token(), Level::Root)
}

/// A hash of what [`same`] compares.
pub(super) fn hash_of(value: ValueRef<'_>) -> u64 {
    // Unknown outside the process as all hashes of text are, so that nobody can prepare contents that collide.
    let seed = hash(b"content");
    hash_value(value.token(), Level::Root, seed)
}

fn values_equal(one: Token<'_>, other: Token<'_>, level: Level) -> bool {
    match (one, other) {
        (Token::Null, Token::Null) => true,
        (Token::Bool(one), Token::Bool(other)) => one == other,
        (Token::Uint(one), Token::Uint(other)) => one == other,
        (Token::Int(one), Token::Int(other)) => one == other,
        #[allow(clippy::float_cmp)]
        (Token::Float(one), Token::Float(other)) => one == other,
        (Token::Array(one), Token::Array(other)) => arrays_equal(one, other),
        (Token::Map(one), Token::Map(other)) => maps_equal(one, other, level),
        (one, other) => texts_equal(one, other),
    }
}

#[inline]
fn texts_equal(one: Token<'_>, other: Token<'_>) -> bool {
    match (one, other) {
        // A text has only one symbol.
        (Token::Symbol(one), Token::Symbol(other)) => one == other,
        (one, other) => match (text_of(one), text_of(other)) {
            (Some(one), Some(other)) => one == other,
            _ => false,
        },
    }
}

fn arrays_equal(mut one: &str, mut other: &str) -> bool {
    // The same bytes say the same; other bytes may still.
    if one == other {
        return true;
    }
    loop {
        match (tape::read(one), tape::read(other)) {
            (Some((item, one_rest)), Some((other_item, other_rest))) => {
                if !values_equal(item, other_item, Level::Inner) {
                    return false;
                }
                (one, other) = (one_rest, other_rest);
            }
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// The next entry that is content, its level, and what follows it.
type Entry<'a> = (Token<'a>, Token<'a>, Level, &'a str);

fn next_entry(mut map: &str, level: Level) -> Option<Entry<'_>> {
    loop {
        let (key, after) = tape::read(map)?;
        let (value, rest) = tape::read(after)?;
        let inner = match level {
            Level::Inner => Some(Level::Inner),
            level => level.under(text_of(key)?),
        };
        if let Some(inner) = inner {
            return Some((key, value, inner, rest));
        }
        map = rest;
    }
}

fn maps_equal(mut one: &str, mut other: &str, level: Level) -> bool {
    if one == other {
        return true;
    }
    // Nearly always the keys stand in the same order.
    loop {
        match (next_entry(one, level), next_entry(other, level)) {
            (
                Some((key, value, inner, one_rest)),
                Some((other_key, other_value, _, other_rest)),
            ) => {
                if !texts_equal(key, other_key) {
                    return unordered_equal(one, other, level);
                }
                if !values_equal(value, other_value, inner) {
                    return false;
                }
                (one, other) = (one_rest, other_rest);
            }
            (None, None) => return true,
            _ => return false,
        }
    }
}

fn unordered_equal(one: &str, other: &str, level: Level) -> bool {
    let one = sorted(one, level);
    let other = sorted(other, level);
    one.len() == other.len()
        && one
            .iter()
            .zip(&other)
            .all(|((key, value, inner), (other_key, other_value, _))| {
                key == other_key && values_equal(*value, *other_value, *inner)
            })
}

fn sorted(mut map: &str, level: Level) -> Vec<(&str, Token<'_>, Level)> {
    let mut entries = Vec::new();
    while let Some((key, value, inner, rest)) = next_entry(map, level) {
        entries.push((text_of(key).unwrap_or_default(), value, inner));
        map = rest;
    }
    entries.sort_unstable_by_key(|(key, ..)| *key);
    entries
}

/// Mixes two hashes under a seed; not symmetric.
#[inline]
fn mix(seed: u64, one: u64, other: u64) -> u64 {
    let product = u128::from(one ^ seed) * u128::from(other ^ seed.rotate_left(32));
    #[allow(clippy::cast_possible_truncation)]
    let folded = product as u64 ^ (product >> 64) as u64;
    folded.rotate_left(17) ^ one
}

fn hash_text(text: Token<'_>) -> u64 {
    match text {
        Token::Symbol(symbol) => symbol.hash(),
        text => hash(text_of(text).unwrap_or_default().as_bytes()),
    }
}

fn hash_value(value: Token<'_>, level: Level, seed: u64) -> u64 {
    match value {
        Token::Null => 1,
        Token::Bool(value) => mix(seed, 2, u64::from(value)),
        Token::Uint(value) => mix(seed, 3, value),
        Token::Int(value) => mix(seed, 4, value.cast_unsigned()),
        Token::Float(value) => {
            let value = if value == 0.0 { 0.0 } else { value };
            mix(seed, 5, value.to_bits())
        }
        Token::Text(_) | Token::Symbol(_) => mix(seed, 6, hash_text(value)),
        Token::Array(mut items) => {
            let mut sum = 7;
            while let Some((item, rest)) = tape::read(items) {
                sum = mix(seed, sum, hash_value(item, Level::Inner, seed));
                items = rest;
            }
            sum
        }
        Token::Map(mut map) => {
            // A sum, so that the order of entries means nothing.
            let mut sum = 0_u64;
            while let Some((key, value, inner, rest)) = next_entry(map, level) {
                sum = sum.wrapping_add(mix(seed, hash_text(key), hash_value(value, inner, seed)));
                map = rest;
            }
            mix(seed, 8, sum)
        }
    }
}
