//! Which fields to leave out of a document.

use serde_json::Value;

/// One step of a masked path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MaskStep {
    /// The value under this key of a map.
    Key(Box<str>),
    /// The element at this place of an array.
    Index(usize),
    /// Every element of an array and every value of a map.
    Any,
}

/// A set of paths to leave out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mask(Vec<Vec<MaskStep>>);

impl Mask {
    /// Leaves out one more path.
    pub(crate) fn insert(&mut self, steps: Vec<MaskStep>) {
        self.0.push(steps);
    }

    /// Whether nothing is left out.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn apply(&self, value: &mut Value) {
        for path in &self.0 {
            remove(value, path);
        }
    }
}

fn remove(value: &mut Value, path: &[MaskStep]) {
    let Some((step, rest)) = path.split_first() else {
        return;
    };
    match (step, value) {
        (MaskStep::Key(key), Value::Object(map)) if rest.is_empty() => {
            map.remove(&**key);
        }
        (MaskStep::Key(key), Value::Object(map)) => {
            if let Some(value) = map.get_mut(&**key) {
                remove(value, rest);
            }
        }
        (MaskStep::Index(index), Value::Array(items))
            if rest.is_empty() && *index < items.len() =>
        {
            items.remove(*index);
        }
        (MaskStep::Index(index), Value::Array(items)) => {
            if let Some(value) = items.get_mut(*index) {
                remove(value, rest);
            }
        }
        (MaskStep::Any, Value::Array(items)) if rest.is_empty() => items.clear(),
        (MaskStep::Any, Value::Object(map)) if rest.is_empty() => map.clear(),
        (MaskStep::Any, Value::Array(items)) => {
            items.iter_mut().for_each(|value| remove(value, rest));
        }
        (MaskStep::Any, Value::Object(map)) => {
            map.values_mut().for_each(|value| remove(value, rest));
        }
        _ => {}
    }
}
