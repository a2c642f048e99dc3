//! What is served: `/api`, `/apis` and below, one by one or aggregated.

use http::HeaderMap;
use serde_json::{Map, Value, json};

use super::negotiate::accepted;
use super::registry::{Registry, Resource, Version, api_version};
use super::status::ApiError;

/// A discovery document and its Content-Type.
pub(super) struct Document {
    pub(super) value: Value,
    pub(super) content_type: &'static str,
}

const JSON: &str = "application/json";
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Whether the first type that can be written is the aggregated one.
fn wants_aggregated(headers: &HeaderMap) -> bool {
    for clause in accepted(headers).iter().filter(|clause| clause.is_json()) {
        match clause.parameter("as") {
            None => return false,
            Some("APIGroupDiscoveryList")
                if clause.parameter("g") == Some("apidiscovery.k8s.io")
                    && clause.parameter("v") == Some("v2") =>
            {
                return true;
            }
            Some(_) => {}
        }
    }
    false
}

fn plain(value: Value) -> Document {
    Document {
        value,
        content_type: JSON,
    }
}

/// Answers a discovery path, given in segments; `None` for another path.
pub(super) fn answer(
    registry: &Registry,
    segments: &[&str],
    headers: &HeaderMap,
) -> Option<Result<Document, ApiError>> {
    Some(match segments {
        ["api"] if wants_aggregated(headers) => Ok(aggregated(registry, true)),
        ["apis"] if wants_aggregated(headers) => Ok(aggregated(registry, false)),
        ["api"] => Ok(plain(json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [
                {"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:6443"}
            ],
        }))),
        ["apis"] => {
            let groups: Vec<Value> = groups(registry)
                .iter()
                .map(|group| Value::Object(group_entry(registry, group)))
                .collect();
            Ok(plain(
                json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}),
            ))
        }
        ["api", version] => resources(registry, "", version),
        ["apis", group] if registry.versions_of(group).is_empty() || group.is_empty() => {
            Err(ApiError::page_not_found())
        }
        ["apis", group] => {
            let mut entry = group_entry(registry, group);
            entry.insert("kind".to_owned(), json!("APIGroup"));
            entry.insert("apiVersion".to_owned(), json!("v1"));
            Ok(plain(Value::Object(entry)))
        }
        ["apis", group, version] => resources(registry, group, version),
        _ => return None,
    })
}

/// The groups besides the core one, in order.
fn groups(registry: &Registry) -> Vec<String> {
    let mut groups: Vec<String> = registry
        .all()
        .map(|resource| resource.group().to_owned())
        .filter(|group| !group.is_empty())
        .collect();
    groups.sort();
    groups.dedup();
    groups
}

fn group_entry(registry: &Registry, group: &str) -> Map<String, Value> {
    let versions: Vec<Value> = registry
        .versions_of(group)
        .iter()
        .map(|version| json!({"groupVersion": api_version(group, version), "version": version}))
        .collect();
    let mut entry = Map::new();
    entry.insert("name".to_owned(), json!(group));
    entry.insert(
        "preferredVersion".to_owned(),
        versions.first().cloned().unwrap_or_default(),
    );
    entry.insert("versions".to_owned(), Value::Array(versions));
    entry
}

fn resources(registry: &Registry, group: &str, version: &str) -> Result<Document, ApiError> {
    if !registry
        .versions_of(group)
        .iter()
        .any(|known| known == version)
    {
        return Err(if Registry::is_built_in_group(group) {
            ApiError::no_such_resource()
        } else {
            ApiError::page_not_found()
        });
    }
    let mut entries = Vec::new();
    for resource in registry.all().filter(|resource| resource.group() == group) {
        let Some(served) = resource.version(version) else {
            continue;
        };
        entries.push(resource_entry(resource));
        for subresource in &served.subresources {
            let mut entry = json!({
                "name": format!("{}/{}", resource.plural.name, subresource.name),
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": subresource.kind,
                "verbs": subresource.verbs,
            });
            if let (Some((group, version)), Value::Object(map)) =
                (&subresource.group_version, &mut entry)
            {
                map.insert("group".to_owned(), json!(group));
                map.insert("version".to_owned(), json!(version));
            }
            entries.push(entry);
        }
    }
    let mut list = json!({
        "kind": "APIResourceList",
        "groupVersion": api_version(group, version),
        "resources": entries,
    });
    // The core group's list has no apiVersion.
    if let (false, Value::Object(map)) = (group.is_empty(), &mut list) {
        map.insert("apiVersion".to_owned(), json!("v1"));
    }
    Ok(plain(list))
}

fn resource_entry(resource: &Resource) -> Value {
    let mut entry = json!({
        "name": &*resource.plural.name,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": &*resource.kind.name,
        "verbs": resource.verbs,
    });
    add_names(resource, &mut entry);
    entry
}

fn add_names(resource: &Resource, entry: &mut Value) {
    if let Value::Object(map) = entry {
        if !resource.short_names.is_empty() {
            map.insert("shortNames".to_owned(), json!(resource.short_names));
        }
        if !resource.categories.is_empty() {
            map.insert("categories".to_owned(), json!(resource.categories));
        }
    }
}

fn aggregated(registry: &Registry, core: bool) -> Document {
    let groups = if core {
        vec![String::new()]
    } else {
        groups(registry)
    };
    let items: Vec<Value> = groups
        .iter()
        .map(|group| {
            let versions: Vec<Value> = registry
                .versions_of(group)
                .iter()
                .map(|version| {
                    let resources: Vec<Value> = registry
                        .all()
                        .filter(|resource| resource.group() == group)
                        .filter_map(|resource| {
                            Some(aggregated_entry(resource, resource.version(version)?))
                        })
                        .collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            let metadata = if group.is_empty() {
                json!({})
            } else {
                json!({"name": group})
            };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    Document {
        value: json!({
            "kind": "APIGroupDiscoveryList",
            "apiVersion": "apidiscovery.k8s.io/v2",
            "metadata": {},
            "items": items,
        }),
        content_type: AGGREGATED,
    }
}

fn aggregated_entry(resource: &Resource, version: &Version) -> Value {
    // Built-in kinds leave the group and version of their own kind empty.
    let kind_of = |group_version: Option<(&str, &str)>, kind: &str| {
        let (group, version) = match group_version {
            Some(other) => other,
            None if resource.traits.built_in => ("", ""),
            None => (resource.group(), version.name.as_str()),
        };
        json!({"group": group, "version": version, "kind": kind})
    };
    let scope = if resource.namespaced {
        "Namespaced"
    } else {
        "Cluster"
    };
    let mut entry = json!({
        "resource": &*resource.plural.name,
        "responseKind": kind_of(None, &resource.kind.name),
        "scope": scope,
        "singularResource": resource.singular,
        "verbs": resource.verbs,
    });
    add_names(resource, &mut entry);
    let subresources: Vec<Value> = version
        .subresources
        .iter()
        .map(|subresource| {
            let other = subresource
                .group_version
                .as_ref()
                .map(|(group, version)| (group.as_str(), version.as_str()));
            json!({
                "subresource": subresource.name,
                "responseKind": kind_of(other, &subresource.kind),
                "verbs": subresource.verbs,
            })
        })
        .collect();
    if let (false, Value::Object(map)) = (subresources.is_empty(), &mut entry) {
        map.insert("subresources".to_owned(), Value::Array(subresources));
    }
    entry
}
