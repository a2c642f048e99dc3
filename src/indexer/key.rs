//! Index keys: lists of components, never joined.
//!
//! [`Keys`] is what one object is found under in all indexes of a watcher, packed into one shared allocation. A component is
//! a text: strings as they are, numbers as `serde_json` prints them, `true` and `false`, the empty text for what is null,
//! missing or an empty selection, and compact JSON for a map or a list.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::path::PathExpression;
use crate::object::{Kind, ValueRef};

/// The most keys that one object gets in one index. Expressions that find many values multiply, and an object's author
/// must not be able to fill the memory of those who watch it; what is beyond is not indexed, and [`Keys::is_truncated`]
/// says so. See [`MAX_KEY_BYTES_PER_OBJECT`], too.
pub const MAX_KEYS_PER_OBJECT: usize = 1024;

/// The most bytes of keys that one object gets in one index, beyond its first key: a large value that stands in every
/// combination would else be repeated a thousand times. What is beyond is not indexed, as beyond
/// [`MAX_KEYS_PER_OBJECT`].
pub const MAX_KEY_BYTES_PER_OBJECT: usize = 1024 * 1024;

/// One key: a list of components. `["a/b", "c"]` and `["a", "b/c"]` differ.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IndexKey(Box<[Box<str>]>);

impl IndexKey {
    /// The components, in the order of the index's expressions.
    pub fn components(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(|component| &**component)
    }

    /// One component.
    pub fn get(&self, position: usize) -> Option<&str> {
        self.0.get(position).map(|component| &**component)
    }

    /// How many components there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no components.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Into<Box<str>>> FromIterator<T> for IndexKey {
    fn from_iter<I: IntoIterator<Item = T>>(components: I) -> Self {
        Self(components.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Box<str>>, const N: usize> From<[T; N]> for IndexKey {
    fn from(components: [T; N]) -> Self {
        components.into_iter().collect()
    }
}

impl<const N: usize> PartialEq<[&str; N]> for IndexKey {
    fn eq(&self, other: &[&str; N]) -> bool {
        self.components().eq(other.iter().copied())
    }
}

impl fmt::Debug for IndexKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.components()).finish()
    }
}

/// A borrowed key inside [`Keys`].
#[derive(Clone, Copy)]
pub struct KeyRef<'a> {
    components: usize,
    packed: &'a [u8],
}

impl<'a> KeyRef<'a> {
    /// The components, in the order of the index's expressions.
    pub fn components(self) -> impl Iterator<Item = &'a str> + Clone {
        let mut rest = self.packed;
        (0..self.components).map(move |_| take_text(&mut rest))
    }

    /// How many components there are.
    pub fn len(self) -> usize {
        self.components
    }

    /// Whether there are no components.
    pub fn is_empty(self) -> bool {
        self.components == 0
    }

    /// The first so many components.
    pub(crate) fn beginning(self, components: usize) -> Self {
        let mut rest = self.packed;
        let components = components.min(self.components);
        Self {
            components,
            packed: take_key(&mut rest, components),
        }
    }

    /// The components as bytes: equal for equal keys of one length.
    pub(crate) fn packed(self) -> &'a [u8] {
        self.packed
    }

    /// From what [`KeyRef::packed`] gave.
    pub(crate) fn from_packed(components: usize, packed: &'a [u8]) -> Self {
        Self { components, packed }
    }

    /// An owned copy.
    pub fn to_key(self) -> IndexKey {
        self.components().collect()
    }
}

impl PartialEq for KeyRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.packed == other.packed
    }
}

impl Eq for KeyRef<'_> {}

impl<const N: usize> PartialEq<[&str; N]> for KeyRef<'_> {
    fn eq(&self, other: &[&str; N]) -> bool {
        self.components().eq(other.iter().copied())
    }
}

impl fmt::Debug for KeyRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.components()).finish()
    }
}

/// All keys of one object: those of the primary index first, then those of the named ones. Cloning is a reference
/// count.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys(Arc<[u8]>);

