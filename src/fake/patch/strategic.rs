//! Strategic merge patch: lists merge by the keys of their kind, and `$patch` says otherwise.

use std::fmt::Write;

use serde_json::{Map, Value};

use crate::fake::fieldset::{element_schema, field_schema};
use crate::fake::schema::Schema;
use crate::fake::status::ApiError;

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE: &str = "$deleteFromPrimitiveList/";

pub(in crate::fake) fn apply(
    schema: &Schema,
    target: &mut Value,
    patch: Map<String, Value>,
) -> Result<(), ApiError> {
    match target {
        Value::Object(map) => merge(schema, map, patch),
        _ => Err(ApiError::internal("the object is no map")),
    }
}

fn merge(
    schema: &Schema,
    target: &mut Map<String, Value>,
    mut patch: Map<String, Value>,
) -> Result<(), ApiError> {
    match patch.get(DIRECTIVE).map(Value::as_str) {
        None => {}
        Some(Some("replace")) => {
            patch.remove(DIRECTIVE);
            *target = patch;
            return Ok(());
        }
        Some(Some("delete")) => {
            target.clear();
            return Ok(());
        }
        Some(_) => return Err(unknown_directive(patch)),
    }
    retain_keys(target, &mut patch)?;
    merge_ordered(schema, target, &mut patch)?;
    for (key, change) in patch {
        if let Some(field) = key.strip_prefix(DELETE) {
            if let (Some(Value::Array(list)), Value::Array(gone)) = (target.get_mut(field), &change)
            {
                list.retain(|value| !gone.contains(value));
            }
            continue;
        }
        if change.is_null() {
            target.remove(&key);
            continue;
        }
        let schema = field_schema(schema, &key);
        match (target.get_mut(&key), change) {
            (Some(Value::Object(map)), Value::Object(change)) => merge(&schema, map, change)?,
            (Some(Value::Array(list)), Value::Array(change)) => {
                *list = merge_list(&schema, std::mem::take(list), change)?;
            }
            (_, change) => match without_directives(change) {
                Some(value) => {
                    target.insert(key, value);
                }
                None => {
                    target.remove(&key);
                }
            },
        }
    }
    Ok(())
}

/// Takes what a union's patch does not name out of the target.
fn retain_keys(
    target: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
) -> Result<(), ApiError> {
    let Some(keys) = patch.remove(RETAIN) else {
        return Ok(());
    };
    let kept = |key: &str| {
        keys.as_array()
            .is_some_and(|keys| keys.iter().any(|kept| kept == key))
    };
    let named = patch.iter().all(|(key, value)| {
        value.is_null() || key.starts_with(DELETE) || key.starts_with(ORDER) || kept(key)
    });
    if !keys.is_array() || !named {
        return Err(ApiError::bad_request("invalid patch format of retainKeys"));
    }
    target.retain(|key, _| kept(key));
    Ok(())
}

/// Merges the lists whose order the patch names, and brings them into it.
fn merge_ordered(
    schema: &Schema,
    target: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
) -> Result<(), ApiError> {
    let orders: Vec<String> = patch
        .keys()
        .filter_map(|key| key.strip_prefix(ORDER))
        .map(str::to_owned)
        .collect();
    for field in orders {
        let Some(Value::Array(order)) = patch.remove(&format!("{ORDER}{field}")) else {
            continue;
        };
        let schema = field_schema(schema, &field);
        let before = match target.get(&field) {
            Some(Value::Array(list)) => Some(list.clone()),
            _ => None,
        };
        let merged = match (before.clone(), patch.remove(&field)) {
            (Some(before), Some(Value::Array(change))) => merge_list(&schema, before, change)?,
            (Some(before), _) => before,
            (None, Some(change)) => match without_directives(change) {
                Some(Value::Array(list)) => list,
                _ => continue,
            },
            (None, None) => continue,
        };
        let key = schema.merge_key.as_deref().unwrap_or_default();
        let before = before.unwrap_or_default();
        target.insert(field, Value::Array(arrange(merged, &order, &before, key)));
    }
    Ok(())
}

fn merge_list(
    schema: &Schema,
    mut list: Vec<Value>,
    change: Vec<Value>,
) -> Result<Vec<Value>, ApiError> {
    let Some(key) = &schema.merge_key else {
        return Ok(change);
    };
    if key.is_empty() {
        let mut merged: Vec<Value> = Vec::new();
        for value in list.iter().chain(&change) {
            if !merged.contains(value) {
                merged.push(value.clone());
            }
        }
        return Ok(arrange(merged, &change, &list, key));
    }
    let mut plain = Vec::new();
    let mut replace = false;
    for value in change {
        let Value::Object(value) = value else {
            return Err(ApiError::internal(format!(
                "an element of a list that merges by {key} is no map"
            )));
        };
        match value.get(DIRECTIVE).map(Value::as_str) {
            None => plain.push(value),
            Some(Some("replace")) => replace = true,
            Some(Some("delete")) => {
                let name = value.get(key).ok_or_else(|| no_merge_key(&value, key))?;
                list.retain(|known| known.get(key) != Some(name));
            }
            Some(Some("merge")) => {
                return Err(ApiError::internal(
                    "merging lists cannot yet be specified in the patch",
                ));
            }
            Some(_) => return Err(unknown_directive(value)),
        }
    }
    if replace {
        return Ok(plain.into_iter().map(Value::Object).collect());
    }
    let element = element_schema(schema);
    let mut merged = list.clone();
    let order: Vec<Value> = plain.iter().cloned().map(Value::Object).collect();
    for value in plain {
        let name = value.get(key).ok_or_else(|| no_merge_key(&value, key))?;
        match merged.iter_mut().find(|known| known.get(key) == Some(name)) {
            Some(Value::Object(known)) => merge(&element, known, value)?,
            _ => merged.push(Value::Object(value)),
        }
    }
    Ok(arrange(merged, &order, &list, key))
}

