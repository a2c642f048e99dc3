//! A Kubernetes cluster in the same process, for tests.
//!
//! [`FakeCluster`] answers as a kube-apiserver does: lists and watches over one revision counter, pages, selectors,
//! bookmarks, streaming lists, conflicts, finalizers, patches, discovery, errors in the server's words. It can do what a
//! real one only does on bad days, too: see [`Fault`].
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use kubedex::fake::FakeCluster;
//! use k8s_openapi::api::core::v1::ConfigMap;
//! use kube::Api;
//! use serde_json::json;
//!
//! let cluster = FakeCluster::new();
//! cluster.apply(json!({
//!     "apiVersion": "v1", "kind": "ConfigMap",
//!     "metadata": {"name": "settings", "namespace": "default"}, "data": {"color": "blue"},
//! })).unwrap();
//!
//! let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client());
//! let map = maps.get("settings").await.unwrap();
//! assert_eq!(map.data.unwrap()["color"], "blue");
//! assert_eq!(cluster.requests().len(), 1);
//! # }
//! ```
//!
//! Time is tokio's: under paused time nothing happens by itself, and a run with the same seed is the same run.
//!
//! # What is there
//! - [`FakeCluster::client`] in process, [`FakeCluster::serve`] on loopback for kubectl (TLS and plain HTTP on one port).
//! - Every built-in kind of Kubernetes 1.36's stable groups, CRDs (schemas: types, defaults, pruning, validation), and any
//!   other resource, registered or appearing with its first object.
//! - Create, update, delete, the four kinds of patch with managedFields, dry runs, finalizers, grace periods, generation,
//!   the status and scale subresources; discovery, tables, partial metadata; RBAC for clients that are no administrators.
//! - Manifests ([`FakeCluster::load`]), faults ([`Fault`], [`FakeCluster::load_scenario`]), the log of requests
//!   ([`FakeCluster::requests`]).
//!
//! # What is not
//! - Controllers: nothing acts on objects by itself. No pod is scheduled or run, no Deployment makes pods, no namespace
//!   empties, no owner's dependents go. Steps to take on request: [`FakeCluster::delete_namespace`],
//!   [`FakeCluster::collect_garbage`], [`FakeCluster::sync_endpoints`].
//! - Admission beyond the namespace check; webhooks, conversion webhooks, ValidatingAdmissionPolicy, quotas, pod security.
//! - Of a CRD's schema: `oneOf`, `anyOf`, `allOf`, `not`, and CEL rules (`x-kubernetes-validations`); a fault that was there
//!   before a change is not forgiven. Of a CRD itself only the form is checked.
//! - Of Services: whether an address or a node port is taken, and all of dual stack but headless Services that select
//!   nothing. Of reviews: the rules for their own fields.
//! - Defaults and rules of built-in kinds beyond the common ones of Service, EndpointSlice, Secret, ConfigMap, Namespace,
//!   Lease, Pod and the workloads with pod templates; of the others only the metadata is checked, and fields of kinds that
//!   the tables do not describe are taken as they are.
//! - Logs, exec, attach, port-forward, proxies, eviction, binding; token requests and reviews.
//! - Protobuf and gzip in answers (JSON is answered instead), CBOR, HTTP/2, `/openapi/v2`, `/metrics`.
//! - The watch cache's delay: a read at `resourceVersion=0` is never behind, unless a fault says so.

mod body;
mod builder;
mod builtin;
mod cell;
mod clock;
mod crd;
mod decode;
mod defaults;
mod definition;
mod discovery;
mod error;
mod fault;
mod fieldset;
mod helpers;
mod kinds;
mod managed;
mod manifest;
mod meta;
mod negotiate;
mod openapi;
mod patch;
mod protobuf;
mod query;
mod rbac;
mod registry;
mod represent;
mod rest;
mod review;
mod route;
mod scale;
mod scenario;
mod schema;
mod select;
mod serve;
mod server;
mod state;
mod status;
mod store;
mod table;
mod watch;

