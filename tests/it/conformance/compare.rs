//! Compares an answer with a recorded one by the recording's rules.

use serde_json::Value;

use super::bindings::{Bindings, has_placeholder};
use super::case::Rules;

/// Compares JSON. `managed` keeps managedFields in the comparison.
pub(super) fn json(
    bindings: &mut Bindings,
    rules: &Rules,
    expected: &Value,
    found: &Value,
    managed: bool,
) -> Result<(), String> {
    let mut expected = expected.clone();
    let mut found = found.clone();
    if managed {
        sort_managed(&mut expected);
        sort_managed(&mut found);
    } else {
        drop_managed(&mut found);
    }
    for pointer in &rules.drop {
        remove(&mut found, &steps(pointer));
    }
    for select in &rules.select {
        at(&mut found, &steps(&select.array), &mut |value| {
            if let Value::Array(list) = value {
                list.retain(|element| {
                    dotted(element, &select.key)
                        .and_then(Value::as_str)
                        .is_some_and(|key| select.values.iter().any(|value| value == key))
                });
            }
        });
    }
    for unordered in &rules.unordered {
        for side in [&mut expected, &mut found] {
            at(side, &steps(&unordered.array), &mut |value| {
                if let Value::Array(list) = value {
                    list.sort_by_key(|element| match &unordered.key {
                        Some(key) => dotted(element, key)
                            .map(Value::to_string)
                            .unwrap_or_default(),
                        None => element.to_string(),
                    });
                }
            });
        }
    }
    let any: Vec<Vec<String>> = rules.any.iter().map(|pointer| steps(pointer)).collect();
    compare(bindings, &any, &mut Vec::new(), &expected, &found)
}

fn steps(pointer: &str) -> Vec<String> {
    pointer
        .split('/')
        .skip(1)
        .map(|step| step.replace("~1", "/").replace("~0", "~"))
        .collect()
}

fn dotted<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.')
        .try_fold(value, |value, step| value.get(step))
}

/// Calls back with every value that the steps lead to; `*` is every element or key.
fn at(value: &mut Value, steps: &[String], visit: &mut dyn FnMut(&mut Value)) {
    let Some((step, rest)) = steps.split_first() else {
        return visit(value);
    };
    match value {
        Value::Object(map) if step == "*" => {
            map.values_mut().for_each(|value| at(value, rest, visit));
        }
        Value::Array(list) if step == "*" => {
            list.iter_mut().for_each(|value| at(value, rest, visit));
        }
        Value::Object(map) => {
            if let Some(value) = map.get_mut(step) {
                at(value, rest, visit);
            }
        }
        Value::Array(list) => {
            if let Some(value) = step
                .parse::<usize>()
                .ok()
                .and_then(|index| list.get_mut(index))
            {
                at(value, rest, visit);
            }
        }
        _ => {}
    }
}

fn remove(value: &mut Value, steps: &[String]) {
    let Some((last, above)) = steps.split_last() else {
        return;
    };
    at(value, above, &mut |parent| match parent {
        Value::Object(map) if last == "*" => map.clear(),
        Value::Object(map) => {
            map.remove(last);
        }
        Value::Array(list) if last == "*" => list.clear(),
        Value::Array(list) => {
            if let Some(index) = last
                .parse::<usize>()
                .ok()
                .filter(|index| *index < list.len())
            {
                list.remove(index);
            }
        }
        _ => {}
    });
}

fn each_metadata(value: &mut Value, visit: &mut dyn FnMut(&mut serde_json::Map<String, Value>)) {
    match value {
        Value::Object(map) => {
            if let Some(Value::Object(metadata)) = map.get_mut("metadata") {
                visit(metadata);
            }
            map.values_mut()
                .for_each(|value| each_metadata(value, visit));
        }
        Value::Array(list) => list
            .iter_mut()
            .for_each(|value| each_metadata(value, visit)),
        _ => {}
    }
}

fn drop_managed(value: &mut Value) {
    each_metadata(value, &mut |metadata| {
        metadata.remove("managedFields");
    });
}

fn sort_managed(value: &mut Value) {
    each_metadata(value, &mut |metadata| {
        if let Some(Value::Array(entries)) = metadata.get_mut("managedFields") {
            let text = |entry: &Value, key: &str| {
                entry
                    .get(key)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            entries.sort_by_key(|entry| {
                (
                    text(entry, "manager"),
                    text(entry, "operation"),
                    text(entry, "subresource"),
                )
            });
        }
    });
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn compare(
    bindings: &mut Bindings,
    any: &[Vec<String>],
    path: &mut Vec<String>,
    expected: &Value,
    found: &Value,
) -> Result<(), String> {
    let here = any.iter().any(|pattern| {
        pattern.len() == path.len()
            && pattern
                .iter()
                .zip(path.iter())
                .all(|(step, at)| step == "*" || step == at)
    });
    let steps = path.join("/");
    let place = || format!("/{steps}");
    if here {
        // A whole body may be recorded as a word for its type.
        let same = kind(expected) == kind(found)
            || (path.is_empty() && expected == "<any object>" && found.is_object());
        return if same {
            Ok(())
        } else {
            Err(format!(
                "{} is of type {}, not {}",
                place(),
                kind(found),
                kind(expected)
            ))
        };
    }
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for key in expected.keys() {
                if !found.contains_key(key) {
                    return Err(format!(
                        "{} lacks {key:?} (recorded: {})",
                        place(),
                        expected[key]
                    ));
                }
            }
            for (key, value) in found {
                let Some(expected) = expected.get(key) else {
                    return Err(format!("{} has {key:?} too much: {value}", place()));
                };
                path.push(key.clone());
                compare(bindings, any, path, expected, value)?;
                path.pop();
            }
            Ok(())
        }
        (Value::Array(expected), Value::Array(found)) => {
            if expected.len() != found.len() {
                return Err(format!(
                    "{} has {} elements, not {}: {} instead of {}",
                    place(),
                    found.len(),
                    expected.len(),
                    Value::from(found.clone()),
                    Value::from(expected.clone())
                ));
            }
            for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
                path.push(index.to_string());
                compare(bindings, any, path, expected, found)?;
                path.pop();
            }
            Ok(())
        }
        (Value::String(expected), Value::Number(found)) if has_placeholder(expected) => bindings
            .unify(expected, &found.to_string())
            .map_err(|error| format!("{}: {error}", place())),
        (Value::String(expected), Value::String(found)) => bindings
            .unify(expected, found)
            .map_err(|error| format!("{}: {error}", place())),
        _ if expected == found => Ok(()),
        _ => Err(format!("{} is {found}, not {expected}", place())),
    }
}
