//! What a cluster's controllers would do, one step at a time and only when asked.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::registry::{GroupResource, api_version};
use super::store::Entry;
use super::{FakeCluster, FakeError, meta};
use crate::object::Object;
use crate::resource::Gvr;

impl FakeCluster {
    /// Deletes a namespace as its controller would: everything in it goes, what finalizers hold stays, and once it is
    /// empty the namespace itself goes.
    ///
    /// Whether the namespace is gone. Call it again when finalizers have been removed.
    ///
    /// # Errors
    /// When there is no such namespace.
    pub fn delete_namespace(&self, name: &str) -> Result<bool, FakeError> {
        let namespaces = Gvr::new("", "v1", "namespaces");
        self.delete(&namespaces, None, name)?;
        for (gvr, entry) in self.entries_where(|entry| entry.namespace() == name) {
            // Held by a finalizer, or gone with its owner: both are found out below.
            let _ = self.delete(&gvr, Some(name), entry.name());
        }
        let left = self.entries_where(|entry| entry.namespace() == name);
        if !left.is_empty() {
            return Ok(false);
        }
        let mut object = self
            .get(&namespaces, None, name)
            .map(|object| object.to_value())
            .unwrap_or_default();
        if let Value::Object(map) = &mut object {
            map.insert("spec".to_owned(), json!({"finalizers": []}));
        }
        self.finalize_namespace(name, &object)?;
        Ok(true)
    }

    /// Deletes, over and over, what its owners have left behind: objects whose `ownerReferences` name only UIDs that are
    /// gone. Owners waiting in foreground deletion are released once nothing of theirs is left, and orphaning ones at
    /// once.
    ///
    /// How many objects were deleted.
    pub fn collect_garbage(&self) -> usize {
        let mut deleted = 0;
        loop {
            let all = self.entries_where(|_| true);
            let uids: std::collections::HashSet<&str> =
                all.iter().map(|(_, entry)| entry.uid()).collect();
            let orphans: Vec<_> = all
                .iter()
                .filter(|(_, entry)| {
                    let owners = owners(entry);
                    !owners.is_empty() && !owners.iter().any(|owner| uids.contains(owner.as_str()))
                })
                .collect();
            let mut progress = false;
            for (gvr, entry) in orphans {
                if !meta::is_deleting(&entry.value) {
                    let namespace = Some(entry.namespace()).filter(|name| !name.is_empty());
                    progress |= self.delete(gvr, namespace, entry.name()).is_ok();
                    deleted += 1;
                }
            }
            for (gvr, entry) in &all {
                progress |= self.release_owner(gvr, entry, &all, &mut deleted);
            }
            if !progress {
                return deleted;
            }
        }
    }

    /// Does the garbage collector's part for an owner that is being deleted; whether something happened.
    fn release_owner(
        &self,
        gvr: &Gvr,
        owner: &Arc<Entry>,
        all: &[(Gvr, Arc<Entry>)],
        deleted: &mut usize,
    ) -> bool {
        if !meta::is_deleting(&owner.value) {
            return false;
        }
        let finalizers = meta::finalizers(&owner.value);
        let mut dependents = all
            .iter()
            .filter(|(_, entry)| meta::is_owned_by(&entry.value, owner.uid()));
        let held_by = if finalizers.contains(&"orphan") {
            for (_, entry) in dependents {
                let mut object = entry.value.clone();
                if let Some(Value::Array(owners)) = meta::of_mut(&mut object)
                    .and_then(|metadata| metadata.get_mut("ownerReferences"))
                {
                    owners.retain(|reference| reference["uid"] != owner.uid());
                }
                self.put_back(entry, object);
            }
            "orphan"
        } else if finalizers.contains(&"foregroundDeletion") {
            let mut waiting = false;
            for (gvr, entry) in dependents.by_ref() {
                waiting = true;
                if !meta::is_deleting(&entry.value) {
                    let namespace = Some(entry.namespace()).filter(|name| !name.is_empty());
                    if self.delete(gvr, namespace, entry.name()).is_ok() {
                        *deleted += 1;
                    }
                    return true;
                }
            }
            if waiting {
                return false;
            }
            "foregroundDeletion"
        } else {
            return false;
        };
        let mut object = owner.value.clone();
        if let Some(Value::Array(list)) =
            meta::of_mut(&mut object).and_then(|metadata| metadata.get_mut("finalizers"))
        {
            list.retain(|name| name != held_by);
        }
        let _ = gvr;
        self.put_back(owner, object)
    }

    /// Makes the EndpointSlice `NAME-fake` of every Service that has a selector, from the pods that it selects: one
    /// slice per Service, IPv4, named ports resolved, ready as the pods' Ready condition says. Slices of Services that
    /// are gone go.
    ///
    /// How many slices were written or deleted.
    ///
    /// # Errors
    /// When a slice is refused, by a fault of the pods' addresses for instance.
    pub fn sync_endpoints(&self) -> Result<usize, FakeError> {
        let slices = Gvr::new("discovery.k8s.io", "v1", "endpointslices");
        let before = self.resource_version();
        let services = self.list(&Gvr::new("", "v1", "services"));
        let pods = self.list(&Gvr::new("", "v1", "pods"));
        for service in &services {
            let service = service.to_value();
            let Some(selector) = service
                .pointer("/spec/selector")
                .and_then(Value::as_object)
                .filter(|selector| !selector.is_empty())
            else {
                continue;
            };
            let selected: Vec<Value> = pods
                .iter()
                .filter(|pod| {
                    pod.namespace() == service["metadata"]["namespace"].as_str()
                        && selector
                            .iter()
                            .all(|(key, value)| pod.label(key) == value.as_str())
                })
                .map(Object::to_value)
                .collect();
            self.apply(slice(&service, &selected))?;
        }
        for slice in self.list(&slices) {
            let managed = slice.label("endpointslice.kubernetes.io/managed-by") == Some(MANAGER);
            let service = slice
                .label("kubernetes.io/service-name")
                .unwrap_or_default();
            let exists = services
                .iter()
                .any(|known| known.name() == service && known.namespace() == slice.namespace());
            if managed && !exists {
                self.delete(&slices, slice.namespace(), slice.name())?;
            }
        }
        Ok(usize::try_from(self.resource_version() - before).unwrap_or(usize::MAX))
    }

