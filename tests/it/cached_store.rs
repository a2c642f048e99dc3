//! The store that fetches bodies: the contract of stores, its coherence (S10), and the watch that feeds it.

mod coherence;
mod torture;
mod watched;

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use kube::client::Body;
use kubedex::indexer::{IndexSet, Record};
use kubedex::store::conformance::{self, Server};
use kubedex::store::{CachedStore, Store as _, StoreSchema};
use kubedex::{Client, Gvr, Object, ObjectRef};
use serde_json::Value;

use crate::scripted::status;

/// A client of the server that the contract's checks fill.
fn client(server: Server) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let found = server.get(&reference(request.uri().path()));
        let (code, body) = match found {
            Some(object) => (StatusCode::OK, object.to_json()),
            None => (StatusCode::NOT_FOUND, status(404, "NotFound").to_string()),
        };
        let response = Response::builder()
            .status(code)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        std::future::ready(Ok::<_, std::convert::Infallible>(response))
    });
    Client::from_kube(kube::Client::new(service, "default"))
}

fn reference(path: &str) -> ObjectRef {
    let parts: Vec<&str> = path.split('/').collect();
    match parts[..] {
        [.., "namespaces", namespace, _, name] => ObjectRef::namespaced(namespace, name),
        [.., name] => ObjectRef::cluster(name),
        [] => unreachable!("a path has a part"),
    }
}

#[tokio::test]
async fn s1_it_keeps_the_contract_of_stores() {
    conformance::check(|schema, server| Arc::new(CachedStore::new(schema, &client(server)))).await;
}

/// A store of ConfigMaps by namespace and name, and by `data.k`.
fn schema() -> StoreSchema {
    let indexes = IndexSet::default().with("k", ["data.k"]).unwrap();
    StoreSchema::new(Gvr::new("", "v1", "configmaps"), Arc::new(indexes))
}

async fn put(store: &CachedStore, value: &Value) {
    let record = Record::new(Object::from_value(value).unwrap(), &store.schema().indexes);
    store.update(record).await.unwrap();
}

fn named(name: &str) -> ObjectRef {
    ObjectRef::namespaced("n", name)
}