pub use body::FakeBody;
pub use builder::FakeClusterBuilder;
pub use definition::ResourceDefinition;
pub use error::FakeError;
pub use fault::{Fault, FaultId};
pub use manifest::LoadError;
pub use scenario::ScenarioError;
pub use serve::FakeServer;
pub use state::RequestRecord;

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};

use crate::object::Object;
use crate::resource::{Gvr, ObjectRef};
use query::Query;
use rbac::User;
use registry::{GroupResource, Resource};
use route::RequestInfo;
use server::{Asked, FakeService, Identity, Reply};
use state::State;
use store::key;

/// A cluster in memory. Clones share it.
#[derive(Clone)]
pub struct FakeCluster {
    service: FakeService,
}

impl Default for FakeCluster {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for FakeCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeCluster")
            .field("resource_version", &self.resource_version())
            .finish_non_exhaustive()
    }
}

impl FakeCluster {
    /// An empty cluster: the usual namespaces and nothing else.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A cluster to be configured.
    pub fn builder() -> FakeClusterBuilder {
        FakeClusterBuilder::default()
    }

    /// A client with all rights and the default namespace `default`. It needs no socket.
    ///
    /// # Panics
    /// Like `kube::Client::new`, outside of a tokio runtime.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.service.clone(), "default")
    }

    /// A client of a user who has only the rights that RBAC objects in the cluster give.
    ///
    /// # Panics
    /// Like `kube::Client::new`, outside of a tokio runtime.
    pub fn client_as(&self, user: &str) -> kube::Client {
        let service = FakeService {
            shared: Arc::clone(&self.service.shared),
            identity: Identity::User(User::named(user)),
        };
        kube::Client::new(service, "default")
    }

    /// A client that is nobody until it sends a bearer token in its `Authorization` header.
    ///
    /// # Panics
    /// Like `kube::Client::new`, outside of a tokio runtime.
    pub fn anonymous_client(&self) -> kube::Client {
        let service = FakeService {
            shared: Arc::clone(&self.service.shared),
            identity: Identity::Token,
        };
        kube::Client::new(service, "default")
    }

    fn state(&self) -> parking_lot::MutexGuard<'_, State> {
        self.service.shared.state.lock()
    }

    /// Serves a resource.
    pub fn register(&self, definition: &ResourceDefinition) {
        let gvr = &definition.gvr;
        let mut resource = Resource::schemaless(
            gvr.group(),
            gvr.version(),
            gvr.resource(),
            &definition.kind,
            definition.namespaced,
        );
        if definition.status {
            for version in &mut resource.versions {
                version
                    .subresources
                    .push(registry::status_subresource(&definition.kind));
            }
        }
        self.state().registry.insert(resource);
    }

    /// Stops serving a resource that was registered or defined by a CRD; its objects go, its watches stay silent.
    pub fn unregister(&self, gvr: &Gvr) {
        let mut state = self.state();
        let key = GroupResource::new(gvr.group(), gvr.resource());
        let keys: Vec<_> = state
            .store
            .all(&key)
            .map(|(key, _)| Arc::clone(key))
            .collect();
        for object in keys {
            state.store.delete(&key, &object);
        }
        state.registry.remove(&key);
    }

    /// Creates an object, in a namespace that is made if it is missing (`default` if the object names none).
    ///
    /// # Errors
    /// What the API would refuse, an existing object among it.
    pub fn create(&self, object: Value) -> Result<Object, FakeError> {
        self.write("create", &Method::POST, object)
    }

    /// Replaces an object; a `resourceVersion` in it must be the present one, none means any.
    ///
    /// # Errors
    /// What the API would refuse, a missing object among it.
    pub fn update(&self, object: Value) -> Result<Object, FakeError> {
        self.write("update", &Method::PUT, object)
    }

    /// Creates an object, or replaces the one that is there.
    ///
    /// # Errors
    /// What the API would refuse.
    pub fn apply(&self, object: Value) -> Result<Object, FakeError> {
        match self.create(object.clone()) {
            Err(error) if error.reason == "AlreadyExists" => {
                let mut object = object;
                if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                    metadata.remove("resourceVersion");
                }
                self.update(object)
            }
            result => result,
        }
    }

    /// Replaces the `status` of an object, through its subresource if it has one.
    ///
    /// # Errors
    /// What the API would refuse.
    pub fn update_status(&self, object: Value) -> Result<Object, FakeError> {
        self.write("status update", &Method::PUT, object)
    }

    /// Deletes an object; `namespace` is `None` for cluster-scoped resources.
    ///
    /// # Errors
    /// What the API would refuse, a missing object among it.
    pub fn delete(&self, gvr: &Gvr, namespace: Option<&str>, name: &str) -> Result<(), FakeError> {
        let reference = ObjectRef::new(namespace, name);
        self.request("delete", &Method::DELETE, gvr, &reference, "", None)
            .map(drop)
    }

    /// An object as it is now.
    pub fn get(&self, gvr: &Gvr, namespace: Option<&str>, name: &str) -> Option<Object> {
        let reference = ObjectRef::new(namespace, name);
        let value = self
            .request("get", &Method::GET, gvr, &reference, "", None)
            .ok()?;
        Object::from_value(&value).ok()
    }

    /// All objects of a resource, by key.
    pub fn list(&self, gvr: &Gvr) -> Vec<Object> {
        let state = self.state();
        let Some(resource) = state.registry.find(gvr.group(), gvr.resource()) else {
            return Vec::new();
        };
        state
            .store
            .all(&resource.plural)
            .filter_map(|(_, entry)| {
                let mut value = entry.value.clone();
                value.insert("apiVersion".to_owned(), json!(gvr.api_version()));
                value.insert("kind".to_owned(), json!(&*resource.kind.name));
                Object::from_value(&Value::Object(value)).ok()
            })
            .collect()
    }

    /// The newest revision.
    pub fn resource_version(&self) -> u64 {
        self.state().store.revision
    }

    /// Forgets all revisions before the present one: older lists, pages and watches are refused with 410.
    pub fn compact(&self) {
        let mut state = self.state();
        let now = state.store.revision;
        state.store.compact(now);
    }

    /// Restarts the API server: all open watches end.
    pub fn restart(&self) {
        self.state().epoch += 1;
        self.service.shared.restarted.notify_waiters();
    }

    /// Puts a fault into effect.
    pub fn inject(&self, fault: Fault) -> FaultId {
        self.state().faults.add(fault)
    }

    /// Takes a fault back.
    pub fn remove_fault(&self, id: FaultId) {
        self.state().faults.remove(id);
    }

    /// Takes all faults back.
    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// How many requests a fault has hit.
    pub fn fault_hits(&self, id: FaultId) -> u64 {
        self.state().faults.hits(id)
    }

    /// The requests seen so far (the last 100,000), those of clients only: this type's own methods are none.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.state().requests.iter().cloned().collect()
    }

    /// How many requests were seen in all.
    pub fn request_count(&self) -> u64 {
        self.state().request_count
    }

    /// Forgets the requests seen so far.
    pub fn clear_requests(&self) {
        let mut state = self.state();
        state.requests.clear();
        state.request_count = 0;
    }

    /// Makes a namespace unless it is there.
    pub fn ensure_namespace(&self, name: &str) {
        let missing = self
            .state()
            .store
            .get(&meta::namespaces(), &key("", name))
            .is_none();
        if missing {
            // A name that is no namespace's is refused again, and told, where the object is made.
            let _ = self.write(
                "create",
                &Method::POST,
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
            );
        }
    }

    /// Empties a namespace's list of finalizers, through its own path.
    fn finalize_namespace(&self, name: &str, object: &Value) -> Result<(), FakeError> {
        let gvr = Gvr::new("", "v1", "namespaces");
        let reference = ObjectRef::new(Some(name), name);
        self.request(
            "finalize",
            &Method::PUT,
            &gvr,
            &reference,
            "finalize",
            Some(object),
        )
        .map(drop)
    }

    fn write(
        &self,
        operation: &'static str,
        method: &Method,
        mut object: Value,
    ) -> Result<Object, FakeError> {
        let text =
            |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let api_version = text(object.get("apiVersion"));
        let kind = text(object.get("kind"));
        let metadata = object.get("metadata");
        let name = text(metadata.and_then(|metadata| metadata.get("name")));
        let mut namespace = text(metadata.and_then(|metadata| metadata.get("namespace")));
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", &api_version));
        if version.is_empty() || kind.is_empty() {
            return Err(FakeError::invalid(
                operation,
                "apiVersion and kind are needed",
            ));
        }
        let resource = server::resource_for(
            &mut self.state(),
            group,
            version,
            &kind,
            !namespace.is_empty(),
        )
        .ok_or_else(|| {
            FakeError::invalid(operation, format!("{api_version} {kind} is not served"))
        })?;
        if resource.namespaced {
            if namespace.is_empty() {
                "default".clone_into(&mut namespace);
            }
            self.ensure_namespace(&namespace);
        } else {
            namespace.clear();
        }
        let gvr = Gvr::new(group, version, &*resource.plural.name);
        let subresource = if operation == "status update"
            && resource.version(version).is_some_and(|version| {
                version
                    .subresources
                    .iter()
                    .any(|subresource| subresource.name == "status")
            }) {
            "status"
        } else {
            ""
        };
        if *method == Method::PUT {
            let revision = self
                .state()
                .store
                .get(&resource.plural, &key(&namespace, &name))
                .map(|entry| entry.revision.to_string());
            if let (Some(revision), Some(metadata)) = (
                revision,
                object.get_mut("metadata").and_then(Value::as_object_mut),
            ) {
                metadata
                    .entry("resourceVersion")
                    .or_insert_with(|| json!(revision));
            }
        }
        let target = if *method == Method::POST { "" } else { &name };
        let reference = ObjectRef::new(Some(&namespace), target);
        let written = self.request(
            operation,
            method,
            &gvr,
            &reference,
            subresource,
            Some(&object),
        )?;
        Object::from_value(&written)
            .map_err(|error| FakeError::invalid(operation, error.to_string()))
    }

    /// One request by this type's own methods: no fault meets it and nobody counts it.
    fn request(
        &self,
        operation: &'static str,
        method: &Method,
        gvr: &Gvr,
        reference: &ObjectRef,
        subresource: &str,
        body: Option<&Value>,
    ) -> Result<Value, FakeError> {
        let namespace = reference.namespace().unwrap_or_default();
        let verb = match (method, reference.name().is_empty()) {
            (&Method::POST, _) => "create",
            (&Method::PUT, _) => "update",
            (&Method::PATCH, _) => "patch",
            (&Method::DELETE, _) => "delete",
            (_, true) => "list",
            (_, false) => "get",
        };
        let info = RequestInfo {
            is_resource: true,
            verb: verb.to_owned(),
            path: String::new(),
            group: gvr.group().to_owned(),
            version: gvr.version().to_owned(),
            resource: gvr.resource().to_owned(),
            subresource: subresource.to_owned(),
            namespace: namespace.to_owned(),
            name: reference.name().to_owned(),
            names_object: !reference.name().is_empty(),
        };
        let body = body.map(ToString::to_string).unwrap_or_default();
        let mut headers = HeaderMap::new();
        headers.insert(
            http::header::USER_AGENT,
            HeaderValue::from_static("kubedex-fake"),
        );
        let reply = self.service.reply(
            &mut self.state(),
            &Asked {
                method,
                headers: &headers,
                info: &info,
                query: &Query::default(),
                body: body.as_bytes(),
                user: &User::admin(),
                direct: true,
            },
            &[],
        );
        let Reply::Whole { code, chunks, .. } = reply else {
            return Err(FakeError::invalid(operation, "a watch is no answer here"));
        };
        let bytes: Vec<u8> = chunks.into_iter().flatten().collect();
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if code < 300 {
            return Ok(value);
        }
        let text = |key: &str| {
            value
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        Err(FakeError {
            operation,
            object: format!("{} {reference}", gvr.resource()),
            code,
            reason: text("reason"),
            message: text("message"),
        })
    }
}
