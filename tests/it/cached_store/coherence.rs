//! What is read, against what the watch has told and what the server answers when (S10).

use std::error::Error as _;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use futures::{FutureExt as _, poll};
use kubedex::indexer::{IndexSet, Indexer, Record};
use kubedex::store::cached::{CacheConfig, DEFAULT_TTL, FETCHES_AT_ONCE, FetchError};
use kubedex::store::{CachedStore, Scope, Store as _, StoreError, StoreSchema};
use kubedex::{Gvr, Object};
use serde_json::{Value, json};

use super::{named, put, schema};
use crate::scripted::{Call, Scripted, config_map, scripted};

/// A store that knows of `a`, at version 10.
async fn store_with(config: CacheConfig) -> (Scripted, CachedStore) {
    let (server, client) = scripted();
    let store = CachedStore::with(&schema(), &client, config);
    put(&store, &config_map("a", "10", "x")).await;
    (server, store)
}

async fn store() -> (Scripted, CachedStore) {
    store_with(CacheConfig::default()).await
}

/// Reads `a`, and answers the one request that this makes.
async fn read(server: &mut Scripted, store: &CachedStore, answer: &Value) -> Option<Object> {
    let reference = named("a");
    let (read, ()) = tokio::join!(store.get_ref(&reference), async {
        server.next().await.json(200, answer);
    });
    read.unwrap()
}

/// Reads `a`, which must be at hand.
fn at_hand(store: &CachedStore) -> Option<Object> {
    let read = store.get_ref(&named("a")).now_or_never();
    read.expect("the body is at hand").unwrap()
}

fn version(object: Option<&Object>) -> Option<&str> {
    object.and_then(Object::resource_version)
}

/// The request that a read makes, which goes on.
async fn request_of<F: Future>(read: Pin<&mut F>, server: &mut Scripted) -> Call {
    tokio::select! {
        biased;
        _ = read => panic!("nothing is at hand"),
        call = server.next() => call,
    }
}

#[tokio::test(start_paused = true)]
async fn s10_any_number_of_readers_share_one_fetch() {
    let (mut server, store) = store().await;
    let reference = named("a");
    let readers = join_all((0..100).map(|_| store.get_ref(&reference)));
    let (read, ()) = tokio::join!(readers, async {
        let call = server.next().await;
        assert_eq!(call.uri, "/api/v1/namespaces/n/configmaps/a");
        tokio::time::sleep(Duration::from_secs(1)).await;
        call.json(200, &config_map("a", "10", "x"));
    });
    assert!(
        read.into_iter()
            .all(|object| object.unwrap().unwrap().name() == "a")
    );
    assert!(server.is_idle());
    let metrics = store.metrics();
    assert_eq!((metrics.misses, metrics.fetches, metrics.hits), (100, 1, 0));
    assert_eq!(metrics.fetch_time, Duration::from_secs(1));
    assert_eq!(at_hand(&store).unwrap().resource_version(), Some("10"));
    assert_eq!(store.metrics().hits, 1);
    assert_eq!(store.metrics().bodies, 1);
}

#[tokio::test(start_paused = true)]
async fn s10_a_reader_that_gives_up_leaves_the_fetch_to_the_others() {
    let (mut server, store) = store().await;
    let reference = named("a");
    let mut second = pin!(store.get_ref(&reference));
    let call = {
        let mut first = pin!(store.get_ref(&reference));
        assert!(poll!(first.as_mut()).is_pending());
        assert!(poll!(second.as_mut()).is_pending());
        request_of(first, &mut server).await
    };
    call.json(200, &config_map("a", "10", "x"));
    assert_eq!(version(second.await.unwrap().as_ref()), Some("10"));
    assert_eq!(store.metrics().fetches, 1, "it is the same one");
}

#[tokio::test(start_paused = true)]
async fn s10_impatient_readers_do_not_begin_a_fetch_anew() {
    let (mut server, store) = store().await;
    let reference = named("a");
    let read_within = async |begin: u64, limit: u64| {
        tokio::time::sleep(Duration::from_millis(begin)).await;
        tokio::time::timeout(Duration::from_millis(limit), store.get_ref(&reference)).await
    };
    let impatient = join_all((0..300).map(|number| read_within(10 * number, 100)));
    let (impatient, patient, ()) = tokio::join!(impatient, read_within(50, 10_000), async {
        let call = server.next().await;
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        call.json(200, &config_map("a", "10", "x"));
    });
    assert_eq!(version(patient.unwrap().unwrap().as_ref()), Some("10"));
    let given_up = impatient.iter().take_while(|read| read.is_err()).count();
    assert!((200..260).contains(&given_up), "{given_up}");
    assert!(impatient[given_up..].iter().all(Result::is_ok));
    assert_eq!(store.metrics().fetches, 1);
}

