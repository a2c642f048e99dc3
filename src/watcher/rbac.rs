//! The least permissions that a set of watchers needs, as RBAC objects.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Watcher;
use crate::resource::Gvr;
use crate::store::Store;

/// The verbs of a watch.
pub(super) const WATCH_VERBS: [&str; 2] = ["list", "watch"];

/// Those of a watch into a store that keeps no bodies, which fetches single objects.
pub(super) const FETCH_VERBS: [&str; 3] = ["get", "list", "watch"];

/// What one watcher needs to be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    gvr: Gvr,
    /// `None`: everywhere.
    namespaces: Option<Vec<String>>,
    /// `None`: all objects.
    object: Option<String>,
    fetches: bool,
}

impl Permission {
    /// To watch a resource in all namespaces, or one that has none.
    pub fn everywhere(gvr: Gvr) -> Self {
        Self {
            gvr,
            namespaces: None,
            object: None,
            fetches: false,
        }
    }

    /// To watch a resource in some namespaces only.
    pub fn in_namespaces<I>(gvr: Gvr, namespaces: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self {
            namespaces: Some(namespaces.into_iter().map(Into::into).collect()),
            ..Self::everywhere(gvr)
        }
    }

    /// Only the object of this name. It is enough for a watch whose field selector is just `metadata.name=…`, as a
    /// [`SingleWatcher`](super::SingleWatcher)'s is.
    #[must_use]
    pub fn only_object(mut self, name: impl Into<String>) -> Self {
        self.object = Some(name.into());
        self
    }

    /// To get single objects as well, as a store needs that keeps no bodies
    /// ([`Store::keeps_bodies`](crate::store::Store::keeps_bodies)).
    #[must_use]
    pub fn with_get(mut self) -> Self {
        self.fetches = true;
        self
    }
}

impl<S: Store> Watcher<S> {
    /// What this watcher needs to be allowed; see [`minimal_rbac`].
    pub fn permission(&self) -> Permission {
        let namespaces: Option<Vec<String>> = self
            .targets
            .iter()
            .map(|target| target.namespace.clone())
            .collect();
        Permission {
            namespaces,
            fetches: !self.store.keeps_bodies(),
            ..Permission::everywhere(self.gvr.clone())
        }
    }
}

/// The least RBAC objects for a set of watchers that run as one service account: a ClusterRole for what is watched
/// everywhere, a Role in each namespace for what is watched there, and their bindings, all named `name`. One rule for each
/// API group and set of verbs, and one for each resource of which only some objects are watched; the same permissions give
/// the same text, in whatever order they come.
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
    let mut objects = Vec::new();
    for (scope, rules) in rules_by_scope(&grants(permissions)) {
        let rules: Vec<Value> = rules.iter().map(|(kind, of)| rule(kind, of)).collect();
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

/// One resource, or one object of it, in one scope.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Grant {
    /// A namespace; empty: everywhere.
    scope: String,
    group: String,
    resource: String,
    object: Option<String>,
    fetches: bool,
}

impl Grant {
    /// Whether whoever has this needs the other one no more.
    fn covers(&self, other: &Self) -> bool {
        (self.scope.is_empty() || self.scope == other.scope)
            && self.group == other.group
            && self.resource == other.resource
            && (self.object.is_none() || self.object == other.object)
            && (self.fetches || !other.fetches)
    }
}

/// What is needed, without what something else among it includes.
fn grants(permissions: impl IntoIterator<Item = Permission>) -> BTreeSet<Grant> {
    let mut grants = BTreeSet::new();
    for permission in permissions {
        let everywhere = || vec![String::new()];
        for scope in permission.namespaces.unwrap_or_else(everywhere) {
            grants.insert(Grant {
                scope,
                group: permission.gvr.group().to_owned(),
                resource: permission.gvr.resource().to_owned(),
                object: permission.object.clone(),
                fetches: permission.fetches,
            });
        }
    }
    let is_needed = |grant: &&Grant| {
        !grants
            .iter()
            .any(|other| other != *grant && other.covers(grant))
    };
    grants.iter().filter(is_needed).cloned().collect()
}

/// What can stand in one rule. Names are of all resources of a rule, so that named objects of one resource have theirs.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct RuleKind<'a> {
    group: &'a str,
    fetches: bool,
    of_named: Option<&'a str>,
}

#[derive(Default)]
struct RuleOf<'a> {
    resources: BTreeSet<&'a str>,
    names: BTreeSet<&'a str>,
}

type Rules<'a> = BTreeMap<RuleKind<'a>, RuleOf<'a>>;

fn rules_by_scope(grants: &BTreeSet<Grant>) -> BTreeMap<&str, Rules<'_>> {
    let mut scopes: BTreeMap<&str, Rules<'_>> = BTreeMap::new();
    for grant in grants {
        let kind = RuleKind {
            group: &grant.group,
            fetches: grant.fetches,
            of_named: grant.object.is_some().then_some(&*grant.resource),
        };
        let rule = scopes.entry(&grant.scope).or_default().entry(kind);
        let rule = rule.or_default();
        rule.resources.insert(&grant.resource);
        rule.names.extend(grant.object.as_deref());
    }
    scopes
}

fn rule(kind: &RuleKind<'_>, of: &RuleOf<'_>) -> Value {
    let verbs: &[&str] = if kind.fetches {
        &FETCH_VERBS
    } else {
        &WATCH_VERBS
    };
    let mut rule = json!({"apiGroups": [kind.group], "resources": of.resources, "verbs": verbs});
    if !of.names.is_empty() {
        rule["resourceNames"] = json!(of.names);
    }
    rule
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

    #[test]
    fn what_is_fetched_and_what_is_named_have_rules_of_their_own() {
        let gvr = |resource: &str| Gvr::new("", "v1", resource);
        let named =
            |name: &str| Permission::in_namespaces(gvr("configmaps"), ["a"]).only_object(name);
        let objects = minimal_rbac(
            "w",
            "infra",
            "runner",
            [
                Permission::in_namespaces(gvr("pods"), ["a"]),
                Permission::in_namespaces(gvr("secrets"), ["a"]).with_get(),
                Permission::in_namespaces(gvr("secrets"), ["a"]),
                named("y"),
                named("x"),
                Permission::in_namespaces(gvr("pods"), ["a"]).only_object("of all"),
            ],
        );
        assert_eq!(objects.len(), 2);
        let watch = json!(["list", "watch"]);
        assert_eq!(
            objects[0]["rules"],
            json!([
                {"apiGroups": [""], "resources": ["pods"], "verbs": watch},
                {"apiGroups": [""], "resources": ["configmaps"], "verbs": watch, "resourceNames": ["x", "y"]},
                {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]},
            ])
        );
    }

    #[test]
    fn what_is_got_in_one_namespace_is_not_covered_by_a_watch_everywhere() {
        let secrets = Gvr::new("", "v1", "secrets");
        let some = Permission::in_namespaces(secrets.clone(), ["a"]).with_get();
        let objects = minimal_rbac(
            "w",
            "infra",
            "runner",
            [Permission::everywhere(secrets), some],
        );
        let kinds: Vec<_> = objects.iter().map(|object| &object["kind"]).collect();
        assert_eq!(
            kinds,
            ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]
        );
    }
}
