//! The conditions of filters: `?(@.type == "Ready" && @.status)`.
//!
//! What is compared and what must exist is read from the object in place, by the rules of RFC 9535. A condition that calls a
//! function is left to `jsonpath-rust`, which needs each element it looks at as a `serde_json::Value`.

use std::cmp::Ordering;

use jsonpath_rust::parser::model::{
    Comparable, Comparison, Filter, FilterAtom, JpQuery, Literal, Segment, Selector, SingularQuery,
    SingularQuerySegment, Test,
};
use jsonpath_rust::query::js_path_process;
use serde_json::Value;

use super::compile::{Name, Step, Use, segment_step};
use super::walk;
use crate::object::{Kind, ValueRef};

#[derive(Debug)]
pub(crate) enum Condition {
    /// One of them holds.
    Any(Vec<Self>),
    /// All of them hold.
    All(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// There is such a value.
    Exists(Vec<Step>),
    /// Two values stand so to each other.
    Compare(Operand, Operator, Operand),
    /// Something with a function.
    Foreign(JpQuery),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
}

#[derive(Debug)]
pub(crate) enum Operand {
    Literal(Literal),
    /// Names and places only.
    Path(Vec<Step>),
}

impl Condition {
    pub(super) fn compile(filter: Filter, used: Use) -> Self {
        native(&filter, used).unwrap_or_else(|| {
            let selector = Segment::Selector(Selector::Filter(filter));
            Self::Foreign(JpQuery::new(vec![selector]))
        })
    }

