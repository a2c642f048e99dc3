//! JSON patch (RFC 6902) as the API server applies it: `replace` of a missing key adds it.

use serde::Deserialize;
use serde_json::Value;

/// One operation, unchecked.
#[derive(Debug, Deserialize)]
pub(in crate::fake) struct Operation {
    #[serde(default)]
    op: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    value: Option<Value>,
}

/// An operation that does not apply.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::fake) struct Refused;

pub(in crate::fake) fn apply(
    operations: &[Operation],
    mut document: Value,
) -> Result<Value, Refused> {
    for operation in operations {
        let value = || operation.value.clone().unwrap_or_default();
        match operation.op.as_str() {
            "add" => add(&mut document, &operation.path, value())?,
            "remove" => {
                remove(&mut document, &operation.path)?;
            }
            "replace" => replace(&mut document, &operation.path, value())?,
            "move" => {
                let moved = remove(&mut document, &operation.from)?;
                add(&mut document, &operation.path, moved)?;
            }
            "copy" => {
                let copied = document.pointer(&operation.from).ok_or(Refused)?.clone();
                add(&mut document, &operation.path, copied)?;
            }
            "test" => {
                let found = document
                    .pointer(&operation.path)
                    .cloned()
                    .unwrap_or_default();
                if found != value() {
                    return Err(Refused);
                }
            }
            _ => return Err(Refused),
        }
    }
    Ok(document)
}

/// The container that a path's last step names a place in, and that step unescaped.
fn parent<'a>(document: &'a mut Value, path: &str) -> Result<(&'a mut Value, String), Refused> {
    let (above, last) = path.rsplit_once('/').ok_or(Refused)?;
    let container = document.pointer_mut(above).ok_or(Refused)?;
    Ok((container, last.replace("~1", "/").replace("~0", "~")))
}

/// An index up to and including `limit`; negative ones count from the end.
fn index(step: &str, length: usize, limit: usize) -> Result<usize, Refused> {
    let number: i64 = step.parse().map_err(|_| Refused)?;
    let index = if number < 0 {
        length.checked_sub(usize::try_from(number.unsigned_abs()).map_err(|_| Refused)?)
    } else {
        usize::try_from(number).ok()
    };
    index.filter(|index| *index <= limit).ok_or(Refused)
}

fn add(document: &mut Value, path: &str, value: Value) -> Result<(), Refused> {
    if path.is_empty() {
        *document = value;
        return Ok(());
    }
    match parent(document, path)? {
        (Value::Object(map), key) => {
            map.insert(key, value);
        }
        (Value::Array(list), step) if step == "-" => list.push(value),
        (Value::Array(list), step) => {
            let length = list.len();
            list.insert(index(&step, length, length)?, value);
        }
        _ => return Err(Refused),
    }
    Ok(())
}

fn remove(document: &mut Value, path: &str) -> Result<Value, Refused> {
    match parent(document, path)? {
        (Value::Object(map), key) => map.remove(&key).ok_or(Refused),
        (Value::Array(list), step) => {
            let length = list.len();
            let last = length.checked_sub(1).ok_or(Refused)?;
            Ok(list.remove(index(&step, length, last)?))
        }
        _ => Err(Refused),
    }
}

fn replace(document: &mut Value, path: &str, value: Value) -> Result<(), Refused> {
    if path.is_empty() {
        *document = value;
        return Ok(());
    }
    match parent(document, path)? {
        (Value::Object(map), key) => {
            map.insert(key, value);
        }
        (Value::Array(list), step) => {
            let length = list.len();
            let last = length.checked_sub(1).ok_or(Refused)?;
            list[index(&step, length, last)?] = value;
        }
        _ => return Err(Refused),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(operations: Value, document: Value) -> Result<Value, Refused> {
        let operations: Vec<Operation> = serde_json::from_value(operations).unwrap();
        apply(&operations, document)
    }

    #[test]
    fn operations_apply_in_order() {
        let patched = run(
            json!([
                {"op": "add", "path": "/list/-", "value": "c"},
                {"op": "add", "path": "/list/0", "value": "first"},
                {"op": "remove", "path": "/list/1"},
                {"op": "copy", "from": "/name", "path": "/copy"},
                {"op": "move", "from": "/name", "path": "/a~1b"},
                {"op": "test", "path": "/copy", "value": "x"},
                {"op": "replace", "path": "/new", "value": 1},
            ]),
            json!({"name": "x", "list": ["a", "b"]}),
        );
        assert_eq!(
            patched.unwrap(),
            json!({"a/b": "x", "copy": "x", "list": ["first", "b", "c"], "new": 1})
        );
    }

    #[test]
    fn what_does_not_apply_is_refused() {
        for operation in [
            json!([{"op": "test", "path": "/a", "value": 2}]),
            json!([{"op": "remove", "path": "/none"}]),
            json!([{"op": "replace", "path": "/none/x", "value": 1}]),
            json!([{"op": "add", "path": "/list/9", "value": 1}]),
            json!([{"op": "remove", "path": "/list/0"}]),
            json!([{"op": "frobnicate", "path": "/a"}]),
            json!([{"path": "/a"}]),
            json!([{"op": "remove", "path": ""}]),
        ] {
            assert_eq!(
                run(operation.clone(), json!({"a": 1, "list": []})),
                Err(Refused),
                "{operation}"
            );
        }
    }
}