#[tokio::test(start_paused = true)]
async fn s10_a_fetch_that_everybody_gave_up_is_made_anew_when_somebody_asks() {
    let (mut server, store) = store().await;
    let reference = named("a");
    for _ in 0..300 {
        let limit = Duration::from_millis(100);
        let given_up = tokio::time::timeout(limit, store.get_ref(&reference)).await;
        assert!(given_up.is_err());
        drop(server.next().await);
    }
    let body = read(&mut server, &store, &config_map("a", "10", "x")).await;
    assert_eq!(version(body.as_ref()), Some("10"));
}

#[tokio::test(start_paused = true)]
async fn s10_a_hit_never_extends_life_past_the_ttl() {
    let (mut server, store) = store().await;
    // It is asked for now and arrives a minute later.
    let reference = named("a");
    let (first, ()) = tokio::join!(store.get_ref(&reference), async {
        let call = server.next().await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        call.json(200, &config_map("a", "10", "x"));
    });
    assert!(first.unwrap().is_some());
    let mut waited = Duration::from_secs(60);
    while waited + Duration::from_secs(10) < DEFAULT_TTL {
        tokio::time::advance(Duration::from_secs(10)).await;
        waited += Duration::from_secs(10);
        assert!(at_hand(&store).is_some());
    }
    tokio::time::advance(DEFAULT_TTL - waited).await;
    let again = read(&mut server, &store, &config_map("a", "10", "x")).await;
    assert!(again.is_some());
    assert_eq!(store.metrics().expirations, 1);
    assert_eq!(store.metrics().fetches, 2);
}

#[tokio::test(start_paused = true)]
async fn s10_an_event_that_makes_a_body_stale_drops_it() {
    let (mut server, store) = store().await;
    read(&mut server, &store, &config_map("a", "10", "x")).await;
    put(&store, &config_map("a", "11", "y")).await;
    assert_eq!(store.metrics().invalidations, 1);
    let body = read(&mut server, &store, &config_map("a", "11", "y")).await;
    assert_eq!(version(body.as_ref()), Some("11"));
    // The same version told again leaves it.
    put(&store, &config_map("a", "11", "y")).await;
    assert_eq!(version(at_hand(&store).as_ref()), Some("11"));
    store.delete(&named("a")).await.unwrap();
    assert!(at_hand(&store).is_none());
    assert_eq!(store.metrics().invalidations, 2);
}

#[tokio::test(start_paused = true)]
async fn s10_a_body_newer_than_the_events_that_follow_stays() {
    let (mut server, store) = store().await;
    let body = read(&mut server, &store, &config_map("a", "12", "z")).await;
    assert_eq!(version(body.as_ref()), Some("12"));
    for told in ["11", "12"] {
        put(&store, &config_map("a", told, told)).await;
        assert_eq!(version(at_hand(&store).as_ref()), Some("12"), "{told}");
    }
    tokio::time::advance(DEFAULT_TTL).await;
    read(&mut server, &store, &config_map("a", "12", "z")).await;
    assert_eq!(
        store.metrics().fetches,
        2,
        "and its time counts from the fetch, not from the event"
    );
    assert_eq!(store.metrics().invalidations, 0);
}

#[tokio::test(start_paused = true)]
async fn s10_an_answer_that_was_under_way_does_not_revive_a_deleted_object() {
    let (mut server, store) = store().await;
    let reference = named("a");
    let mut reading = pin!(store.get_ref(&reference));
    let call = request_of(reading.as_mut(), &mut server).await;
    store.delete(&reference).await.unwrap();
    call.json(200, &config_map("a", "10", "x"));
    assert!(reading.await.unwrap().is_none());
    assert!(at_hand(&store).is_none());
    assert!(store.list().await.unwrap().is_empty());
    assert_eq!(store.metrics().bodies, 0);
    // Nor does it stand in for its successor.
    let mut successor = config_map("a", "12", "new");
    successor["metadata"]["uid"] = "another".into();
    put(&store, &successor).await;
    let body = read(&mut server, &store, &successor).await;
    assert_eq!(body.unwrap().uid(), Some("another"));
}