/// Brings a merged list into order: what `order` names follows it, the others keep theirs. Where the two meet, the list
/// from before decides; what is new to it comes first.
fn arrange(merged: Vec<Value>, order: &[Value], before: &[Value], key: &str) -> Vec<Value> {
    let place = |list: &[Value], value: &Value| {
        list.iter().position(|other| {
            if key.is_empty() {
                other == value
            } else {
                other.get(key) == value.get(key)
            }
        })
    };
    let (mut named, others): (Vec<_>, Vec<_>) = merged
        .into_iter()
        .partition(|value| place(order, value).is_some());
    named.sort_by_key(|value| place(order, value));
    let mut arranged = Vec::with_capacity(named.len() + others.len());
    let mut named = named.into_iter().peekable();
    for other in others {
        while let Some(next) = named.peek() {
            let earlier = matches!(
                (place(before, &other), place(before, next)),
                (Some(other), Some(next)) if other < next
            );
            if earlier {
                break;
            }
            arranged.extend(named.next());
        }
        arranged.push(other);
    }
    arranged.extend(named);
    arranged
}

/// What a patch's value is where there is nothing to merge it into; `None` for a directive.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(DIRECTIVE) => None,
        Value::Object(map) => Some(Value::Object(
            map.into_iter()
                .filter(|(_, value)| !value.is_null())
                .filter_map(|(key, value)| Some((key, without_directives(value)?)))
                .collect(),
        )),
        Value::Array(list) => Some(Value::Array(
            list.into_iter().filter_map(without_directives).collect(),
        )),
        value => Some(value),
    }
}

fn unknown_directive(mut patch: Map<String, Value>) -> ApiError {
    let directive = patch.get(DIRECTIVE).cloned().unwrap_or_default();
    let directive = shown(&directive);
    let patch = shown(&Value::Object(std::mem::take(&mut patch)));
    ApiError::internal(format!("unknown patch type: {directive} in map: {patch}"))
}

fn no_merge_key(element: &Map<String, Value>, key: &str) -> ApiError {
    let element = shown(&Value::Object(element.clone()));
    ApiError::internal(format!(
        "map: {element} does not contain declared merge key: {key}"
    ))
}

/// A value as Go prints it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let list: Vec<String> = list.iter().map(shown).collect();
            format!("[{}]", list.join(" "))
        }
        Value::Object(map) => {
            let mut fields: Vec<_> = map.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            let mut text = String::from("map[");
            for (index, (key, value)) in fields.into_iter().enumerate() {
                let space = if index == 0 { "" } else { " " };
                let _ = write!(text, "{space}{key}:{}", shown(value));
            }
            text.push(']');
            text
        }
        value => value.to_string(),
    }
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
            json!({"metadata": {"finalizers": ["b", "a"]}, "spec": {"externalIPs": ["3"]}})
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

    #[test]
    fn what_a_patch_adds_comes_before_what_it_does_not_name() {
        let ports = |list: Value| json!({"spec": {"ports": list}});
        let both = || ports(json!([{"port": 80}, {"port": 443}]));
        for (target, patch, expected) in [
            (
                both(),
                ports(json!([{"name": "m", "port": 9090}])),
                ports(json!([{"name": "m", "port": 9090}, {"port": 80}, {"port": 443}])),
            ),
            (
                both(),
                ports(json!([{"port": 443, "name": "s"}])),
                ports(json!([{"port": 80}, {"port": 443, "name": "s"}])),
            ),
            (
                both(),
                json!({"spec": {
                    "$setElementOrder/ports": [{"port": 443}, {"port": 9090}, {"port": 80}],
                    "ports": [{"port": 9090}],
                }}),
                ports(json!([{"port": 443}, {"port": 9090}, {"port": 80}])),
            ),
        ] {
            assert_eq!(run("Service", target, patch), expected);
        }
    }

    #[test]
    fn directives_and_nulls_stay_out_of_what_was_not_there() {
        let target = json!({"spec": {"securityContext": {"runAsUser": 1}}});
        let patch = json!({"spec": {
            "securityContext": {"$patch": "delete"},
            "dnsConfig": {"$patch": "delete"},
            "nodeSelector": {"a": "b", "c": null},
        }});
        assert_eq!(
            run("Pod", target, patch),
            json!({"spec": {"securityContext": {}, "nodeSelector": {"a": "b"}}})
        );
    }

    #[test]
    fn an_element_without_its_key_is_an_error_in_gos_words() {
        let schema = crate::fake::schema::built_in("Service");
        let mut target = json!({"spec": {"ports": [{"port": 80}]}});
        let patch = json!({"spec": {"ports": [{"targetPort": 1, "name": "x", "nodePort": null}]}});
        let Value::Object(patch) = patch else {
            unreachable!()
        };
        let error = apply(&schema, &mut target, patch).unwrap_err();
        assert_eq!(
            (error.code, &*error.message),
            (
                500,
                "map: map[name:x nodePort:<nil> targetPort:1] does not contain declared merge key: port"
            )
        );
    }
}
