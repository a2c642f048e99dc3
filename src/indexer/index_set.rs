//! The compiled definitions of a watcher's indexes.

use std::fmt;

use super::key::{Keys, KeysBuilder, component_is};
use super::path::{PathError, PathExpression, Use};
use crate::object::Object;

/// The most expressions of one index. A key longer than this is a sign of confusion, and lookups keep keys on the stack.
pub const MAX_COMPONENTS: usize = 8;

/// The expressions that index objects unless told otherwise: `metadata.namespace`, `metadata.name`.
pub const DEFAULT_INDEX: [&str; 2] = ["metadata.namespace", "metadata.name"];

/// The indexes of a watcher: the primary one, whose name is the empty text, and any number of named ones.
#[derive(Clone, Debug)]
pub struct IndexSet {
    definitions: Vec<Definition>,
}

#[derive(Clone, Debug)]
struct Definition {
    name: Box<str>,
    expressions: Vec<PathExpression>,
    /// Whether the keys can be read again from the object as it is stored. If not, a store has to keep them.
    derivable: bool,
}

/// Why indexes cannot be built.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IndexError {
    /// One expression is no path.
    Path {
        /// The index; empty for the primary one.
        index: String,
        /// What is wrong.
        source: PathError,
    },
    /// An index has no expressions.
    NoExpressions {
        /// The index; empty for the primary one.
        index: String,
    },
    /// An index has more than [`MAX_COMPONENTS`] expressions.
    TooManyExpressions {
        /// The index; empty for the primary one.
        index: String,
        /// How many it has.
        count: usize,
    },
    /// A named index has the empty name, which is the primary index's.
    EmptyName,
    /// Two indexes have one name.
    DuplicateName {
        /// The name.
        index: String,
    },
}