#[tokio::test(start_paused = true)]
async fn s10_an_answer_that_was_under_way_does_not_overwrite_a_newer_event() {
    let (mut server, store) = store().await;
    let reference = named("a");
    let mut reading = pin!(store.get_ref(&reference));
    let call = request_of(reading.as_mut(), &mut server).await;
    put(&store, &config_map("a", "11", "y")).await;
    call.json(200, &config_map("a", "10", "x"));
    let (body, ()) = tokio::join!(reading, async {
        server.next().await.json(200, &config_map("a", "11", "y"));
    });
    assert_eq!(version(body.unwrap().as_ref()), Some("11"));
    assert_eq!(version(at_hand(&store).as_ref()), Some("11"));
    assert_eq!(store.metrics().bodies, 1, "of the old one nothing is left");
}

#[tokio::test(start_paused = true)]
async fn s10_an_object_that_never_rests_is_read_all_the_same() {
    let (mut server, store) = store().await;
    let reference = named("a");
    let mut reading = pin!(store.get_ref(&reference));
    let mut told = 10;
    let mut call = request_of(reading.as_mut(), &mut server).await;
    let body = loop {
        let answer = config_map("a", &told.to_string(), "x");
        told += 1;
        put(&store, &config_map("a", &told.to_string(), "x")).await;
        call.json(200, &answer);
        tokio::select! {
            biased;
            body = reading.as_mut() => break body,
            next = server.next() => call = next,
        }
        assert!(told < 20, "it is fetched over and over");
    };
    let body = body.unwrap();
    let version: u32 = version(body.as_ref()).unwrap().parse().unwrap();
    assert!(version >= 10, "as new as when the read began");
}

#[tokio::test(start_paused = true)]
async fn s10_not_found_is_gone_and_any_other_failure_is_told() {
    let (mut server, store) = store().await;
    put(&store, &config_map("b", "11", "x")).await;
    for (code, reason) in [
        (404, "NotFound"),
        (403, "Forbidden"),
        (500, "InternalError"),
        (429, "TooManyRequests"),
        (503, ""),
    ] {
        let (listed, ()) = tokio::join!(store.list(), async {
            for _ in 0..2 {
                let call = server.next().await;
                if call.uri.ends_with("/a") {
                    call.refuse(code, reason);
                } else {
                    call.json(200, &config_map("b", "11", "x"));
                }
            }
        });
        put(&store, &config_map("b", "11", "x")).await;
        match (code, listed) {
            (404, Ok(listed)) => {
                assert_eq!(listed.len(), 1);
                assert_eq!(listed[0].name(), "b");
                assert_eq!(store.len(), 2, "what there is, the watch tells");
            }
            (
                _,
                Err(StoreError::Failed {
                    operation, source, ..
                }),
            ) if code != 404 => {
                assert_eq!(operation, "fetch n/a");
                let error = source.downcast_ref::<FetchError>().unwrap();
                assert_eq!(error.client_error().unwrap().code(), Some(code));
                assert_eq!(error.is_forbidden(), code == 403);
            }
            (_, other) => panic!("{code}: {other:?}"),
        }
        // So that `b` is asked for again, too.
        store.clear().await.unwrap();
        put(&store, &config_map("a", "10", "x")).await;
        put(&store, &config_map("b", "11", "x")).await;
    }
    let metrics = store.metrics();
    assert_eq!((metrics.gone, metrics.failures), (1, 4));
    let body = read(&mut server, &store, &config_map("a", "10", "x")).await;
    assert!(body.is_some(), "a failure is not kept");
}

#[tokio::test(start_paused = true)]
async fn s10_an_answer_that_is_no_such_object_is_a_failure() {
    let (mut server, store) = store().await;
    let reference = named("a");
    let mut table = config_map("a", "10", "x");
    table["apiVersion"] = "meta.k8s.io/v1".into();
    let answers = [
        (404, "text/html", "<html>no such page</html>".to_owned()),
        (200, "text/html", "<html>log in</html>".to_owned()),
        (
            200,
            "application/json",
            "{\"kind\":\"ConfigMap\",\"apiV".to_owned(),
        ),
        (200, "application/json", table.to_string()),
        (
            200,
            "application/json",
            config_map("b", "10", "x").to_string(),
        ),
    ];
    for (code, content_type, text) in answers {
        let (read, ()) = tokio::join!(store.get_ref(&reference), async {
            server.next().await.text(code, content_type, text.clone());
        });
        let error = read.expect_err(&text);
        assert!(error.source().is_some(), "{error}");
    }
    let (read, ()) = tokio::join!(store.get_ref(&reference), async {
        drop(server.next().await);
    });
    let error = read.unwrap_err();
    let StoreError::Failed { source, .. } = error else {
        panic!("{error}")
    };
    assert!(
        source
            .downcast_ref::<FetchError>()
            .unwrap()
            .is_unreachable()
    );
}

