//! What a write changes and what it leaves.

use std::sync::Arc;

use serde_json::json;

use super::{Server, Subject, thing, valid};
use crate::object::Object;
use crate::resource::ObjectRef;
use crate::store::{Store, StoreSchema, Stored};

pub(super) async fn objects_with_one_key_are_all_kept_in_order<S: Store + ?Sized>(
    build: &impl Fn(&StoreSchema, Server) -> Arc<S>,
) {
    let subject = Subject::indexed(build, &["a"], &[]);
    let mut expected = Vec::new();
    for namespace in ["n", "a", "n-1", "m"] {
        for name in ["z", "a", "k", "k-1", "k.1"] {
            subject
                .put(&thing(namespace, name, 1, json!({"a": "same"})))
                .await;
            expected.push(ObjectRef::namespaced(namespace, name));
        }
    }
    expected.sort();
    let text =
        |expected: &[ObjectRef]| expected.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        subject.names("", &["same"]).await,
        text(&expected),
        "S4: all are kept, by namespace and name"
    );
    assert_eq!(
        subject.all().await,
        text(&expected),
        "S4: listed by namespace and name"
    );
    while let Some(gone) = expected.get(expected.len() / 2).cloned() {
        expected.retain(|reference| *reference != gone);
        subject.delete(&gone).await;
        assert_eq!(
            subject.names("", &["same"]).await,
            text(&expected),
            "S4: a deletion leaves the others"
        );
    }
}

pub(super) async fn an_object_moves_when_its_keys_change<S: Store + ?Sized>(
    build: &impl Fn(&StoreSchema, Server) -> Arc<S>,
) {
    let subject = Subject::indexed(build, &["a", "b"], &[("c", &["c"])]);
    subject
        .put(&thing("n", "x", 1, json!({"a": "1", "b": "1", "c": "1"})))
        .await;
    subject
        .put(&thing("n", "y", 2, json!({"a": "1", "b": "2", "c": "1"})))
        .await;
    subject
        .put(&thing("n", "x", 3, json!({"a": "2", "b": "1", "c": "1"})))
        .await;
    assert_eq!(
        subject.names("", &["1", "1"]).await,
        [""; 0],
        "S5: nothing is left under the old key"
    );
    assert_eq!(
        subject.names("", &["1"]).await,
        ["n/y"],
        "S5: nothing is left under the old beginning"
    );
    assert_eq!(
        subject.names("", &["2", "1"]).await,
        ["n/x"],
        "S5: the object moved"
    );
    assert_eq!(
        subject.names("c", &["1"]).await,
        ["n/x", "n/y"],
        "S5: an index whose key stayed"
    );
    subject.put(&thing("n", "x", 4, json!({}))).await;
    assert_eq!(
        subject.names("", &["2"]).await,
        [""; 0],
        "S5: nothing is left under the old key"
    );
    assert_eq!(
        subject.names("", &["", ""]).await,
        ["n/x"],
        "S5: an empty key is a key"
    );
    assert_eq!(
        subject.all().await,
        ["n/x", "n/y"],
        "S5: an object without a key is listed"
    );
    assert!(
        valid(
            subject
                .store
                .get_ref(&ObjectRef::namespaced("n", "x"))
                .await
        )
        .is_some(),
        "S5: and found by name"
    );
}

pub(super) async fn adding_again_replaces<S: Store + ?Sized>(
    build: &impl Fn(&StoreSchema, Server) -> Arc<S>,
) {
    let subject = Subject::indexed(build, &["a"], &[]);
    for version in 1..4 {
        let record = subject.record(&thing("n", "x", version, json!({"a": "1"})));
        subject.server.put(record.object().clone());
        let previous = valid(subject.store.add(record).await);
        let version_before = previous
            .as_ref()
            .and_then(|stored| stored.resource_version().map(str::to_owned));
        assert_eq!(
            version_before,
            (version > 1).then(|| (version - 1).to_string()),
            "S6: what was replaced is returned"
        );
    }
    assert_eq!(
        subject.names("", &["1"]).await,
        ["n/x"],
        "S6: adding again replaces"
    );
    assert_eq!(subject.store.len(), 1, "S6: adding again replaces");
    let found = valid(subject.store.get("", &["1"]).await);
    assert_eq!(
        found.first().and_then(Object::resource_version),
        Some("3"),
        "S6: the last one counts"
    );
}

pub(super) async fn what_was_read_stays_as_it_was<S: Store + ?Sized>(
    build: &impl Fn(&StoreSchema, Server) -> Arc<S>,
) {
    let subject = Subject::indexed(build, &["a"], &[]);
    subject.put(&thing("n", "x", 1, json!({"a": "1"}))).await;
    let read = valid(subject.store.get("", &["1"]).await);
    subject.put(&thing("n", "x", 2, json!({"a": "2"}))).await;
    subject.delete(&ObjectRef::namespaced("n", "x")).await;
    assert_eq!(
        read.first().and_then(Object::resource_version),
        Some("1"),
        "S7: readers have immutable objects"
    );
}

pub(super) async fn writes_tell_what_was_there_and_are_counted<S: Store + ?Sized>(
    build: &impl Fn(&StoreSchema, Server) -> Arc<S>,
) {
    let subject = Subject::indexed(build, &["a"], &[]);
    let reference = ObjectRef::namespaced("n", "x");
    assert!(subject.store.is_empty() && subject.store.known(&reference).is_none());
    let mut count = subject.store.modification_count();
    let mut grew = |what: &str| {
        let now = subject.store.modification_count();
        assert!(now > count, "the modification count grows with {what}");
        count = now;
    };
    subject.put(&thing("n", "x", 1, json!({"a": "1"}))).await;
    grew("an addition");
    let known = subject.store.known(&reference);
    let Some(known) = known else {
        panic!("the store knows what it has")
    };
    assert_eq!(
        (known.uid(), known.resource_version()),
        (Some("n/x"), Some("1"))
    );
    assert_eq!(known.reference(), reference);
    let record = subject.record(&thing("n", "x", 1, json!({"a": "1"})));
    assert_eq!(
        known.content_hash(),
        record.object().content_hash(),
        "it knows the content's hash"
    );
    assert_eq!(known.keys(), *record.keys(), "it knows the keys");
    subject.put(&thing("n", "x", 2, json!({"a": "1"}))).await;
    grew("an update");
    subject.put(&thing("n", "y", 2, json!({"a": "1"}))).await;
    grew("an addition");
    assert_eq!(subject.store.len(), 2);
    let gone = valid(subject.store.delete(&reference).await);
    assert_eq!(
        gone.as_ref().and_then(Stored::resource_version),
        Some("2"),
        "a deletion returns what it dropped"
    );
    grew("a deletion");
    let before = subject.store.modification_count();
    assert!(
        valid(subject.store.delete(&reference).await).is_none(),
        "deleting what there is not does nothing"
    );
    assert_eq!(
        subject.store.modification_count(),
        before,
        "nothing changed, nothing is counted"
    );
    valid(subject.store.clear().await);
    grew("clearing");
    assert!(subject.store.is_empty() && subject.all().await.is_empty());
    assert_eq!(
        subject.names("", &["1"]).await,
        [""; 0],
        "nothing is under any key after clearing"
    );
}
