//! `metadata`: reading, writing and the rules that hold for every kind.

mod owner;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

pub(super) use owner::without_duplicates;

use super::registry::{GroupResource, Resource};
use super::rest::Object;
use super::status::FieldFault;
use crate::selector::{label_key_faults, label_value_faults};

pub(super) fn of(object: &Object) -> Option<&Object> {
    object.get("metadata")?.as_object()
}

pub(super) fn of_mut(object: &mut Object) -> Option<&mut Object> {
    object.get_mut("metadata")?.as_object_mut()
}

/// A text of the metadata; empty when it is missing.
pub(super) fn text<'a>(object: &'a Object, key: &str) -> &'a str {
    of(object)
        .and_then(|metadata| metadata.get(key))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Sets a text of the metadata; empty removes it.
pub(super) fn set_text(object: &mut Object, key: &str, value: &str) {
    if let Some(metadata) = of_mut(object) {
        if value.is_empty() {
            metadata.remove(key);
        } else {
            metadata.insert(key.to_owned(), Value::from(value));
        }
    }
}

pub(super) fn finalizers(object: &Object) -> Vec<&str> {
    of(object)
        .and_then(|metadata| metadata.get("finalizers"))
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

pub(super) fn is_deleting(object: &Object) -> bool {
    of(object).is_some_and(|metadata| metadata.contains_key("deletionTimestamp"))
}

pub(super) fn number(object: &Object, key: &str) -> Option<i64> {
    of(object)?.get(key)?.as_i64()
}

/// Takes a key from another object's metadata, or removes it when the other has none.
pub(super) fn keep(object: &mut Object, old: &Object, key: &str) {
    let value = of(old).and_then(|metadata| metadata.get(key)).cloned();
    if let Some(metadata) = of_mut(object) {
        match value {
            Some(value) => metadata.insert(key.to_owned(), value),
            None => metadata.remove(key),
        };
    }
}

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
/// The sum of an object's annotations, keys and values.
const ANNOTATIONS_LIMIT: usize = 256 * 1024;

/// What is wrong with a name of a resource's objects. A prefix is judged as if something followed.
fn name_faults(resource: &Resource, name: &str, prefix: bool) -> Vec<&'static str> {
    let whole = if prefix && name.ends_with(['-', '.']) {
        format!("{name}a")
    } else {
        name.to_owned()
    };
    let plain = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !text.is_empty()
            && !text.starts_with('-')
            && !text.ends_with('-')
    };
    let (limit, too_long, fits, words) = match (&*resource.plural.group, &*resource.plural.name) {
        ("rbac.authorization.k8s.io", _) => {
            return match name {
                "." => vec!["may not be '.'"],
                ".." => vec!["may not be '..'"],
                _ if name.contains('/') => vec!["may not contain '/'"],
                _ if name.contains('%') => vec!["may not contain '%'"],
                _ => Vec::new(),
            };
        }
        ("", "namespaces") => (63, "must be no more than 63 bytes", plain(&whole), LABEL),
        ("", "services") => (
            63,
            "must be no more than 63 bytes",
            plain(&whole) && !whole.starts_with(|c: char| c.is_ascii_digit()),
            LABEL_1035,
        ),
        _ => (
            253,
            "must be no more than 253 bytes",
            whole.split('.').all(plain),
            SUBDOMAIN,
        ),
    };
    let mut faults = Vec::new();
    if whole.len() > limit {
        faults.push(too_long);
    }
    if !fits {
        faults.push(words);
    }
    faults
}

/// The rules for the metadata of a new object.
pub(super) fn create_faults(resource: &Resource, object: &Object) -> Vec<FieldFault> {
    let mut faults = Vec::new();
    let prefix = text(object, "generateName");
    if !prefix.is_empty() {
        for words in name_faults(resource, prefix, true) {
            faults.push(FieldFault::invalid(
                "metadata.generateName",
                &Value::from(prefix),
                words,
            ));
        }
    }
    let name = text(object, "name");
    if name.is_empty() {
        faults.push(FieldFault::required(
            "metadata.name",
            "name or generateName is required",
        ));
    } else {
        for words in name_faults(resource, name, false) {
            faults.push(FieldFault::invalid(
                "metadata.name",
                &Value::from(name),
                words,
            ));
        }
    }
    faults.extend(common_faults(object));
    faults.extend(finalizer_faults(object));
    if qualifies_finalizers(resource) {
        faults.extend(unqualified_finalizers(object));
    }
    faults
}

/// The rules for what every look at metadata covers.
fn common_faults(object: &Object) -> Vec<FieldFault> {
    let mut faults = Vec::new();
    let Some(metadata) = of(object) else {
        return faults;
    };
    let entries = |key: &str| {
        metadata
            .get(key)
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(Map::iter)
            .map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()))
    };
    for (key, value) in entries("labels") {
        for words in label_key_faults(key) {
            faults.push(FieldFault::invalid(
                "metadata.labels",
                &Value::from(key),
                &words,
            ));
        }
        for words in label_value_faults(value) {
            faults.push(FieldFault::invalid(
                "metadata.labels",
                &Value::from(value),
                &words,
            ));
        }
    }
    let mut size = 0;
    for (key, value) in entries("annotations") {
        size += key.len() + value.len();
        for words in label_key_faults(&key.to_lowercase()) {
            faults.push(FieldFault::invalid(
                "metadata.annotations",
                &Value::from(key),
                &words,
            ));
        }
    }
    if size > ANNOTATIONS_LIMIT {
        faults.push(FieldFault::too_long(
            "metadata.annotations",
            ANNOTATIONS_LIMIT as u64,
        ));
    }
    faults.extend(owner::faults(object));
    faults
}

