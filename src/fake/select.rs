//! Which objects of a list or watch are meant: label selectors, and the few fields that a server can select by.

use serde_json::Value;

use super::query::ListOptions;
use super::registry::{Resource, Version};
use super::status::ApiError;
use super::store::Entry;
use crate::selector::{FieldSelector, LabelSelector};

/// A label and a field selector that fit the resource.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Selection {
    /// Refuses fields that the resource's objects cannot be selected by.
    pub(super) fn new(
        resource: &Resource,
        version: &Version,
        options: &ListOptions,
    ) -> Result<Self, ApiError> {
        for term in options.fields.terms() {
            let path = term.path();
            let common = path == "metadata.name"
                || path == "metadata.namespace"
                    && (resource.namespaced || resource.traits.built_in);
            if common || version.selectable.iter().any(|known| known == path) {
                continue;
            }
            return Err(ApiError::bad_request(match &*resource.kind.name {
                "Job" => format!("field label \"{path}\" not supported for Job"),
                _ if resource.traits.own_field_labels => {
                    format!("field label not supported: {path}")
                }
                _ => format!(
                    "\"{path}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                ),
            }));
        }
        Ok(Self {
            labels: options.labels.clone(),
            fields: options.fields.clone(),
        })
    }

    pub(super) fn selects(&self, entry: &Entry) -> bool {
        self.labels.matches(|key| entry.label(key))
            && self
                .fields
                .terms()
                .iter()
                .all(|term| term.matches(&field(entry, term.path())))
    }
}

/// A field as the text that selectors compare; empty when it is missing.
fn field(entry: &Entry, path: &str) -> String {
    let mut steps = path.split('.');
    let value = steps
        .next()
        .and_then(|first| entry.value.get(first))
        .and_then(|first| steps.try_fold(first, |value, step| value.get(step)));
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
        // Unset flags are false to a selector.
        None if path == "spec.unschedulable" || path == "spec.hostNetwork" => "false".to_owned(),
        None => String::new(),
    }
}
