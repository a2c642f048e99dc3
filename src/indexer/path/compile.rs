//! From the syntax tree of `jsonpath-rust` to steps over an object.

use jsonpath_rust::parser::errors::JsonPathError;
use jsonpath_rust::parser::model::{Segment, Selector};
use jsonpath_rust::parser::parse_json_path;
use pest::error::InputLocation;

use super::PathError;
use super::condition::Condition;
use super::normalise::{NO_DESCENT, Normalised};
use crate::object::{Key, ValueRef};

/// One step of a compiled path.
#[derive(Debug)]
pub(crate) enum Step {
    /// The value under a key of a map.
    Key(Name),
    /// An element of an array; negative counts from the end.
    Index(i64),
    /// Every element of an array, every value of a map.
    Any,
    /// A range of an array: start, end, step.
    Slice(Option<i64>, Option<i64>, i64),
    /// The elements or values for which a condition holds.
    Filter(Condition),
    /// What several selectors find, one after the other.
    Union(Vec<Step>),
}

/// A key of a map.
#[derive(Debug)]
pub(crate) enum Name {
    /// One that is looked up many times, and so has a place in the process's table of keys for ever.
    Prepared(Key),
    /// One of an expression that is used once.
    Plain(Box<str>),
}

/// Whether an expression is used again and again, or once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Use {
    Often,
    Once,
}

impl Name {
    pub(super) fn new(text: String, used: Use) -> Self {
        match used {
            Use::Often => Self::Prepared(Key::new(&text)),
            Use::Once => Self::Plain(text.into()),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Prepared(key) => key.as_str(),
            Self::Plain(text) => text,
        }
    }

    pub(super) fn of<'a>(&self, value: ValueRef<'a>) -> Option<ValueRef<'a>> {
        match self {
            Self::Prepared(key) => value.get_key(key),
            Self::Plain(text) => value.get(text),
        }
    }
}

impl Step {
    pub(crate) fn is_definite(&self) -> bool {
        matches!(self, Self::Key(_) | Self::Index(_))
    }

    /// Whether a condition decides what this step finds.
    pub(crate) fn has_filter(&self) -> bool {
        match self {
            Self::Filter(_) => true,
            Self::Union(steps) => steps.iter().any(Self::has_filter),
            _ => false,
        }
    }
}

pub(super) fn compile(
    source: &str,
    normalised: &Normalised,
    used: Use,
) -> Result<Vec<Step>, PathError> {
    let query =
        parse_json_path(&normalised.text).map_err(|error| translate(source, normalised, &error))?;
    let origin = |at: usize| normalised.segments.get(at).copied().unwrap_or_default();
    let mut steps = Vec::with_capacity(query.segments.len());
    for (at, segment) in query.segments.into_iter().enumerate() {
        let Some(step) = segment_step(segment, used) else {
            return Err(PathError::new(source, origin(at), NO_DESCENT));
        };
        steps.push(step);
    }
    if let [
        Step::Key(metadata),
        Step::Key(map),
        Step::Key(key),
        Step::Key(more),
        ..,
    ] = &steps[..]
        && metadata.as_str() == "metadata"
        && matches!(map.as_str(), "labels" | "annotations")
    {
        let (map, key, more) = (map.as_str(), key.as_str(), more.as_str());
        return Err(PathError::new(
            source,
            origin(3),
            format!(
                "the values of {map} are texts and have no fields; quote a key that has dots: metadata.{map}['{key}.{more}…']"
            ),
        ));
    }
    Ok(steps)
}

/// `None` for recursive descent.
pub(super) fn segment_step(segment: Segment, used: Use) -> Option<Step> {
    match segment {
        Segment::Selector(selector) => Some(selector_step(selector, used)),
        Segment::Selectors(selectors) => {
            let steps = selectors
                .into_iter()
                .map(|selector| selector_step(selector, used));
            Some(Step::Union(steps.collect()))
        }
        Segment::Descendant(_) => None,
    }
}

fn selector_step(selector: Selector, used: Use) -> Step {
    match selector {
        Selector::Name(name) => Step::Key(Name::new(name, used)),
        Selector::Wildcard => Step::Any,
        Selector::Index(index) => Step::Index(index),
        Selector::Slice(start, end, step) => Step::Slice(start, end, step.unwrap_or(1)),
        Selector::Filter(filter) => Step::Filter(Condition::compile(filter, used)),
    }
}

/// Says what the parser found in terms of what the user wrote.
fn translate(source: &str, normalised: &Normalised, error: &JsonPathError) -> PathError {
    let (position, reason) = match error {
        JsonPathError::PestError(error) => {
            let position = match error.location {
                InputLocation::Pos(position) | InputLocation::Span((position, _)) => position,
            };
            let reason = if normalised.text.contains('?') {
                "this is no filter; it is ?(…) with @.field alone or compared by ==, !=, <, <=, >, >= to a quoted text, a \
                 number, true, false or null, joined by && and ||"
            } else {
                "this is no place [n] or [-n] nor a slice [start:end:step]"
            };
            (normalised.origin(position), reason.into())
        }
        other => (
            normalised.segments.first().copied().unwrap_or_default(),
            other.to_string(),
        ),
    };
    PathError::new(source, position, reason)
}
