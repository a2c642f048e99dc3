//! JSON merge patch (RFC 7386): null removes, objects merge, everything else replaces.

use serde_json::{Map, Value};

pub(in crate::fake) fn apply(target: &mut Value, patch: Value) {
    let Value::Object(changes) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(map) = target else { return };
    for (key, change) in changes {
        if change.is_null() {
            map.remove(&key);
        } else {
            apply(map.entry(key).or_insert(Value::Null), change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn null_removes_objects_merge_and_arrays_are_replaced() {
        let mut target = json!({"a": {"b": 1, "c": 2}, "d": [1, 2], "e": "x"});
        apply(
            &mut target,
            json!({"a": {"b": null, "f": {"g": null, "h": 1}}, "d": [3], "e": null}),
        );
        assert_eq!(target, json!({"a": {"c": 2, "f": {"h": 1}}, "d": [3]}));
    }
}
