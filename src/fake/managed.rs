//! `metadata.managedFields`: who set what.

use serde_json::{Map, Value, json};

use super::fieldset::{FieldSet, difference};
use super::meta;
use super::query::WriteOptions;
use super::registry::api_version;
use super::rest::{Call, Object};

/// Who writes, and how.
#[derive(Clone, Debug)]
pub(super) enum Manager {
    /// POST, PUT, and patches other than apply: owns what it changes.
    Updating(String),
    /// Server-side apply has worked out all entries already.
    Applying(Vec<Entry>),
}

/// One entry of managedFields.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) manager: String,
    pub(super) operation: String,
    pub(super) api_version: String,
    pub(super) subresource: String,
    pub(super) time: String,
    pub(super) set: FieldSet,
}

impl Manager {
    /// The manager of a plain write: named by the request, else by its user agent up to the slash.
    pub(super) fn updating(call: &Call<'_>, options: &WriteOptions) -> Self {
        let agent = call
            .headers
            .get(http::header::USER_AGENT)
            .and_then(|agent| agent.to_str().ok())
            .and_then(|agent| agent.split('/').next())
            .unwrap_or("unknown");
        Self::Updating(options.manager.clone().unwrap_or_else(|| agent.to_owned()))
    }
}

/// Reads an object's entries.
pub(super) fn read(object: &Object) -> Vec<Entry> {
    let text = |entry: &Value, key: &str| {
        entry
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    meta::of(object)
        .and_then(|metadata| metadata.get("managedFields"))
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|entry| Entry {
            manager: text(entry, "manager"),
            operation: text(entry, "operation"),
            api_version: text(entry, "apiVersion"),
            subresource: text(entry, "subresource"),
            time: text(entry, "time"),
            set: entry
                .get("fieldsV1")
                .map(FieldSet::from_value)
                .unwrap_or_default(),
        })
        .collect()
}

/// Writes entries into an object, without empty ones.
pub(super) fn write(object: &mut Object, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.set.is_empty());
    entries.sort_by(|a, b| {
        let rank = |entry: &Entry| {
            (
                entry.operation.clone(),
                entry.time.clone(),
                entry.manager.clone(),
            )
        };
        rank(a).cmp(&rank(b))
    });
    let list: Vec<Value> = entries
        .into_iter()
        .map(|entry| {
            let mut value = json!({
                "manager": entry.manager,
                "operation": entry.operation,
                "apiVersion": entry.api_version,
                "time": entry.time,
                "fieldsType": "FieldsV1",
                "fieldsV1": entry.set.to_value(),
            });
            if let (false, Value::Object(map)) = (entry.subresource.is_empty(), &mut value) {
                map.insert("subresource".to_owned(), json!(entry.subresource));
            }
            value
        })
        .collect();
    if let Some(metadata) = meta::of_mut(object) {
        if list.is_empty() {
            metadata.remove("managedFields");
        } else {
            metadata.insert("managedFields".to_owned(), Value::Array(list));
        }
    }
}

/// Takes out what the request cannot set: the status of an object that has it apart, or all but the status.
pub(super) fn own_part(call: &Call<'_>, set: &mut FieldSet) {
    set.strip();
    match call.info.subresource.as_str() {
        "" if call.has_status() => set.remove_child("f:status"),
        "status" => set.retain_child("f:status"),
        _ => {}
    }
}

pub(super) fn created(call: &Call<'_>, object: &mut Object, manager: &Manager) {
    if let Manager::Applying(entries) = manager {
        write(object, entries.clone());
        return;
    }
    meta::set_text(object, "managedFields", "");
    updated(call, &Map::new(), object, manager);
}

/// Works out the entries after a change.
pub(super) fn updated(call: &Call<'_>, old: &Object, new: &mut Object, manager: &Manager) {
    let name = match manager {
        Manager::Applying(entries) => {
            write(new, entries.clone());
            return;
        }
        Manager::Updating(name) => name,
    };
    let mut entries = read(old);
    meta::keep(new, old, "managedFields");
    let mut found = difference(&call.served().schema, old, new);
    own_part(call, &mut found.changed);
    own_part(call, &mut found.removed);
    if found.changed.is_empty() && found.removed.is_empty() {
        return;
    }
    let version = api_version(call.resource.group(), &call.served().name);
    let subresource = &call.info.subresource;
    let is_own = |entry: &Entry| {
        entry.manager == *name
            && entry.operation == "Update"
            && entry.api_version == version
            && entry.subresource == *subresource
    };
    if !found.changed.is_empty() && !entries.iter().any(is_own) {
        entries.push(Entry {
            manager: name.clone(),
            operation: "Update".to_owned(),
            api_version: version.clone(),
            subresource: subresource.clone(),
            time: String::new(),
            set: FieldSet::default(),
        });
    }
    let now = call.state.clock.text();
    for entry in &mut entries {
        let before = entry.set.clone();
        entry.set.subtract(&found.removed);
        if is_own(entry) {
            entry.set.union(&found.changed);
            if entry.set != before {
                entry.time.clone_from(&now);
            }
        } else {
            entry.set.subtract(&found.changed);
        }
    }
    write(new, entries);
}
