//! From a body, or the result of a patch, to an object of the resource's kind; and the metadata that all kinds share.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Call, Object};
use crate::fake::clock;
use crate::fake::decode::Document;
use crate::fake::meta;
use crate::fake::query::FieldValidation;
use crate::fake::registry::{GroupResource, api_version};
use crate::fake::schema::{self, Schema};
use crate::fake::status::{ApiError, FieldFault};

/// An object without `apiVersion` and `kind`, and the kind it claimed.
pub(in crate::fake) struct Decoded {
    pub(in crate::fake) object: Object,
    pub(in crate::fake) kind: GroupResource,
}

/// Where an object came from: the same fault is worded by it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::fake) enum Source {
    Body,
    Patch,
}

/// How much of a prefix a generated name takes over: with its suffix it is as long as a label may be.
const GENERATED_BASE: usize = 58;

/// The part of a prefix that a generated name starts with.
fn generated_base(prefix: &str) -> &str {
    prefix
        .char_indices()
        .find(|(index, c)| index + c.len_utf8() > GENERATED_BASE)
        .map_or(prefix, |(index, _)| &prefix[..index])
}

impl Call<'_> {
    /// Reads an object: checks kind and types, drops (and reports) what the schema does not know.
    pub(in crate::fake) fn object(
        &mut self,
        document: Document,
        validation: FieldValidation,
        source: Source,
    ) -> Result<Decoded, ApiError> {
        let group = self.resource.group().to_owned();
        let version = self.served().name.clone();
        let expected = api_version(&group, &version);
        let expected_kind = self.resource.kind.name.to_string();
        let built_in = self.resource.traits.built_in;
        let shown = document.value.to_string();
        let Value::Object(mut object) = document.value else {
            return Err(ApiError::bad_request(format!(
                "the object provided is unrecognized (must be of type {expected_kind}): couldn't get version/kind; json parse error: not an object ({shown})"
            )));
        };
        let text = |value: Option<Value>| match value {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let given_version = text(object.remove("apiVersion")).filter(|text| !text.is_empty());
        let given_kind = text(object.remove("kind")).filter(|text| !text.is_empty());
        let kind = given_kind.clone().unwrap_or_default();
        let refuse = |kind: &str, version: &str, reason: &str| match source {
            Source::Body => ApiError::bad_request(format!(
                "{kind} in version \"{version}\" cannot be handled as a {expected_kind}: {reason}"
            )),
            Source::Patch => ApiError::invalid(
                &GroupResource::new("", ""),
                "",
                &[FieldFault::invalid(
                    "patch",
                    &Value::from(shown.as_str()),
                    reason,
                )],
            ),
        };
        let schema = if built_in {
            if given_kind
                .as_deref()
                .is_some_and(|kind| kind != expected_kind)
                || given_version
                    .as_deref()
                    .is_some_and(|given| given != expected)
            {
                let given = given_version.as_deref().unwrap_or(&expected);
                let short = given.rsplit('/').next().unwrap_or(given);
                return Err(refuse(
                    &kind,
                    short,
                    &format!("no kind \"{kind}\" is registered for version \"{given}\" here"),
                ));
            }
            Arc::clone(&self.served().schema)
        } else {
            if given_kind.is_none() {
                return Err(ApiError::bad_request(format!(
                    "the object provided is unrecognized (must be of type {expected_kind}): Object 'Kind' is missing in '{shown}' ({shown})"
                )));
            }
            let given = given_version.clone().unwrap_or_default();
            let given_version = given
                .rsplit_once('/')
                .map_or(&*given, |(_, version)| version);
            self.resource
                .version(given_version)
                .map_or_else(Schema::nothing, |version| Arc::clone(&version.schema))
        };
        let mut problems = document.duplicates;
        for problem in &mut problems {
            *problem = format!("duplicate field \"{problem}\"");
        }
        let mut unknown = Vec::new();
        let walked = if built_in {
            schema::typed(&schema, &mut object, &mut unknown)
        } else {
            schema::custom(&schema, &mut object, &mut unknown)
        };
        if let Err(reason) = walked {
            return Err(refuse(&expected_kind, &version, &reason));
        }
        problems.extend(
            unknown
                .iter()
                .map(|path| format!("unknown field \"{path}\"")),
        );
        match validation {
            FieldValidation::Ignore => {}
            FieldValidation::Warn => self.warnings.append(&mut problems),
            FieldValidation::Strict if problems.is_empty() => {}
            FieldValidation::Strict => {
                return Err(refuse(
                    &expected_kind,
                    &version,
                    &format!("strict decoding error: {}", problems.join(", ")),
                ));
            }
        }
        if !built_in && given_version.as_deref() != Some(&*expected) {
            return Err(ApiError::bad_request(format!(
                "the API version in the data ({}) does not match the expected API version ({expected})",
                given_version.unwrap_or_default()
            )));
        }
        object
            .entry("metadata")
            .or_insert_with(|| Value::Object(Object::new()));
        let kind = if given_kind.is_some() {
            kind
        } else {
            expected_kind
        };
        Ok(Decoded {
            object,
            kind: GroupResource::new(&group, &kind),
        })
    }

    /// The body's namespace must be the path's, or missing: then it is filled in.
    pub(in crate::fake) fn match_namespace(&self, object: &mut Object) -> Result<(), ApiError> {
        let namespace = self.namespace().to_owned();
        let given = meta::text(object, "namespace");
        // An object without a namespace takes none from its body.
        if !given.is_empty() && !namespace.is_empty() && given != namespace {
            return Err(ApiError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        meta::set_text(object, "namespace", &namespace);
        Ok(())
    }

    /// The body's name must be the path's.
    pub(in crate::fake) fn match_name(&self, object: &Object) -> Result<(), ApiError> {
        let given = meta::text(object, "name");
        let asked = &self.info.name;
        if given.is_empty() {
            return Err(ApiError::bad_request(format!(
                "the name of the object ({asked} based on URL) was undeterminable: name must be provided"
            )));
        }
        if given != asked {
            return Err(ApiError::bad_request(format!(
                "the name of the object ({given}) does not match the name on the URL ({asked})"
            )));
        }
        Ok(())
    }

    /// Takes out owner references that stand there twice, with a warning; a patch is looked at later than other writes.
    pub(in crate::fake) fn drop_twin_owners(&mut self, object: &mut Object, when: &str) {
        let twice = meta::without_duplicates(object);
        if !twice.is_empty() {
            self.warnings.push(format!(
                ".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
                twice.join(", ")
            ));
        }
    }

    /// A custom resource that claims another kind is a fault of its field `kind`.
    pub(super) fn kind_faults(&self, kind: &GroupResource) -> Vec<FieldFault> {
        if *kind == self.resource.kind {
            return Vec::new();
        }
        vec![FieldFault::invalid(
            "kind",
            &Value::from(&*kind.name),
            &format!("must be {}", self.resource.kind.name),
        )]
    }

    /// Creation fills in what only the server knows.
    pub(super) fn stamp(&mut self, object: &mut Object) {
        let uid = clock::uid(&mut self.state.random);
        let created = self.state.clock.text();
        if let Some(metadata) = meta::of_mut(object) {
            for key in [
                "selfLink",
                "deletionTimestamp",
                "deletionGracePeriodSeconds",
                "resourceVersion",
            ] {
                metadata.remove(key);
            }
            metadata.insert("uid".to_owned(), json!(uid));
            metadata.insert("creationTimestamp".to_owned(), json!(created));
            if self.resource.traits.generation {
                metadata.insert("generation".to_owned(), json!(1));
            }
        }
        if meta::text(object, "name").is_empty() {
            let prefix = meta::text(object, "generateName").to_owned();
            if !prefix.is_empty() {
                let suffix = clock::suffix(&mut self.state.random);
                let name = format!("{}{suffix}", generated_base(&prefix));
                meta::set_text(object, "name", &name);
            }
        }
    }
}
