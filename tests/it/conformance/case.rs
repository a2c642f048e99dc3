//! The form of a recording.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
pub(super) struct Case {
    pub(super) name: String,
    #[serde(default, rename = "managedFields")]
    pub(super) managed_fields: bool,
    #[serde(default)]
    pub(super) setup: Vec<Setup>,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Setup {
    pub(super) request: Request,
    pub(super) accept: Vec<u16>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Step {
    pub(super) request: Option<Request>,
    pub(super) response: Option<Response>,
    pub(super) watch: Option<String>,
    pub(super) read: Option<String>,
    pub(super) control: Option<String>,
    #[serde(default)]
    pub(super) poll: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(rename = "as")]
    pub(super) user: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(super) body: Option<Value>,
    pub(super) text: Option<String>,
    pub(super) content_type: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Response {
    #[serde(default)]
    pub(super) status: u16,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Value>,
    #[serde(default, deserialize_with = "present")]
    pub(super) body: Option<Value>,
    pub(super) text: Option<String>,
    pub(super) stream: Option<Vec<Value>>,
    pub(super) end: Option<String>,
    #[serde(default, rename = "match")]
    pub(super) rules: Rules,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Rules {
    #[serde(default)]
    pub(super) drop: Vec<String>,
    #[serde(default)]
    pub(super) select: Vec<Select>,
    #[serde(default)]
    pub(super) unordered: Vec<Unordered>,
    #[serde(default)]
    pub(super) any: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Select {
    pub(super) array: String,
    pub(super) key: String,
    pub(super) values: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Unordered {
    pub(super) array: String,
    pub(super) key: Option<String>,
}

/// Tells a null that is there from nothing.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
