//! CustomResourceDefinitions: from the object to a served resource, and its conditions.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::registry::{
    CUSTOM_VERBS, Column, GroupResource, Resource, ScalePaths, Subresource, Traits, Version,
    default_columns, status_subresource, version_rank,
};
use super::rest::Object;
use super::schema;
use super::state::State;
use super::store::{Entry, key};

/// A new definition is not served yet: its conditions come a moment later.
pub(super) fn prepare_create(object: &mut Object) {
    let storage: Vec<Value> = object
        .get("spec")
        .and_then(|spec| spec.get("versions"))
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|version| version.get("storage") == Some(&Value::Bool(true)))
        .filter_map(|version| version.get("name").cloned())
        .collect();
    if let Some(Value::Object(spec)) = object.get_mut("spec") {
        spec.entry("conversion")
            .or_insert_with(|| json!({"strategy": "None"}));
        let group = spec.get("group").and_then(Value::as_str).is_some();
        if let (true, Some(Value::Object(names))) = (group, spec.get_mut("names")) {
            let kind = names
                .get("kind")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            names
                .entry("singular")
                .or_insert_with(|| json!(kind.to_lowercase()));
            names
                .entry("listKind")
                .or_insert_with(|| json!(format!("{kind}List")));
        }
    }
    object.insert(
        "status".to_owned(),
        json!({
            "conditions": null,
            "acceptedNames": {"plural": "", "kind": ""},
            "storedVersions": storage,
        }),
    );
}

/// Serves the definition and, if that is new, says so in its status.
pub(super) fn after_write(state: &mut State, resource: &Arc<Resource>, entry: &Arc<Entry>) {
    let Some(served) = read(&entry.value) else {
        return;
    };
    state.registry.insert(served);
    let established = entry
        .value
        .get("status")
        .and_then(|status| status.get("conditions"))
        .is_some_and(Value::is_array);
    if established {
        return;
    }
    let now = state.clock.text();
    let mut object = entry.value.clone();
    let names = object
        .get("spec")
        .and_then(|spec| spec.get("names"))
        .cloned()
        .unwrap_or_default();
    if let Some(Value::Object(status)) = object.get_mut("status") {
        let condition = |kind: &str, reason: &str, message: &str| {
            json!({
                "type": kind,
                "status": "True",
                "lastTransitionTime": now,
                "reason": reason,
                "message": message,
            })
        };
        status.insert(
            "conditions".to_owned(),
            json!([
                condition("NamesAccepted", "NoConflicts", "no conflicts found"),
                condition(
                    "Established",
                    "InitialNamesAccepted",
                    "the initial names have been accepted"
                ),
            ]),
        );
        status.insert("acceptedNames".to_owned(), names);
    }
    state
        .store
        .put(&resource.plural, &key("", entry.name()), object);
}

/// A definition takes its objects with it.
pub(super) fn after_delete(state: &mut State, entry: &Entry) {
    let Some(served) = read(&entry.value) else {
        return;
    };
    let keys: Vec<Arc<str>> = state
        .store
        .all(&served.plural)
        .map(|(key, _)| Arc::clone(key))
        .collect();
    for key in keys {
        state.store.delete(&served.plural, &key);
    }
    state.registry.remove(&served.plural);
}

/// The resource that a definition describes; `None` if it serves nothing.
fn read(object: &Object) -> Option<Resource> {
    let spec = object.get("spec")?;
    let text = |value: &Value, key: &str| value.get(key)?.as_str().map(str::to_owned);
    let names = spec.get("names")?;
    let group = text(spec, "group")?;
    let plural = text(names, "plural")?;
    let kind = text(names, "kind")?;
    let list = |key: &str| -> Vec<String> {
        names
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect()
    };
    let mut versions: Vec<Version> = spec
        .get("versions")?
        .as_array()?
        .iter()
        .filter(|version| version.get("served") == Some(&Value::Bool(true)))
        .filter_map(|definition| version(definition, &kind))
        .collect();
    if versions.is_empty() {
        return None;
    }
    versions.sort_by_key(|version| std::cmp::Reverse(version_rank(&version.name)));
    let newest = versions
        .iter()
        .find(|version| version.deprecation.is_none())
        .map(|version| version.name.clone());
    for version in &mut versions {
        if let Some(warning) = &mut version.deprecation
            && warning.is_empty()
        {
            *warning = format!("{group}/{} {kind} is deprecated", version.name);
            if let Some(newest) = &newest {
                warning.push_str(&format!("; use {group}/{newest} {kind}"));
            }
        }
    }
    Some(Resource {
        plural: GroupResource::new(&group, &plural),
        kind: GroupResource::new(&group, &kind),
        list_kind: text(names, "listKind").unwrap_or_else(|| format!("{kind}List")),
        singular: text(names, "singular").unwrap_or_else(|| kind.to_lowercase()),
        namespaced: text(spec, "scope").as_deref() != Some("Cluster"),
        short_names: list("shortNames"),
        categories: list("categories"),
        versions,
        verbs: CUSTOM_VERBS.to_vec(),
        traits: Traits {
            generation: true,
            needs_resource_version: true,
            own_field_labels: true,
            ..Traits::default()
        },
    })
}

fn version(definition: &Value, kind: &str) -> Option<Version> {
    let name = definition.get("name")?.as_str()?.to_owned();
    let empty = Map::new();
    let subresources = definition
        .get("subresources")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    let mut served = Vec::new();
    if let Some(scale) = subresources.get("scale") {
        let path = |key: &str| {
            scale.get(key).and_then(Value::as_str).map(|path| {
                path.trim_start_matches('.')
                    .split('.')
                    .map(str::to_owned)
                    .collect()
            })
        };
        served.push(Subresource {
            name: "scale".to_owned(),
            group_version: Some(("autoscaling".to_owned(), "v1".to_owned())),
            kind: "Scale".to_owned(),
            verbs: vec!["get", "patch", "update"],
            scale: Some(ScalePaths {
                spec: path("specReplicasPath").unwrap_or_default(),
                status: path("statusReplicasPath").unwrap_or_default(),
                selector: path("labelSelectorPath"),
            }),
        });
    }
    if subresources.contains_key("status") {
        served.push(status_subresource(kind));
    }
    let items = |key: &str| {
        definition
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let columns: Vec<Column> = items("additionalPrinterColumns")
        .map(|column| {
            let text = |key: &str| {
                column
                    .get(key)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            Column {
                name: text("name"),
                kind: text("type"),
                format: text("format"),
                description: match text("description") {
                    given if given.is_empty() => format!(
                        "Custom resource definition column (in JSONPath format): {}",
                        text("jsonPath")
                    ),
                    given => given,
                },
                priority: column
                    .get("priority")
                    .and_then(Value::as_i64)
                    .unwrap_or_default(),
                source: text("jsonPath"),
            }
        })
        .collect();
    let deprecated = definition.get("deprecated") == Some(&Value::Bool(true));
    Some(Version {
        schema: schema::from_crd(
            definition
                .get("schema")
                .and_then(|schema| schema.get("openAPIV3Schema")),
        ),
        deprecation: deprecated.then(|| {
            definition
                .get("deprecationWarning")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        }),
        subresources: served,
        selectable: items("selectableFields")
            .filter_map(|field| field.get("jsonPath")?.as_str())
            .map(|path| path.trim_start_matches('.').to_owned())
            .collect(),
        columns: if columns.is_empty() {
            default_columns()
        } else {
            columns.into()
        },
        name,
    })
}