impl Keys {
    /// No keys at all.
    pub(crate) fn none() -> Self {
        Self(Arc::from([]))
    }

    /// The memory they take on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.0.len() + 2 * size_of::<usize>()
    }

    /// The keys under the index at a position of its [`IndexSet`](super::IndexSet).
    pub fn of(&self, index: usize) -> impl Iterator<Item = KeyRef<'_>> + Clone {
        let mut rest = self.0.get(1..).unwrap_or_default();
        for _ in 0..index {
            skip_index(&mut rest);
        }
        let count = take_number(&mut rest);
        let components = if count == 0 {
            0
        } else {
            take_number(&mut rest)
        };
        (0..count).map(move |_| KeyRef {
            components,
            packed: take_key(&mut rest, components),
        })
    }

    /// The keys under the primary index.
    pub fn primary(&self) -> impl Iterator<Item = KeyRef<'_>> + Clone {
        self.of(0)
    }

    /// Whether the object had more keys under some index than [`MAX_KEYS_PER_OBJECT`], or longer ones than
    /// [`MAX_KEY_BYTES_PER_OBJECT`], so that some were left out.
    pub fn is_truncated(&self) -> bool {
        self.0.first() == Some(&1)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        let mut rest = self.0.get(1..).unwrap_or_default();
        let mut index = 0;
        while !rest.is_empty() {
            list.entry(&self.of(index).collect::<Vec<_>>());
            skip_index(&mut rest);
            index += 1;
        }
        list.finish()
    }
}

/// Packs keys, index after index.
pub(super) struct KeysBuilder<'b> {
    packed: &'b mut Vec<u8>,
}

thread_local! {
    /// Where keys are packed before they are copied out in their exact length.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The most bytes that a thread keeps for packing keys.
const SCRATCH_BYTES: usize = 64 * 1024;

impl KeysBuilder<'_> {
    /// Packs what the function adds.
    pub(super) fn build(function: impl FnOnce(&mut KeysBuilder<'_>)) -> Keys {
        let mut scratch = SCRATCH.take();
        scratch.clear();
        scratch.push(0);
        function(&mut KeysBuilder {
            packed: &mut scratch,
        });
        let keys = Keys(Arc::from(&scratch[..]));
        if scratch.capacity() <= SCRATCH_BYTES {
            SCRATCH.set(scratch);
        }
        keys
    }

    /// Adds the keys of one index: every combination of what its expressions find.
    pub(super) fn index(&mut self, root: ValueRef<'_>, expressions: &[PathExpression]) {
        if expressions.iter().all(PathExpression::is_definite) {
            self.number(1);
            self.number(expressions.len());
            for expression in expressions {
                self.text(&component(expression.first(root)));
            }
            return;
        }
        let mut truncated = false;
        let values: Vec<_> = expressions
            .iter()
            .map(|expression| components(expression, root, &mut truncated))
            .collect();
        let count = values
            .iter()
            .fold(1, |count: usize, values| count.saturating_mul(values.len()));
        let most = count.min(MAX_KEYS_PER_OBJECT);
        let (mut kept, mut bytes) = (0, 0_usize);
        combinations(&values, most, |key| {
            if kept > 0 {
                bytes = bytes.saturating_add(key.map(str::len).sum());
            }
            let fits = bytes <= MAX_KEY_BYTES_PER_OBJECT;
            kept += usize::from(fits);
            fits
        });
        truncated |= count > kept;
        self.number(kept);
        self.number(expressions.len());
        combinations(&values, kept, |key| {
            key.for_each(|text| self.text(text));
            true
        });
        if truncated && let Some(flag) = self.packed.first_mut() {
            *flag = 1;
        }
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.packed.extend_from_slice(text.as_bytes());
    }

    /// Seven bits a byte, lowest first, the eighth says that more follow.
    fn number(&mut self, number: usize) {
        let mut rest = number;
        loop {
            let [low, ..] = rest.to_le_bytes();
            rest >>= 7;
            if rest == 0 {
                return self.packed.push(low & 0x7f);
            }
            self.packed.push(low | 0x80);
        }
    }
}

/// Calls the function with the first so many combinations of values, the last value changing first, until it says no.
fn combinations(
    values: &[Vec<Cow<'_, str>>],
    most: usize,
    mut each: impl FnMut(&mut dyn Iterator<Item = &str>) -> bool,
) {
    let mut places = vec![0; values.len()];
    for _ in 0..most {
        let mut key = values
            .iter()
            .zip(&places)
            .map(|(values, place)| values.get(*place).map_or("", |value| &**value));
        if !each(&mut key) {
            return;
        }
        for (values, place) in values.iter().zip(&mut places).rev() {
            *place += 1;
            if *place < values.len() {
                break;
            }
            *place = 0;
        }
    }
}

/// What one expression finds, each value once, at least one.
fn components<'a>(
    expression: &PathExpression,
    root: ValueRef<'a>,
    truncated: &mut bool,
) -> Vec<Cow<'a, str>> {
    if expression.is_definite() {
        return vec![component(expression.first(root))];
    }
    let mut seen = HashSet::new();
    let mut values = Vec::new();
    expression.each(root, &mut |value| {
        if values.len() == MAX_KEYS_PER_OBJECT {
            *truncated = true;
            return;
        }
        let value = component(Some(value));
        if seen.insert(value.clone()) {
            values.push(value);
        }
    });
    if values.is_empty() {
        values.push(Cow::Borrowed(""));
    }
    values
}

