//! What a CRD's schema demands of an object.

use serde_json::{Map, Value, json};

use super::{Form, ListKind, Rules, Schema};
use crate::fake::status::FieldFault;

/// Every fault of a custom resource. Its metadata is not the schema's business.
pub(in crate::fake) fn validate(schema: &Schema, object: &Map<String, Value>) -> Vec<FieldFault> {
    let mut faults = Vec::new();
    fields(schema, object, "", &mut faults);
    faults
}

/// Every fault of a custom resource's status, which is looked at by itself: the words do not know where it stands.
pub(in crate::fake) fn validate_status(
    schema: &Schema,
    object: &Map<String, Value>,
) -> Vec<FieldFault> {
    let (Some(schema), Some(status)) = (schema.property("status"), object.get("status")) else {
        return Vec::new();
    };
    let mut faults = Vec::new();
    check(schema, status, "", &mut faults);
    for fault in &mut faults {
        fault.field = join("status", &fault.field);
    }
    faults
}

fn join(path: &str, key: &str) -> String {
    match (path, key) {
        ("", _) => key.to_owned(),
        (_, "") => path.to_owned(),
        _ => format!("{path}.{key}"),
    }
}

fn fields(schema: &Schema, object: &Map<String, Value>, path: &str, faults: &mut Vec<FieldFault>) {
    if let Some(rules) = &schema.rules {
        for name in &rules.required {
            let given = object.contains_key(name) || path.is_empty() && name == "metadata";
            if !given {
                faults.push(FieldFault::required(join(path, name), ""));
            }
        }
        let count = object.len() as u64;
        if rules.max_properties.is_some_and(|limit| count > limit) {
            let limit = rules.max_properties.unwrap_or_default();
            faults.push(FieldFault::too_many(path, object.len(), limit));
        }
        if let Some(limit) = rules.min_properties
            && count < limit
        {
            faults.push(FieldFault::invalid(
                path,
                &json!(count),
                &format!("{path} in body should have at least {limit} properties"),
            ));
        }
    }
    for (key, value) in object {
        if path.is_empty() && key == "metadata" {
            continue;
        }
        if let Some(property) = schema.property(key).or(schema.element.as_ref()) {
            check(property, value, &join(path, key), faults);
        }
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn check(schema: &Schema, value: &Value, path: &str, faults: &mut Vec<FieldFault>) {
    if value.is_null() && schema.nullable {
        return;
    }
    let (wanted, fits) = match schema.form {
        Form::Struct | Form::Map => ("object", value.is_object()),
        Form::List => ("array", value.is_array()),
        Form::String => ("string", value.is_string()),
        Form::Boolean => ("boolean", value.is_boolean()),
        Form::Integer => (
            "integer",
            value.as_f64().is_some_and(|number| number.fract() == 0.0),
        ),
        Form::Number => ("number", value.is_number()),
        Form::IntOrString => ("integer,string", value.is_i64() || value.is_string()),
        _ => ("", true),
    };
    if !fits {
        let found = type_name(value);
        faults.push(FieldFault::wrong_type(
            path,
            &json!(found),
            &format!("{path} in body must be of type {wanted}: \"{found}\""),
        ));
        return;
    }
    if let Some(rules) = &schema.rules {
        if !rules.allowed.is_empty() && !rules.allowed.contains(value) {
            let allowed: Vec<String> = rules
                .allowed
                .iter()
                .map(|value| {
                    value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned)
                })
                .collect();
            faults.push(FieldFault::not_supported(path, value, &allowed));
        }
        match value {
            Value::String(text) => check_text(rules, text, path, faults),
            Value::Number(_) => check_number(rules, value, path, faults),
            _ => {}
        }
    }
    match value {
        Value::Object(map) => fields(schema, map, path, faults),
        Value::Array(list) => check_list(schema, list, path, faults),
        _ => {}
    }
}

fn check_text(rules: &Rules, text: &str, path: &str, faults: &mut Vec<FieldFault>) {
    let length = text.chars().count() as u64;
    if let Some(limit) = rules.max_length
        && length > limit
    {
        faults.push(FieldFault::too_long(path, limit));
    }
    if let Some(limit) = rules.min_length
        && length < limit
    {
        faults.push(FieldFault::invalid(
            path,
            &json!(text),
            &format!("{path} in body should be at least {limit} chars long"),
        ));
    }
    if let Some((pattern, Some(expression))) = &rules.pattern
        && !expression.is_match(text)
    {
        faults.push(FieldFault::invalid(
            path,
            &json!(text),
            &format!("{path} in body should match '{pattern}'"),
        ));
    }
    if rules.format.as_deref() == Some("date-time") && text.parse::<jiff::Timestamp>().is_err() {
        faults.push(FieldFault::invalid(
            path,
            &json!(text),
            &format!("{path} in body must be of type date-time: {text:?}"),
        ));
    }
}

fn check_number(rules: &Rules, value: &Value, path: &str, faults: &mut Vec<FieldFault>) {
    let number = value.as_f64().unwrap_or_default();
    let mut fault = |words: String| faults.push(FieldFault::invalid(path, value, &words));
    if let Some(limit) = rules.minimum
        && (number < limit || rules.exclusive_minimum && number == limit)
    {
        let equal = if rules.exclusive_minimum {
            ""
        } else {
            " or equal to"
        };
        fault(if equal.is_empty() {
            format!("{path} in body should be greater than {limit}")
        } else {
            format!("{path} in body should be greater than{equal} {limit}")
        });
    }
    if let Some(limit) = rules.maximum
        && (number > limit || rules.exclusive_maximum && number == limit)
    {
        let equal = if rules.exclusive_maximum {
            ""
        } else {
            " or equal to"
        };
        fault(format!("{path} in body should be less than{equal} {limit}"));
    }
    if let Some(divisor) = rules.multiple_of
        && divisor != 0.0
        && (number / divisor).fract() != 0.0
    {
        fault(format!("{path} in body should be a multiple of {divisor}"));
    }
}

fn check_list(schema: &Schema, list: &[Value], path: &str, faults: &mut Vec<FieldFault>) {
    if let Some(rules) = &schema.rules {
        let count = list.len() as u64;
        if let Some(limit) = rules.max_items
            && count > limit
        {
            faults.push(FieldFault::too_many(path, list.len(), limit));
        }
        if let Some(limit) = rules.min_items
            && count < limit
        {
            faults.push(FieldFault::invalid(
                path,
                &json!(count),
                &format!("{path} in body should have at least {limit} items"),
            ));
        }
    }
    let Some(element) = &schema.element else {
        return;
    };
    let mut seen: Vec<Value> = Vec::new();
    for (index, value) in list.iter().enumerate() {
        let place = format!("{path}[{index}]");
        check(element, value, &place, faults);
        let identity = match &schema.list {
            ListKind::Atomic => continue,
            ListKind::Set => value.clone(),
            ListKind::Map(keys) => keys
                .iter()
                .filter_map(|key| Some((key.clone(), value.get(key)?.clone())))
                .collect::<Map<_, _>>()
                .into(),
        };
        if seen.contains(&identity) {
            faults.push(FieldFault::duplicate(place, &identity));
        } else {
            seen.push(identity);
        }
    }
}
