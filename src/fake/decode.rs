//! Reads request bodies: JSON or YAML, with the duplicate keys that a strict reader would refuse.

use std::cell::RefCell;
use std::fmt;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::protobuf;
use super::status::ApiError;

/// The media type of a request's body, without parameters; JSON when nothing is said.
pub(super) fn content_type(headers: &HeaderMap) -> &str {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(str::trim)
        .filter(|value| !value.is_empty())
        .unwrap_or("application/json")
}

/// A document and the paths of keys that stood in it twice.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) value: Value,
    pub(super) duplicates: Vec<String>,
}

/// JSON text as a document; the last of several equal keys wins.
pub(super) fn json(text: &[u8]) -> Result<Document, serde_json::Error> {
    let duplicates = RefCell::new(Vec::new());
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Seed {
        path: String::new(),
        duplicates: &duplicates,
    }
    .deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(Document {
        value,
        duplicates: duplicates.into_inner(),
    })
}

/// A body in the request's media type.
pub(super) fn body(headers: &HeaderMap, text: &[u8], kind: &str) -> Result<Document, ApiError> {
    match content_type(headers) {
        "application/json" => json(text).map_err(|error| unrecognized(kind, &error, text)),
        "application/yaml" => yaml(text).map_err(|error| unrecognized(kind, &error, text)),
        "application/vnd.kubernetes.protobuf" => protobuf::decode(text)
            .map(|value| Document {
                value,
                duplicates: Vec::new(),
            })
            .map_err(|error| unrecognized(kind, &error, b"protobuf")),
        _ => Err(ApiError::unsupported_media_type(
            "application/json, application/yaml, application/vnd.kubernetes.protobuf",
        )),
    }
}

/// One YAML document (JSON is one, too).
pub(super) fn yaml(text: &[u8]) -> Result<Document, String> {
    if let Ok(document) = json(text) {
        return Ok(document);
    }
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    let value = serde_saphyr::from_str_with_options::<Value>(text, yaml_options())
        .map_err(|error| error.to_string())?;
    Ok(Document {
        value,
        duplicates: Vec::new(),
    })
}

/// YAML as Kubernetes' users mean it: only `true` and `false` are booleans, and size is no attack.
pub(super) fn yaml_options() -> serde_saphyr::Options {
    let mut budget = serde_saphyr::Budget::default();
    budget.max_events = usize::MAX;
    budget.max_nodes = usize::MAX;
    budget.max_documents = usize::MAX;
    budget.max_total_scalar_bytes = usize::MAX;
    serde_saphyr::options! {
        budget: Some(budget),
        strict_booleans: true,
        with_snippet: false,
    }
}

fn unrecognized(kind: &str, error: &impl fmt::Display, text: &[u8]) -> ApiError {
    let shown = if text.is_empty() {
        "<empty>".to_owned()
    } else {
        String::from_utf8_lossy(text).into_owned()
    };
    ApiError::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: {error} ({shown})"
    ))
}

struct Seed<'a> {
    path: String,
    duplicates: &'a RefCell<Vec<String>>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let seed = Seed {
                path: format!("{}[{}]", self.path, list.len()),
                duplicates: self.duplicates,
            };
            match elements.next_element_seed(seed)? {
                Some(value) => list.push(value),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let path = if self.path.is_empty() {
                key.clone()
            } else {
                format!("{}.{key}", self.path)
            };
            if map.contains_key(&key) {
                self.duplicates.borrow_mut().push(path.clone());
            }
            let value = entries.next_value_seed(Seed {
                path,
                duplicates: self.duplicates,
            })?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicate_keys_are_named_by_path_and_the_last_wins() {
        let document = json(br#"{"a":{"b":1,"b":2},"c":[{"d":1,"d":1}],"a2":null}"#).unwrap();
        assert_eq!(document.duplicates, ["a.b", "c[0].d"]);
        assert_eq!(document.value["a"]["b"], 2);
        assert!(json(b"{} x").is_err() && json(b"").is_err());
    }
}
