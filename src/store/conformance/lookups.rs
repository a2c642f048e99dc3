//! What is found under which key.

use std::sync::Arc;

use serde_json::json;

use super::{Server, Subject, thing, valid};
use crate::indexer::{IndexKey, IndexSet, Indexer, KeyRef, Keys};
use crate::resource::ObjectRef;
use crate::store::{Store, StoreError, StoreSchema};

pub(super) async fn keys_are_lists_of_components<S: Store + ?Sized>(
    build: &impl Fn(&StoreSchema, Server) -> Arc<S>,
) {
    let subject = Subject::indexed(build, &["a", "b"], &[]);
    subject
        .put(&thing("n", "one", 1, json!({"a": "a/b", "b": "c"})))
        .await;
    subject
        .put(&thing("n", "two", 2, json!({"a": "a", "b": "b/c"})))
        .await;
    subject
        .put(&thing("n", "three", 3, json!({"a": 8080, "b": true})))
        .await;
    subject
        .put(&thing("n", "four", 4, json!({"a": null})))
        .await;
    assert_eq!(
        subject.names("", &["a/b", "c"]).await,
        ["n/one"],
        "S2: keys are lists, never joined"
    );
    assert_eq!(
        subject.names("", &["a", "b/c"]).await,
        ["n/two"],
        "S2: keys are lists, never joined"
    );
    assert_eq!(
        subject.names("", &["8080", "true"]).await,
        ["n/three"],
        "S13: numbers and booleans as they print"
    );
    assert_eq!(
        subject.names("", &["", ""]).await,
        ["n/four"],
        "S13: null and missing are empty"
    );
}

pub(super) async fn a_key_finds_its_objects_and_a_beginning_finds_all_that_begin_so<
    S: Store + ?Sized,
>(
    build: &impl Fn(&StoreSchema, Server) -> Arc<S>,
) {
    let subject = Subject::indexed(
        build,
        &["metadata.namespace", "metadata.name"],
        &[("abc", &["a", "b", "c"])],
    );
    for (namespace, name, a, b, c) in [
        ("n", "x", "1", "1", "1"),
        ("n", "y", "1", "1", "2"),
        ("m", "x", "1", "2", "1"),
        ("m", "z", "2", "1", "1"),
    ] {
        subject
            .put(&thing(namespace, name, 1, json!({"a": a, "b": b, "c": c})))
            .await;
    }
    for (index, keys, expected) in [
        ("", &["n", "x"][..], &["n/x"][..]),
        ("", &["n"], &["n/x", "n/y"]),
        ("", &["n", "z"], &[]),
        ("", &["o"], &[]),
        ("", &[""], &[]),
        ("", &[], &["m/x", "m/z", "n/x", "n/y"]),
        ("abc", &["1", "1", "2"], &["n/y"]),
        ("abc", &["1", "1"], &["n/x", "n/y"]),
        ("abc", &["1"], &["m/x", "n/x", "n/y"]),
        ("abc", &["1", "3"], &[]),
        ("abc", &[], &["m/x", "m/z", "n/x", "n/y"]),
    ] {
        assert_eq!(
            subject.names(index, keys).await,
            expected,
            "S3: {keys:?} in index {index:?}"
        );
    }
    let one = valid(
        subject
            .store
            .get_ref(&ObjectRef::namespaced("m", "z"))
            .await,
    );
    assert_eq!(
        one.map(|object| object.reference()),
        Some(ObjectRef::namespaced("m", "z"))
    );
    assert!(
        valid(
            subject
                .store
                .get_ref(&ObjectRef::namespaced("m", "y"))
                .await
        )
        .is_none()
    );
    assert!(valid(subject.store.get_ref(&ObjectRef::cluster("z")).await).is_none());
}

pub(super) async fn lookups_that_cannot_be_meant_are_errors<S: Store + ?Sized>(
    build: &impl Fn(&StoreSchema, Server) -> Arc<S>,
) {
    let subject = Subject::indexed(build, &["a", "b"], &[("c", &["c"])]);
    let error = subject.store.get("", &["1", "2", "3"]).await.err();
    assert!(
        matches!(
            error,
            Some(StoreError::TooManyComponents {
                given: 3,
                expected: 2,
                ..
            })
        ),
        "S3: too many components: {error:?}"
    );
    let error = subject.store.get("c", &["1", "2"]).await.err();
    assert!(
        matches!(
            error,
            Some(StoreError::TooManyComponents {
                given: 2,
                expected: 1,
                ..
            })
        ),
        "S3: too many components: {error:?}"
    );
    let error = subject.store.get("d", &["1"]).await.err();
    let Some(StoreError::UnknownIndex { known, .. }) = &error else {
        panic!("an index that there is not is an error: {error:?}");
    };
    assert_eq!(known, &["c"], "the error tells which indexes there are");
}