fn finalizer_faults(object: &Object) -> Vec<FieldFault> {
    let names = finalizers(object);
    let mut faults = Vec::new();
    for name in &names {
        for words in label_key_faults(name) {
            faults.push(FieldFault::invalid(
                "metadata.finalizers",
                &Value::from(*name),
                &words,
            ));
        }
    }
    if names.contains(&ORPHAN) && names.contains(&FOREGROUND) {
        faults.push(FieldFault::invalid(
            "metadata.finalizers",
            &Value::from(names),
            "finalizer orphan and foregroundDeletion cannot be both set",
        ));
    }
    faults
}

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", ORPHAN, FOREGROUND];

fn is_unqualified(finalizer: &str) -> bool {
    !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer)
}

/// Whether a finalizer needs a domain: custom resources are only warned, and a few kinds are not asked.
fn qualifies_finalizers(resource: &Resource) -> bool {
    let group = &*resource.plural.group;
    resource.traits.built_in
        && !matches!(
            group,
            "admissionregistration.k8s.io" | "apiextensions.k8s.io" | "coordination.k8s.io"
        )
}

fn unqualified_finalizers(object: &Object) -> Vec<FieldFault> {
    finalizers(object)
        .into_iter()
        .enumerate()
        .filter(|(_, name)| is_unqualified(name))
        .map(|(index, name)| {
            FieldFault::invalid(
                format!("metadata.finalizers[{index}]"),
                &Value::from(name),
                "name is neither a standard finalizer name nor is it fully qualified",
            )
        })
        .collect()
}

/// What the server says to finalizers of a custom resource that are new and without a domain.
pub(super) fn finalizer_warnings(object: &Object, old: Option<&Object>) -> Vec<String> {
    let known = old.map(finalizers).unwrap_or_default();
    let added: BTreeSet<&str> = finalizers(object)
        .into_iter()
        .filter(|name| !known.contains(name))
        .collect();
    added
        .into_iter()
        .filter(|name| is_unqualified(name))
        .map(|name| {
            let path = if name.contains('.') {
                " including a path (/)"
            } else {
                ""
            };
            format!(
                "metadata.finalizers: {name:?}: prefer a domain-qualified finalizer name{path} to avoid accidental conflicts with other finalizer writers"
            )
        })
        .collect()
}

/// The rules for a change. The server looks at metadata once for all kinds and once, or twice, more for each: a fault is
/// told as often as it is found.
pub(super) fn update_faults(
    resource: &Resource,
    subresource: &str,
    old: &Object,
    new: &Object,
) -> Vec<FieldFault> {
    let mut faults = common_faults(new);
    faults.extend(finalizer_faults(new));
    faults.extend(change_faults(old, new));
    let whole = subresource.is_empty() && resource.traits.built_in;
    let again = match &*resource.plural.name {
        "endpointslices" if whole => return [faults, create_faults(resource, new)].concat(),
        "configmaps" | "pods" | "secrets" | "serviceaccounts" | "services" if whole => {
            create_faults(resource, new)
        }
        _ => Vec::new(),
    };
    faults.extend(change_faults(old, new));
    if qualifies_finalizers(resource) {
        faults.extend(unqualified_finalizers(new));
    }
    faults.extend(again);
    faults
}

fn change_faults(old: &Object, new: &Object) -> Vec<FieldFault> {
    let mut faults = Vec::new();
    if is_deleting(old) {
        let before = finalizers(old);
        let added: BTreeSet<_> = finalizers(new)
            .into_iter()
            .filter(|name| !before.contains(name))
            .map(|name| format!("{name:?}"))
            .collect();
        if !added.is_empty() {
            faults.push(FieldFault::forbidden(
                "metadata.finalizers",
                &format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                    Vec::from_iter(added).join(", ")
                ),
            ));
        }
    }
    let uid = text(new, "uid");
    if uid != text(old, "uid") {
        faults.push(FieldFault::invalid(
            "metadata.uid",
            &Value::from(uid),
            "field is immutable",
        ));
    }
    faults.extend(common_faults(new));
    faults
}

/// Labels without the resource's own rules, for RBAC and helpers: whether an owner reference names this object.
pub(super) fn is_owned_by(object: &Object, uid: &str) -> bool {
    of(object)
        .and_then(|metadata| metadata.get("ownerReferences"))
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .any(|owner| owner.get("uid").and_then(Value::as_str) == Some(uid))
}

/// The namespace resource's name.
pub(super) fn namespaces() -> GroupResource {
    GroupResource::new("", "namespaces")
}
