//! Path expressions: JSONPath as Kubernetes users write it.
//!
//! A [`PathExpression`] is normalised to RFC 9535, parsed once by `jsonpath-rust` and compiled to steps over the object, so
//! that reading one walks the object itself and builds no `serde_json::Value`; only a filter that calls a function does.
//! The same dialect serves index expressions, ignored fields, client-side field selectors and [`Object::get`].
//!
//! Recursive descent (`..`) is never accepted: what it finds depends on every field an object happens to have, so that
//! it would index, ignore or select by accident, at a cost that grows with the whole object.

mod compile;
mod condition;
mod error;
mod found;
mod normalise;
mod plain;
mod walk;

pub use error::PathError;
pub use found::{Found, FoundIter, FoundValues};

pub(crate) use compile::Step;

pub(crate) use compile::Use;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::object::{Object, ValueRef};

/// The longest expression that is accepted, in bytes. Parsing costs more than linear time, and no real path is longer.
pub const MAX_EXPRESSION_BYTES: usize = 1024;

/// A path into an object, parsed and checked. Cloning is a reference count.
///
/// All of these are the same path: `metadata.namespace`, `.metadata.namespace`, `{.metadata.namespace}`,
/// `$.metadata.namespace`, `$['metadata']["namespace"]`. A dot inside a name is escaped or the name is quoted:
/// `metadata.labels.kubernetes\.io/service-name`, `metadata.labels['kubernetes.io/service-name']`. Arrays take `[0]`,
/// `[-1]`, `[*]`, `[1:3]`, `[0,2]` and filters: `status.conditions[?(@.type=="Ready")].status`.
///
/// ```
/// use kubedex::indexer::PathExpression;
/// let hosts: PathExpression = "{.spec.rules[*].host}".parse().unwrap();
/// assert_eq!(hosts, "spec.rules[*].host".parse().unwrap());
/// let error = "invalid..path".parse::<PathExpression>().unwrap_err();
/// assert_eq!(error.position(), 7);
/// ```
#[derive(Clone)]
pub struct PathExpression(Arc<Inner>);

struct Inner {
    source: Box<str>,
    normalised: Box<str>,
    steps: Box<[Step]>,
    definite: bool,
}

impl PathExpression {
    /// Parses an expression. The names in it get a lasting place in a table that all objects share, so this is for
    /// expressions of a configuration, not for such as are made up from data.
    ///
    /// # Errors
    /// When it is not a path of this dialect: with the expression, the position in it, and the reason.
    pub fn parse(source: &str) -> Result<Self, PathError> {
        Self::build(source, Use::Often)
    }

    /// Parses an expression for some use.
    pub(super) fn build(source: &str, used: Use) -> Result<Self, PathError> {
        let normalised = normalise::normalise(source)?;
        let steps = compile::compile(source, &normalised, used)?;
        Ok(Self(Arc::new(Inner {
            source: source.into(),
            definite: steps.iter().all(Step::is_definite),
            normalised: normalised.text.into_boxed_str(),
            steps: steps.into_boxed_slice(),
        })))
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.0.source
    }

    /// The expression in the normal form of RFC 9535.
    pub fn normalised(&self) -> &str {
        &self.0.normalised
    }

    /// Whether the path can find at most one value: it has only names and places, no wildcard, slice, union or filter.
    pub fn is_definite(&self) -> bool {
        self.0.definite
    }

    /// The values at this path, in the order of the document.
    pub fn find<'a>(&self, root: ValueRef<'a>) -> Found<'a> {
        if self.0.definite {
            return Found::one(self.first(root));
        }
        let mut values = Vec::new();
        self.each(root, &mut |value| values.push(value));
        Found::many(values)
    }

    /// The first value at this path.
    pub(crate) fn first<'a>(&self, root: ValueRef<'a>) -> Option<ValueRef<'a>> {
        walk::first(root, &self.0.steps)
    }

    /// Calls back with each value at this path.
    pub(crate) fn each<'a>(&self, root: ValueRef<'a>, found: &mut dyn FnMut(ValueRef<'a>)) {
        walk::each(root, &self.0.steps, found);
    }

    /// Whether it looks at nothing but what is in `metadata`.
    pub(super) fn is_of_metadata(&self) -> bool {
        // Conditions see what they are about and nothing else.
        matches!(self.steps().first(), Some(Step::Key(key)) if key.as_str() == "metadata")
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.0.steps
    }
}

impl FromStr for PathExpression {
    type Err = PathError;

    fn from_str(source: &str) -> Result<Self, PathError> {
        Self::parse(source)
    }
}

impl fmt::Display for PathExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.source)
    }
}

impl fmt::Debug for PathExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PathExpression({})", self.0.source)
    }
}

/// Equal when they mean the same, however they are spelt.
impl PartialEq for PathExpression {
    fn eq(&self, other: &Self) -> bool {
        self.0.normalised == other.0.normalised
    }
}

impl Eq for PathExpression {}

/// Checks an expression without keeping it.
///
/// # Errors
/// Says what is wrong with the expression and where.
pub fn validate_jsonpath(expression: &str) -> Result<(), PathError> {
    PathExpression::build(expression, Use::Once).map(drop)
}

/// What [`Object::get`] takes: a [`PathExpression`], or its text, which is then read at each call.
pub trait ToPath: sealed::Sealed {}

impl ToPath for &str {}
impl ToPath for &String {}
impl ToPath for &PathExpression {}

mod sealed {
    use super::{Found, PathError, PathExpression, ValueRef, plain};
    use crate::indexer::path::compile::Use;

    pub trait Sealed {
        fn find_in(self, root: ValueRef<'_>) -> Result<Found<'_>, PathError>;
    }

    impl Sealed for &PathExpression {
        fn find_in(self, root: ValueRef<'_>) -> Result<Found<'_>, PathError> {
            Ok(self.find(root))
        }
    }

    impl Sealed for &str {
        fn find_in(self, root: ValueRef<'_>) -> Result<Found<'_>, PathError> {
            match plain::find(root, self) {
                Some(found) => Ok(Found::one(found)),
                None => Ok(PathExpression::build(self, Use::Once)?.find(root)),
            }
        }
    }

    impl Sealed for &String {
        fn find_in(self, root: ValueRef<'_>) -> Result<Found<'_>, PathError> {
            self.as_str().find_in(root)
        }
    }
}

impl Object {
    /// The values at a path, in the order of the document; none where the object lacks the field.
    ///
    /// A text is read at each call. For names joined by dots that costs next to nothing, for anything more some
    /// microseconds: code that runs often keeps a [`PathExpression`].
    ///
    /// ```
    /// # let ingress = kubedex::Object::from_json(
    /// #     br#"{"metadata":{"name":"x"},"spec":{"rules":[{"host":"a.example"},{"host":"b.example"}]}}"#).unwrap();
    /// let hosts: Vec<_> = ingress.get("spec.rules[*].host")?.strs().collect();
    /// assert_eq!(hosts, ["a.example", "b.example"]);
    /// assert_eq!(ingress.get("spec.rules[0].host")?.as_str(), Some("a.example"));
    /// # Ok::<(), kubedex::indexer::PathError>(())
    /// ```
    ///
    /// # Errors
    /// When the text is no valid path expression.
    pub fn get(&self, path: impl ToPath) -> Result<Found<'_>, PathError> {
        path.find_in(self.root())
    }
}

#[cfg(test)]
mod tests;
