//! Following compiled steps through an object.

use super::Step;
use crate::object::{Kind, ValueRef};

/// The value at a path of names and places only; for other paths the first of what is found.
pub(super) fn first<'a>(root: ValueRef<'a>, steps: &[Step]) -> Option<ValueRef<'a>> {
    let mut value = root;
    for (at, step) in steps.iter().enumerate() {
        value = match step {
            Step::Key(name) => name.of(value)?,
            Step::Index(index) => value.at(place(*index, value.len())?)?,
            _ => {
                let mut found = None;
                each(value, steps.get(at..)?, &mut |value| {
                    found.get_or_insert(value);
                });
                return found;
            }
        };
    }
    Some(value)
}

/// Every value at a path, in the order of the document.
pub(super) fn each<'a>(value: ValueRef<'a>, steps: &[Step], found: &mut dyn FnMut(ValueRef<'a>)) {
    let Some((step, rest)) = steps.split_first() else {
        return found(value);
    };
    take(value, step, &mut |value| each(value, rest, found));
}

fn take<'a>(value: ValueRef<'a>, step: &Step, next: &mut dyn FnMut(ValueRef<'a>)) {
    match step {
        Step::Key(name) => name.of(value).into_iter().for_each(next),
        Step::Index(index) => place(*index, value.len())
            .and_then(|place| value.at(place))
            .into_iter()
            .for_each(next),
        Step::Any => children(value, next),
        Step::Slice(start, end, step) => slice(value, *start, *end, *step, next),
        Step::Union(steps) => {
            for step in steps {
                take(value, step, next);
            }
        }
        Step::Filter(condition) => children(value, &mut |child| {
            if condition.holds(child) {
                next(child);
            }
        }),
    }
}

fn children<'a>(value: ValueRef<'a>, next: &mut dyn FnMut(ValueRef<'a>)) {
    match value.kind() {
        Kind::Array => value.items().for_each(next),
        Kind::Map => value.entries().for_each(|(_, value)| next(value)),
        _ => {}
    }
}

fn slice<'a>(
    value: ValueRef<'a>,
    start: Option<i64>,
    end: Option<i64>,
    step: i64,
    next: &mut dyn FnMut(ValueRef<'a>),
) {
    if value.kind() != Kind::Array || step == 0 {
        return;
    }
    let len = i64::try_from(value.len()).unwrap_or(i64::MAX);
    let wrap = |at: i64| if at < 0 { at.saturating_add(len) } else { at };
    if step > 0 {
        let start = wrap(start.unwrap_or(0)).clamp(0, len);
        let end = wrap(end.unwrap_or(len)).clamp(0, len);
        let (Ok(start), Ok(step)) = (usize::try_from(start), usize::try_from(step)) else {
            return;
        };
        let count = usize::try_from(end).unwrap_or(0).saturating_sub(start);
        value
            .items()
            .skip(start)
            .take(count)
            .step_by(step)
            .for_each(next);
    } else {
        let mut at = start.map_or(len - 1, wrap).clamp(-1, len - 1);
        let end = end.map_or(-1, wrap).clamp(-1, len - 1);
        while at > end {
            if let Some(value) = usize::try_from(at).ok().and_then(|at| value.at(at)) {
                next(value);
            }
            at = at.saturating_add(step);
        }
    }
}

fn place(index: i64, len: usize) -> Option<usize> {
    if index >= 0 {
        usize::try_from(index).ok()
    } else {
        len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)
    }
}
