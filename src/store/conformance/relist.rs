//! A relist: one exchange, told as differences.

use std::pin::pin;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Server, Subject, thing, valid};
use crate::store::{Difference, Scope, Store, StoreSchema, Stored};

/// What a relist said, one line each.
pub(super) fn told(differences: &[Difference]) -> Vec<String> {
    let mut told: Vec<_> = differences
        .iter()
        .map(|difference| {
            let version = |stored: &Option<Stored>| {
                let stored = stored.as_ref()?;
                Some(format!("{}@{}", stored.uid()?, stored.resource_version()?))
            };
            let (previous, current) = (version(&difference.previous), version(&difference.current));
            format!(
                "{} {} {}",
                difference.reference,
                previous.unwrap_or_default(),
                current.unwrap_or_default()
            )
        })
        .collect();
    told.sort();
    told
}

pub(super) async fn a_relist_tells_the_differences<S: Store + ?Sized>(
    build: &impl Fn(&StoreSchema, Server) -> Arc<S>,
) {
    // Few changes and many may take different ways.
    for count in [1, 300] {
        let subject = Subject::indexed(build, &["a"], &[]);
        let of = |names: &str, version: u64, a: &str| -> Vec<Value> {
            let names = names
                .split(' ')
                .flat_map(|name| (0..count).map(move |n| format!("{name}{n:03}")));
            names
                .map(|name| thing("n", &name, version, json!({"a": a})))
                .collect()
        };
        let first = [
            of("changed", 1, "1"),
            of("gone", 1, "1"),
            of("recreated", 1, "1"),
            of("same", 1, "1"),
        ]
        .concat();
        let told_first = told(&subject.relist(&Scope::All, &first).await);
        assert_eq!(told_first.len(), first.len(), "a first list is all new");
        let mut recreated = of("recreated", 2, "2");
        recreated
            .iter_mut()
            .for_each(|value| value["metadata"]["uid"] = json!("another"));
        let second = [
            of("new", 2, "2"),
            of("changed", 2, "2"),
            recreated,
            of("same", 1, "1"),
        ]
        .concat();
        let differences = subject.relist(&Scope::All, &second).await;
        let mut expected: Vec<String> = (0..count)
            .flat_map(|n| {
                [
                    format!("n/new{n:03}  n/new{n:03}@2"),
                    format!("n/changed{n:03} n/changed{n:03}@1 n/changed{n:03}@2"),
                    format!("n/gone{n:03} n/gone{n:03}@1 "),
                    format!("n/recreated{n:03} n/recreated{n:03}@1 another@2"),
                ]
            })
            .collect();
        expected.sort();
        assert_eq!(
            told(&differences),
            expected,
            "a relist tells just what is different"
        );
        let stayed = subject.names("", &["1"]).await;
        assert_eq!(stayed.len(), count, "what is unchanged stays under its key");
        let moved = subject.names("", &["2"]).await;
        assert_eq!(moved.len(), 3 * count, "what is different moved");
        assert!(
            subject.relist(&Scope::All, &second).await.is_empty(),
            "a second time nothing is different"
        );
        assert_eq!(subject.store.len(), 4 * count);
        assert_eq!(
            subject.relist(&Scope::All, &[]).await.len(),
            4 * count,
            "an empty list deletes everything"
        );
        assert!(subject.store.is_empty());
    }
    let subject = Subject::indexed(build, &["a"], &[]);
    let twice = [
        thing("n", "x", 1, json!({"a": "1"})),
        thing("n", "x", 2, json!({"a": "2"})),
    ];
    assert_eq!(
        subject.relist(&Scope::All, &twice).await.len(),
        1,
        "a name listed twice is one object"
    );
    assert_eq!(subject.names("", &["2"]).await, ["n/x"], "the later one");
    assert_eq!(subject.names("", &["1"]).await, [""; 0], "the later one");
}

pub(super) async fn a_relist_covers_its_scope_only<S: Store + ?Sized>(
    build: &impl Fn(&StoreSchema, Server) -> Arc<S>,
) {
    for count in [1, 300] {
        let subject = Subject::indexed(build, &["metadata.namespace"], &[]);
        let of = |namespace: &str| -> Vec<Value> {
            (0..count)
                .map(|n| thing(namespace, &format!("x{n:03}"), 1, json!({})))
                .collect()
        };
        subject
            .relist(&Scope::Namespace("n".into()), &of("n"))
            .await;
        subject
            .relist(&Scope::Namespace("m".into()), &of("m"))
            .await;
        assert_eq!(
            subject.store.len(),
            2 * count,
            "one namespace's list leaves the other's objects"
        );
        assert_eq!(
            subject
                .relist(&Scope::Namespace("n".into()), &[])
                .await
                .len(),
            count
        );
        assert_eq!(
            subject.names("", &["m"]).await.len(),
            count,
            "one namespace's list leaves the other's objects"
        );
        assert_eq!(subject.names("", &["n"]).await, [""; 0]);
        let outside = thing("m", "outside", 1, json!({}));
        let record = subject.record(&outside);
        subject.server.put(record.object().clone());
        let scope = Scope::Namespace("n".into());
        let differences = valid(subject.store.replace(&scope, vec![record]).await);
        assert_eq!(
            (differences.len(), subject.store.len()),
            (1, count + 1),
            "records outside of the scope are taken in"
        );
    }
}

pub(super) async fn a_relist_takes_in_what_was_altered<S: Store + ?Sized>(
    build: &impl Fn(&StoreSchema, Server) -> Arc<S>,
) {
    let subject = Subject::indexed(build, &["a"], &[]);
    subject.put(&thing("n", "x", 1, json!({"a": "1"}))).await;
    let record = subject.record(&thing("n", "x", 1, json!({"a": "2"})));
    let differences = valid(
        subject
            .store
            .replace(&Scope::All, vec![record.clone()])
            .await,
    );
    assert!(
        differences.is_empty(),
        "an unchanged version keeps its stored value"
    );
    subject.server.put(record.object().clone());
    let differences = valid(
        subject
            .store
            .replace(&Scope::All, vec![record.altered()])
            .await,
    );
    assert_eq!(
        told(&differences),
        ["n/x n/x@1 n/x@1"],
        "what is said to be altered is another one, whatever its version"
    );
    assert_eq!(
        subject.names("", &["2"]).await,
        ["n/x"],
        "what is altered moved"
    );
    assert_eq!(
        subject.names("", &["1"]).await,
        [""; 0],
        "what is altered moved"
    );
}

pub(super) async fn a_relist_is_never_seen_half<S: Store + ?Sized>(
    build: &impl Fn(&StoreSchema, Server) -> Arc<S>,
) {
    let subject = Subject::indexed(build, &["a"], &[]);
    let list = |a: u64| -> Vec<Value> {
        (0..200)
            .map(|n| thing("n", &format!("{a}-{n:03}"), a, json!({"a": a})))
            .collect()
    };
    subject.relist(&Scope::All, &list(1)).await;
    let second = list(2);
    let mut replacing = pin!(subject.relist(&Scope::All, &second));
    while futures::poll!(replacing.as_mut()).is_pending() {
        let seen = (
            subject.names("", &["1"]).await.len(),
            subject.names("", &["2"]).await.len(),
        );
        assert!(
            matches!(seen, (200, 0) | (0, 200)),
            "S9: a reader saw {seen:?} of 200"
        );
    }
    assert_eq!(subject.names("", &["2"]).await.len(), 200);
    assert_eq!(subject.names("", &["1"]).await.len(), 0);
}