#[tokio::test(start_paused = true)]
async fn s10_an_answer_older_than_what_was_told_is_asked_for_again() {
    let (mut server, store) = store().await;
    let reference = named("a");
    let (read, ()) = tokio::join!(store.get_ref(&reference), async {
        server.next().await.json(200, &config_map("a", "9", "old"));
        server.next().await.json(200, &config_map("a", "10", "x"));
    });
    assert_eq!(version(read.unwrap().as_ref()), Some("10"));
    put(&store, &config_map("a", "20", "y")).await;
    let (read, ()) = tokio::join!(store.get_ref(&reference), async {
        for _ in 0..3 {
            server.next().await.json(200, &config_map("a", "10", "x"));
        }
    });
    let error = read.unwrap_err();
    let source = error.source().unwrap().to_string();
    assert!(source.contains("10") && source.contains("20"), "{source}");
    assert!(server.is_idle());
}

#[tokio::test(start_paused = true)]
async fn s10_a_successor_that_was_not_told_yet_is_not_the_object_that_was() {
    let (mut server, store) = store().await;
    let mut successor = config_map("a", "12", "new");
    successor["metadata"]["uid"] = "another".into();
    assert!(read(&mut server, &store, &successor).await.is_none());
    put(&store, &successor).await;
    let body = read(&mut server, &store, &successor).await;
    assert_eq!(body.unwrap().uid(), Some("another"));
}

