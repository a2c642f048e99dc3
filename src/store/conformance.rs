//! The contract of a [`Store`], as checks that any implementation can run.
//!
//! [`check`] builds empty stores through a closure and panics at the first broken rule, saying which. A store that fetches
//! bodies from elsewhere finds them in the [`Server`] that it is built with, which always has what was written last.
//!
//! ```
//! use std::sync::Arc;
//! use kubedex::store::{MemoryStore, conformance};
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! conformance::check(|schema, _server| Arc::new(MemoryStore::new(schema))).await;
//! # });
//! ```

mod gathered;
mod lookups;
mod model;
mod random;
mod relist;
mod writes;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};

pub use random::check_random_operations;

use super::{Difference, Scope, Store, StoreSchema};
use crate::indexer::{IndexSet, Indexer, Record};
use crate::object::Object;
use crate::resource::{Gvr, ObjectRef};

/// What the API server has while a check runs, for stores that fetch from it. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Server(Arc<Mutex<BTreeMap<ObjectRef, Object>>>);

impl Server {
    /// One object.
    pub fn get(&self, reference: &ObjectRef) -> Option<Object> {
        self.0.lock().get(reference).cloned()
    }

    /// All objects, in the order of namespace and name.
    pub fn list(&self) -> Vec<Object> {
        self.0.lock().values().cloned().collect()
    }

    fn put(&self, object: Object) {
        self.0.lock().insert(object.reference(), object);
    }

    fn remove(&self, reference: &ObjectRef) {
        self.0.lock().remove(reference);
    }

    fn set(&self, objects: impl IntoIterator<Item = Object>) {
        *self.0.lock() = objects
            .into_iter()
            .map(|object| (object.reference(), object))
            .collect();
    }
}

/// Runs every check on new stores that the closure builds.
///
/// # Panics
/// At the first rule that a store breaks.
pub async fn check<S: Store + ?Sized>(build: impl Fn(&StoreSchema, Server) -> Arc<S>) {
    lookups::keys_are_lists_of_components(&build).await;
    lookups::a_key_finds_its_objects_and_a_beginning_finds_all_that_begin_so(&build).await;
    lookups::lookups_that_cannot_be_meant_are_errors(&build).await;
    writes::objects_with_one_key_are_all_kept_in_order(&build).await;
    writes::an_object_moves_when_its_keys_change(&build).await;
    writes::adding_again_replaces(&build).await;
    writes::what_was_read_stays_as_it_was(&build).await;
    lookups::objects_without_a_namespace_are_indexed_like_others(&build).await;
    lookups::an_object_is_found_under_each_of_its_values(&build).await;
    lookups::keys_over_ignored_fields_work(&build).await;
    relist::a_relist_tells_the_differences(&build).await;
    relist::a_relist_covers_its_scope_only(&build).await;
    relist::a_relist_is_never_seen_half(&build).await;
    relist::a_relist_takes_in_what_was_altered(&build).await;
    gathered::what_is_kept_stays(&build).await;
    gathered::a_digest_replaces_as_its_record_does(&build).await;
    gathered::what_is_known_has_a_body_if_bodies_are_kept(&build).await;
    writes::writes_tell_what_was_there_and_are_counted(&build).await;
    for seed in 0..4 {
        check_random_operations(&build, seed, 150).await;
    }
}

/// A store under test with what its server has.
struct Subject<S: ?Sized> {
    store: Arc<S>,
    server: Server,
    indexer: Indexer,
}

impl<S: Store + ?Sized> Subject<S> {
    fn new(build: &impl Fn(&StoreSchema, Server) -> Arc<S>, indexer: Indexer) -> Self {
        let schema = StoreSchema::new(
            Gvr::new("conformance.kubedex.dev", "v1", "things"),
            Arc::clone(indexer.indexes()),
        );
        let server = Server::default();
        Self {
            store: build(&schema, server.clone()),
            server,
            indexer,
        }
    }

    fn indexed(
        build: &impl Fn(&StoreSchema, Server) -> Arc<S>,
        primary: &[&str],
        named: &[(&str, &[&str])],
    ) -> Self {
        let indexes = named
            .iter()
            .fold(IndexSet::new(primary), |indexes, (name, expressions)| {
                indexes.and_then(|indexes| indexes.with(name, *expressions))
            });
        let indexer = Indexer::new(valid(indexes), [""; 0], None);
        Self::new(build, valid(indexer))
    }

    fn record(&self, value: &Value) -> Record {
        self.indexer.index(valid(Object::from_value(value))).record
    }

    async fn put(&self, value: &Value) {
        let record = self.record(value);
        self.server.put(record.object().clone());
        valid(self.store.update(record).await);
    }

    async fn delete(&self, reference: &ObjectRef) {
        self.server.remove(reference);
        valid(self.store.delete(reference).await);
    }

    async fn relist(&self, scope: &Scope, values: &[Value]) -> Vec<Difference> {
        let records: Vec<_> = values.iter().map(|value| self.record(value)).collect();
        let outside = self
            .server
            .list()
            .into_iter()
            .filter(|object| !scope.contains(&object.reference()));
        let listed = records.iter().map(|record| record.object().clone());
        self.server.set(outside.chain(listed).collect::<Vec<_>>());
        valid(self.store.replace(scope, records).await)
    }

    /// The names of what a lookup finds, as it comes.
    async fn names(&self, index: &str, keys: &[&str]) -> Vec<String> {
        names(&valid(self.store.get(index, keys).await))
    }

    async fn all(&self) -> Vec<String> {
        names(&valid(self.store.list().await))
    }
}

fn names(objects: &[Object]) -> Vec<String> {
    objects
        .iter()
        .map(|object| object.reference().to_string())
        .collect()
}

fn valid<T, E: std::error::Error>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the store failed: {error}"),
    }
}

/// An object; `fields` are added to its top level.
fn thing(namespace: &str, name: &str, version: u64, fields: Value) -> Value {
    let mut value = json!({"apiVersion": "conformance.kubedex.dev/v1", "kind": "Thing", "metadata": {
        "namespace": namespace, "name": name, "uid": format!("{namespace}/{name}"), "resourceVersion": version.to_string()}});
    if let (Value::Object(value), Value::Object(fields)) = (&mut value, fields) {
        value.extend(fields);
    }
    value
}
