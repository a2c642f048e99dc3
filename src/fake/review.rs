//! Reviews: kinds that are answered and never stored.

use serde_json::{Map, Value, json};

use super::decode;
use super::query::WriteOptions;
use super::rbac::{self, User};
use super::rest::{Answer, Call, Content, Object};
use super::route::RequestInfo;
use super::status::ApiError;

/// Answers a review; `None` for kinds that are stored.
pub(super) fn answer(call: &mut Call<'_>) -> Result<Option<Answer>, ApiError> {
    let resource = (
        call.resource.group().to_owned(),
        call.resource.plural.name.to_string(),
    );
    let review: fn(&mut Call<'_>, &mut Object) -> Result<Value, ApiError> =
        match (resource.0.as_str(), resource.1.as_str()) {
            ("authorization.k8s.io", "selfsubjectaccessreviews") => self_access,
            ("authorization.k8s.io", "subjectaccessreviews" | "localsubjectaccessreviews") => {
                access
            }
            ("authorization.k8s.io", "selfsubjectrulesreviews") => self_rules,
            ("authentication.k8s.io", "selfsubjectreviews") => self_review,
            ("authentication.k8s.io", "tokenreviews") => return Err(ApiError::method_not_allowed()),
            _ => return Ok(None),
        };
    let options = WriteOptions::read(call.query, "CreateOptions", false)?;
    let kind = call.resource.kind.name.to_string();
    let document = decode::body(call.headers, call.body, &kind)?;
    let mut object = call
        .object(document, options.validation, super::rest::Source::Body)?
        .object;
    let status = review(call, &mut object)?;
    object.insert("status".to_owned(), status);
    object.insert("kind".to_owned(), json!(kind));
    object.insert(
        "apiVersion".to_owned(),
        json!(format!("{}/{}", resource.0, call.served().name)),
    );
    Ok(Some(Answer::created(Content::Json(Value::Object(object)))))
}

fn spec(object: &Object) -> &Object {
    static EMPTY: std::sync::LazyLock<Object> = std::sync::LazyLock::new(Map::new);
    object
        .get("spec")
        .and_then(Value::as_object)
        .unwrap_or(&EMPTY)
}

/// What a review asks about, as if it had been asked for.
fn question(spec: &Object) -> RequestInfo {
    let text = |part: &str, key: &str| {
        spec.get(part)
            .and_then(|part| part.get(key))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    if spec.contains_key("nonResourceAttributes") {
        return RequestInfo {
            verb: text("nonResourceAttributes", "verb"),
            path: text("nonResourceAttributes", "path"),
            ..RequestInfo::default()
        };
    }
    let of = |key: &str| text("resourceAttributes", key);
    RequestInfo {
        is_resource: true,
        verb: of("verb"),
        path: String::new(),
        group: of("group"),
        version: of("version"),
        resource: of("resource"),
        subresource: of("subresource"),
        namespace: of("namespace"),
        name: of("name"),
        names_object: true,
    }
}

fn verdict(call: &Call<'_>, user: &User, spec: &Object) -> Value {
    match rbac::allowed(call.state, user, &question(spec)) {
        Some(reason) if reason.is_empty() => json!({"allowed": true}),
        Some(reason) => json!({"allowed": true, "reason": reason}),
        None => json!({"allowed": false}),
    }
}

fn self_access(call: &mut Call<'_>, object: &mut Object) -> Result<Value, ApiError> {
    Ok(verdict(call, call.user, spec(object)))
}

fn access(call: &mut Call<'_>, object: &mut Object) -> Result<Value, ApiError> {
    let spec = spec(object);
    let groups = spec.get("groups").and_then(Value::as_array);
    // Nobody has logged in: what is not named is not known.
    let user = User {
        name: spec
            .get("user")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        groups: groups
            .into_iter()
            .flatten()
            .filter_map(|group| group.as_str().map(str::to_owned))
            .collect(),
    };
    Ok(verdict(call, &user, spec))
}

fn self_review(call: &mut Call<'_>, _: &mut Object) -> Result<Value, ApiError> {
    Ok(json!({"userInfo": {"username": call.user.name, "groups": call.user.groups}}))
}

fn self_rules(call: &mut Call<'_>, object: &mut Object) -> Result<Value, ApiError> {
    let namespace = spec(object)
        .get("namespace")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    if namespace.is_empty() {
        return Err(ApiError::bad_request("no namespace on request"));
    }
    // The answer's spec is empty.
    object.insert("spec".to_owned(), json!({}));
    let mut resources = Vec::new();
    let mut paths = Vec::new();
    if call.user.is_admin() {
        resources.push(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}));
        paths.push(json!({"verbs": ["*"], "nonResourceURLs": ["*"]}));
    }
    if call.user.is_authenticated() {
        resources.push(json!({
            "verbs": ["create"],
            "apiGroups": ["authorization.k8s.io"],
            "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
        }));
        resources.push(json!({
            "verbs": ["create"],
            "apiGroups": ["authentication.k8s.io"],
            "resources": ["selfsubjectreviews"],
        }));
        paths.push(json!({"verbs": ["get"], "nonResourceURLs": rbac::WELL_KNOWN_PATHS}));
        paths.push(json!({"verbs": ["get"], "nonResourceURLs": rbac::DISCOVERY_PATHS}));
    }
    paths.push(json!({"verbs": ["get"], "nonResourceURLs": rbac::PUBLIC_PATHS}));
    for grant in rbac::grants(call.state, call.user, &namespace) {
        for rule in grant.rules {
            if rule.get("nonResourceURLs").is_some() {
                paths.push(rule);
            } else {
                resources.push(rule);
            }
        }
    }
    Ok(json!({
        "resourceRules": resources,
        "nonResourceRules": paths,
        "incomplete": false,
    }))
}
