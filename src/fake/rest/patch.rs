//! PATCH: the four types.

use serde_json::Value;

use super::object::Source;
use super::{Answer, Call, Content, STRATEGIC};
use crate::fake::decode::{Document, content_type};
use crate::fake::patch;
use crate::fake::query::WriteOptions;
use crate::fake::registry::api_version;
use crate::fake::status::ApiError;
use crate::fake::store::Entry;
use crate::fake::{decode, managed};

impl Call<'_> {
    pub(super) fn patch(&mut self) -> Result<Answer, ApiError> {
        let kind = content_type(self.headers);
        if kind == "application/apply-patch+yaml" {
            return self.apply();
        }
        let options = WriteOptions::read(self.query, "PatchOptions", false)?;
        let old = self.existing()?;
        let whole = self.whole(&old);
        let mut duplicates = Vec::new();
        let patched = if kind == "application/json-patch+json" {
            let operations: Vec<patch::json::Operation> = serde_json::from_slice(self.body)
                .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
            patch::json::apply(&operations, whole).map_err(|_| ApiError::patch_refused())?
        } else {
            let document = decode::json(self.body)
                .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
            let Value::Object(changes) = document.value else {
                return Err(ApiError::bad_request(
                    "error decoding patch: json: cannot unmarshal into Go value of type map[string]interface {}",
                ));
            };
            duplicates = document.duplicates;
            let mut patched = whole;
            if kind == STRATEGIC {
                patch::strategic::apply(&self.served().schema, &mut patched, changes)?;
            } else {
                patch::merge::apply(&mut patched, Value::Object(changes));
            }
            patched
        };
        let document = Document {
            value: patched,
            duplicates,
        };
        let mut decoded = self.object(document, options.validation, Source::Patch)?;
        self.match_namespace(&mut decoded.object)?;
        self.match_name(&decoded.object)?;
        self.check_revision(&decoded.object, &old)?;
        self.drop_twin_owners(&mut decoded.object, " after mutating admission happens");
        let manager = managed::Manager::updating(self, &options);
        let entry = self.update_object(&old, decoded, &manager, options.dry_run)?;
        Ok(Answer::ok(Content::Object(entry)))
    }

    /// An object with `apiVersion` and `kind`, as a patch sees it.
    pub(in crate::fake) fn whole(&self, entry: &Entry) -> Value {
        let mut object = entry.value.clone();
        object.insert(
            "apiVersion".to_owned(),
            Value::from(api_version(self.resource.group(), &self.served().name)),
        );
        object.insert("kind".to_owned(), Value::from(&*self.resource.kind.name));
        Value::Object(object)
    }

    fn apply(&mut self) -> Result<Answer, ApiError> {
        let options = WriteOptions::read(self.query, "PatchOptions", true)?;
        let document = decode::yaml(self.body)
            .map_err(|error| ApiError::bad_request(format!("error decoding YAML: {error}")))?;
        patch::apply::run(self, document, &options)
    }
}
