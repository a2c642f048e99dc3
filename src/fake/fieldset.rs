//! Sets of fields, as `managedFields` holds them, and what differs between two objects.
//!
//! A node of the tree is a place in an object. It is a member of the set, or only leads to members. List elements are
//! named by their keys (`k:`) or their value (`v:`), as the schema says; a list that is one value has no places inside.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::schema::{Form, ListKind, Schema};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FieldSet {
    member: bool,
    children: BTreeMap<String, FieldSet>,
}

/// What changed from one object to another.
#[derive(Clone, Debug, Default)]
pub(super) struct Difference {
    /// Added or modified.
    pub(super) changed: FieldSet,
    pub(super) removed: FieldSet,
}

impl FieldSet {
    fn leaf() -> Self {
        Self {
            member: true,
            children: BTreeMap::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.member && self.children.values().all(Self::is_empty)
    }

    fn prune(&mut self) {
        self.children.retain(|_, child| {
            child.prune();
            !child.is_empty()
        });
    }

    pub(super) fn union(&mut self, other: &Self) {
        self.member |= other.member;
        for (name, child) in &other.children {
            self.children.entry(name.clone()).or_default().union(child);
        }
    }

    pub(super) fn subtract(&mut self, other: &Self) {
        self.member &= !other.member;
        for (name, child) in &mut self.children {
            if let Some(other) = other.children.get(name) {
                child.subtract(other);
            }
        }
        self.prune();
    }

    pub(super) fn intersection(&self, other: &Self) -> Self {
        let mut both = Self {
            member: self.member && other.member,
            children: BTreeMap::new(),
        };
        for (name, child) in &self.children {
            if let Some(other) = other.children.get(name) {
                both.children
                    .insert(name.clone(), child.intersection(other));
            }
        }
        both.prune();
        both
    }

    /// The set below one place.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.get(name)
    }

    pub(super) fn remove_child(&mut self, name: &str) {
        self.children.remove(name);
    }

    /// Keeps only one place of the top.
    pub(super) fn retain_child(&mut self, name: &str) {
        self.children.retain(|known, _| known == name);
    }

    pub(super) fn places(&self) -> impl Iterator<Item = (&str, &Self)> {
        self.children
            .iter()
            .map(|(name, child)| (name.as_str(), child))
    }

    pub(super) fn is_member(&self) -> bool {
        self.member
    }

    /// The members' paths, as conflicts show them.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect_paths(&mut String::new(), &mut paths);
        paths
    }

    fn collect_paths(&self, path: &mut String, paths: &mut Vec<String>) {
        if self.member {
            paths.push(path.clone());
        }
        for (name, child) in &self.children {
            let length = path.len();
            match name.split_once(':') {
                Some(("f", field)) => {
                    path.push('.');
                    path.push_str(field);
                }
                Some(("k", keys)) => {
                    let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                    let shown: Vec<String> = keys
                        .iter()
                        .map(|(key, value)| format!("{key}={value}"))
                        .collect();
                    path.push_str(&format!("[{}]", shown.join(",")));
                }
                Some(("v", value)) => path.push_str(&format!("[={value}]")),
                _ => {}
            }
            child.collect_paths(path, paths);
            path.truncate(length);
        }
    }

    pub(super) fn to_value(&self) -> Value {
        let mut map = Map::new();
        if self.member && !self.children.is_empty() {
            map.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for (name, child) in &self.children {
            map.insert(name.clone(), child.to_value());
        }
        Value::Object(map)
    }

    pub(super) fn from_value(value: &Value) -> Self {
        let Some(map) = value.as_object() else {
            return Self::default();
        };
        Self {
            member: map.is_empty() || map.contains_key("."),
            children: map
                .iter()
                .filter(|(name, _)| *name != ".")
                .map(|(name, child)| (name.clone(), Self::from_value(child)))
                .collect(),
        }
    }

    /// Takes out what nobody manages: the type, and what the server sets.
    pub(super) fn strip(&mut self) {
        for name in ["f:apiVersion", "f:kind"] {
            self.children.remove(name);
        }
        if let Some(metadata) = self.children.get_mut("f:metadata") {
            metadata.member = false;
            for name in [
                "f:name",
                "f:namespace",
                "f:creationTimestamp",
                "f:selfLink",
                "f:uid",
                "f:clusterName",
                "f:generation",
                "f:managedFields",
                "f:resourceVersion",
            ] {
                metadata.children.remove(name);
            }
        }
        self.prune();
    }
}

/// Whether a value has places of its own, or is one value.
fn is_granular(schema: &Schema, value: &Value) -> bool {
    match value {
        Value::Object(_) => !schema.atomic,
        Value::Array(_) => schema.list != ListKind::Atomic,
        _ => false,
    }
}

/// The schema of a field.
pub(super) fn field_schema(schema: &Schema, key: &str) -> std::sync::Arc<Schema> {
    schema
        .property(key)
        .or(schema
            .element
            .as_ref()
            .filter(|_| schema.form != Form::List))
        .map_or_else(Schema::anything, std::sync::Arc::clone)
}

/// The schema of a list's elements.
pub(super) fn element_schema(schema: &Schema) -> std::sync::Arc<Schema> {
    schema
        .element
        .as_ref()
        .map_or_else(Schema::anything, std::sync::Arc::clone)
}

