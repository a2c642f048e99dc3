//! Reads the data of [`kinds`](super::kinds) into schemas, once per process.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use super::kinds::KINDS;
use super::{Form, ListKind, Property, Schema};

/// The schema of a built-in kind, without `apiVersion` and `kind`; a kind that the data lacks is only known to have
/// metadata.
pub(in crate::fake) fn built_in(kind: &str) -> Arc<Schema> {
    static CACHE: LazyLock<HashMap<String, Arc<Schema>>> = LazyLock::new(|| {
        let lines = lines();
        let mut types = HashMap::new();
        let names: Vec<&str> = lines.keys().copied().collect();
        for name in names {
            resolve(name, &lines, &mut types);
        }
        let metadata = metadata_of(&types);
        types
            .into_iter()
            .map(|(name, schema)| {
                let mut schema = (*schema).clone();
                schema
                    .properties
                    .entry("metadata".to_owned())
                    .or_insert_with(|| metadata.clone());
                (name.to_owned(), Arc::new(schema))
            })
            .collect()
    });
    CACHE.get(kind).map(Arc::clone).unwrap_or_else(|| {
        let mut schema = Schema {
            form: Form::Struct,
            preserve_unknown: true,
            ..Schema::default()
        };
        schema.properties.insert(
            "metadata".to_owned(),
            Property {
                schema: object_meta(),
                always: false,
            },
        );
        Arc::new(schema)
    })
}

/// The schema of `metadata`.
pub(in crate::fake) fn object_meta() -> Arc<Schema> {
    static META: LazyLock<Arc<Schema>> = LazyLock::new(|| {
        let lines = lines();
        let mut types = HashMap::new();
        resolve("ObjectMeta", &lines, &mut types)
    });
    Arc::clone(&META)
}

fn metadata_of(types: &HashMap<&'static str, Arc<Schema>>) -> Property {
    Property {
        schema: types
            .get("ObjectMeta")
            .map_or_else(Schema::anything, Arc::clone),
        always: false,
    }
}

fn lines() -> BTreeMap<&'static str, &'static str> {
    KINDS
        .lines()
        .filter_map(|line| line.split_once(": "))
        .collect()
}

fn resolve(
    name: &'static str,
    lines: &BTreeMap<&'static str, &'static str>,
    types: &mut HashMap<&'static str, Arc<Schema>>,
) -> Arc<Schema> {
    if let Some(known) = types.get(name) {
        return Arc::clone(known);
    }
    let Some(fields) = lines.get(name) else {
        return Schema::anything();
    };
    let mut schema = Schema::of(Form::Struct);
    for field in fields.split(' ').filter(|field| !field.is_empty()) {
        if field == "*" {
            schema.preserve_unknown = true;
            continue;
        }
        let (always, field) = match field.strip_prefix('+') {
            Some(field) => (true, field),
            None => (false, field),
        };
        let (name, kind) = field.split_once(':').unwrap_or((field, "string"));
        schema.properties.insert(
            name.to_owned(),
            Property {
                schema: read(kind, lines, types),
                always,
            },
        );
    }
    let schema = Arc::new(schema);
    types.insert(name, Arc::clone(&schema));
    schema
}

fn read(
    kind: &'static str,
    lines: &BTreeMap<&'static str, &'static str>,
    types: &mut HashMap<&'static str, Arc<Schema>>,
) -> Arc<Schema> {
    let form = match kind {
        "string" => Form::String,
        "bool" => Form::Boolean,
        "int" => Form::Integer,
        "num" => Form::Number,
        "time" => Form::Time,
        "micro" => Form::MicroTime,
        "qty" => Form::Quantity,
        "intstr" => Form::IntOrString,
        "bytes" => Form::Bytes,
        "any" => return Schema::anything(),
        _ => {
            if let Some(inner) = kind.strip_prefix('{') {
                let (inner, tail) = inner.split_once('}').unwrap_or((inner, ""));
                return Arc::new(Schema {
                    form: Form::Map,
                    element: Some(read(inner, lines, types)),
                    atomic: tail == "!",
                    ..Schema::default()
                });
            }
            if let Some(inner) = kind.strip_prefix('[') {
                let (inner, tail) = inner.split_once(']').unwrap_or((inner, ""));
                let (keys, merge) = match tail.split_once('~') {
                    Some((keys, merge)) => (keys, Some(merge)),
                    None => (tail, None),
                };
                let list = match keys {
                    "" => ListKind::Atomic,
                    "set" => ListKind::Set,
                    keys => ListKind::Map(keys.split(',').map(str::to_owned).collect()),
                };
                let merge_key = match (merge, &list) {
                    (Some(key), _) => Some(key.to_owned()),
                    (None, ListKind::Map(keys)) => keys.first().cloned(),
                    _ => None,
                };
                return Arc::new(Schema {
                    form: Form::List,
                    element: Some(read(inner, lines, types)),
                    list,
                    merge_key,
                    ..Schema::default()
                });
            }
            if let Some(name) = kind.strip_suffix('!') {
                let mut schema = (*resolve(name, lines, types)).clone();
                schema.atomic = true;
                return Arc::new(schema);
            }
            return resolve(kind, lines, types);
        }
    };
    Arc::new(Schema::of(form))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_the_data_names_is_there() {
        let lines = lines();
        for (name, fields) in &lines {
            for field in fields.split(' ') {
                let kind = field.split_once(':').map_or("string", |(_, kind)| kind);
                let inner = kind
                    .trim_start_matches(['[', '{'])
                    .split([']', '}', '!', '~'])
                    .next()
                    .unwrap_or_default();
                let known = inner.chars().next().is_none_or(char::is_lowercase);
                assert!(known || lines.contains_key(inner), "{name}: {field}");
            }
        }
        let ports = built_in("Service");
        let ports = ports.property("spec").unwrap().property("ports").unwrap();
        assert_eq!(ports.merge_key.as_deref(), Some("port"));
        assert!(built_in("Nothing").property("metadata").is_some());
    }
}
