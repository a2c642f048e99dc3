//! ConfigMap, Secret and Lease.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::{Object, part, text};
use crate::fake::status::FieldFault;

const KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const IMMUTABLE: &str = "field is immutable when `immutable` is set";

/// The bytes that the values of a ConfigMap or Secret have together at most.
const LIMIT: usize = 1024 * 1024;

/// A Secret's plain texts become data, and win.
pub(super) fn fold_string_data(object: &mut Object) {
    let Some(Value::Object(plain)) = object.remove("stringData") else {
        return;
    };
    let data = object
        .entry("data")
        .or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(data) = data {
        for (key, value) in plain {
            let encoded = STANDARD.encode(value.as_str().unwrap_or_default());
            data.insert(key, Value::from(encoded));
        }
    }
}

fn key_faults(object: &Object, field: &str) -> Vec<FieldFault> {
    let mut faults = Vec::new();
    for key in part(object, field).into_iter().flat_map(Map::keys) {
        let mut fault = |words: &str| {
            faults.push(FieldFault::invalid(
                format!("{field}[{key}]"),
                &Value::from(key.as_str()),
                words,
            ));
        };
        if key.len() > 253 {
            fault("must be no more than 253 bytes");
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if key.is_empty() || !key.chars().all(fits) {
            fault(KEY);
        }
        if key == "." {
            fault("must not be '.'");
        } else if key == ".." {
            fault("must not be '..'");
        } else if key.starts_with("..") {
            fault("must not start with '..'");
        }
    }
    faults
}

fn frozen(object: &Object, old: Option<&Object>, fields: &[&str]) -> Vec<FieldFault> {
    let Some(old) = old.filter(|old| old.get("immutable") == Some(&Value::Bool(true))) else {
        return Vec::new();
    };
    let mut faults = Vec::new();
    for field in ["immutable"].iter().chain(fields) {
        if object.get(*field) != old.get(*field) {
            faults.push(FieldFault::forbidden(*field, IMMUTABLE));
        }
    }
    faults
}

pub(super) fn config_map(object: &Object, old: Option<&Object>) -> Vec<FieldFault> {
    let mut faults = frozen(object, old, &["data", "binaryData"]);
    for (field, other) in [("data", "binaryData"), ("binaryData", "data")] {
        faults.extend(key_faults(object, field));
        faults.extend(twin_faults(object, field, other));
    }
    if size(object, "data") + size(object, "binaryData") > LIMIT {
        faults.push(FieldFault::too_long("", LIMIT as u64));
    }
    faults
}

/// Keys that both fields have.
fn twin_faults(object: &Object, field: &str, other: &str) -> Vec<FieldFault> {
    let other_keys = part(object, other);
    part(object, field)
        .into_iter()
        .flat_map(Map::keys)
        .filter(|key| other_keys.is_some_and(|keys| keys.contains_key(*key)))
        .map(|key| {
            FieldFault::invalid(
                format!("{field}[{key}]"),
                &Value::from(key.as_str()),
                &format!("duplicate of key present in {other}"),
            )
        })
        .collect()
}

/// How many bytes a field's values have.
fn size(object: &Object, field: &str) -> usize {
    let text = field == "data" && object.get("type").is_none();
    part(object, field)
        .into_iter()
        .flat_map(Map::values)
        .filter_map(Value::as_str)
        .map(|value| {
            if text {
                value.len()
            } else {
                STANDARD.decode(value).map_or(0, |bytes| bytes.len())
            }
        })
        .sum()
}

/// The keys that a Secret's type demands.
fn type_faults(object: &Object) -> Vec<FieldFault> {
    let needed: &[&str] = match text(object, "type") {
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/basic-auth" => &["username", "password"],
        _ => &[],
    };
    let given = |key: &&str| part(object, "data").is_some_and(|data| data.contains_key(*key));
    if text(object, "type") == "kubernetes.io/basic-auth" && needed.iter().any(given) {
        return Vec::new();
    }
    needed
        .iter()
        .copied()
        .filter(|key| !given(key))
        .map(|key| FieldFault::required(format!("data[{key}]"), ""))
        .collect()
}

pub(super) fn secret(object: &Object, old: Option<&Object>) -> Vec<FieldFault> {
    let mut faults = Vec::new();
    if let Some(old) = old
        && text(object, "type") != text(old, "type")
    {
        faults.push(FieldFault::invalid(
            "type",
            &Value::from(text(object, "type")),
            "field is immutable",
        ));
    }
    faults.extend(frozen(object, old, &["data"]));
    faults.extend(key_faults(object, "data"));
    if size(object, "data") > LIMIT {
        faults.push(FieldFault::too_long("data", LIMIT as u64));
    }
    faults.extend(type_faults(object));
    faults
}

pub(super) fn lease(object: &Object) -> Vec<FieldFault> {
    let mut faults = Vec::new();
    let spec = part(object, "spec");
    let number = |key: &str| spec.and_then(|spec| spec.get(key)).and_then(Value::as_i64);
    if let Some(seconds) = number("leaseDurationSeconds")
        && seconds <= 0
    {
        faults.push(FieldFault::invalid(
            "spec.leaseDurationSeconds",
            &Value::from(seconds),
            "must be greater than 0",
        ));
    }
    if let Some(transitions) = number("leaseTransitions")
        && transitions < 0
    {
        faults.push(FieldFault::invalid(
            "spec.leaseTransitions",
            &Value::from(transitions),
            "must be greater than or equal to 0",
        ));
    }
    faults
}
