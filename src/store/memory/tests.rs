use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::indexer::IndexSet;
use crate::object::ValueRef;
use crate::resource::Gvr;
use crate::store::conformance;
use serde_json::json;

#[tokio::test]
async fn it_keeps_the_contract() {
    conformance::check(|schema, _| Arc::new(MemoryStore::new(schema))).await;
}

#[tokio::test]
async fn it_equals_a_plain_model_under_random_writes() {
    for seed in 4..24 {
        conformance::check_random_operations(
            &|schema, _| Arc::new(MemoryStore::new(schema)),
            seed,
            150,
        )
        .await;
    }
}

#[tokio::test]
async fn keys_whose_hashes_collide_are_told_apart() {
    for mask in [0, 1, 0xf] {
        let build =
            |schema: &StoreSchema, _| Arc::new(MemoryStore::hashed(schema, Hashing::masked(mask)));
        for seed in 0..6 {
            conformance::check_random_operations(&build, seed, 150).await;
        }
    }
}

fn store(indexes: IndexSet) -> (MemoryStore, Arc<IndexSet>) {
    let indexes = Arc::new(indexes);
    let schema = StoreSchema::new(Gvr::new("", "v1", "pods"), Arc::clone(&indexes));
    (MemoryStore::new(&schema), indexes)
}

fn record(indexes: &IndexSet, namespace: &str, name: &str, generation: u64) -> Record {
    let value = json!({"metadata": {"namespace": namespace, "name": name, "resourceVersion": generation.to_string()},
        "generation": generation});
    Record::new(Object::from_value(&value).unwrap(), indexes)
}

#[test]
fn readers_on_other_threads_never_see_half_a_relist() {
    let (store, indexes) = store(IndexSet::new(["generation"]).unwrap());
    let list = |generation| {
        (0..500)
            .map(|n| record(&indexes, "n", &format!("x{n}"), generation))
            .collect()
    };
    store.relist(&Scope::All, list(0));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let all = store.list();
                    let generation = all[0]
                        .root()
                        .get("generation")
                        .and_then(ValueRef::as_u64)
                        .unwrap();
                    assert_eq!(all.len(), 500);
                    assert!(all.iter().all(|object| {
                        object.root().get("generation").and_then(ValueRef::as_u64)
                            == Some(generation)
                    }));
                    let found = store.get([generation.to_string()]).unwrap();
                    assert!(found.len() == 500 || found.is_empty());
                }
            });
        }
        for generation in 1..40 {
            store.relist(&Scope::All, list(generation));
        }
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_large_bucket_stays_in_order() {
    let (store, indexes) = store(IndexSet::default());
    let mut names: Vec<String> = (0..5000).map(|n| format!("x{n}")).collect();
    fastrand::Rng::with_seed(7).shuffle(&mut names);
    for name in &names {
        store.insert(record(&indexes, "n", name, 1));
    }
    for name in names.iter().step_by(3) {
        store.remove(&ObjectRef::namespaced("n", name));
    }
    let mut expected: Vec<_> = names
        .iter()
        .enumerate()
        .filter(|(at, _)| at % 3 != 0)
        .map(|(_, name)| name.as_str())
        .collect();
    expected.sort_unstable();
    let found = store.get(["n"]).unwrap();
    assert!(found.iter().map(Object::name).eq(expected.iter().copied()));
    assert!(
        store
            .iter()
            .map(|object| object.name().to_owned())
            .eq(expected.iter().map(|name| (*name).to_owned()))
    );
}

#[test]
fn going_through_all_objects_survives_changes_on_the_way() {
    let (store, indexes) = store(IndexSet::default());
    for n in 0..1000 {
        store.insert(record(&indexes, "n", &format!("x{n:04}"), 1));
    }
    let mut seen = Vec::new();
    for (at, object) in store.iter().enumerate() {
        seen.push(object.name().to_owned());
        // The last object seen goes, one that was passed comes, one ahead goes.
        if at % 100 == 0 {
            store.remove(&object.reference());
            store.insert(record(&indexes, "n", "a-new-one", 1));
            store.remove(&ObjectRef::namespaced("n", format!("x{:04}", at + 50)));
        }
    }
    assert!(seen.is_sorted() && seen.windows(2).all(|pair| pair[0] != pair[1]));
    let stayed = (0..1000)
        .filter(|n| n % 100 != 0 && n % 100 != 50)
        .map(|n| format!("x{n:04}"));
    assert!(stayed.into_iter().all(|name| seen.contains(&name)));
}

#[test]
fn visiting_stops_when_told() {
    let (store, indexes) = store(IndexSet::default());
    for name in ["a", "b", "c"] {
        store.insert(record(&indexes, "n", name, 1));
    }
    let mut seen = 0;
    let found = store.visit(|object| {
        seen += 1;
        if object.name() == "b" {
            ControlFlow::Break(object.clone())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert_eq!(
        (found.map(|object| object.name().to_owned()), seen),
        (Some("b".to_owned()), 2)
    );
    assert!(store.visit(|_| ControlFlow::<()>::Continue(())).is_none());
}

#[tokio::test]
async fn an_unchanged_object_keeps_its_stored_value() {
    let (store, indexes) = store(IndexSet::default());
    store.insert(record(&indexes, "n", "x", 1));
    let value = json!({"metadata": {"namespace": "n", "name": "x", "resourceVersion": "1"}, "never": "compared"});
    let same = Record::new(Object::from_value(&value).unwrap(), &indexes);
    assert!(
        Store::replace(&store, &Scope::All, vec![same])
            .await
            .unwrap()
            .is_empty()
    );
    assert!(store.list()[0].root().get("never").is_none());
}