/// The name of a list's element.
pub(super) fn element_name(schema: &Schema, element: &Value) -> String {
    match &schema.list {
        ListKind::Map(keys) => {
            let named: Map<String, Value> = keys
                .iter()
                .filter_map(|key| {
                    let value = match element.get(key) {
                        Some(value) => value.clone(),
                        // The only key that has a default.
                        None if key == "protocol" => Value::from("TCP"),
                        None => return None,
                    };
                    Some((key.clone(), value))
                })
                .collect();
            format!("k:{}", Value::Object(named))
        }
        _ => format!("v:{element}"),
    }
}

/// The fields that a configuration sets: its leaves, and the elements of lists that have places.
pub(super) fn applied(schema: &Schema, value: &Value) -> FieldSet {
    if !is_granular(schema, value) {
        return FieldSet::leaf();
    }
    let mut set = FieldSet::default();
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let child = applied(&field_schema(schema, key), value);
                set.children.insert(format!("f:{key}"), child);
            }
        }
        Value::Array(list) => {
            for element in list {
                let mut child = applied(&element_schema(schema), element);
                child.member = true;
                set.children.insert(element_name(schema, element), child);
            }
        }
        _ => {}
    }
    set.member = set.children.is_empty();
    set
}

/// Every place of a value, containers included.
fn whole(schema: &Schema, value: &Value) -> FieldSet {
    let mut set = FieldSet::leaf();
    if !is_granular(schema, value) {
        return set;
    }
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                set.children
                    .insert(format!("f:{key}"), whole(&field_schema(schema, key), value));
            }
        }
        Value::Array(list) => {
            for element in list {
                set.children.insert(
                    element_name(schema, element),
                    whole(&element_schema(schema), element),
                );
            }
        }
        _ => {}
    }
    set
}

/// What differs between two objects.
pub(super) fn difference(
    schema: &Schema,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Difference {
    let mut found = Difference::default();
    fields(schema, old, new, &mut found.changed, &mut found.removed);
    found.changed.prune();
    found.removed.prune();
    found
}

fn fields(
    schema: &Schema,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    changed: &mut FieldSet,
    removed: &mut FieldSet,
) {
    for (key, value) in old {
        if !new.contains_key(key) {
            removed
                .children
                .insert(format!("f:{key}"), whole(&field_schema(schema, key), value));
        }
    }
    for (key, value) in new {
        let name = format!("f:{key}");
        let schema = field_schema(schema, key);
        compare(&schema, old.get(key), value, name, changed, removed);
    }
}

fn compare(
    schema: &Schema,
    old: Option<&Value>,
    new: &Value,
    name: String,
    changed: &mut FieldSet,
    removed: &mut FieldSet,
) {
    let Some(old) = old else {
        changed.children.insert(name, whole(schema, new));
        return;
    };
    if old == new {
        return;
    }
    match (old, new) {
        (Value::Object(old), Value::Object(new)) if !schema.atomic => {
            let changed = changed.children.entry(name.clone()).or_default();
            let removed = removed.children.entry(name).or_default();
            fields(schema, old, new, changed, removed);
        }
        (Value::Array(old), Value::Array(new)) if schema.list != ListKind::Atomic => {
            let changed = changed.children.entry(name.clone()).or_default();
            let removed = removed.children.entry(name).or_default();
            let element = element_schema(schema);
            let named = |list: &'_ [Value]| -> BTreeMap<String, Value> {
                list.iter()
                    .map(|value| (element_name(schema, value), value.clone()))
                    .collect()
            };
            let (old, new) = (named(old), named(new));
            for (name, value) in &old {
                if !new.contains_key(name) {
                    removed
                        .children
                        .insert(name.clone(), whole(&element, value));
                }
            }
            for (name, value) in new {
                compare(&element, old.get(&name), &value, name, changed, removed);
            }
        }
        _ => {
            changed.children.insert(name, FieldSet::leaf());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn added_containers_are_members_applied_ones_only_lead_to_members() {
        let schema = super::super::schema::built_in("ConfigMap");
        let new = object(&json!({"data": {"x": "1"}}));
        let found = difference(&schema, &Map::new(), &new);
        assert_eq!(
            found.changed.to_value(),
            json!({"f:data": {".": {}, "f:x": {}}})
        );
        let set = applied(&schema, &Value::Object(new));
        assert_eq!(set.to_value(), json!({"f:data": {"f:x": {}}}));
        assert_eq!(
            FieldSet::from_value(&found.changed.to_value()),
            found.changed
        );
    }

    #[test]
    fn list_elements_are_named_by_their_keys() {
        let schema = super::super::schema::built_in("Service");
        let old = object(&json!({"spec": {"ports": [{"port": 80, "name": "a"}]}}));
        let new = object(&json!({"spec": {"ports": [{"port": 80, "name": "b"}, {"port": 81}]}}));
        let found = difference(&schema, &old, &new);
        assert_eq!(
            found.changed.paths(),
            [
                r#".spec.ports[port=80,protocol="TCP"].name"#,
                r#".spec.ports[port=81,protocol="TCP"]"#,
                r#".spec.ports[port=81,protocol="TCP"].port"#,
            ]
        );
    }

    #[test]
    fn sets_subtract_and_intersect_by_membership() {
        let a = FieldSet::from_value(&json!({"f:x": {".": {}, "f:y": {}}, "f:z": {}}));
        let b = FieldSet::from_value(&json!({"f:x": {"f:y": {}}}));
        let mut rest = a.clone();
        rest.subtract(&b);
        assert_eq!(rest.to_value(), json!({"f:x": {}, "f:z": {}}));
        assert_eq!(a.intersection(&b), b);
    }
}
