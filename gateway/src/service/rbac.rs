//! What the service needs to be allowed in its cluster: no more than its configuration uses.

use kubedex::watcher::{Permission, minimal_rbac};
use serde_json::{Value, json};

use crate::config::{Config, ElectionConfig};
use crate::live::{endpoint_slices, services};

/// Who runs the service.
#[derive(Clone, Debug)]
pub struct Account {
    /// The namespace it runs in.
    pub namespace: String,
    /// The name of the service account.
    pub name: String,
}

/// RBAC objects, named like the account, for a service with this configuration: to list and watch Services and
/// EndpointSlices where it looks for them, and to take part in the election if there is one.
pub fn rbac(config: &Config, account: &Account) -> Vec<Value> {
    let namespaces = &config.discovery.namespaces;
    let permissions = [services(), endpoint_slices()].map(|gvr| {
        if namespaces.is_empty() {
            Permission::everywhere(gvr)
        } else {
            Permission::in_namespaces(gvr, namespaces.iter().map(String::as_str))
        }
    });
    let mut objects = minimal_rbac(
        &account.name,
        &account.namespace,
        &account.name,
        permissions,
    );
    if let Some(election) = &config.leader_election {
        objects.extend(of_lease(election, account));
    }
    objects
}

/// A Lease cannot be created by its name in RBAC's eyes; reading and writing is allowed for the one alone.
fn of_lease(election: &ElectionConfig, account: &Account) -> [Value; 2] {
    let namespace = election.namespace.as_ref().unwrap_or(&account.namespace);
    let name = format!("{}-leases", account.name);
    let metadata = json!({"name": name, "namespace": namespace});
    let group = "coordination.k8s.io";
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": metadata,
        "rules": [
            {"apiGroups": [group], "resources": ["leases"], "verbs": ["create"]},
            {
                "apiGroups": [group],
                "resources": ["leases"],
                "resourceNames": [election.lease],
                "verbs": ["get", "update"],
            },
        ],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{
            "kind": "ServiceAccount",
            "name": account.name,
            "namespace": account.namespace,
        }],
    });
    [role, binding]
}
