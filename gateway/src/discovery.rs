//! Discovery: the clusters of all Services, kept up to date one Service at a time.
//!
//! What exists is read from a [`Source`] when a Service is touched; only results are kept here, so that documents are
//! held once, by the source. The invariant: after [`Discovery::refresh`] with every touched Service, the clusters and
//! problems are those that a fresh start from the same source would give (J2). It never looks at a Service that was
//! not touched, and never reports a cluster that did not change (X1).

mod diff;
mod inventory;

pub use diff::Diff;
pub use inventory::{Inventory, Kind};

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use kubedex::{Object, ObjectRef};

use crate::model::{Cluster, Problem};
use crate::translate::{self, EndpointSlice, Options, Service, Translation, translate};

/// Where Services and EndpointSlices are read from, as they are now.
pub trait Source {
    /// A Service, if it exists.
    fn service(&self, service: &ObjectRef) -> Option<Object>;

    /// The EndpointSlices that name a Service in their label, in any order.
    fn slices(&self, service: &ObjectRef) -> Vec<Object>;
}

/// The clusters and problems of all Services.
#[derive(Debug, Default)]
pub struct Discovery {
    options: Options,
    services: HashMap<ObjectRef, Found>,
    recomputed: u64,
}

/// What one Service gave last.
#[derive(Debug, Default)]
struct Found {
    /// Sorted by name.
    clusters: Vec<Arc<Cluster>>,
    problems: Vec<Problem>,
}

impl Discovery {
    /// Nothing discovered yet.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// Translates differently from now on: what was translated stays until it is touched.
    pub fn set_options(&mut self, options: Options) {
        self.options = options;
    }

    /// Translates the touched Services anew and says what differs. Naming a Service twice, or one that does not exist,
    /// does no harm.
    pub fn refresh(
        &mut self,
        source: &impl Source,
        touched: impl IntoIterator<Item = ObjectRef>,
    ) -> Diff {
        let touched: BTreeSet<ObjectRef> = touched.into_iter().collect();
        let mut diff = Diff::default();
        for service in touched {
            // J3: no Service, no clusters, whatever its slices say.
            let translation = source
                .service(&service)
                .map(|object| self.translate(&object, &source.slices(&service)));
            let before = self.services.remove(&service).unwrap_or_default();
            match translation {
                Some(translation) => {
                    let found = diff.record(before, translation);
                    self.services.insert(service, found);
                }
                None => {
                    diff.record(before, Translation::default());
                }
            }
        }
        diff.sort();
        diff
    }

    /// One Service and its slices. What cannot be read is a problem and harms nothing else.
    fn translate(&mut self, object: &Object, slices: &[Object]) -> Translation {
        self.recomputed += 1;
        let service = match Service::read(object) {
            Ok(service) => service,
            Err(error) => {
                return Translation {
                    clusters: Vec::new(),
                    problems: vec![translate::malformed(object, "Service", &error)],
                };
            }
        };
        let mut malformed = Vec::new();
        let slices: Vec<EndpointSlice> = slices
            .iter()
            .filter_map(|slice| {
                EndpointSlice::read(slice)
                    .map_err(|error| {
                        malformed.push(translate::malformed(slice, "EndpointSlice", &error));
                    })
                    .ok()
            })
            .collect();
        let mut translation = translate(&service, &slices, &self.options);
        if !malformed.is_empty() {
            translation.problems.append(&mut malformed);
            translation.problems.sort();
        }
        translation
    }

    /// All clusters, sorted by name.
    pub fn clusters(&self) -> Vec<Arc<Cluster>> {
        let mut clusters: Vec<_> = self
            .services
            .values()
            .flat_map(|found| found.clusters.iter().map(Arc::clone))
            .collect();
        clusters.sort_by(|a, b| a.name.cmp(&b.name));
        clusters
    }

    /// The clusters of one Service, sorted by name; none if there is no such Service.
    pub fn clusters_of(&self, service: &ObjectRef) -> &[Arc<Cluster>] {
        self.services
            .get(service)
            .map_or(&[], |found| &found.clusters)
    }

    /// All problems, sorted.
    pub fn problems(&self) -> Vec<&Problem> {
        let mut problems: Vec<_> = self
            .services
            .values()
            .flat_map(|found| &found.problems)
            .collect();
        problems.sort();
        problems
    }

    /// The Services that exist, in no order.
    pub fn services(&self) -> impl Iterator<Item = &ObjectRef> {
        self.services.keys()
    }

    /// How many translations there were: one for each Service that exists, each time it was touched.
    pub fn recomputed(&self) -> u64 {
        self.recomputed
    }
}