#[tokio::test(start_paused = true)]
async fn s10_a_list_fetches_only_so_many_at_once() {
    let (mut server, client) = scripted();
    let store = CachedStore::new(&schema(), &client);
    let names: Vec<String> = (0..50).map(|i| format!("o{i:02}")).collect();
    for name in &names {
        put(&store, &config_map(name, "10", "x")).await;
    }
    // Two at once hold to it together.
    let lists = async { tokio::join!(store.list(), store.get(["n"])) };
    let (lists, ()) = tokio::join!(lists, async {
        let mut answered = 0;
        while answered < names.len() {
            let mut calls = vec![server.next().await];
            tokio::time::sleep(Duration::from_secs(1)).await;
            while !server.is_idle() {
                calls.push(server.next().await);
            }
            assert!(calls.len() <= FETCHES_AT_ONCE, "{}", calls.len());
            assert!(
                calls.len() == FETCHES_AT_ONCE || answered > 30,
                "{}",
                calls.len()
            );
            answered += calls.len();
            // The last asked for is the first to come.
            for call in calls.into_iter().rev() {
                let name = call.uri.rsplit('/').next().unwrap().to_owned();
                call.json(200, &config_map(&name, "10", "x"));
            }
        }
    });
    for list in [lists.0.unwrap(), lists.1.unwrap()] {
        let listed: Vec<_> = list.iter().map(Object::name).collect();
        assert_eq!(listed, names, "in order, however they came");
    }
    assert_eq!(store.metrics().fetches, 50);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_longest_ago_makes_room() {
    let size = |value: &Value| Object::from_value(value).unwrap().heap_size() as u64;
    let one = config_map("a", "10", "some text of some length");
    for config in [
        CacheConfig::new().max_entries(2),
        // Two with what is beside them, and not three.
        CacheConfig::new().max_bytes(2 * (size(&one) + 300)),
    ] {
        let (mut server, store) = store_with(config).await;
        let mut objects = vec![one.clone()];
        for name in ["b", "c"] {
            let mut object = one.clone();
            object["metadata"]["name"] = name.into();
            put(&store, &object).await;
            objects.push(object);
        }
        for object in &objects {
            let name = object["metadata"]["name"].as_str().unwrap();
            let (read, ()) = tokio::join!(store.get(["n", name]), async {
                server.next().await.json(200, object);
            });
            assert_eq!(read.unwrap().len(), 1);
        }
        let metrics = store.metrics();
        assert_eq!((metrics.bodies, metrics.evictions), (2, 1), "{metrics:?}");
        read(&mut server, &store, &one).await;
        assert_eq!(store.metrics().fetches, 4, "the first one was dropped");
    }
    let (mut server, store) = store_with(CacheConfig::new().ttl(Duration::ZERO)).await;
    for _ in 0..2 {
        assert!(read(&mut server, &store, &one).await.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn fetched_bodies_lack_ignored_fields_and_those_that_are_not_selected_are_gone() {
    let (mut server, client) = scripted();
    let selector = "data.k=x".parse().unwrap();
    let indexer = Indexer::new(IndexSet::default(), ["data"], Some(selector));
    let schema = StoreSchema::new(Gvr::new("", "v1", "configmaps"), Arc::default())
        .indexer(Arc::new(indexer.unwrap()));
    let store = CachedStore::new(&schema, &client);
    let value = config_map("a", "10", "x");
    store
        .update(
            schema
                .indexer
                .index(Object::from_value(&value).unwrap())
                .record,
        )
        .await
        .unwrap();
    let body = read(&mut server, &store, &value).await.unwrap();
    assert!(body.root().get("data").is_none());
    assert_eq!(body.resource_version(), Some("10"));
    tokio::time::advance(DEFAULT_TTL).await;
    assert!(
        read(&mut server, &store, &config_map("a", "11", "y"))
            .await
            .is_none(),
        "the selector no longer matches; the watch will tell"
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_relist_gathers_has_no_bodies() {
    let (_server, store) = store().await;
    let record =
        |value: &Value| Record::new(Object::from_value(value).unwrap(), &store.schema().indexes);
    let large = config_map("a", "11", &"x".repeat(100_000));
    let digest = store.digest(record(&large));
    assert!(digest.object().heap_size() < 200);
    assert_eq!(digest.keys(), record(&large).keys());
    let told = store.replace(&Scope::All, vec![digest]).await.unwrap();
    let current = told[0].current.as_ref().unwrap();
    assert_eq!(
        current.content_hash(),
        record(&large).object().content_hash()
    );
    assert_eq!(current.resource_version(), Some("11"));
    let kept = store.kept(&named("a")).unwrap();
    let told = store.replace(&Scope::All, vec![kept]).await.unwrap();
    assert!(told.is_empty(), "under what is kept it stays as it is");
}

#[tokio::test(start_paused = true)]
async fn lookups_without_bodies_fetch_nothing() {
    let (server, store) = store().await;
    put(&store, &config_map("b", "11", "y")).await;
    assert_eq!(store.references(), [named("a"), named("b")]);
    assert_eq!(store.references_by("k", ["y"]).unwrap(), [named("b")]);
    assert_eq!(store.references_by("", ["n"]).unwrap().len(), 2);
    assert!(store.references_by("nope", ["y"]).is_err());
    assert!(store.contains(&named("a")) && !store.contains(&named("c")));
    assert!(server.is_idle());
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_printed_shows_content() {
    let (mut server, client) = scripted();
    let store = CachedStore::new(&schema(), &client);
    let secret = json!({"kind": "ConfigMap", "apiVersion": "v1", "data": {"k": "hunter2"},
        "metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "10"}});
    put(&store, &secret).await;
    let body = read(&mut server, &store, &secret).await;
    let known = store.known(&named("a"));
    let mut broken = secret.to_string();
    broken.truncate(broken.len() - 2);
    tokio::time::advance(DEFAULT_TTL).await;
    let (failed, ()) = tokio::join!(store.get(["n"]), async {
        server.next().await.text(200, "application/json", broken);
    });
    let mut texts = vec![format!("{store:?} {body:?} {known:?} {failed:?}")];
    let error = failed.unwrap_err();
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    assert!(
        texts.iter().all(|text| !text.contains("hunter2")),
        "{texts:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn writes_wait_for_nothing_so_that_none_is_cut_short_before_it_is_told() {
    let (mut server, store) = store().await;
    let record = |version| {
        Record::new(
            Object::from_value(&config_map("a", version, "x")).unwrap(),
            &store.schema().indexes,
        )
    };
    for (kept, version) in [("10", "11"), ("11", "12")] {
        read(&mut server, &store, &config_map("a", kept, "x")).await;
        let updated = store.update(record(version)).now_or_never();
        assert!(updated.expect("it is done at once").unwrap().is_some());
    }
    read(&mut server, &store, &config_map("a", "12", "x")).await;
    let replaced = store.replace(&Scope::All, vec![record("13")]);
    assert_eq!(replaced.now_or_never().unwrap().unwrap().len(), 1);
    read(&mut server, &store, &config_map("a", "13", "x")).await;
    let reference = named("a");
    let deleted = store.delete(&reference).now_or_never();
    assert!(deleted.unwrap().unwrap().is_some());
    store.clear().now_or_never().unwrap().unwrap();
}
