//! `/openapi/v3`: as much as kubectl asks it for, which is whether a kind's writes take `fieldValidation`, and the
//! fields that `kubectl explain` shows.

use serde_json::{Map, Value, json};

use super::registry::{Registry, Resource, api_version};
use super::schema::{Form, ListKind, Schema};

/// Answers a path below `/openapi`, given in segments; `None` for one that is not there.
pub(super) fn answer(registry: &Registry, segments: &[&str]) -> Option<Value> {
    match segments {
        ["v3"] => Some(index(registry)),
        ["v3", "api", version] => document(registry, "", version),
        ["v3", "apis", group, version] => document(registry, group, version),
        _ => None,
    }
}

fn root(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("api/{version}")
    } else {
        format!("apis/{group}/{version}")
    }
}

fn index(registry: &Registry) -> Value {
    let mut paths = Map::new();
    for resource in registry.all() {
        for version in &resource.versions {
            let root = root(resource.group(), &version.name);
            let url = format!("/openapi/v3/{root}?hash=0");
            paths.insert(root, json!({"serverRelativeURL": url}));
        }
    }
    json!({"paths": paths})
}

fn document(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    let served = registry
        .all()
        .filter(|resource| resource.group() == group)
        .filter_map(|resource| Some((resource, resource.version(version)?)));
    for (resource, served) in served {
        let kind = json!({"group": group, "version": version, "kind": &*resource.kind.name});
        let name = component(group, version, &resource.kind.name);
        paths.insert(path(resource, version), operations(&kind, &name));
        let mut schema = describe(&served.schema);
        if let Value::Object(map) = &mut schema {
            let properties = map.entry("properties").or_insert_with(|| json!({}));
            if let Value::Object(properties) = properties {
                properties.insert("apiVersion".to_owned(), json!({"type": "string"}));
                properties.insert("kind".to_owned(), json!({"type": "string"}));
            }
            map.insert("x-kubernetes-group-version-kind".to_owned(), json!([kind]));
        }
        schemas.insert(name, schema);
    }
    if paths.is_empty() {
        return None;
    }
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes (fake)", "version": api_version(group, version)},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

fn component(group: &str, version: &str, kind: &str) -> String {
    let group = if group.is_empty() { "core" } else { group };
    format!("{group}.{version}.{kind}")
}

fn path(resource: &Resource, version: &str) -> String {
    let root = root(resource.group(), version);
    let scope = if resource.namespaced {
        "/namespaces/{namespace}"
    } else {
        ""
    };
    format!("/{root}{scope}/{}/{{name}}", resource.plural.name)
}

/// The operations of one object; a patch takes every type but the strategic one, so that kubectl, which knows better
/// than this document, works that out itself.
fn operations(kind: &Value, component: &str) -> Value {
    let schema = json!({"$ref": format!("#/components/schemas/{component}")});
    let answer =
        json!({"200": {"description": "OK", "content": {"application/json": {"schema": schema}}}});
    let parameter = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    let write = |action: &str, body: Value| {
        json!({
            "parameters": [
                parameter("dryRun"),
                parameter("fieldManager"),
                parameter("fieldValidation"),
            ],
            "requestBody": {"content": body},
            "responses": answer,
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": kind,
        })
    };
    json!({
        "get": {
            "responses": answer,
            "x-kubernetes-action": "get",
            "x-kubernetes-group-version-kind": kind,
        },
        "put": write("put", json!({"application/json": {"schema": schema}})),
        "patch": write("patch", json!({
            "application/apply-patch+yaml": {},
            "application/json-patch+json": {},
            "application/merge-patch+json": {},
        })),
    })
}

fn describe(schema: &Schema) -> Value {
    let mut map = Map::new();
    let kind = match schema.form {
        Form::Anything => None,
        Form::Struct | Form::Map => Some("object"),
        Form::List => Some("array"),
        Form::Integer => Some("integer"),
        Form::Number => Some("number"),
        Form::Boolean => Some("boolean"),
        Form::IntOrString => {
            map.insert("x-kubernetes-int-or-string".to_owned(), json!(true));
            None
        }
        _ => Some("string"),
    };
    if let Some(kind) = kind {
        map.insert("type".to_owned(), json!(kind));
    }
    if matches!(schema.form, Form::Time | Form::MicroTime) {
        map.insert("format".to_owned(), json!("date-time"));
    }
    if !schema.properties.is_empty() {
        let properties: Map<String, Value> = schema
            .properties
            .iter()
            .map(|(name, property)| (name.clone(), describe(&property.schema)))
            .collect();
        map.insert("properties".to_owned(), Value::Object(properties));
    }
    if let Some(element) = &schema.element {
        let key = if schema.form == Form::List {
            "items"
        } else {
            "additionalProperties"
        };
        map.insert(key.to_owned(), describe(element));
    }
    match &schema.list {
        ListKind::Map(keys) => {
            map.insert("x-kubernetes-list-type".to_owned(), json!("map"));
            map.insert("x-kubernetes-list-map-keys".to_owned(), json!(keys));
        }
        ListKind::Set => {
            map.insert("x-kubernetes-list-type".to_owned(), json!("set"));
        }
        ListKind::Atomic => {}
    }
    if let Some(key) = &schema.merge_key {
        map.insert("x-kubernetes-patch-strategy".to_owned(), json!("merge"));
        if !key.is_empty() {
            map.insert("x-kubernetes-patch-merge-key".to_owned(), json!(key));
        }
    }
    if schema.preserve_unknown {
        map.insert(
            "x-kubernetes-preserve-unknown-fields".to_owned(),
            json!(true),
        );
    }
    if let Some(default) = &schema.default {
        map.insert("default".to_owned(), default.clone());
    }
    Value::Object(map)
}
