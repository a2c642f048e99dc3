//! What a list is gathered of before it is swapped in.

use std::sync::Arc;

use serde_json::{Value, json};

use super::relist::told;
use super::{Server, Subject, thing, valid};
use crate::indexer::Record;
use crate::resource::ObjectRef;
use crate::store::{Scope, Store, StoreSchema};

/// Three objects of one namespace.
fn things(version: u64, a: &str) -> Vec<Value> {
    let thing = |name| thing("n", name, version, json!({"a": a}));
    ["x", "y", "z"].map(thing).into()
}

pub(super) async fn what_is_kept_stays<S: Store + ?Sized>(
    build: &impl Fn(&StoreSchema, Server) -> Arc<S>,
) {
    let subject = Subject::indexed(build, &["a"], &[]);
    for thing in things(1, "1") {
        subject.put(&thing).await;
    }
    let kept: Vec<Record> = ["x", "y", "z"]
        .into_iter()
        .filter_map(|name| subject.store.kept(&ObjectRef::namespaced("n", name)))
        .collect();
    assert_eq!(
        kept.len(),
        3,
        "the store says under which record an object stays"
    );
    let differences = valid(subject.store.replace(&Scope::All, kept).await);
    assert!(
        differences.is_empty(),
        "under what is kept an object stays as it is"
    );
    assert_eq!(
        subject.names("", &["1"]).await,
        ["n/x", "n/y", "n/z"],
        "under what is kept an object stays as it is"
    );
    let absent = ObjectRef::namespaced("n", "absent");
    assert!(
        subject.store.kept(&absent).is_none(),
        "nothing is kept of what there is not"
    );
}

pub(super) async fn a_digest_replaces_as_its_record_does<S: Store + ?Sized>(
    build: &impl Fn(&StoreSchema, Server) -> Arc<S>,
) {
    let whole = Subject::indexed(build, &["a"], &[]);
    let digested = Subject::indexed(build, &["a"], &[]);
    for list in [things(1, "1"), things(2, "2"), things(2, "2")[1..].to_vec()] {
        let differences = whole.relist(&Scope::All, &list).await;
        let records: Vec<Record> = list.iter().map(|value| digested.record(value)).collect();
        digested
            .server
            .set(records.iter().map(|record| record.object().clone()));
        let digests = records
            .into_iter()
            .map(|record| digested.store.digest(record))
            .collect();
        let of_digests = valid(digested.store.replace(&Scope::All, digests).await);
        assert_eq!(
            told(&of_digests),
            told(&differences),
            "a digest replaces as the record that it is of"
        );
        for a in ["1", "2"] {
            assert_eq!(
                digested.names("", &[a]).await,
                whole.names("", &[a]).await,
                "a digest is found as the record that it is of"
            );
        }
        for name in ["x", "y", "z"] {
            let reference = ObjectRef::namespaced("n", name);
            let known = |subject: &Subject<S>| {
                let known = subject.store.known(&reference);
                known.map(|known| (known.content_hash(), known.keys()))
            };
            assert_eq!(
                known(&digested),
                known(&whole),
                "of a digest is known what is known of the record that it is of"
            );
        }
    }
}

pub(super) async fn what_is_known_has_a_body_if_bodies_are_kept<S: Store + ?Sized>(
    build: &impl Fn(&StoreSchema, Server) -> Arc<S>,
) {
    let subject = Subject::indexed(build, &["a"], &[]);
    subject.put(&thing("n", "x", 1, json!({"a": "1"}))).await;
    let known = subject.store.known(&ObjectRef::namespaced("n", "x"));
    assert_eq!(
        known.is_some_and(|known| known.object().is_some()),
        subject.store.keeps_bodies(),
        "what is known of an object has its body if the store says that it keeps bodies"
    );
}
