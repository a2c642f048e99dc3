//! Server-side apply: merges a configuration into the object, field by field, and remembers who applied what.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::fake::decode::Document;
use crate::fake::fieldset::{
    FieldSet, applied, difference, element_name, element_schema, field_schema,
};
use crate::fake::managed::{self, Entry, Manager};
use crate::fake::meta;
use crate::fake::query::WriteOptions;
use crate::fake::registry::api_version;
use crate::fake::rest::{Answer, Call, Content, Decoded, Object};
use crate::fake::schema::{self, ListKind, Schema};
use crate::fake::status::{ApiError, FieldFault};

pub(in crate::fake) fn run(
    call: &mut Call<'_>,
    document: Document,
    options: &WriteOptions,
) -> Result<Answer, ApiError> {
    let manager = options.manager.clone().unwrap_or_default();
    let schema = Arc::clone(&call.served().schema);
    let mut config = configuration(call, document, &schema)?;
    call.match_namespace(&mut config)?;
    let version = api_version(call.resource.group(), &call.served().name);
    let mut set = applied(&schema, &Value::Object(config.clone()));
    managed::own_part(call, &mut set);
    let mut own = Entry {
        manager,
        operation: "Apply".to_owned(),
        api_version: version,
        subresource: call.info.subresource.clone(),
        time: call.state.clock.text(),
        set,
    };
    let kind = call.resource.kind.clone();
    let existing = call.existing();
    if !call.info.subresource.is_empty()
        && let Err(error) = existing
    {
        return Err(error);
    }
    let Ok(old) = existing else {
        let uid = meta::text(&config, "uid");
        if !uid.is_empty() {
            let reason = format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            );
            let (plural, name) = (&call.resource.plural, &call.info.name);
            return Err(ApiError::conflict(plural, name, &reason));
        }
        meta::set_text(&mut config, "resourceVersion", "");
        let decoded = Decoded {
            object: config,
            kind,
        };
        let entry = call.create_object(decoded, &Manager::Applying(vec![own]), options.dry_run)?;
        return Ok(Answer::created(Content::Object(entry)));
    };
    let given = meta::text(&config, "resourceVersion");
    if !given.is_empty() && given != old.revision.to_string() {
        return Err(ApiError::stale(&call.resource.plural, &call.info.name));
    }
    let mut others = managed::read(&old.value);
    let last = others
        .iter()
        .position(|entry| {
            entry.manager == own.manager
                && entry.operation == "Apply"
                && entry.api_version == own.api_version
                && entry.subresource == own.subresource
        })
        .map(|at| others.remove(at));
    let mut new = old.value.clone();
    merge_fields(&schema, &mut new, &config);
    if let Some(last) = &last {
        let mut owned = own.set.clone();
        for entry in &others {
            owned.union(&entry.set);
        }
        prune_fields(&schema, &mut new, &last.set, Some(&owned));
    }
    let mut found = difference(&schema, &old.value, &new);
    managed::own_part(call, &mut found.changed);
    managed::own_part(call, &mut found.removed);
    let mut conflicts = Vec::new();
    for entry in &mut others {
        let both = entry.set.intersection(&found.changed);
        if !both.is_empty() {
            conflicts.push((entry.clone(), both.paths()));
            entry.set.subtract(&both);
        }
        entry.set.subtract(&found.removed);
    }
    if !conflicts.is_empty() && !options.force {
        return Err(conflict(&conflicts));
    }
    if let Some(last) = last
        && last.set == own.set
    {
        own.time = last.time;
    }
    others.push(own);
    let decoded = Decoded { object: new, kind };
    let entry = call.update_object(&old, decoded, &Manager::Applying(others), options.dry_run)?;
    Ok(Answer::ok(Content::Object(entry)))
}

/// Reads the configuration; unlike any other write, a field that the schema lacks is an error of the server.
fn configuration(call: &Call<'_>, document: Document, schema: &Schema) -> Result<Object, ApiError> {
    let group = call.resource.group();
    let version = &call.served().name;
    let kind = &call.resource.kind.name;
    let expected = api_version(group, version);
    let Value::Object(mut object) = document.value else {
        return Err(ApiError::bad_request("error decoding YAML: not an object"));
    };
    let mut text = |key: &str| match object.remove(key) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    };
    let (given_version, given_kind) = (text("apiVersion"), text("kind"));
    if given_version != expected || given_kind != **kind {
        return Err(ApiError::bad_request(format!(
            "invalid object type: {given_version}, Kind={given_kind}"
        )));
    }
    if meta::of(&object).is_some_and(|metadata| metadata.contains_key("managedFields")) {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    object
        .entry("metadata")
        .or_insert_with(|| Value::Object(Map::new()));
    call.match_name(&object)?;
    let mut unknown = Vec::new();
    let mut checked = object.clone();
    let walked = if call.resource.traits.built_in {
        schema::typed(schema, &mut checked, &mut unknown)
    } else {
        schema::custom(schema, &mut checked, &mut unknown)
    };
    let failure = match (walked, unknown.first()) {
        (Err(reason), _) => Some(reason),
        (Ok(()), Some(path)) => Some(format!(".{path}: field not declared in schema")),
        (Ok(()), None) => None,
    };
    if let Some(reason) = failure {
        let group_version = format!("{group}/{version}");
        return Err(ApiError::internal(format!(
            "failed to create typed patch object ({}/{}; {}, Kind={kind}): {reason}",
            call.namespace(),
            call.info.name,
            group_version
        )));
    }
    if call.resource.traits.built_in {
        // Nulls and empty maps are not applied.
        return Ok(checked);
    }
    Ok(object)
}

