//! Reads the OpenAPI schema of a CRD's version.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Form, ListKind, Property, Rules, Schema, object_meta};

/// A CRD's schema with `metadata` typed as Kubernetes does; without one, everything goes.
pub(in crate::fake) fn read(schema: Option<&Value>) -> Arc<Schema> {
    let mut root = match schema.and_then(Value::as_object) {
        Some(schema) => node(schema),
        None => (*Schema::anything()).clone(),
    };
    if root.form == Form::Anything || root.form == Form::Map {
        root.form = Form::Struct;
    }
    root.properties.insert(
        "metadata".to_owned(),
        Property {
            schema: object_meta(),
            always: false,
        },
    );
    for key in ["apiVersion", "kind"] {
        root.properties.remove(key);
    }
    Arc::new(root)
}

fn node(schema: &Map<String, Value>) -> Schema {
    let flag = |key: &str| schema.get(key) == Some(&Value::Bool(true));
    let text = |key: &str| schema.get(key).and_then(Value::as_str);
    let mut read = Schema {
        preserve_unknown: flag("x-kubernetes-preserve-unknown-fields"),
        embedded: flag("x-kubernetes-embedded-resource"),
        nullable: flag("nullable"),
        default: schema.get("default").cloned(),
        ..Schema::default()
    };
    read.form = match text("type") {
        _ if flag("x-kubernetes-int-or-string") => Form::IntOrString,
        Some("object") => Form::Struct,
        Some("array") => Form::List,
        Some("string") => Form::String,
        Some("integer") => Form::Integer,
        Some("number") => Form::Number,
        Some("boolean") => Form::Boolean,
        _ => Form::Anything,
    };
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        for (name, property) in properties {
            let schema = property.as_object().map(node).unwrap_or_default();
            read.properties.insert(
                name.clone(),
                Property {
                    schema: Arc::new(schema),
                    always: false,
                },
            );
        }
    }
    match schema.get("additionalProperties") {
        Some(Value::Object(values)) => {
            read.form = Form::Map;
            read.element = Some(Arc::new(node(values)));
        }
        Some(Value::Bool(true)) => read.preserve_unknown = true,
        _ => {}
    }
    if let Some(items) = schema.get("items").and_then(Value::as_object) {
        read.element = Some(Arc::new(node(items)));
    }
    read.list = match text("x-kubernetes-list-type") {
        Some("set") => ListKind::Set,
        Some("map") => ListKind::Map(
            schema
                .get("x-kubernetes-list-map-keys")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|key| key.as_str().map(str::to_owned))
                .collect(),
        ),
        _ => ListKind::Atomic,
    };
    read.atomic = text("x-kubernetes-map-type") == Some("atomic");
    read.rules = rules(schema).map(Box::new);
    read
}

fn rules(schema: &Map<String, Value>) -> Option<Rules> {
    let number = |key: &str| schema.get(key).and_then(Value::as_f64);
    let count = |key: &str| schema.get(key).and_then(Value::as_u64);
    let flag = |key: &str| schema.get(key) == Some(&Value::Bool(true));
    let list = |key: &str| {
        schema
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let rules = Rules {
        required: list("required")
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect(),
        allowed: list("enum").cloned().collect(),
        pattern: schema
            .get("pattern")
            .and_then(Value::as_str)
            .map(|pattern| {
                // What Go's syntax has and ours lacks is not enforced.
                (pattern.to_owned(), regex::Regex::new(pattern).ok())
            }),
        format: schema
            .get("format")
            .and_then(Value::as_str)
            .map(str::to_owned),
        min_length: count("minLength"),
        max_length: count("maxLength"),
        minimum: number("minimum"),
        maximum: number("maximum"),
        exclusive_minimum: flag("exclusiveMinimum"),
        exclusive_maximum: flag("exclusiveMaximum"),
        multiple_of: number("multipleOf"),
        min_items: count("minItems"),
        max_items: count("maxItems"),
        min_properties: count("minProperties"),
        max_properties: count("maxProperties"),
    };
    let empty = Rules::default();
    (rules != empty).then_some(rules)
}
