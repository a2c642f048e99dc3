//! What particular kinds need beyond the generic pipeline: defaults, rules and follow-ups.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::registry::Resource;
use super::rest::{Answer, Call, Object};
use super::state::State;
use super::status::{ApiError, FieldFault};
use super::store::Entry;
use super::{crd, meta};

/// Kinds that are answered, not stored.
pub(super) fn review(_call: &mut Call<'_>) -> Result<Option<Answer>, ApiError> {
    Ok(None)
}

/// Defaults of a new object.
pub(super) fn prepare_create(call: &mut Call<'_>, object: &mut Object) {
    if call.resource.plural == meta::namespaces() {
        namespace(object);
        let spec = object
            .entry("spec")
            .or_insert_with(|| Value::Object(Map::new()));
        if let Some(spec) = spec.as_object_mut() {
            spec.entry("finalizers")
                .or_insert_with(|| json!(["kubernetes"]));
        }
        object.insert("status".to_owned(), json!({"phase": "Active"}));
    }
    if is_crd(&call.resource) {
        crd::prepare_create(object);
    }
}

/// Defaults of a changed object.
pub(super) fn prepare_update(call: &mut Call<'_>, old: &Object, object: &mut Object) {
    if call.resource.plural == meta::namespaces() {
        namespace(object);
        if call.info.subresource.is_empty()
            && let Some(spec) = old.get("spec")
        {
            object.insert("spec".to_owned(), spec.clone());
        }
    }
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
pub(super) fn validate(
    _call: &Call<'_>,
    _object: &Object,
    _old: Option<&Object>,
) -> Vec<FieldFault> {
    Vec::new()
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
