//! Random writes on a store and on a plain model, compared after each.

use std::sync::Arc;

use serde_json::{Value, json};

use super::model::Model;
use super::{Server, Subject, thing, valid};
use crate::indexer::{IndexSet, Indexer, Record};
use crate::object::Object;
use crate::resource::ObjectRef;
use crate::store::{Scope, Store, StoreSchema, Stored};

const INDEXES: [(&str, usize); 4] = [("", 2), ("hosts", 2), ("hidden", 1), ("wide", 3)];

/// Runs random writes on a store and compares all that can be read with a plain model.
///
/// # Panics
/// When store and model differ, naming the seed and the step.
pub async fn check_random_operations<S: Store + ?Sized>(
    build: &impl Fn(&StoreSchema, Server) -> Arc<S>,
    seed: u64,
    steps: usize,
) {
    let mut random = fastrand::Rng::with_seed(seed);
    let subject = Subject::new(build, indexer(seed));
    let mut model = Model::default();
    let mut version = 0;
    for step in 0..steps {
        let at = format!("seed {seed}, step {step}");
        version += 1;
        match random.u8(..20) {
            0..13 => {
                let record = subject.record(&any_thing(&mut random, version));
                subject.server.put(record.object().clone());
                let previous = valid(subject.store.update(record.clone()).await);
                let expected = model.put(record);
                assert_eq!(
                    previous.as_ref().map(Stored::content_hash),
                    expected
                        .as_ref()
                        .map(|record| record.object().content_hash()),
                    "{at}: what an update replaced"
                );
            }
            13..18 => {
                let reference = any_reference(&mut random);
                subject.server.remove(&reference);
                let previous = valid(subject.store.delete(&reference).await);
                assert_eq!(
                    previous.is_some(),
                    model.remove(&reference).is_some(),
                    "{at}: what a deletion dropped"
                );
            }
            18 => {
                let scope = match random.u8(..3) {
                    0 => Scope::All,
                    n => Scope::Namespace(format!("n{n}").into()),
                };
                // Some of what there is, some of it changed, and some that is new.
                let mut values: Vec<Value> = Vec::new();
                for old in model.records() {
                    if scope.contains(&old.object().reference()) && random.u8(..10) < 8 {
                        let full = subject.server.get(&old.object().reference());
                        values.extend(full.map(|object| object.to_value()));
                    }
                }
                let most = if random.bool() { 4 } else { 60 };
                for _ in 0..random.usize(..most) {
                    version += 1;
                    let value = any_thing(&mut random, version);
                    let reference = valid(Object::from_value(&value)).reference();
                    if scope.contains(&reference) {
                        values
                            .retain(|old| valid(Object::from_value(old)).reference() != reference);
                        values.push(value);
                    }
                }
                random.shuffle(&mut values);
                let records: Vec<_> = values.iter().map(|value| subject.record(value)).collect();
                let mut told: Vec<_> = subject
                    .relist(&scope, &values)
                    .await
                    .into_iter()
                    .map(|difference| difference.reference)
                    .collect();
                told.sort();
                assert_eq!(
                    told,
                    model.replace(&scope, &records),
                    "{at}: what a relist told"
                );
            }
            _ => {
                if random.u8(..10) == 0 {
                    valid(subject.store.clear().await);
                    subject.server.set([]);
                    model = Model::default();
                }
            }
        }
        compare(&subject, &model, &mut random, &at).await;
    }
}

async fn compare<S: Store + ?Sized>(
    subject: &Subject<S>,
    model: &Model,
    random: &mut fastrand::Rng,
    at: &str,
) {
    assert_eq!(
        subject.store.len(),
        model.records().len(),
        "{at}: how many there are"
    );
    for (index, (name, most)) in INDEXES.iter().enumerate() {
        for _ in 0..3 {
            let keys: Vec<String> = (0..random.usize(..=*most))
                .map(|_| any_component(random))
                .collect();
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let found = valid(subject.store.get(name, &keys).await);
            let expected: Vec<_> = model
                .get(index, &keys)
                .into_iter()
                .map(Record::object)
                .collect();
            assert!(
                found.iter().eq(expected.iter().copied()),
                "{at}: {keys:?} in index {name:?} found {found:?}, not {expected:?}"
            );
        }
    }
    let reference = any_reference(random);
    let found = valid(subject.store.get_ref(&reference).await);
    let expected = model
        .records()
        .iter()
        .find(|record| record.object().reference() == reference);
    assert_eq!(
        found.as_ref(),
        expected.map(Record::object),
        "{at}: {reference}"
    );
    let known = subject.store.known(&reference);
    assert_eq!(
        known.as_ref().map(Stored::keys),
        expected.map(|record| record.keys().clone()),
        "{at}: {reference}"
    );
}

fn indexer(seed: u64) -> Indexer {
    let indexes = IndexSet::new(["metadata.namespace", "metadata.name"])
        .and_then(|indexes| indexes.with("hosts", ["a", "hosts[*]"]))
        .and_then(|indexes| indexes.with("hidden", ["b"]))
        .and_then(|indexes| indexes.with("wide", ["a", "b", "metadata.name"]));
    // Odd seeds index what is not stored.
    let ignored: &[&str] = if seed % 2 == 1 { &["b"] } else { &[] };
    valid(Indexer::new(valid(indexes), ignored, None))
}

fn any_component(random: &mut fastrand::Rng) -> String {
    match random.u8(..8) {
        0 => String::new(),
        1 => format!("n{}", random.u8(..3)),
        2 | 3 => format!("x{}", random.u8(..12)),
        _ => random.u8(..4).to_string(),
    }
}

fn any_reference(random: &mut fastrand::Rng) -> ObjectRef {
    let namespace = format!("n{}", random.u8(..3));
    ObjectRef::new(
        (namespace != "n0").then_some(namespace.as_str()),
        &format!("x{}", random.u8(..12)),
    )
}

fn any_thing(random: &mut fastrand::Rng, version: u64) -> Value {
    let reference = any_reference(random);
    let hosts: Vec<u8> = (0..random.usize(..4)).map(|_| random.u8(..4)).collect();
    let mut fields = json!({"a": random.u8(..4), "hosts": hosts});
    if random.bool() {
        fields["b"] = json!(random.u8(..4).to_string());
    }
    thing(
        reference.namespace().unwrap_or_default(),
        reference.name(),
        version,
        fields,
    )
}