    pub(super) fn holds(&self, value: ValueRef<'_>) -> bool {
        match self {
            Self::Any(conditions) => conditions.iter().any(|condition| condition.holds(value)),
            Self::All(conditions) => conditions.iter().all(|condition| condition.holds(value)),
            Self::Not(condition) => !condition.holds(value),
            Self::Exists(steps) => walk::first(value, steps).is_some(),
            Self::Compare(left, operator, right) => {
                compare(*operator, &left.of(value), &right.of(value))
            }
            Self::Foreign(query) => {
                let one = Value::Array(vec![value.to_value()]);
                js_path_process(query, &one).is_ok_and(|found| !found.is_empty())
            }
        }
    }
}

/// `None` where a function is called.
fn native(filter: &Filter, used: Use) -> Option<Condition> {
    let all = |filters: &[Filter]| -> Option<Vec<Condition>> {
        filters.iter().map(|filter| native(filter, used)).collect()
    };
    let negate = |condition: Condition, not: bool| {
        if not {
            Condition::Not(Box::new(condition))
        } else {
            condition
        }
    };
    match filter {
        Filter::Or(filters) => Some(Condition::Any(all(filters)?)),
        Filter::And(filters) => Some(Condition::All(all(filters)?)),
        Filter::Atom(FilterAtom::Filter { expr, not }) => Some(negate(native(expr, used)?, *not)),
        Filter::Atom(FilterAtom::Test { expr, not }) => match &**expr {
            Test::RelQuery(segments) => {
                let steps = segments
                    .iter()
                    .cloned()
                    .map(|segment| segment_step(segment, used))
                    .collect::<Option<_>>()?;
                Some(negate(Condition::Exists(steps), *not))
            }
            Test::AbsQuery(_) | Test::Function(_) => None,
        },
        Filter::Atom(FilterAtom::Comparison(comparison)) => {
            let (left, right) = comparison.vals();
            let (left, right) = (operand(left, used)?, operand(right, used)?);
            Some(match **comparison {
                Comparison::Eq(..) => Condition::Compare(left, Operator::Equal, right),
                Comparison::Ne(..) => Condition::Compare(left, Operator::NotEqual, right),
                Comparison::Lt(..) => Condition::Compare(left, Operator::Less, right),
                Comparison::Lte(..) => Condition::Compare(left, Operator::LessOrEqual, right),
                Comparison::Gt(..) => Condition::Compare(right, Operator::Less, left),
                Comparison::Gte(..) => Condition::Compare(right, Operator::LessOrEqual, left),
            })
        }
    }
}

fn operand(comparable: &Comparable, used: Use) -> Option<Operand> {
    match comparable {
        Comparable::Literal(literal) => Some(Operand::Literal(literal.clone())),
        Comparable::SingularQuery(SingularQuery::Current(segments)) => {
            let steps = segments.iter().map(|segment| match segment {
                SingularQuerySegment::Name(name) => Step::Key(Name::new(name.clone(), used)),
                SingularQuerySegment::Index(index) => Step::Index(*index),
            });
            Some(Operand::Path(steps.collect()))
        }
        Comparable::SingularQuery(SingularQuery::Root(_)) | Comparable::Function(_) => None,
    }
}

/// What is compared.
enum Compared<'a> {
    Nothing,
    Null,
    Bool(bool),
    Number(Number),
    Text(&'a str),
    Container(ValueRef<'a>),
}

enum Number {
    Integer(i128),
    Float(f64),
}

impl Operand {
    fn of<'a>(&'a self, value: ValueRef<'a>) -> Compared<'a> {
        match self {
            Self::Path(steps) => walk::first(value, steps).map_or(Compared::Nothing, Compared::new),
            Self::Literal(Literal::Null) => Compared::Null,
            Self::Literal(Literal::Bool(value)) => Compared::Bool(*value),
            Self::Literal(Literal::Int(value)) => {
                Compared::Number(Number::Integer((*value).into()))
            }
            Self::Literal(Literal::Float(value)) => Compared::Number(Number::Float(*value)),
            Self::Literal(Literal::String(value)) => Compared::Text(value),
        }
    }
}

impl<'a> Compared<'a> {
    fn new(value: ValueRef<'a>) -> Self {
        match value.kind() {
            Kind::Null => Self::Null,
            Kind::Bool => Self::Bool(value.as_bool().unwrap_or_default()),
            Kind::String => Self::Text(value.as_str().unwrap_or_default()),
            Kind::Array | Kind::Map => Self::Container(value),
            Kind::Number => {
                let integer = value
                    .as_u64()
                    .map(i128::from)
                    .or_else(|| value.as_i64().map(i128::from));
                let float = || Number::Float(value.as_f64().unwrap_or_default());
                Self::Number(integer.map_or_else(float, Number::Integer))
            }
        }
    }
}

fn compare(operator: Operator, left: &Compared<'_>, right: &Compared<'_>) -> bool {
    match operator {
        Operator::Equal => equal(left, right),
        Operator::NotEqual => !equal(left, right),
        Operator::Less => order(left, right) == Some(Ordering::Less),
        Operator::LessOrEqual => order(left, right) == Some(Ordering::Less) || equal(left, right),
    }
}

fn equal(left: &Compared<'_>, right: &Compared<'_>) -> bool {
    match (left, right) {
        (Compared::Nothing, Compared::Nothing) | (Compared::Null, Compared::Null) => true,
        (Compared::Bool(left), Compared::Bool(right)) => left == right,
        (Compared::Container(left), Compared::Container(right)) => left == right,
        _ => order(left, right) == Some(Ordering::Equal),
    }
}

/// Only numbers and texts have an order.
fn order(left: &Compared<'_>, right: &Compared<'_>) -> Option<Ordering> {
    match (left, right) {
        (Compared::Text(left), Compared::Text(right)) => Some(left.cmp(right)),
        (Compared::Number(left), Compared::Number(right)) => match (left, right) {
            (Number::Integer(left), Number::Integer(right)) => Some(left.cmp(right)),
            (left, right) => left.as_f64().partial_cmp(&right.as_f64()),
        },
        _ => None,
    }
}

impl Number {
    #[allow(clippy::cast_precision_loss)]
    fn as_f64(&self) -> f64 {
        match self {
            Self::Integer(value) => *value as f64,
            Self::Float(value) => *value,
        }
    }
}
