//! `metadata.ownerReferences`: their rules, and references that stand there twice.

use serde_json::{Map, Value, json};

use super::{Object, of, of_mut};
use crate::fake::status::FieldFault;

const FIELD: &str = "metadata.ownerReferences";

fn references(object: &Object) -> &[Value] {
    of(object)
        .and_then(|metadata| metadata.get("ownerReferences"))
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn text<'a>(reference: &'a Value, key: &str) -> &'a str {
    reference
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

pub(super) fn faults(object: &Object) -> Vec<FieldFault> {
    let references = references(object);
    let mut faults = Vec::new();
    let mut controller: Option<String> = None;
    for reference in references {
        faults.extend(reference_faults(reference));
        if reference.get("controller") != Some(&Value::Bool(true)) {
            continue;
        }
        let name = format!("{}/{}", text(reference, "kind"), text(reference, "name"));
        match &controller {
            None => controller = Some(name),
            Some(first) => faults.push(FieldFault::invalid_shown(
                FIELD,
                &shown(references),
                &format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
                ),
            )),
        }
    }
    faults
}

fn reference_faults(reference: &Value) -> Vec<FieldFault> {
    let mut faults = Vec::new();
    let api_version = text(reference, "apiVersion");
    // What has several slashes is read as no version at all.
    let version = match api_version.matches('/').count() {
        0 | 1 => api_version.rsplit('/').next().unwrap_or_default(),
        _ => "",
    };
    let mut demand = |key: &str, given: &str, words: &str| {
        if given.is_empty() {
            faults.push(FieldFault::invalid(
                format!("{FIELD}.{key}"),
                &json!(text(reference, key)),
                words,
            ));
        }
    };
    demand("apiVersion", version, "version must not be empty");
    for key in ["kind", "name", "uid"] {
        demand(key, text(reference, key), "must not be empty");
    }
    if api_version == "v1" && text(reference, "kind") == "Event" {
        faults.push(FieldFault::invalid_shown(
            FIELD,
            &shown_one(reference),
            "/v1, Kind=Event is disallowed from being an owner",
        ));
    }
    faults
}

fn shown(references: &[Value]) -> String {
    let list: Vec<String> = references.iter().map(shown_one).collect();
    format!("[{}]", list.join(","))
}

/// A reference as Go writes it: in the order of its fields.
fn shown_one(reference: &Value) -> String {
    let mut fields: Vec<String> = ["apiVersion", "kind", "name", "uid"]
        .into_iter()
        .map(|key| format!("{}:{}", json!(key), json!(text(reference, key))))
        .collect();
    for key in ["controller", "blockOwnerDeletion"] {
        if let Some(Value::Bool(flag)) = reference.get(key) {
            fields.push(format!("{}:{flag}", json!(key)));
        }
    }
    format!("{{{}}}", fields.join(","))
}

/// Takes out references that stand there twice; the uids of those, once for each.
pub(in crate::fake) fn without_duplicates(object: &mut Object) -> Vec<String> {
    let mut kept: Vec<Value> = Vec::new();
    let mut twice = Vec::new();
    for reference in references(object) {
        if kept.iter().any(|known| same(known, reference)) {
            twice.push(text(reference, "uid").to_owned());
        } else {
            kept.push(reference.clone());
        }
    }
    if !twice.is_empty()
        && let Some(metadata) = of_mut(object)
    {
        metadata.insert("ownerReferences".to_owned(), Value::Array(kept));
    }
    twice
}

/// Equal as Go's type: a missing text is an empty one, a null flag is none.
fn same(one: &Value, other: &Value) -> bool {
    let none = Map::new();
    let flags = |value: &Value, key: &str| {
        value
            .as_object()
            .unwrap_or(&none)
            .get(key)
            .and_then(Value::as_bool)
    };
    ["apiVersion", "kind", "name", "uid"]
        .into_iter()
        .all(|key| text(one, key) == text(other, key))
        && ["controller", "blockOwnerDeletion"]
            .into_iter()
            .all(|key| flags(one, key) == flags(other, key))
}
