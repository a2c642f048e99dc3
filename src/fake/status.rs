//! The `Status` answers of the API server: every refusal, with its words.

use serde_json::{Map, Value, json};

use super::registry::GroupResource;

/// A refusal, ready to be sent as a `Status` (or, for paths no handler knows, as plain text).
#[derive(Clone, Debug)]
pub(super) struct ApiError(Box<Refusal>);

/// What a refusal says.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) code: u16,
    pub(super) reason: Option<&'static str>,
    pub(super) message: String,
    pub(super) details: Option<Value>,
    /// A token to go on with, in `metadata.continue`.
    pub(super) continue_token: Option<String>,
    pub(super) retry_after: Option<u64>,
    pub(super) plain_text: bool,
}

impl std::ops::Deref for ApiError {
    type Target = Refusal;

    fn deref(&self) -> &Refusal {
        &self.0
    }
}

impl std::ops::DerefMut for ApiError {
    fn deref_mut(&mut self) -> &mut Refusal {
        &mut self.0
    }
}

/// One fault of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldFault {
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) field: String,
}

impl FieldFault {
    fn new(reason: &'static str, field: impl Into<String>, message: String) -> Self {
        Self {
            reason,
            message,
            field: field.into(),
        }
    }

    pub(super) fn required(field: impl Into<String>, detail: &str) -> Self {
        let detail = if detail.is_empty() {
            String::new()
        } else {
            format!(": {detail}")
        };
        Self::new(
            "FieldValueRequired",
            field,
            format!("Required value{detail}"),
        )
    }

    pub(super) fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self::invalid_shown(field, &value.to_string(), detail)
    }

    /// An invalid value that is shown in words of its own.
    pub(super) fn invalid_shown(field: impl Into<String>, shown: &str, detail: &str) -> Self {
        Self::new(
            "FieldValueInvalid",
            field,
            format!("Invalid value: {shown}: {detail}"),
        )
    }

    pub(super) fn wrong_type(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self {
            reason: "FieldValueTypeInvalid",
            ..Self::invalid(field, value, detail)
        }
    }

    pub(super) fn not_supported(
        field: impl Into<String>,
        value: &Value,
        supported: &[impl AsRef<str>],
    ) -> Self {
        let supported: Vec<_> = supported
            .iter()
            .map(|value| format!("\"{}\"", value.as_ref()))
            .collect();
        Self::new(
            "FieldValueNotSupported",
            field,
            format!(
                "Unsupported value: {value}: supported values: {}",
                supported.join(", ")
            ),
        )
    }

    pub(super) fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self::new("FieldValueForbidden", field, format!("Forbidden: {detail}"))
    }

    pub(super) fn too_long(field: impl Into<String>, limit: u64) -> Self {
        Self::new(
            "FieldValueTooLong",
            field,
            format!("Too long: may not be more than {limit} bytes"),
        )
    }

    pub(super) fn too_many(field: impl Into<String>, actual: usize, limit: u64) -> Self {
        Self::new(
            "FieldValueTooMany",
            field,
            format!("Too many: {actual}: must have at most {limit} items"),
        )
    }

    pub(super) fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self::duplicate_shown(field, &value.to_string())
    }

    /// With the value as the server shows it.
    pub(super) fn duplicate_shown(field: impl Into<String>, shown: &str) -> Self {
        let message = format!("Duplicate value: {shown}");
        Self::new("FieldValueDuplicate", field, message)
    }

    fn text(&self) -> String {
        format!("{}: {}", self.field, self.message)
    }
}

