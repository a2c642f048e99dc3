//! What particular kinds need beyond the generic pipeline: defaults that depend on other fields, rules, follow-ups.

mod config;
mod pod;
mod service;

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::registry::Resource;
use super::rest::{Answer, Call, Object};
use super::state::State;
use super::status::{ApiError, FieldFault};
use super::store::Entry;
use super::{crd, defaults, meta, review, schema};

/// Kinds that are answered, not stored.
pub(super) fn review(call: &mut Call<'_>) -> Result<Option<Answer>, ApiError> {
    review::answer(call)
}

fn built_in<'a>(call: &'a Call<'_>) -> Option<&'a str> {
    call.resource
        .traits
        .built_in
        .then_some(&*call.resource.kind.name)
}

/// A field as a map, if it is one.
fn part<'a>(object: &'a Object, key: &str) -> Option<&'a Object> {
    object.get(key)?.as_object()
}

fn part_mut<'a>(object: &'a mut Object, key: &str) -> Option<&'a mut Object> {
    object.get_mut(key)?.as_object_mut()
}

fn text<'a>(object: &'a Object, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(object: &'a Object, key: &str) -> &'a [Value] {
    object
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Defaults of a new object.
pub(super) fn prepare_create(call: &mut Call<'_>, object: &mut Object) {
    if built_in(call) == Some("CustomResourceDefinition") {
        crd::prepare_create(object);
    }
    prepare(call, object, None);
}

/// Defaults of a changed object.
pub(super) fn prepare_update(call: &mut Call<'_>, old: &Object, object: &mut Object) {
    if built_in(call) == Some("Namespace")
        && call.info.subresource.is_empty()
        && let Some(spec) = old.get("spec")
    {
        object.insert("spec".to_owned(), spec.clone());
    }
    prepare(call, object, Some(old));
}

fn prepare(call: &mut Call<'_>, object: &mut Object, old: Option<&Object>) {
    let Some(kind) = built_in(call).map(str::to_owned) else {
        return;
    };
    match kind.as_str() {
        "Namespace" => namespace(object),
        "Secret" => config::fold_string_data(object),
        "Service" => service::prepare(call.state, object, old),
        _ => {}
    }
    // The finalizer of a namespace comes with its creation only.
    if !(kind == "Namespace" && old.is_some()) {
        defaults::apply(&kind, object);
    }
    match kind.as_str() {
        "Pod" => pod::prepare(object, old.is_none()),
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" => {
            let template = part_mut(object, "spec").and_then(|spec| part_mut(spec, "template"));
            if let Some(spec) = template.and_then(|template| part_mut(template, "spec")) {
                pod::default_spec(spec);
            }
        }
        _ => {}
    }
    schema::fill_empty(&call.served().schema, object);
}

fn namespace(object: &mut Object) {
    let name = meta::text(object, "name").to_owned();
    if let Some(metadata) = meta::of_mut(object) {
        let labels = metadata
            .entry("labels")
            .or_insert_with(|| Value::Object(Map::new()));
        if let Some(labels) = labels.as_object_mut() {
            labels.insert("kubernetes.io/metadata.name".to_owned(), json!(name));
        }
    }
}

/// The rules of a kind; `old` is there for a change.
pub(super) fn validate(call: &Call<'_>, object: &Object, old: Option<&Object>) -> Vec<FieldFault> {
    let Some(kind) = built_in(call) else {
        let schema = &call.served().schema;
        return if call.info.subresource == "status" {
            schema::validate_status(schema, object)
        } else {
            schema::validate(schema, object)
        };
    };
    match kind {
        "ConfigMap" => config::config_map(object, old),
        "Secret" => config::secret(object, old),
        "Service" => service::faults(object, old),
        "EndpointSlice" => service::slice_faults(object, old),
        "Lease" => config::lease(object),
        "Pod" if call.info.subresource.is_empty() => pod::faults(object, old),
        _ => Vec::new(),
    }
}

fn is_crd(resource: &Resource) -> bool {
    &*resource.plural.name == "customresourcedefinitions" && resource.traits.built_in
}

/// What the server itself does after a write.
pub(super) fn after_write(state: &mut State, resource: &Arc<Resource>, entry: &Arc<Entry>) {
    if is_crd(resource) {
        crd::after_write(state, resource, entry);
    }
}

/// What the server itself does after an object is gone.
pub(super) fn after_delete(state: &mut State, resource: &Arc<Resource>, entry: &Arc<Entry>) {
    if is_crd(resource) {
        crd::after_delete(state, entry);
    }
}
