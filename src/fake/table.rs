//! Tables, as `kubectl get` shows them.

use serde_json::{Value, json};

use super::negotiate::Form;
use super::query::Query;
use super::represent::View;
use super::status::ApiError;
use super::store::Entry;

/// What a table's rows carry beside their cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Include {
    #[default]
    Metadata,
    Object,
    None,
}

impl Include {
    pub(super) fn read(query: &Query, form: Form) -> Result<Self, ApiError> {
        let given = query.text("includeObject").unwrap_or_default();
        match given {
            _ if form != Form::Table => Ok(Self::Metadata),
            "" | "Metadata" => Ok(Self::Metadata),
            "Object" => Ok(Self::Object),
            "None" => Ok(Self::None),
            _ => Err(ApiError::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {given:?}: must be 'Metadata', 'Object', 'None', or empty"
            ))),
        }
    }
}

pub(super) fn table<'a>(
    _view: &View,
    _entries: impl Iterator<Item = &'a Entry>,
    metadata: &Value,
    _columns: bool,
) -> Value {
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": [], "rows": []})
}
