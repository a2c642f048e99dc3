//! Fields that are left out of stored objects.
//!
//! A field that a key or the client-side selector looks at is decoded first and dropped after it was looked at; all others
//! are skipped while the text is read. What the framework itself needs is never left out.

use super::path::{PathError, PathExpression, Step, Use};
use crate::object::{Mask, MaskStep, Object};

/// Fields that the framework reads from every object.
const NEEDED: [&[&str]; 6] = [
    &["apiVersion"],
    &["kind"],
    &["metadata", "name"],
    &["metadata", "namespace"],
    &["metadata", "uid"],
    &["metadata", "resourceVersion"],
];

/// Why a field cannot be ignored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// The field is no path.
    #[error("an ignored field is no valid path")]
    Path(#[from] PathError),
    /// The framework needs it.
    #[error("{expression:?} cannot be ignored: kubedex needs {needed} of every object")]
    Needed {
        /// The ignored field.
        expression: String,
        /// What would be lost.
        needed: String,
    },
    /// The path does not name a field by keys, places and wildcards alone.
    #[error("{expression:?} cannot be ignored: {reason}; name the field by keys, [0] and [*]")]
    Unsupported {
        /// The ignored field.
        expression: String,
        /// What it has that cannot be dropped while reading.
        reason: &'static str,
    },
}

/// A set of ignored fields, each as steps.
#[derive(Clone, Debug, Default)]
pub(super) struct Ignored(Vec<Vec<MaskStep>>);

impl Ignored {
    pub(super) fn new<I>(expressions: I) -> Result<Self, FilterError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut paths = Vec::new();
        for expression in expressions {
            // Only the names are wanted, as texts.
            let expression = PathExpression::build(expression.as_ref(), Use::Once)?;
            for path in mask_paths(&expression)? {
                if let Some(needed) = NEEDED.iter().find(|needed| covers(&path, needed)) {
                    return Err(FilterError::Needed {
                        expression: expression.as_str().to_owned(),
                        needed: needed.join("."),
                    });
                }
                paths.push(path);
            }
        }
        Ok(Self(paths))
    }

    /// Splits into what can be skipped while reading and what must be there until these expressions were evaluated.
    pub(super) fn split(self, expressions: &[&PathExpression]) -> (Mask, Mask) {
        let (mut early, mut late) = (Mask::default(), Mask::default());
        for path in self.0 {
            if expressions
                .iter()
                .any(|expression| touches(expression.steps(), &path))
            {
                late.insert(path);
            } else {
                early.insert(path);
            }
        }
        (early, late)
    }

    /// Whether what an expression finds depends on an ignored field.
    pub(super) fn affects(&self, expression: &PathExpression) -> bool {
        self.0.iter().any(|path| touches(expression.steps(), path))
    }
}

fn mask_paths(expression: &PathExpression) -> Result<Vec<Vec<MaskStep>>, FilterError> {
    let unsupported = |reason| FilterError::Unsupported {
        expression: expression.as_str().to_owned(),
        reason,
    };
    let mut paths = vec![Vec::new()];
    for step in expression.steps() {
        let alternatives = match step {
            Step::Union(steps) => &steps[..],
            step => std::slice::from_ref(step),
        };
        let mut longer = Vec::with_capacity(paths.len() * alternatives.len());
        for alternative in alternatives {
            let step = match alternative {
                Step::Key(key) => MaskStep::Key(key.as_str().into()),
                Step::Index(index) => MaskStep::Index(
                    usize::try_from(*index)
                        .map_err(|_| unsupported("it counts from an array's end"))?,
                ),
                Step::Any => MaskStep::Any,
                Step::Slice(..) => return Err(unsupported("it has a slice")),
                Step::Filter(_) => return Err(unsupported("it has a filter")),
                Step::Union(_) => return Err(unsupported("it nests unions")),
            };
            longer.extend(
                paths
                    .iter()
                    .map(|path| [&path[..], std::slice::from_ref(&step)].concat()),
            );
        }
        paths = longer;
        if paths.len() > 256 {
            return Err(unsupported("its unions multiply to more than 256 fields"));
        }
    }
    Ok(paths)
}

/// Whether leaving out `path` loses `needed`.
fn covers(path: &[MaskStep], needed: &[&str]) -> bool {
    path.len() <= needed.len()
        && path.iter().zip(needed).all(|(step, needed)| match step {
            MaskStep::Key(key) => &**key == *needed,
            MaskStep::Any => true,
            MaskStep::Index(_) => false,
        })
}

/// Whether one path reaches into or through the other.
fn touches(steps: &[Step], path: &[MaskStep]) -> bool {
    for (step, masked) in steps.iter().zip(path) {
        if !may_meet(step, masked) {
            return false;
        }
        if step.has_filter() {
            return true; // it may look at anything below
        }
    }
    true
}