impl ApiError {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Refusal {
            code,
            reason: Some(reason),
            message: message.into(),
            details: None,
            continue_token: None,
            retry_after: None,
            plain_text: false,
        }))
    }

    fn with(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// What the router says of a path that nothing serves.
    pub(super) fn page_not_found() -> Self {
        let mut error = Self::new(404, "NotFound", "404 page not found\n");
        error.plain_text = true;
        error
    }

    /// What a built-in group says of a version or resource that it does not have.
    pub(super) fn no_such_resource() -> Self {
        Self::new(
            404,
            "NotFound",
            "the server could not find the requested resource",
        )
        .with(json!({}))
    }

    pub(super) fn not_found(resource: &GroupResource, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{resource} \"{name}\" not found"))
            .with(resource.details(Some(name)))
    }

    pub(super) fn already_exists(resource: &GroupResource, name: &str) -> Self {
        Self::new(
            409,
            "AlreadyExists",
            format!("{resource} \"{name}\" already exists"),
        )
        .with(resource.details(Some(name)))
    }

    /// A refusal because of an object that is on its way out.
    pub(super) fn being_deleted(mut self) -> Self {
        self.message = format!("object is being deleted: {}", self.message);
        self
    }

    /// `qualified` and `details` name either the resource or the kind: the server uses both.
    pub(super) fn conflict(named: &GroupResource, name: &str, reason: &str) -> Self {
        Self::new(
            409,
            "Conflict",
            format!("Operation cannot be fulfilled on {named} \"{name}\": {reason}"),
        )
        .with(named.details(Some(name)))
    }

    pub(super) fn stale(resource: &GroupResource, name: &str) -> Self {
        Self::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    pub(super) fn apply_conflict(message: String, causes: &[FieldFault]) -> Self {
        let mut error = Self::new(409, "Conflict", message);
        error.details = Some(json!({ "causes": causes_json(causes) }));
        error
    }

    pub(super) fn invalid(kind: &GroupResource, name: &str, faults: &[FieldFault]) -> Self {
        let mut texts: Vec<String> = Vec::new();
        for fault in faults {
            let text = fault.text();
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let joined = match &texts[..] {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let mut details = kind.details(Some(name).filter(|name| !name.is_empty()));
        if let (Some(details), false) = (details.as_object_mut(), faults.is_empty()) {
            details.insert("causes".to_owned(), causes_json(faults));
        }
        Self::new(
            422,
            "Invalid",
            format!("{kind} \"{name}\" is invalid: {joined}"),
        )
        .with(details)
    }

    /// A patch whose operations do not apply.
    pub(super) fn patch_refused() -> Self {
        Self::new(
            422,
            "Invalid",
            "the server rejected our request due to an error in our request",
        )
        .with(json!({}))
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        let mut error = Self::new(500, "", message);
        error.reason = None;
        error
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
        .with(json!({}))
    }

    pub(super) fn verb_not_supported(resource: &GroupResource, verb: &str) -> Self {
        Self::new(
            405,
            "MethodNotAllowed",
            format!("{verb} is not supported on resources of kind \"{resource}\""),
        )
        .with(resource.details(None))
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub(super) fn forbidden(resource: &GroupResource, name: Option<&str>, reason: &str) -> Self {
        let named = match name {
            Some(name) => format!("{resource} \"{name}\""),
            None => resource.to_string(),
        };
        Self::new(403, "Forbidden", format!("{named} is forbidden: {reason}"))
            .with(resource.details(name))
    }

    pub(super) fn forbidden_path(user: &str, verb: &str, path: &str) -> Self {
        Self::new(
            403,
            "Forbidden",
            format!("forbidden: User \"{user}\" cannot {verb} path \"{path}\""),
        )
        .with(json!({}))
    }

    pub(super) fn namespace_terminating(
        resource: &GroupResource,
        name: &str,
        namespace: &str,
    ) -> Self {
        let mut error = Self::forbidden(
            resource,
            Some(name),
            &format!(
                "unable to create new content in namespace {namespace} because it is being terminated"
            ),
        );
        if let Some(Value::Object(details)) = &mut error.details {
            details.insert(
                "causes".to_owned(),
                json!([{
                    "reason": "NamespaceTerminating",
                    "message": format!("namespace {namespace} is being terminated"),
                    "field": "metadata.namespace",
                }]),
            );
        }
        error
    }

    pub(super) fn not_acceptable(message: impl Into<String>) -> Self {
        Self::new(406, "NotAcceptable", message)
    }

    pub(super) fn not_acceptable_by_route() -> Self {
        Self::not_acceptable(
            "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/vnd.kubernetes.protobuf",
        )
        .with(json!({}))
    }

    pub(super) fn unsupported_media_type_by_route() -> Self {
        Self::new(415, "UnsupportedMediaType", "415: Unsupported Media Type").with(json!({}))
    }

    pub(super) fn unsupported_media_type(accepted: &str) -> Self {
        Self::new(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: {accepted}"
            ),
        )
    }

    pub(super) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// A watch from a revision that is gone; sent as an ERROR event.
    pub(super) fn watch_expired(asked: u64, oldest: u64) -> Self {
        Self::expired(format!("too old resource version: {asked} ({oldest})"))
    }

    pub(super) fn too_large_revision(asked: u64, current: u64) -> Self {
        let mut error = Self::new(
            504,
            "Timeout",
            format!("Timeout: Too large resource version: {asked}, current: {current}"),
        )
        .with(json!({
            "causes": [{
                "reason": "ResourceVersionTooLarge",
                "message": "Too large resource version",
            }],
            "retryAfterSeconds": 1,
        }));
        error.retry_after = Some(1);
        error
    }

    /// The usual refusals by code, as a fault injects them.
    pub(super) fn injected(code: u16, message: Option<String>, retry_after: Option<u64>) -> Self {
        let (reason, text) = match code {
            400 => (
                "BadRequest",
                "the server rejected our request for an unknown reason",
            ),
            401 => ("Unauthorized", "Unauthorized"),
            403 => ("Forbidden", "forbidden: injected by a fault"),
            404 => (
                "NotFound",
                "the server could not find the requested resource",
            ),
            409 => ("Conflict", "the server reported a conflict"),
            410 => (
                "Expired",
                "The resourceVersion for the provided list is too old.",
            ),
            422 => (
                "Invalid",
                "the server rejected our request due to an error in our request",
            ),
            429 => (
                "TooManyRequests",
                "the server has received too many requests and has asked us to try again later",
            ),
            500 => (
                "InternalError",
                "Internal error occurred: injected by a fault",
            ),
            503 => (
                "ServiceUnavailable",
                "the server is currently unable to handle the request",
            ),
            504 => (
                "Timeout",
                "Timeout: request did not complete within the allotted timeout",
            ),
            _ => ("Unknown", "injected by a fault"),
        };
        let mut error = Self::new(code, reason, message.unwrap_or_else(|| text.to_owned()));
        error.retry_after = retry_after;
        if let Some(seconds) = retry_after {
            error.details = Some(json!({ "retryAfterSeconds": seconds }));
        }
        error
    }

    /// The `Status` object.
    pub(super) fn to_value(&self) -> Value {
        let mut metadata = Map::new();
        if let Some(token) = &self.continue_token {
            metadata.insert("continue".to_owned(), Value::from(token.as_str()));
        }
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": metadata,
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        });
        if let Value::Object(map) = &mut status {
            if let Some(reason) = self.reason {
                map.insert("reason".to_owned(), Value::from(reason));
            }
            if let Some(details) = &self.details {
                map.insert("details".to_owned(), details.clone());
            }
        }
        status
    }
}

fn causes_json(faults: &[FieldFault]) -> Value {
    faults
        .iter()
        .map(|fault| {
            json!({ "reason": fault.reason, "message": fault.message, "field": fault.field })
        })
        .collect()
}
