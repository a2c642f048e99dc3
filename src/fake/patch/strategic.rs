//! Strategic merge patch: lists merge by the keys of their kind, and `$patch` says otherwise.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::fake::fieldset::{element_schema, field_schema};
use crate::fake::schema::Schema;

const DIRECTIVE: &str = "$patch";

pub(in crate::fake) fn apply(
    schema: &Schema,
    target: &mut Value,
    patch: Map<String, Value>,
) -> Result<(), String> {
    match target {
        Value::Object(map) => merge(schema, map, patch),
        _ => Err("the object is no map".to_owned()),
    }
}

fn directive(patch: &Map<String, Value>) -> Option<&str> {
    patch.get(DIRECTIVE).and_then(Value::as_str)
}

fn merge(
    schema: &Schema,
    target: &mut Map<String, Value>,
    mut patch: Map<String, Value>,
) -> Result<(), String> {
    match directive(&patch) {
        Some("replace") => {
            patch.remove(DIRECTIVE);
            *target = patch;
            return Ok(());
        }
        Some("delete") => {
            target.clear();
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => return Err(format!("Unknown patch type found: {other}")),
    }
    patch.remove(DIRECTIVE);
    if let Some(Value::Array(keys)) = patch.remove("$retainKeys") {
        target.retain(|key, _| keys.iter().any(|kept| kept == key));
    }
    for (key, change) in patch {
        if let Some(field) = key.strip_prefix("$deleteFromPrimitiveList/") {
            if let (Some(Value::Array(list)), Value::Array(gone)) = (target.get_mut(field), &change)
            {
                list.retain(|value| !gone.contains(value));
            }
            continue;
        }
        if let Some(field) = key.strip_prefix("$setElementOrder/") {
            order(&field_schema(schema, field), target.get_mut(field), &change);
            continue;
        }
        let schema = field_schema(schema, &key);
        match change {
            Value::Null => {
                target.remove(&key);
            }
            Value::Object(change) => {
                let gone = directive(&change) == Some("delete");
                let value = target
                    .entry(key.clone())
                    .or_insert_with(|| Value::Object(Map::new()));
                if !value.is_object() {
                    *value = Value::Object(Map::new());
                }
                if let Value::Object(map) = value {
                    merge(&schema, map, change)?;
                }
                if gone {
                    target.remove(&key);
                }
            }
            Value::Array(change) => {
                let value = target
                    .entry(key)
                    .or_insert_with(|| Value::Array(Vec::new()));
                let list = match value {
                    Value::Array(list) => std::mem::take(list),
                    _ => Vec::new(),
                };
                *value = Value::Array(merge_list(&schema, list, change)?);
            }
            change => {
                target.insert(key, change);
            }
        }
    }
    Ok(())
}

fn merge_list(
    schema: &Schema,
    mut list: Vec<Value>,
    change: Vec<Value>,
) -> Result<Vec<Value>, String> {
    let replace = change
        .iter()
        .any(|element| element.get(DIRECTIVE).and_then(Value::as_str) == Some("replace"));
    if replace {
        return Ok(change
            .into_iter()
            .filter(|element| element.get(DIRECTIVE).is_none())
            .collect());
    }
    let Some(key) = &schema.merge_key else {
        return Ok(change);
    };
    if key.is_empty() {
        for value in change {
            if !list.contains(&value) {
                list.push(value);
            }
        }
        return Ok(list);
    }
    let element: Arc<Schema> = element_schema(schema);
    for value in change {
        let Value::Object(value) = value else {
            return Err(format!(
                "an element of a list that merges by {key} is no map"
            ));
        };
        let Some(name) = value.get(key).cloned() else {
            return Err(format!(
                "map: {} does not contain declared merge key: {key}",
                Value::Object(value)
            ));
        };
        let same = |known: &Value| known.get(key) == Some(&name);
        if directive(&value) == Some("delete") {
            list.retain(|known| !same(known));
            continue;
        }
        match list.iter_mut().find(|known| same(known)) {
            Some(Value::Object(known)) => merge(&element, known, value)?,
            _ => {
                let mut made = Map::new();
                merge(&element, &mut made, value)?;
                list.push(Value::Object(made));
            }
        }
    }
    Ok(list)
}

/// Brings a list into the order that the patch names; what it does not name keeps its place behind.
fn order(schema: &Schema, list: Option<&mut Value>, wanted: &Value) {
    let (Some(Value::Array(list)), Value::Array(wanted)) = (list, wanted) else {
        return;
    };
    let key = schema.merge_key.as_deref().unwrap_or_default();
    list.sort_by_key(|value| {
        wanted
            .iter()
            .position(|other| {
                if key.is_empty() {
                    other == value
                } else {
                    other.get(key).is_some() && other.get(key) == value.get(key)
                }
            })
            .unwrap_or(usize::MAX)
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(kind: &str, mut target: Value, patch: Value) -> Value {
        let schema = crate::fake::schema::built_in(kind);
        let Value::Object(patch) = patch else {
            unreachable!()
        };
        apply(&schema, &mut target, patch).unwrap();
        target
    }

    #[test]
    fn lists_merge_by_their_key() {
        let target = json!({"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b"}]}});
        let patch = json!({"spec": {"containers": [{"name": "a", "image": "2"}, {"name": "c"}, {"name": "b", "$patch": "delete"}]}});
        assert_eq!(
            run("Pod", target, patch),
            json!({"spec": {"containers": [{"name": "a", "image": "2"}, {"name": "c"}]}})
        );
    }

    #[test]
    fn plain_lists_are_replaced_or_merged_as_the_kind_says() {
        let target =
            json!({"metadata": {"finalizers": ["a"]}, "spec": {"externalIPs": ["1", "2"]}});
        let patch = json!({"metadata": {"finalizers": ["b"]}, "spec": {"externalIPs": ["3"]}});
        assert_eq!(
            run("Service", target, patch),
            json!({"metadata": {"finalizers": ["a", "b"]}, "spec": {"externalIPs": ["3"]}})
        );
    }

    #[test]
    fn an_order_is_followed() {
        let target = json!({"spec": {"ports": [{"port": 1}, {"port": 2}]}});
        let patch = json!({"spec": {"$setElementOrder/ports": [{"port": 2}, {"port": 1}], "ports": [{"port": 2, "name": "x"}]}});
        assert_eq!(
            run("Service", target, patch),
            json!({"spec": {"ports": [{"port": 2, "name": "x"}, {"port": 1}]}})
        );
    }
}
