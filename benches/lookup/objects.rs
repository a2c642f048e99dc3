//! EndpointSlices of a realistic shape.

use std::sync::Arc;

use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kubedex::indexer::{IndexSet, Record};
use kubedex::store::{MemoryStore, Scope, Store, StoreSchema};
use kubedex::{Gvr, Object, ObjectRef};

pub(crate) const SLICES_PER_SERVICE: usize = 10;
const PER_NAMESPACE: usize = 1000;

pub(crate) struct Dataset {
    indexes: Arc<IndexSet>,
    references: Vec<ObjectRef>,
    uids: Vec<String>,
}

impl Dataset {
    pub(crate) fn new(objects: usize) -> Self {
        Self::with(objects, Self::indexes())
    }

    /// Thousand objects to a namespace, under these indexes.
    pub(crate) fn with(objects: usize, indexes: IndexSet) -> Self {
        Self::build(objects, indexes, |at| {
            format!("team-{:03}", at / PER_NAMESPACE)
        })
    }

    pub(crate) fn in_one_namespace(objects: usize) -> Self {
        Self::build(objects, Self::indexes(), |_| "production".to_owned())
    }

    /// By namespace and name, by service, by uid.
    pub(crate) fn indexes() -> IndexSet {
        IndexSet::default()
            .with(
                "service",
                [
                    "metadata.namespace",
                    "metadata.labels['kubernetes.io/service-name']",
                ],
            )
            .and_then(|indexes| indexes.with("uid", ["metadata.uid"]))
            .unwrap()
    }

    /// By namespace, service and name, so that the beginning of a key finds the slices of a service.
    pub(crate) fn composite_indexes() -> IndexSet {
        IndexSet::default()
            .with(
                "service",
                [
                    "metadata.namespace",
                    "metadata.labels['kubernetes.io/service-name']",
                    "metadata.name",
                ],
            )
            .unwrap()
    }

    fn build(objects: usize, indexes: IndexSet, namespace: impl Fn(usize) -> String) -> Self {
        let name = |at: usize| {
            format!(
                "service-{:06}-{:05x}",
                at / SLICES_PER_SERVICE,
                at.wrapping_mul(2_654_435_761) % 0xfffff
            )
        };
        let mut random = fastrand::Rng::with_seed(3);
        Self {
            indexes: Arc::new(indexes),
            references: (0..objects)
                .map(|at| ObjectRef::namespaced(namespace(at), name(at)))
                .collect(),
            uids: (0..objects)
                .map(|_| {
                    let bits = format!("{:032x}", random.u128(..));
                    [
                        &bits[..8],
                        &bits[8..12],
                        &bits[12..16],
                        &bits[16..20],
                        &bits[20..],
                    ]
                    .join("-")
                })
                .collect(),
        }
    }

    pub(crate) fn key(&self, at: usize) -> (&str, &str) {
        let reference = &self.references[at];
        (reference.namespace().unwrap(), reference.name())
    }

    pub(crate) fn reference(&self, at: usize) -> &ObjectRef {
        &self.references[at]
    }

    pub(crate) fn uid(&self, at: usize) -> &str {
        &self.uids[at]
    }

    pub(crate) fn service(&self, at: usize) -> (&str, String) {
        (
            self.key(at).0,
            format!("service-{:06}", at / SLICES_PER_SERVICE),
        )
    }

    pub(crate) fn random_order(&self) -> Vec<usize> {
        let mut order: Vec<_> = (0..self.references.len()).collect();
        fastrand::Rng::with_seed(5).shuffle(&mut order);
        order
    }

    pub(crate) fn api_resource(&self) -> ApiResource {
        ApiResource::from_gvk(&GroupVersionKind::gvk(
            "discovery.k8s.io",
            "v1",
            "EndpointSlice",
        ))
    }

    /// The fields stand in the order in which an API server writes them.
    fn json(&self, at: usize, service: &str, version: usize) -> String {
        let (namespace, name) = self.key(at);
        let uid = &self.uids[at];
        let system = at % 40;
        let endpoints: Vec<String> = (0..3)
            .map(|n| {
                let host = (at * 3 + n) % 60_000;
                format!(
                    r#"{{"addresses":["10.{}.{}.{n}"],"conditions":{{"ready":true,"serving":true,"terminating":false}},"targetRef":{{"kind":"Pod","namespace":"{namespace}","name":"{service}-{host:05x}","uid":"{uid}"}},"nodeName":"node-{}","zone":"zone-{}"}}"#,
                    host / 250, host % 250, at % 500, at % 3
                )
            })
            .collect();
        format!(
            r#"{{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{{"name":"{name}","generateName":"{service}-","namespace":"{namespace}","uid":"{uid}","resourceVersion":"{}","generation":3,"creationTimestamp":"2026-01-12T08:00:00Z","labels":{{"app.kubernetes.io/part-of":"system-{system}","endpointslice.kubernetes.io/managed-by":"endpointslice-controller.k8s.io","kubernetes.io/service-name":"{service}"}},"ownerReferences":[{{"apiVersion":"v1","kind":"Service","name":"{service}","uid":"{uid}","controller":true,"blockOwnerDeletion":true}}]}},"addressType":"IPv4","endpoints":[{}],"ports":[{{"name":"http","protocol":"TCP","port":8080}},{{"name":"metrics","protocol":"TCP","port":9090}}]}}"#,
            1000 + at + version * 1_000_000,
            endpoints.join(",")
        )
    }

    pub(crate) fn record(&self, at: usize) -> Record {
        self.record_of_service(at, &self.service(at).1)
    }

    pub(crate) fn record_of_service(&self, at: usize, service: &str) -> Record {
        Record::new(
            Object::from_json(self.json(at, service, 0).as_bytes()).unwrap(),
            &self.indexes,
        )
    }

    /// All objects at a later version, to which their names and keys stay the same.
    pub(crate) fn records_at(&self, version: usize) -> Vec<Record> {
        (0..self.references.len())
            .map(|at| {
                let json = self.json(at, &self.service(at).1, version);
                Record::new(Object::from_json(json.as_bytes()).unwrap(), &self.indexes)
            })
            .collect()
    }

    pub(crate) fn kube_object(&self, at: usize) -> DynamicObject {
        serde_json::from_str(&self.json(at, &self.service(at).1, 0)).unwrap()
    }

    pub(crate) fn store(&self) -> MemoryStore {
        self.store_of(
            (0..self.references.len())
                .map(|at| self.record(at))
                .collect(),
        )
    }

    pub(crate) fn store_of(&self, records: Vec<Record>) -> MemoryStore {
        let schema = StoreSchema::new(
            Gvr::new("discovery.k8s.io", "v1", "endpointslices"),
            Arc::clone(&self.indexes),
        );
        let store = MemoryStore::new(&schema);
        let replacing = Store::replace(&store, &Scope::All, records);
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(replacing)
            .unwrap();
        store
    }
}
