//! The least permissions that a set of watchers needs, as RBAC objects.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Watcher;
use crate::resource::Gvr;

/// The verbs of a watch.
const VERBS: [&str; 2] = ["list", "watch"];

/// What one watcher needs to be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    gvr: Gvr,
    /// `None`: everywhere.
    namespaces: Option<Vec<String>>,
}

impl Permission {
    /// To watch a resource in all namespaces, or one that has none.
    pub fn everywhere(gvr: Gvr) -> Self {
        Self {
            gvr,
            namespaces: None,
        }
    }

    /// To watch a resource in some namespaces only.
    pub fn in_namespaces<I>(gvr: Gvr, namespaces: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self {
            gvr,
            namespaces: Some(namespaces.into_iter().map(Into::into).collect()),
        }
    }
}

impl<S> Watcher<S> {
    /// What this watcher needs to be allowed; see [`minimal_rbac`].
    pub fn permission(&self) -> Permission {
        let namespaces: Option<Vec<String>> = self
            .targets
            .iter()
            .map(|target| target.namespace.clone())
            .collect();
        Permission {
            gvr: self.gvr.clone(),
            namespaces,
        }
    }
}

/// The least RBAC objects for a set of watchers that run as one service account: a ClusterRole for what is watched
/// everywhere, a Role in each namespace for what is watched there, and their bindings, all named `name`. One rule for each
/// API group; the same permissions give the same text, in whatever order they come.
///
/// ```
/// use kubedex::Gvr;
/// use kubedex::watcher::{Permission, minimal_rbac};
/// let services = Permission::everywhere(Gvr::new("", "v1", "services"));
/// let objects = minimal_rbac("gateway", "infra", "gateway", [services]);
/// assert_eq!(objects[0]["kind"], "ClusterRole");
/// assert_eq!(objects[0]["rules"][0]["verbs"], serde_json::json!(["list", "watch"]));
/// ```
pub fn minimal_rbac(
    name: &str,
    account_namespace: &str,
    account: &str,
    permissions: impl IntoIterator<Item = Permission>,
) -> Vec<Value> {
    // Scope (empty: everywhere) to group to resources.
    let mut scopes: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for Permission { gvr, namespaces } in permissions {
        for scope in namespaces.unwrap_or_else(|| vec![String::new()]) {
            let groups = scopes.entry(scope).or_default();
            groups
                .entry(gvr.group().to_owned())
                .or_default()
                .insert(gvr.resource().to_owned());
        }
    }
    let everywhere = scopes.get("").cloned().unwrap_or_default();
    let mut objects = Vec::new();
    for (scope, mut groups) in scopes {
        if !scope.is_empty() {
            for (group, resources) in &mut groups {
                resources.retain(|resource| {
                    !everywhere
                        .get(group)
                        .is_some_and(|all| all.contains(resource))
                });
            }
            groups.retain(|_, resources| !resources.is_empty());
        }
        if groups.is_empty() {
            continue;
        }
        let rules: Vec<Value> = groups
            .iter()
            .map(|(group, resources)| json!({"apiGroups": [group], "resources": resources, "verbs": VERBS}))
            .collect();
        let (role, binding) = if scope.is_empty() {
            ("ClusterRole", "ClusterRoleBinding")
        } else {
            ("Role", "RoleBinding")
        };
        let mut metadata = json!({"name": name});
        if !scope.is_empty() {
            metadata["namespace"] = scope.into();
        }
        let api_version = "rbac.authorization.k8s.io/v1";
        objects.push(
            json!({"apiVersion": api_version, "kind": role, "metadata": metadata, "rules": rules}),
        );
        objects.push(json!({
            "apiVersion": api_version, "kind": binding, "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": account_namespace}],
        }));
    }
    objects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_joined_by_scope_and_group_and_never_repeated() {
        let services = Gvr::new("", "v1", "services");
        let slices = Gvr::new("discovery.k8s.io", "v1", "endpointslices");
        let permissions = [
            Permission::in_namespaces(services.clone(), ["b", "a"]),
            Permission::in_namespaces(slices.clone(), ["a"]),
            Permission::everywhere(slices),
            Permission::in_namespaces(Gvr::new("", "v1", "secrets"), ["a"]),
        ];
        let objects = minimal_rbac("w", "infra", "runner", permissions.clone());
        let summary: Vec<String> = objects
            .iter()
            .map(|object| {
                let resources: Vec<&Value> = object["rules"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|rule| &rule["resources"])
                    .collect();
                format!(
                    "{} {} {}",
                    object["kind"],
                    object["metadata"]["namespace"],
                    json!(resources)
                )
            })
            .collect();
        assert_eq!(
            summary,
            [
                r#""ClusterRole" null [["endpointslices"]]"#,
                r#""ClusterRoleBinding" null []"#,
                r#""Role" "a" [["secrets","services"]]"#,
                r#""RoleBinding" "a" []"#,
                r#""Role" "b" [["services"]]"#,
                r#""RoleBinding" "b" []"#,
            ]
        );
        let mut reversed = permissions;
        reversed.reverse();
        assert_eq!(minimal_rbac("w", "infra", "runner", reversed), objects);
    }
}
