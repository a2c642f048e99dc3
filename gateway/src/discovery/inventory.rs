//! A source in memory, fed object by object: from manifests, or in tests.

use std::collections::{BTreeSet, HashMap};

use kubedex::{Object, ObjectRef};

use crate::translate::SERVICE_NAME_LABEL;

use super::Source;

/// Services and EndpointSlices by name, and which slices belong to which Service.
///
/// Each change returns the Services it touches, for [`Discovery::refresh`](super::Discovery::refresh). Objects of
/// other kinds are not kept.
#[derive(Debug, Default)]
pub struct Inventory {
    services: HashMap<ObjectRef, Object>,
    slices: HashMap<ObjectRef, Object>,
    /// The slices that name a Service, whether it exists or not.
    by_service: HashMap<ObjectRef, BTreeSet<ObjectRef>>,
}

/// The kinds that clusters are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `v1` `Service`
    Service,
    /// `discovery.k8s.io/v1` `EndpointSlice`
    EndpointSlice,
}

impl Kind {
    /// Which kind an object is; `None` for those that are not read, such as another API's `Service`.
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        match (api_version, kind) {
            ("v1", "Service") => Some(Self::Service),
            ("discovery.k8s.io/v1", "EndpointSlice") => Some(Self::EndpointSlice),
            _ => None,
        }
    }
}

impl Inventory {
    /// Creates an object, or replaces the one of the same kind, namespace and name as a whole. Returns the touched
    /// Services: two when a slice leaves one Service for another (J2).
    pub fn apply(&mut self, object: Object) -> Vec<ObjectRef> {
        match Kind::of(object.api_version(), object.kind()) {
            Some(Kind::Service) => {
                let reference = object.reference();
                self.services.insert(reference.clone(), object);
                vec![reference]
            }
            Some(Kind::EndpointSlice) => {
                let reference = object.reference();
                let now = owner(&object);
                let before = self
                    .slices
                    .insert(reference.clone(), object)
                    .and_then(|before| owner(&before));
                if before != now {
                    if let Some(service) = &before {
                        self.unlink(service, &reference);
                    }
                    if let Some(service) = &now {
                        self.by_service
                            .entry(service.clone())
                            .or_default()
                            .insert(reference);
                    }
                }
                let mut touched: Vec<_> = before.into_iter().chain(now).collect();
                touched.dedup();
                touched
            }
            None => Vec::new(),
        }
    }

    /// Removes an object, if it exists. Returns the touched Service.
    pub fn delete(&mut self, kind: Kind, reference: &ObjectRef) -> Option<ObjectRef> {
        match kind {
            Kind::Service => self
                .services
                .remove(reference)
                .map(|service| service.reference()),
            Kind::EndpointSlice => {
                let service = owner(&self.slices.remove(reference)?)?;
                self.unlink(&service, reference);
                Some(service)
            }
        }
    }

    /// Every Service that exists, in no order.
    pub fn services(&self) -> impl Iterator<Item = &ObjectRef> {
        self.services.keys()
    }

    fn unlink(&mut self, service: &ObjectRef, slice: &ObjectRef) {
        if let Some(slices) = self.by_service.get_mut(service) {
            slices.remove(slice);
            if slices.is_empty() {
                self.by_service.remove(service);
            }
        }
    }
}

impl Source for Inventory {
    fn service(&self, service: &ObjectRef) -> Option<Object> {
        self.services.get(service).cloned()
    }

    fn slices(&self, service: &ObjectRef) -> Vec<Object> {
        self.by_service
            .get(service)
            .into_iter()
            .flatten()
            .filter_map(|slice| self.slices.get(slice).cloned())
            .collect()
    }
}

/// The Service that a slice names, in its own namespace (J1).
fn owner(slice: &Object) -> Option<ObjectRef> {
    slice
        .label(SERVICE_NAME_LABEL)
        .filter(|name| !name.is_empty())
        .map(|name| ObjectRef::new(slice.namespace(), name))
}