fn conflict(conflicts: &[(Entry, Vec<String>)]) -> ApiError {
    let shown = |entry: &Entry| {
        let mut text = format!("\"{}\"", entry.manager);
        if !entry.subresource.is_empty() {
            text.push_str(&format!(" with subresource \"{}\"", entry.subresource));
        }
        if entry.operation == "Update" {
            text.push_str(&format!(" using {}", entry.api_version));
        }
        text
    };
    let mut causes = Vec::new();
    let mut lines = Vec::new();
    for (entry, paths) in conflicts {
        let manager = shown(entry);
        lines.push(format!("conflicts with {manager}:"));
        for path in paths {
            lines.push(format!("- {path}"));
            causes.push(FieldFault {
                reason: "FieldManagerConflict",
                message: format!("conflict with {manager}"),
                field: path.clone(),
            });
        }
    }
    let message = match &causes[..] {
        [cause] => format!(
            "Apply failed with 1 conflict: {}: {}",
            cause.message, cause.field
        ),
        causes => format!(
            "Apply failed with {} conflicts: {}",
            causes.len(),
            lines.join("\n")
        ),
    };
    ApiError::apply_conflict(message, &causes)
}

fn merge_fields(schema: &Schema, target: &mut Map<String, Value>, config: &Map<String, Value>) {
    for (key, value) in config {
        let schema = field_schema(schema, key);
        match target.get_mut(key) {
            Some(target) => merge(&schema, target, value),
            None => {
                target.insert(key.clone(), value.clone());
            }
        }
    }
}

fn merge(schema: &Schema, target: &mut Value, config: &Value) {
    match (target, config) {
        (Value::Object(target), Value::Object(config)) if !schema.atomic => {
            merge_fields(schema, target, config);
        }
        (Value::Array(target), Value::Array(config)) if schema.list != ListKind::Atomic => {
            let element = element_schema(schema);
            for value in config {
                let name = element_name(schema, value);
                match target
                    .iter_mut()
                    .find(|known| element_name(schema, known) == name)
                {
                    Some(known) => merge(&element, known, value),
                    None => target.push(value.clone()),
                }
            }
        }
        (target, config) => *target = config.clone(),
    }
}

/// Removes what was applied before and is owned by nobody now, and the containers that this empties.
fn prune_fields(
    schema: &Schema,
    object: &mut Map<String, Value>,
    last: &FieldSet,
    owned: Option<&FieldSet>,
) {
    for (name, last) in last.places() {
        let Some(key) = name.strip_prefix("f:") else {
            continue;
        };
        let owned = owned.and_then(|owned| owned.child(name));
        let Some(value) = object.get_mut(key) else {
            continue;
        };
        if prune(&field_schema(schema, key), value, last, owned) {
            object.remove(key);
        }
    }
}

/// Whether the value itself goes.
fn prune(schema: &Schema, value: &mut Value, last: &FieldSet, owned: Option<&FieldSet>) -> bool {
    let leaf = last.places().next().is_none();
    if leaf {
        return last.is_member() && owned.is_none_or(FieldSet::is_empty);
    }
    let emptied = match value {
        Value::Object(map) => {
            prune_fields(schema, map, last, owned);
            map.is_empty()
        }
        Value::Array(list) => {
            let element = element_schema(schema);
            list.retain_mut(|value| {
                let name = element_name(schema, value);
                let Some(last) = last.child(&name) else {
                    return true;
                };
                let owned = owned.and_then(|owned| owned.child(&name));
                if owned.is_none_or(FieldSet::is_empty) && last.is_member() {
                    return false;
                }
                !prune(&element, value, last, owned)
            });
            list.is_empty()
        }
        _ => true,
    };
    emptied && owned.is_none_or(FieldSet::is_empty)
}