impl IndexSet {
    /// Indexes with a primary one over these expressions.
    ///
    /// # Errors
    /// When there are none or too many, or one is no valid path.
    pub fn new<I>(expressions: I) -> Result<Self, IndexError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Ok(Self {
            definitions: vec![Definition::new("", expressions, Use::Often)?],
        })
    }

    /// The same for one use.
    pub(super) fn once<I>(expressions: I) -> Result<Self, IndexError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Ok(Self {
            definitions: vec![Definition::new("", expressions, Use::Once)?],
        })
    }

    /// Adds a named index.
    ///
    /// # Errors
    /// When the name is empty or taken, there are no or too many expressions, or one is no valid path.
    pub fn with<I>(mut self, name: &str, expressions: I) -> Result<Self, IndexError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        if name.is_empty() {
            return Err(IndexError::EmptyName);
        }
        if self.position(name).is_some() {
            return Err(IndexError::DuplicateName { index: name.into() });
        }
        self.definitions
            .push(Definition::new(name, expressions, Use::Often)?);
        Ok(self)
    }

    /// How many indexes there are, the primary one included.
    pub fn len(&self) -> usize {
        self.definitions.len()
    }

    /// Never: there is always a primary index.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The place of an index by its name; the primary one, `""`, is at 0.
    pub fn position(&self, name: &str) -> Option<usize> {
        if name.is_empty() {
            return Some(0);
        }
        self.definitions
            .iter()
            .position(|definition| &*definition.name == name)
    }

    /// The names of the named indexes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.definitions
            .iter()
            .skip(1)
            .map(|definition| &*definition.name)
    }

    /// The expressions of the index at a position; none for a position that there is not.
    pub fn expressions(&self, position: usize) -> &[PathExpression] {
        self.definitions
            .get(position)
            .map_or(&[], |definition| &definition.expressions)
    }

    /// The keys of an object as it is. Of an object that lacks ignored fields, keys over those are empty.
    pub fn keys(&self, object: &Object) -> Keys {
        KeysBuilder::build(|builder| {
            for definition in &self.definitions {
                builder.index(object.root(), &definition.expressions);
            }
        })
    }

    /// Whether these are the keys of an object as it is; false if that would take as long as reading them.
    pub(crate) fn has_keys(&self, object: &Object, keys: &Keys) -> bool {
        let root = object.root();
        self.definitions
            .iter()
            .enumerate()
            .all(|(index, definition)| {
                let mut expressions = definition.expressions.iter();
                let key = keys.of(index).next();
                expressions.clone().all(PathExpression::is_definite)
                    && key.is_some_and(|key| {
                        key.components().all(|component| {
                            let value = expressions
                                .next()
                                .and_then(|expression| expression.first(root));
                            component_is(value, component)
                        })
                    })
            })
    }

    /// Whether the keys under the index at a position can be read again from a stored object.
    pub(crate) fn is_derivable(&self, position: usize) -> bool {
        self.definitions
            .get(position)
            .is_some_and(|definition| definition.derivable)
    }

    /// Whether the index at a position finds exactly one key for every object.
    pub(crate) fn is_definite(&self, position: usize) -> bool {
        self.expressions(position)
            .iter()
            .all(PathExpression::is_definite)
    }

    /// Whether the keys of the index at a position are the objects' namespaces and names.
    pub(crate) fn is_by_name(&self, position: usize) -> bool {
        let expressions = self
            .expressions(position)
            .iter()
            .map(PathExpression::normalised);
        expressions.eq(["$['metadata']['namespace']", "$['metadata']['name']"])
    }

    /// Whether an object has a key that begins with these components, in the index at a position.
    pub(crate) fn has_key(&self, position: usize, object: &Object, components: &[&str]) -> bool {
        let root = object.root();
        self.expressions(position)
            .iter()
            .zip(components)
            .all(|(expression, component)| {
                if expression.is_definite() {
                    return component_is(expression.first(root), component);
                }
                let (mut any, mut equal) = (false, false);
                expression.each(root, &mut |value| {
                    any = true;
                    equal = equal || component_is(Some(value), component);
                });
                equal || !any && component.is_empty()
            })
    }

    /// The same indexes, for a store that keeps no more of an object than its name: keys over anything else are not to
    /// be had again.
    pub(crate) fn of_names(&self) -> Self {
        let mut indexes = self.clone();
        for definition in &mut indexes.definitions {
            let mut expressions = definition
                .expressions
                .iter()
                .map(PathExpression::normalised);
            definition.derivable = expressions.all(|expression| {
                matches!(
                    expression,
                    "$['metadata']['namespace']" | "$['metadata']['name']"
                )
            });
        }
        indexes
    }

    /// Says of each index whether its keys can be read again from stored objects.
    pub(super) fn set_derivable(&mut self, derivable: impl Fn(&PathExpression) -> bool) {
        for definition in &mut self.definitions {
            definition.derivable = definition.expressions.iter().all(&derivable);
        }
    }

    /// Every expression of every index.
    pub(super) fn all_expressions(&self) -> impl Iterator<Item = &PathExpression> {
        self.definitions
            .iter()
            .flat_map(|definition| &definition.expressions)
    }
}

/// [`DEFAULT_INDEX`] alone.
impl Default for IndexSet {
    fn default() -> Self {
        match Self::new(DEFAULT_INDEX) {
            Ok(indexes) => indexes,
            Err(error) => unreachable!("the default index is valid: {error}"),
        }
    }
}

impl Definition {
    fn new<I>(name: &str, expressions: I, used: Use) -> Result<Self, IndexError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let expressions = expressions
            .into_iter()
            .map(|expression| PathExpression::build(expression.as_ref(), used))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| IndexError::Path {
                index: name.into(),
                source,
            })?;
        match expressions.len() {
            0 => Err(IndexError::NoExpressions { index: name.into() }),
            count if count > MAX_COMPONENTS => Err(IndexError::TooManyExpressions {
                index: name.into(),
                count,
            }),
            _ => Ok(Self {
                name: name.into(),
                expressions,
                derivable: true,
            }),
        }
    }
}

impl fmt::Display for IndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = |index: &str| match index {
            "" => "index_by".to_owned(),
            name => format!("index {name:?}"),
        };
        match self {
            Self::Path { index, .. } => write!(f, "{} has an invalid expression", title(index)),
            Self::NoExpressions { index } => write!(f, "{} has no expressions", title(index)),
            Self::TooManyExpressions { index, count } => write!(
                f,
                "{} has {count} expressions, at most {MAX_COMPONENTS} are possible",
                title(index)
            ),
            Self::EmptyName => {
                f.write_str("a named index has an empty name, which is the primary index's")
            }
            Self::DuplicateName { index } => write!(f, "there are two indexes named {index:?}"),
        }
    }
}

impl std::error::Error for IndexError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Path { source, .. } => Some(source),
            _ => None,
        }
    }
}