    fn entries_where(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<(Gvr, Arc<Entry>)> {
        let state = self.state();
        let resources: Vec<GroupResource> = state.store.resources().cloned().collect();
        let mut found = Vec::new();
        for plural in resources {
            let Some(resource) = state.registry.find_key(&plural) else {
                continue;
            };
            let version = resource
                .versions
                .first()
                .map(|version| version.name.clone())
                .unwrap_or_default();
            let gvr = Gvr::new(&*plural.group, version, &*plural.name);
            found.extend(
                state
                    .store
                    .all(&plural)
                    .filter(|(_, entry)| wanted(entry))
                    .map(|(_, entry)| (gvr.clone(), Arc::clone(entry))),
            );
        }
        found.sort_by(|(a, x), (b, y)| (a, x.revision).cmp(&(b, y.revision)));
        found
    }

    /// Writes an object back as the server itself would; whether that went through.
    fn put_back(&self, entry: &Entry, mut object: Map<String, Value>) -> bool {
        let found = {
            let state = self.state();
            let resources: Vec<GroupResource> = state.store.resources().cloned().collect();
            resources.into_iter().find_map(|plural| {
                let key = super::store::key(entry.namespace(), entry.name());
                let known = state.store.get(&plural, &key)?;
                (known.uid() == entry.uid()).then(|| state.registry.find_key(&plural))?
            })
        };
        let Some(resource) = found else { return false };
        let Some(version) = resource.versions.first() else {
            return false;
        };
        object.insert(
            "apiVersion".to_owned(),
            json!(api_version(resource.group(), &version.name)),
        );
        object.insert("kind".to_owned(), json!(&*resource.kind.name));
        self.update(Value::Object(object)).is_ok()
    }
}

/// Who the slices of [`FakeCluster::sync_endpoints`] belong to.
const MANAGER: &str = "kubedex-fake";

fn owners(entry: &Entry) -> Vec<String> {
    entry
        .metadata()
        .and_then(|metadata| metadata.get("ownerReferences"))
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|owner| owner.get("uid")?.as_str().map(str::to_owned))
        .collect()
}

fn slice(service: &Value, pods: &[Value]) -> Value {
    let name = service["metadata"]["name"].as_str().unwrap_or_default();
    let ports: Vec<Value> = service
        .pointer("/spec/ports")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|port| {
            let target = match &port["targetPort"] {
                Value::String(name) => pods.iter().find_map(|pod| named_port(pod, name)),
                number => number.as_i64(),
            };
            let mut made = json!({
                "name": port["name"].as_str().unwrap_or_default(),
                "protocol": port["protocol"].as_str().unwrap_or("TCP"),
            });
            if let Some(target) = target {
                made["port"] = json!(target);
            }
            if let Some(protocol) = port["appProtocol"].as_str() {
                made["appProtocol"] = json!(protocol);
            }
            made
        })
        .collect();
    let endpoints: Vec<Value> = pods.iter().filter_map(endpoint).collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{name}-fake"),
            "namespace": service["metadata"]["namespace"],
            "labels": {
                "kubernetes.io/service-name": name,
                "endpointslice.kubernetes.io/managed-by": MANAGER,
            },
            "ownerReferences": [{
                "apiVersion": "v1",
                "kind": "Service",
                "name": name,
                "uid": service["metadata"]["uid"],
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": ports,
    })
}

fn named_port(pod: &Value, name: &str) -> Option<i64> {
    pod.pointer("/spec/containers")?
        .as_array()?
        .iter()
        .flat_map(|container| container["ports"].as_array().into_iter().flatten())
        .find(|port| port["name"] == name)?["containerPort"]
        .as_i64()
}

/// A pod with an address as an endpoint; one that has ended is none.
fn endpoint(pod: &Value) -> Option<Value> {
    let address = pod.pointer("/status/podIP")?.as_str()?;
    let phase = pod.pointer("/status/phase").and_then(Value::as_str);
    if matches!(phase, Some("Succeeded" | "Failed")) {
        return None;
    }
    let serving = pod
        .pointer("/status/conditions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    let terminating = pod.pointer("/metadata/deletionTimestamp").is_some();
    let mut made = json!({
        "addresses": [address],
        "conditions": {
            "ready": serving && !terminating,
            "serving": serving,
            "terminating": terminating,
        },
        "targetRef": {
            "kind": "Pod",
            "name": pod["metadata"]["name"],
            "namespace": pod["metadata"]["namespace"],
            "uid": pod["metadata"]["uid"],
        },
    });
    if let Some(node) = pod.pointer("/spec/nodeName").and_then(Value::as_str) {
        made["nodeName"] = json!(node);
    }
    Some(made)
}
