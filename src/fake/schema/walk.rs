//! Brings objects into the form of their schema: built-in kinds as Go's types read them, custom ones by pruning and
//! defaulting.

use serde_json::{Map, Value};

use super::{Form, Schema, object_meta};

/// Checks an object of a built-in kind: a wrong type is an error, unknown fields go and are reported, nulls go, and so
/// do empty maps and lists, which Go's JSON leaves out.
pub(in crate::fake) fn typed(
    schema: &Schema,
    object: &mut Map<String, Value>,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    fields(schema, object, &mut String::new(), unknown)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

fn fields(
    schema: &Schema,
    object: &mut Map<String, Value>,
    path: &mut String,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    let mut failure = None;
    object.retain(|key, value| {
        if failure.is_some() {
            return true;
        }
        let length = path.len();
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(key);
        let keep = match schema.properties.get(key) {
            None if schema.preserve_unknown => true,
            None => {
                unknown.push(path.clone());
                false
            }
            Some(_) if value.is_null() => false,
            Some(property) => {
                if let Err(reason) = value_of(&property.schema, value, path, unknown) {
                    failure = Some(reason);
                }
                let container = matches!(property.schema.form, Form::Map | Form::List);
                !(container && is_empty(value) && !property.always)
            }
        };
        path.truncate(length);
        keep
    });
    failure.map_or(Ok(()), Err)
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn value_of(
    schema: &Schema,
    value: &mut Value,
    path: &mut String,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    let wrong = |value: &Value, wanted: &str| {
        Err(format!(
            "json: cannot unmarshal {} into Go struct field .{path} of type {wanted}",
            type_name(value)
        ))
    };
    match (schema.form, &mut *value) {
        (Form::Anything, _) => Ok(()),
        (Form::Struct, Value::Object(map)) => fields(schema, map, path, unknown),
        (Form::Map, Value::Object(map)) => {
            let Some(element) = &schema.element else {
                return Ok(());
            };
            for (key, value) in map.iter_mut() {
                let length = path.len();
                path.push('.');
                path.push_str(key);
                if value.is_null() {
                    // Go reads null as the zero value.
                    if element.form == Form::String {
                        *value = Value::from("");
                    }
                } else {
                    value_of(element, value, path, unknown)?;
                }
                path.truncate(length);
            }
            Ok(())
        }
        (Form::List, Value::Array(list)) => {
            let Some(element) = &schema.element else {
                return Ok(());
            };
            for (index, value) in list.iter_mut().enumerate() {
                let length = path.len();
                path.push_str(&format!("[{index}]"));
                if !value.is_null() {
                    value_of(element, value, path, unknown)?;
                }
                path.truncate(length);
            }
            Ok(())
        }
        (Form::String, Value::String(_)) | (Form::Boolean, Value::Bool(_)) => Ok(()),
        (Form::Integer, Value::Number(number)) if number.is_i64() || number.is_u64() => Ok(()),
        (Form::Number, Value::Number(_)) => Ok(()),
        (Form::IntOrString, Value::Number(_) | Value::String(_)) => Ok(()),
        (Form::Quantity, Value::String(_)) => Ok(()),
        (Form::Quantity, Value::Number(number)) => {
            let text = number.to_string();
            *value = Value::from(text);
            Ok(())
        }
        (Form::Time | Form::MicroTime, Value::String(text)) => time(text, schema.form),
        (Form::Bytes, Value::String(text)) => {
            use base64::Engine;
            base64::engine::general_purpose::STANDARD
                .decode(text)
                .map(drop)
                .map_err(|_| "illegal base64 data at input byte 0".to_owned())
        }
        (form, value) => wrong(
            value,
            match form {
                Form::Struct | Form::Map => "map",
                Form::List => "slice",
                Form::Integer => "int",
                Form::Number => "float64",
                Form::Boolean => "bool",
                _ => "string",
            },
        ),
    }
}

fn time(text: &str, form: Form) -> Result<(), String> {
    let layout = if form == Form::MicroTime {
        "2006-01-02T15:04:05.000000Z07:00"
    } else {
        "2006-01-02T15:04:05Z07:00"
    };
    let fail = |part: &str| {
        Err(format!(
            "parsing time {text:?} as {layout:?}: cannot parse {part:?}"
        ))
    };
    if text.parse::<jiff::Timestamp>().is_err() || text.as_bytes().get(10) != Some(&b'T') {
        return fail(text);
    }
    let fraction = text.get(19..).unwrap_or_default();
    let digits = fraction.strip_prefix('.').map_or(0, |rest| {
        rest.bytes().take_while(u8::is_ascii_digit).count()
    });
    if form == Form::MicroTime && digits != 6 {
        return fail(fraction);
    }
    Ok(())
}

/// Adds what a built-in kind serialises even when it is empty.
pub(in crate::fake) fn fill_empty(schema: &Schema, object: &mut Map<String, Value>) {
    for (name, property) in &schema.properties {
        match object.get_mut(name) {
            Some(value) => fill_value(&property.schema, value),
            None if property.always => {
                let empty = match property.schema.form {
                    Form::Struct | Form::Anything => {
                        let mut map = Map::new();
                        fill_empty(&property.schema, &mut map);
                        Value::Object(map)
                    }
                    Form::String => Value::from(""),
                    Form::Integer | Form::Number => Value::from(0),
                    Form::Boolean => Value::from(false),
                    _ => Value::Null,
                };
                object.insert(name.clone(), empty);
            }
            None => {}
        }
    }
}

fn fill_value(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(map) if schema.form == Form::Struct => fill_empty(schema, map),
        Value::Array(list) => {
            if let Some(element) = &schema.element {
                for value in list {
                    fill_value(element, value);
                }
            }
        }
        _ => {}
    }
}

/// Brings a custom resource into form: its metadata is typed, unknown fields are pruned and reported, nulls that may not
/// be are dropped, and defaults filled in.
pub(in crate::fake) fn custom(
    schema: &Schema,
    object: &mut Map<String, Value>,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    if let Some(metadata) = object.get_mut("metadata") {
        if metadata.is_null() {
            *metadata = Value::Object(Map::new());
        }
        value_of(
            &object_meta(),
            metadata,
            &mut "metadata".to_owned(),
            unknown,
        )?;
    }
    let metadata = object.remove("metadata");
    prune(schema, object, &mut String::new(), unknown);
    drop_nulls(schema, object);
    default_fields(schema, object);
    if let Some(metadata) = metadata {
        object.insert("metadata".to_owned(), metadata);
    }
    Ok(())
}

fn prune(
    schema: &Schema,
    object: &mut Map<String, Value>,
    path: &mut String,
    unknown: &mut Vec<String>,
) {
    object.retain(|key, value| {
        let length = path.len();
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(key);
        let typed = schema.embedded && matches!(key.as_str(), "apiVersion" | "kind" | "metadata");
        let keep = match (schema.properties.get(key), &schema.element) {
            (Some(property), _) => {
                prune_value(&property.schema, value, path, unknown);
                true
            }
            (None, Some(element)) => {
                prune_value(element, value, path, unknown);
                true
            }
            (None, None) if schema.preserve_unknown || typed => true,
            (None, None) => {
                unknown.push(path.clone());
                false
            }
        };
        path.truncate(length);
        keep
    });
}

fn prune_value(schema: &Schema, value: &mut Value, path: &mut String, unknown: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            let free = schema.form == Form::Anything
                && schema.properties.is_empty()
                && schema.element.is_none();
            if !(free && schema.preserve_unknown) {
                prune(schema, map, path, unknown);
            }
        }
        Value::Array(list) => {
            let Some(element) = &schema.element else {
                return;
            };
            for (index, value) in list.iter_mut().enumerate() {
                let length = path.len();
                path.push_str(&format!("[{index}]"));
                prune_value(element, value, path, unknown);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

/// A null where none may be counts as missing.
fn drop_nulls(schema: &Schema, object: &mut Map<String, Value>) {
    object.retain(|key, value| {
        let Some(property) = schema.property(key).or(schema.element.as_ref()) else {
            return true;
        };
        if value.is_null() {
            return property.nullable
                || (property.form == Form::Anything && property.preserve_unknown);
        }
        each_object(property, value, &drop_nulls);
        true
    });
}

fn default_fields(schema: &Schema, object: &mut Map<String, Value>) {
    for (name, property) in &schema.properties {
        if let (None, Some(default)) = (object.get(name), &property.schema.default) {
            object.insert(name.clone(), default.clone());
        }
    }
    for (key, value) in object.iter_mut() {
        if let Some(property) = schema.property(key).or(schema.element.as_ref()) {
            each_object(property, value, &default_fields);
        }
    }
}

fn each_object(
    schema: &Schema,
    value: &mut Value,
    visit: &dyn Fn(&Schema, &mut Map<String, Value>),
) {
    match value {
        Value::Object(map) => visit(schema, map),
        Value::Array(list) => {
            if let Some(element) = &schema.element {
                for value in list {
                    each_object(element, value, visit);
                }
            }
        }
        _ => {}
    }
}
