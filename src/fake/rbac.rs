//! Who may do what: RBAC objects of the store, evaluated for everybody but administrators.

use serde_json::Value;

use super::registry::GroupResource;
use super::route::RequestInfo;
use super::state::State;
use super::status::ApiError;
use super::store::Entry;

const GROUP: &str = "rbac.authorization.k8s.io";
const MASTERS: &str = "system:masters";
const AUTHENTICATED: &str = "system:authenticated";

/// Paths that everybody may read.
pub(super) const PUBLIC_PATHS: [&str; 5] =
    ["/healthz", "/livez", "/readyz", "/version", "/version/"];
/// Paths that everybody with a name may read.
pub(super) const DISCOVERY_PATHS: [&str; 11] = [
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi",
    "/openapi/*",
    "/readyz",
    "/version",
    "/version/",
];
pub(super) const WELL_KNOWN_PATHS: [&str; 2] = ["/.well-known", "/.well-known/*"];

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) groups: Vec<String>,
}

impl User {
    pub(super) fn admin() -> Self {
        Self {
            name: "admin".to_owned(),
            groups: vec![MASTERS.to_owned(), AUTHENTICATED.to_owned()],
        }
    }

    pub(super) fn anonymous() -> Self {
        Self {
            name: "system:anonymous".to_owned(),
            groups: vec!["system:unauthenticated".to_owned()],
        }
    }

    /// A user; `system:serviceaccount:NAMESPACE:NAME` has the groups of a service account.
    pub(super) fn named(name: &str) -> Self {
        let mut groups = vec![AUTHENTICATED.to_owned()];
        if let Some(account) = name.strip_prefix("system:serviceaccount:") {
            groups.push("system:serviceaccounts".to_owned());
            if let Some((namespace, _)) = account.split_once(':') {
                groups.push(format!("system:serviceaccounts:{namespace}"));
            }
        }
        Self {
            name: name.to_owned(),
            groups,
        }
    }

    pub(super) fn is_admin(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }

    pub(super) fn is_authenticated(&self) -> bool {
        self.groups.iter().any(|group| group == AUTHENTICATED)
    }
}

/// Refuses what the user may not do.
pub(super) fn authorize(state: &State, user: &User, info: &RequestInfo) -> Result<(), ApiError> {
    if allowed(state, user, info).is_some() {
        return Ok(());
    }
    if !info.is_resource {
        return Err(ApiError::forbidden_path(&user.name, &info.verb, &info.path));
    }
    let scope = if info.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace \"{}\"", info.namespace)
    };
    let name = Some(info.name.as_str()).filter(|name| !name.is_empty());
    Err(ApiError::forbidden(
        &GroupResource::new(&info.group, &info.resource),
        name,
        &format!(
            "User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {scope}",
            user.name,
            info.verb,
            info.resource_path(),
            info.group
        ),
    ))
}

/// Why a user may do something; `None`: they may not. The reason is empty when nobody tells it.
pub(super) fn allowed(state: &State, user: &User, info: &RequestInfo) -> Option<String> {
    if user.is_admin() {
        return Some(String::new());
    }
    if !info.is_resource {
        let fits = |patterns: &[&str]| {
            patterns
                .iter()
                .any(|pattern| path_fits(pattern, &info.path))
        };
        if info.verb == "get"
            && (fits(&PUBLIC_PATHS)
                || user.is_authenticated() && (fits(&DISCOVERY_PATHS) || fits(&WELL_KNOWN_PATHS)))
        {
            return Some(String::new());
        }
    }
    let own_review = info.verb == "create"
        && user.is_authenticated()
        && matches!(
            (info.group.as_str(), info.resource.as_str()),
            (
                "authorization.k8s.io",
                "selfsubjectaccessreviews" | "selfsubjectrulesreviews"
            ) | ("authentication.k8s.io", "selfsubjectreviews")
        );
    if own_review {
        return Some(String::new());
    }
    for granted in grants(state, user, &info.namespace) {
        if granted.rules.iter().any(|rule| rule_fits(rule, info)) {
            return Some(granted.reason);
        }
    }
    None
}

/// The rules that one binding gives a user.
pub(super) struct Grant {
    pub(super) rules: Vec<Value>,
    reason: String,
}

/// What bindings give a user, cluster-wide and in a namespace.
pub(super) fn grants(state: &State, user: &User, namespace: &str) -> Vec<Grant> {
    let mut grants = Vec::new();
    let resource = |name: &str| GroupResource::new(GROUP, name);
    let mut collect = |binding: &Entry, kind: &str| {
        let Some(subject) = subject(binding, user) else {
            return;
        };
        let role = |key: &str| {
            binding
                .value
                .get("roleRef")
                .and_then(|role| role.get(key))
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let cluster_role = role("kind") == "ClusterRole";
        let key = if cluster_role {
            role("name").to_owned()
        } else {
            format!("{}/{}", binding.namespace(), role("name"))
        };
        let collection = resource(if cluster_role {
            "clusterroles"
        } else {
            "roles"
        });
        let Some(found) = state.store.get(&collection, &key) else {
            return;
        };
        let rules = found
            .value
            .get("rules")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let named = if binding.namespace().is_empty() {
            binding.name().to_owned()
        } else {
            format!("{}/{}", binding.name(), binding.namespace())
        };
        grants.push(Grant {
            rules,
            reason: format!(
                "RBAC: allowed by {kind} \"{named}\" of {} \"{}\" to {subject}",
                role("kind"),
                role("name")
            ),
        });
    };
    for (_, binding) in state.store.all(&resource("clusterrolebindings")) {
        collect(binding, "ClusterRoleBinding");
    }
    if !namespace.is_empty() {
        let bindings = state.store.snapshot(
            &resource("rolebindings"),
            &format!("{namespace}/"),
            None,
            state.store.revision,
        );
        for (_, binding) in &bindings {
            collect(binding, "RoleBinding");
        }
    }
    grants
}

/// The subject of a binding that means the user, as reasons name it.
fn subject(binding: &Entry, user: &User) -> Option<String> {
    binding
        .value
        .get("subjects")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .find_map(|subject| {
            let text = |key: &str| subject.get(key).and_then(Value::as_str).unwrap_or_default();
            let name = text("name");
            match text("kind") {
                "User" if name == user.name => Some(format!("User \"{name}\"")),
                "Group" if user.groups.iter().any(|group| group == name) => {
                    Some(format!("Group \"{name}\""))
                }
                "ServiceAccount" => {
                    let namespace = match text("namespace") {
                        "" => binding.namespace(),
                        namespace => namespace,
                    };
                    (user.name == format!("system:serviceaccount:{namespace}:{name}"))
                        .then(|| format!("ServiceAccount \"{name}/{namespace}\""))
                }
                _ => None,
            }
        })
}

fn path_fits(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => pattern == path,
    }
}

fn rule_fits(rule: &Value, info: &RequestInfo) -> bool {
    let list = |key: &str| {
        rule.get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
    };
    let has = |key: &str, wanted: &str| list(key).any(|value| value == "*" || value == wanted);
    if !has("verbs", &info.verb) {
        return false;
    }
    if !info.is_resource {
        return list("nonResourceURLs").any(|pattern| path_fits(pattern, &info.path));
    }
    let whole = info.resource_path();
    let every = format!("*/{}", info.subresource);
    let resource = list("resources").any(|value| {
        value == "*" || value == whole || !info.subresource.is_empty() && value == every
    });
    let mut names = list("resourceNames").peekable();
    let named = names.peek().is_none() || names.any(|name| name == info.name);
    has("apiGroups", &info.group) && resource && named
}