/// A value as a component of a key.
pub(super) fn component(value: Option<ValueRef<'_>>) -> Cow<'_, str> {
    let Some(value) = value else {
        return Cow::Borrowed("");
    };
    match value.kind() {
        Kind::Null => Cow::Borrowed(""),
        Kind::Bool if value.as_bool() == Some(true) => Cow::Borrowed("true"),
        Kind::Bool => Cow::Borrowed("false"),
        Kind::String => Cow::Borrowed(value.as_str().unwrap_or_default()),
        Kind::Number | Kind::Array | Kind::Map => Cow::Owned(value.to_json()),
    }
}

/// Whether two texts are equal. Comparing nothing with nothing takes many times as long as comparing anything else where
/// the C library reads the (unmapped) place of an empty text through masked vector loads, and empty components are frequent.
pub(crate) fn same_text(a: &str, b: &str) -> bool {
    a.len() == b.len() && (a.is_empty() || a == b)
}

/// Whether a value's component is this text; strings are compared in place.
pub(super) fn component_is(value: Option<ValueRef<'_>>, text: &str) -> bool {
    match value.and_then(ValueRef::as_str) {
        Some(value) => same_text(value, text),
        None => component(value) == text,
    }
}

fn take_number(rest: &mut &[u8]) -> usize {
    let (mut number, mut shift) = (0, 0);
    while let Some((byte, tail)) = rest.split_first() {
        *rest = tail;
        number |= usize::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            break;
        }
        shift += 7;
    }
    number
}

fn take_bytes<'a>(rest: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (bytes, tail) = rest.split_at_checked(len).unwrap_or_default();
    *rest = tail;
    bytes
}

fn take_text<'a>(rest: &mut &'a [u8]) -> &'a str {
    let len = take_number(rest);
    std::str::from_utf8(take_bytes(rest, len)).unwrap_or_default()
}

fn take_key<'a>(rest: &mut &'a [u8], components: usize) -> &'a [u8] {
    let start = *rest;
    for _ in 0..components {
        let len = take_number(rest);
        take_bytes(rest, len);
    }
    start.get(..start.len() - rest.len()).unwrap_or_default()
}

fn skip_index(rest: &mut &[u8]) {
    let count = take_number(rest);
    if count > 0 {
        let components = take_number(rest);
        for _ in 0..count {
            take_key(rest, components);
        }
    }
}

#[cfg(test)]
mod tests;