pub(super) async fn objects_without_a_namespace_are_indexed_like_others<S: Store + ?Sized>(
    build: &impl Fn(&StoreSchema, Server) -> Arc<S>,
) {
    let subject = Subject::indexed(
        build,
        &["metadata.namespace", "metadata.name"],
        &[("name", &["metadata.name"]), ("a", &["a"])],
    );
    for name in ["two", "one"] {
        let mut value = thing("", name, 1, json!({"a": "1"}));
        if let Some(metadata) = value["metadata"].as_object_mut() {
            metadata.remove("namespace");
        }
        subject.put(&value).await;
    }
    subject.put(&thing("n", "one", 1, json!({"a": "1"}))).await;
    for (index, keys, expected) in [
        ("", &["", "one"][..], &["one"][..]),
        ("", &[""], &["one", "two"]),
        ("name", &["one"], &["one", "n/one"]),
        ("a", &["1"], &["one", "two", "n/one"]),
    ] {
        assert_eq!(
            subject.names(index, keys).await,
            expected,
            "S8: {keys:?} in index {index:?}"
        );
    }
    subject.delete(&ObjectRef::cluster("one")).await;
    assert_eq!(
        subject.all().await,
        ["two", "n/one"],
        "S8: one without a namespace is not one with"
    );
}

pub(super) async fn an_object_is_found_under_each_of_its_values<S: Store + ?Sized>(
    build: &impl Fn(&StoreSchema, Server) -> Arc<S>,
) {
    let subject = Subject::indexed(build, &["a", "hosts[*]"], &[("host", &["hosts[*]"])]);
    subject
        .put(&thing(
            "n",
            "x",
            1,
            json!({"a": "1", "hosts": ["h", "i", "h"]}),
        ))
        .await;
    subject
        .put(&thing("n", "y", 2, json!({"a": "1", "hosts": ["i", "j"]})))
        .await;
    subject
        .put(&thing("n", "z", 3, json!({"a": "1", "hosts": []})))
        .await;
    for (index, keys, expected) in [
        ("host", &["h"][..], &["n/x"][..]),
        ("host", &["i"], &["n/x", "n/y"]),
        ("host", &[""], &["n/z"]),
        ("", &["1"], &["n/x", "n/y", "n/z"]),
        ("", &["1", "i"], &["n/x", "n/y"]),
    ] {
        assert_eq!(
            subject.names(index, keys).await,
            expected,
            "{keys:?} in index {index:?}"
        );
    }
    subject
        .put(&thing("n", "x", 4, json!({"a": "1", "hosts": ["j", "h"]})))
        .await;
    assert_eq!(
        subject.names("host", &["i"]).await,
        ["n/y"],
        "S5: one of several keys is left"
    );
    assert_eq!(
        subject.names("host", &["j"]).await,
        ["n/x", "n/y"],
        "S5: one of several keys is new"
    );
    assert_eq!(
        subject.names("", &["1"]).await,
        ["n/x", "n/y", "n/z"],
        "S5: a shared beginning stays"
    );
    subject.delete(&ObjectRef::namespaced("n", "x")).await;
    assert_eq!(
        subject.names("host", &["h"]).await,
        [""; 0],
        "a deleted object is under none of its keys"
    );
    assert_eq!(
        subject.names("host", &["j"]).await,
        ["n/y"],
        "a deleted object is under none of its keys"
    );
}

pub(super) async fn keys_over_ignored_fields_work<S: Store + ?Sized>(
    build: &impl Fn(&StoreSchema, Server) -> Arc<S>,
) {
    let indexes =
        valid(IndexSet::new(["secret"]).and_then(|indexes| indexes.with("plain", ["plain[*]"])));
    let subject = Subject::new(build, valid(Indexer::new(indexes, ["secret"], None)));
    subject
        .put(&thing("n", "x", 1, json!({"secret": "s", "plain": ["p"]})))
        .await;
    subject
        .put(&thing("n", "y", 2, json!({"secret": "s", "plain": ["p"]})))
        .await;
    subject
        .put(&thing("n", "z", 3, json!({"secret": "t", "plain": []})))
        .await;
    assert_eq!(
        subject.names("", &["s"]).await,
        ["n/x", "n/y"],
        "S12: a key that the stored object no longer has"
    );
    assert_eq!(
        subject.names("plain", &["p"]).await,
        ["n/x", "n/y"],
        "S12: beside one that it has"
    );
    let found = valid(subject.store.get("", &["t"]).await);
    assert!(
        found
            .iter()
            .all(|object| object.root().get("secret").is_none()),
        "S12: the field itself is not stored"
    );
    subject
        .put(&thing("n", "x", 4, json!({"secret": "t", "plain": ["p"]})))
        .await;
    assert_eq!(subject.names("", &["s"]).await, ["n/y"], "S12: it moves");
    assert_eq!(
        subject.names("", &["t"]).await,
        ["n/x", "n/z"],
        "S12: it moves"
    );
    let known = subject.store.known(&ObjectRef::namespaced("n", "x"));
    let keys = known.map(|stored| stored.keys());
    let primary: Vec<IndexKey> = keys
        .iter()
        .flat_map(Keys::primary)
        .map(KeyRef::to_key)
        .collect();
    assert_eq!(
        primary,
        [IndexKey::from(["t"])],
        "S12: and the store knows the key"
    );
}