fn may_meet(step: &Step, masked: &MaskStep) -> bool {
    match (step, masked) {
        (Step::Union(steps), masked) => steps.iter().any(|step| may_meet(step, masked)),
        (Step::Key(key), MaskStep::Key(masked)) => key.as_str() == &**masked,
        (Step::Key(_), MaskStep::Index(_))
        | (Step::Index(_) | Step::Slice(..), MaskStep::Key(_)) => false,
        // Leaving out an earlier element moves the later ones, and a place may count from the end.
        (Step::Index(_) | Step::Slice(..), MaskStep::Index(_)) => true,
        (Step::Any | Step::Filter(_), _) | (_, MaskStep::Any) => true,
    }
}

/// A copy of an object without some fields.
///
/// # Errors
/// When a path is invalid, or names what every object needs, such as `metadata.name`.
pub fn filter_fields<I>(object: &Object, paths: I) -> Result<Object, FilterError>
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    let (mask, _) = Ignored::new(paths)?.split(&[]);
    Ok(object.without(&mask))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn object(value: &Value) -> Object {
        Object::from_value(value).unwrap()
    }

    #[test]
    fn ignored_fields_are_left_out_in_every_spelling() {
        let value = json!({"metadata": {"name": "x", "managedFields": [1], "annotations": {"a.b/c": "1", "d": "2"}},
            "spec": {"c": [{"image": "i", "env": 1}, {"image": "j", "env": 2}]}});
        for (path, pointers) in [
            ("metadata.managedFields", &["/metadata/managedFields"][..]),
            ("{.metadata.managedFields}", &["/metadata/managedFields"]),
            (
                "metadata.annotations['a.b/c']",
                &["/metadata/annotations/a.b~1c"],
            ),
            (
                "{metadata.annotations['a.b/c']}",
                &["/metadata/annotations/a.b~1c"],
            ),
            (
                r"metadata.annotations.a\.b/c",
                &["/metadata/annotations/a.b~1c"],
            ),
            ("spec.c[*].env", &["/spec/c/0/env", "/spec/c/1/env"]),
            ("spec.c[1].env", &["/spec/c/1/env"]),
            (
                "spec.c[*]['env','image']",
                &[
                    "/spec/c/0/env",
                    "/spec/c/1/env",
                    "/spec/c/0/image",
                    "/spec/c/1/image",
                ],
            ),
            ("absent.field", &[]),
        ] {
            let mut expected = value.clone();
            for pointer in pointers {
                let (parent, key) = pointer.rsplit_once('/').unwrap();
                expected
                    .pointer_mut(parent)
                    .unwrap()
                    .as_object_mut()
                    .unwrap()
                    .remove(&key.replace("~1", "/"));
            }
            assert_eq!(
                filter_fields(&object(&value), [path]).unwrap().to_value(),
                expected,
                "{path}"
            );
        }
    }

    #[test]
    fn what_the_framework_needs_cannot_be_ignored() {
        for path in [
            "metadata",
            "metadata.name",
            "metadata.namespace",
            "{.metadata.uid}",
            "metadata['resourceVersion']",
            "metadata.*",
            "*",
            "$",
            "*.name",
            "metadata['labels','uid']",
            "kind",
            "apiVersion",
        ] {
            let error = Ignored::new([path]).expect_err(path);
            assert!(
                matches!(error, FilterError::Needed { .. }),
                "{path}: {error}"
            );
            assert!(error.to_string().contains(path), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_skipped_while_reading_is_refused() {
        for path in ["a[-1]", "a[1:2]", "a[?(@.b)]", "a[0,-1]"] {
            let error = Ignored::new([path]).expect_err(path);
            assert!(
                matches!(error, FilterError::Unsupported { .. }),
                "{path}: {error}"
            );
        }
        assert!(matches!(Ignored::new(["a..b"]), Err(FilterError::Path(_))));
    }

    #[test]
    fn only_fields_that_are_looked_at_wait() {
        for (path, expression, waits) in [
            ("data", "data.key", true),
            ("data.key", "data", true),
            ("data.key", "data.other", false),
            ("metadata.managedFields", "metadata.name", false),
            ("spec.c[*].env", "spec.c[0].env.x", true),
            ("spec.c[*].env", "spec.c[0].image", false),
            ("spec.c[0]", "spec.c[-1].x", true),
            ("spec.c[0]", "spec.c.x", false),
            ("spec.c.x", "spec.c[0]", false),
            ("spec.c", "spec.c[?(@.x)].y", true),
            ("spec.c[*].x", "spec.c[?(@.x)].y", true),
            ("spec.a", "spec['a','b']", true),
            ("spec.c", "spec['a','b']", false),
        ] {
            let ignored = Ignored::new([path]).unwrap();
            let expression = PathExpression::parse(expression).unwrap();
            assert_eq!(ignored.affects(&expression), waits, "{path} {expression}");
            let (early, late) = ignored.split(&[&expression]);
            assert_eq!(
                (early.is_empty(), late.is_empty()),
                (waits, !waits),
                "{path} {expression}"
            );
        }
    }
}
