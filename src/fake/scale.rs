//! The `scale` subresource: an object of its own kind over three fields of the scaled one.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::decode::{self, content_type};
use super::managed::Manager;
use super::meta;
use super::patch;
use super::query::WriteOptions;
use super::registry::{GroupResource, ScalePaths};
use super::rest::{Answer, Call, Content, Decoded, Object};
use super::status::{ApiError, FieldFault};
use super::store::Entry;

pub(super) fn run(call: &mut Call<'_>) -> Result<Answer, ApiError> {
    let paths = call
        .served()
        .subresources
        .iter()
        .find_map(|subresource| subresource.scale.clone())
        .ok_or_else(ApiError::no_such_resource)?;
    let old = call.existing()?;
    let present = view(&old.value, &paths);
    let (changed, options) = match call.info.verb.as_str() {
        "get" => return Ok(Answer::ok(Content::Json(present))),
        "update" => {
            let options = WriteOptions::read(call.query, "UpdateOptions", false)?;
            let document = decode::body(call.headers, call.body, "Scale")?;
            (document.value, options)
        }
        _ => {
            let options = WriteOptions::read(call.query, "PatchOptions", false)?;
            let mut changed = present;
            if content_type(call.headers) == "application/json-patch+json" {
                let operations: Vec<patch::json::Operation> = serde_json::from_slice(call.body)
                    .map_err(|error| {
                        ApiError::bad_request(format!("error decoding patch: {error}"))
                    })?;
                changed = patch::json::apply(&operations, changed)
                    .map_err(|_| ApiError::patch_refused())?;
            } else {
                let document = decode::yaml(call.body).map_err(|error| {
                    ApiError::bad_request(format!("error decoding patch: {error}"))
                })?;
                patch::merge::apply(&mut changed, document.value);
            }
            (changed, options)
        }
    };
    let replicas = changed
        .pointer("/spec/replicas")
        .and_then(Value::as_i64)
        .unwrap_or_default();
    if replicas < 0 {
        return Err(ApiError::invalid(
            &GroupResource::new("autoscaling", "Scale"),
            &call.info.name,
            &[FieldFault::invalid(
                "spec.replicas",
                &json!(replicas),
                "must be greater than or equal to 0",
            )],
        ));
    }
    let given = changed
        .pointer("/metadata/resourceVersion")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !given.is_empty() && given != old.revision.to_string() {
        return Err(ApiError::stale(&call.resource.plural, &call.info.name));
    }
    let mut object = old.value.clone();
    set(&mut object, &paths.spec, json!(replicas));
    let decoded = Decoded {
        object,
        kind: call.resource.kind.clone(),
    };
    let manager = Manager::updating(call, &options);
    let entry: Arc<Entry> = call.update_object(&old, decoded, &manager, options.dry_run)?;
    Ok(Answer::ok(Content::Json(view(&entry.value, &paths))))
}

fn at<'a>(object: &'a Object, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter()
        .try_fold(object.get(first)?, |value, step| value.get(step))
}

fn set(object: &mut Object, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => {
            object.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let inner = object
                .entry(first.clone())
                .or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}

fn view(object: &Object, paths: &ScalePaths) -> Value {
    let number = |path: &[String]| at(object, path).and_then(Value::as_i64).unwrap_or_default();
    let mut metadata = Map::new();
    for key in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ] {
        if let Some(value) = meta::of(object).and_then(|metadata| metadata.get(key)) {
            metadata.insert(key.to_owned(), value.clone());
        }
    }
    let mut status = json!({"replicas": number(&paths.status)});
    let selector = paths.selector.as_ref().and_then(|path| at(object, path));
    let selector = match selector {
        Some(Value::String(text)) => Some(text.clone()),
        Some(selector) => selector
            .get("matchLabels")
            .and_then(Value::as_object)
            .map(|labels| {
                let pairs: Vec<String> = labels
                    .iter()
                    .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
                    .collect();
                pairs.join(",")
            }),
        None => None,
    };
    if let (Some(selector), Value::Object(status)) = (selector, &mut status) {
        status.insert("selector".to_owned(), json!(selector));
    }
    let replicas = number(&paths.spec);
    let spec = if replicas == 0 {
        json!({})
    } else {
        json!({"replicas": replicas})
    };
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": spec,
        "status": status,
    })
}
