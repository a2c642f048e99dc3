//! What a path found.

use crate::object::ValueRef;

/// The values that a path found in an object, in the order of the document.
///
/// It iterates over values; [`Found::first`] and [`Found::as_str`] are for paths that find one.
#[derive(Clone)]
pub struct Found<'a>(Values<'a>);

#[derive(Clone)]
enum Values<'a> {
    One(Option<ValueRef<'a>>),
    Many(Vec<ValueRef<'a>>),
}

impl<'a> Found<'a> {
    pub(super) fn one(value: Option<ValueRef<'a>>) -> Self {
        Self(Values::One(value))
    }

    pub(super) fn many(values: Vec<ValueRef<'a>>) -> Self {
        Self(Values::Many(values))
    }

    fn as_slice(&self) -> &[ValueRef<'a>] {
        match &self.0 {
            Values::One(value) => value.as_slice(),
            Values::Many(values) => values,
        }
    }

    /// How many values were found.
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// The first value.
    pub fn first(&self) -> Option<ValueRef<'a>> {
        self.as_slice().first().copied()
    }

    /// The first value, if it is a string.
    pub fn as_str(&self) -> Option<&'a str> {
        self.first()?.as_str()
    }

    /// The values.
    pub fn iter(&self) -> FoundIter<'_, 'a> {
        FoundIter(self.as_slice().iter())
    }

    /// The values that are strings.
    pub fn strs(&self) -> impl Iterator<Item = &'a str> {
        self.iter().filter_map(ValueRef::as_str)
    }
}

impl<'a> IntoIterator for Found<'a> {
    type Item = ValueRef<'a>;
    type IntoIter = FoundValues<'a>;

    fn into_iter(self) -> Self::IntoIter {
        let (one, many) = match self.0 {
            Values::One(value) => (value, Vec::new()),
            Values::Many(values) => (None, values),
        };
        FoundValues {
            one,
            many: many.into_iter(),
        }
    }
}

impl<'f, 'a> IntoIterator for &'f Found<'a> {
    type Item = ValueRef<'a>;
    type IntoIter = FoundIter<'f, 'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Iterates over borrowed found values.
pub struct FoundIter<'f, 'a>(std::slice::Iter<'f, ValueRef<'a>>);

impl<'a> Iterator for FoundIter<'_, 'a> {
    type Item = ValueRef<'a>;

    fn next(&mut self) -> Option<ValueRef<'a>> {
        self.0.next().copied()
    }
}

/// Iterates over found values.
pub struct FoundValues<'a> {
    one: Option<ValueRef<'a>>,
    many: std::vec::IntoIter<ValueRef<'a>>,
}

impl<'a> Iterator for FoundValues<'a> {
    type Item = ValueRef<'a>;

    fn next(&mut self) -> Option<ValueRef<'a>> {
        self.one.take().or_else(|| self.many.next())
    }
}
