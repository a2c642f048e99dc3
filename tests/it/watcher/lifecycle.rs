//! Configuration, scopes, sync and shutdown (W5, W7, W9, S11).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use kubedex::watcher::{ChangeKind, Connection, InitialList, SyncError, wait_for_all};
use kubedex::{Debounce, Gvr, Watcher, WatcherConfig};

use crate::scripted::{config_map, scripted};

const SOON: Duration = Duration::from_secs(5);

fn config_of(resource: &str) -> WatcherConfig {
    WatcherConfig::new(Gvr::new("", "v1", resource))
        .initial_list(InitialList::Paged)
        .debounce(Debounce::none())
        .seed(7)
}

fn config() -> WatcherConfig {
    config_of("configmaps")
}

#[tokio::test(start_paused = true)]
async fn w9_an_invalid_configuration_fails_at_once_and_names_the_field() {
    let (_server, client) = scripted();
    let cases = [
        (config_of(""), "gvr"),
        (config_of("Pods"), "gvr"),
        (config().namespace(""), "namespace"),
        (config().namespace("No_Such"), "namespace"),
        (config().namespaces([""; 0]), "namespace"),
        (config().label_selector("a in"), "label_selector"),
        (config().label_selector(" "), "label_selector"),
        (config().field_selector("metadata.name"), "field_selector"),
        (config().field_selector(""), "field_selector"),
        (
            config().client_side_field_selector("spec..x=1"),
            "client_side_field_selector",
        ),
        (
            config().client_side_field_selector(""),
            "client_side_field_selector",
        ),
        (config().index_by(["invalid..path"]), "index_by"),
        (config().index_by([""; 0]), "index_by"),
        (config().index("hosts", ["spec.rules[*"]), "index"),
        (config().index("a", ["x"]).index("a", ["y"]), "index"),
        (config().ignore_field("metadata"), "ignore_fields"),
        (config().ignore_field("a["), "ignore_fields"),
        (
            config().debounce(Debounce::trailing(Duration::ZERO)),
            "debounce",
        ),
        (
            config()
                .metadata_only()
                .client_side_field_selector("status.phase=Running"),
            "metadata_only",
        ),
        (
            config().metadata_only().index_by(["spec.nodeName"]),
            "metadata_only",
        ),
        (config().page_size(0), "page_size"),
        (
            config().watch_timeout(Duration::from_millis(10)),
            "watch_timeout",
        ),
        (
            config()
                .on_change_fn(|_, _| {})
                .store(kubedex::store::MemoryStore::new),
            "store",
        ),
    ];
    for (config, field) in cases {
        let error = Watcher::start(&client, config).unwrap_err();
        assert_eq!(error.field(), field, "{error}");
        assert!(error.to_string().contains("watcher of"), "{error}");
    }
}

#[test]
fn w9_a_watcher_outside_of_a_runtime_is_an_error() {
    let (error, _server) = {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let (server, client) = runtime.block_on(async { scripted() });
        (Watcher::start(&client, config()).unwrap_err(), server)
    };
    assert_eq!(error.field(), "runtime");
}

#[tokio::test(start_paused = true)]
async fn w9_a_namespace_for_a_cluster_scoped_resource_fails_the_wait() {
    let (_server, client) = scripted();
    let watcher = Watcher::start(&client, config_of("namespaces").namespace("n")).unwrap();
    let error = watcher.wait_for_sync(SOON).await.unwrap_err();
    assert!(matches!(error, SyncError::Refused(_)));
    assert!(error.to_string().contains("cluster-scoped"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn w9_a_resource_that_is_not_served_fails_the_wait_or_is_waited_for() {
    let (_server, client) = scripted();
    let watcher = Watcher::start(&client, config_of("widgets")).unwrap();
    let error = watcher.wait_for_sync(SOON).await.unwrap_err();
    assert!(
        matches!(&error, SyncError::Refused(error) if error.is_not_served()),
        "{error}"
    );
    let patient = Watcher::start(&client, config_of("widgets").wait_for_resource()).unwrap();
    let error = patient.wait_for_sync(SOON).await.unwrap_err();
    assert!(matches!(&error, SyncError::Deadline { .. }), "{error}");
    assert!(
        error.to_string().contains("waiting for the resource"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn w9_a_resource_that_cannot_be_watched_fails_the_wait() {
    let (_server, client) = scripted();
    let watcher = Watcher::start(&client, config_of("bindings")).unwrap();
    let error = watcher.wait_for_sync(SOON).await.unwrap_err();
    assert!(matches!(error, SyncError::Refused(_)));
    assert!(error.to_string().contains("offers no list"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn w5_many_may_wait_before_and_after_the_sync() {
    let (mut server, client) = scripted();
    let watcher = Arc::new(Watcher::start(&client, config()).unwrap());
    let waiters: Vec<_> = (0..5)
        .map(|_| {
            let watcher = Arc::clone(&watcher);
            tokio::spawn(async move { watcher.wait_for_sync(SOON).await })
        })
        .collect();
    let call = server.list().await;
    assert!(!watcher.is_synced());
    let error = watcher
        .wait_for_sync(Duration::from_millis(10))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("has not sent all objects yet"),
        "{error}"
    );
    call.items("10", &[]);
    for waiter in waiters {
        waiter.await.unwrap().unwrap();
    }
    watcher.wait_for_sync(Duration::ZERO).await.unwrap();
    wait_for_all([watcher.sync_handle(), watcher.sync_handle()], SOON)
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn w5_the_wait_says_why_the_sync_is_not_done() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, config()).unwrap();
    server.list().await.refuse(503, "ServiceUnavailable");
    let error = watcher
        .wait_for_sync(Duration::from_millis(1))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("not synced after") && error.contains("503"),
        "{error}"
    );
    let errors = wait_for_all([watcher.sync_handle()], Duration::from_millis(1))
        .await
        .unwrap_err();
    assert_eq!(errors.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn w7_shutdown_is_idempotent_in_every_state() {
    // Before anything ran.
    let (_server, client) = scripted();
    let watcher = Watcher::start(&client, config()).unwrap();
    watcher.shutdown().await;
    watcher.shutdown().await;
    assert_eq!(watcher.status().connection, Connection::Stopped);
    assert!(matches!(
        watcher.wait_for_sync(SOON).await,
        Err(SyncError::Stopped { .. })
    ));
    // During the sync, and during a wait for another attempt.
    for refuse in [false, true] {
        let (mut server, client) = scripted();
        let watcher = Arc::new(Watcher::start(&client, config()).unwrap());
        let call = server.list().await;
        if refuse {
            call.refuse(503, "x");
        }
        let waiting = {
            let watcher = Arc::clone(&watcher);
            tokio::spawn(async move { watcher.wait_for_sync(SOON).await })
        };
        tokio::task::yield_now().await;
        futures::future::join(watcher.shutdown(), watcher.shutdown()).await;
        assert!(matches!(
            waiting.await.unwrap(),
            Err(SyncError::Stopped { .. })
        ));
    }
}

#[tokio::test(start_paused = true)]
async fn w7_shutdown_tells_what_has_gathered_and_waits_for_a_running_callback() {
    let (mut server, client) = scripted();
    let told = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&told);
    let config = config()
        .debounce(Debounce::trailing(Duration::from_secs(4)))
        .on_change(move |_, changes| {
            let counted = Arc::clone(&counted);
            async move {
                tokio::time::sleep(Duration::from_secs(3)).await;
                counted.fetch_add(changes.len(), Ordering::SeqCst);
            }
        });
    let watcher = Watcher::start(&client, config).unwrap();
    server.list().await.items("10", &[]);
    let stream = server.watch("10").await.stream();
    watcher.wait_for_sync(SOON).await.unwrap();
    let mut changes = watcher.changes();
    stream.event("ADDED", &config_map("a", "11", "x"));
    let mut status = watcher.status_changes();
    while watcher.store().is_empty() {
        tokio::select! { _ = status.changed() => {}, () = tokio::time::sleep(Duration::from_millis(1)) => {} }
    }
    watcher.shutdown().await;
    assert_eq!(told.load(Ordering::SeqCst), 1);
    assert_eq!(changes.next().await.unwrap().len(), 1);
    assert_eq!(watcher.store().len(), 1, "the store stays readable");
}

#[tokio::test(start_paused = true)]
async fn dropping_a_watcher_ends_its_requests() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, config()).unwrap();
    server.list().await.items("10", &[]);
    let stream = server.watch("10").await.stream();
    drop(watcher);
    stream.dropped().await;
}

#[tokio::test(start_paused = true)]
async fn several_namespaces_are_listed_each_and_synced_together() {
    let (mut server, client) = scripted();
    let config = config()
        .namespaces(["b", "a", "b"])
        .label_selector("app=x")
        .on_sync_complete_fn(|_, count| assert_eq!(count, 2));
    let watcher = Watcher::start(&client, config).unwrap();
    let of = |namespace: &str, version: &str| {
        let mut object = config_map("same", version, "x");
        object["metadata"]["namespace"] = namespace.into();
        object
    };
    let first = server.list().await;
    assert!(
        first
            .uri
            .starts_with("/api/v1/namespaces/a/configmaps?labelSelector=app%3Dx&"),
        "{}",
        first.uri
    );
    let second = server.list().await;
    assert!(
        second.uri.starts_with("/api/v1/namespaces/b/configmaps?"),
        "{}",
        second.uri
    );
    first.items("10", &[of("a", "1")]);
    let stream = server.watch("10").await.stream();
    assert!(!watcher.is_synced());
    second.items("12", &[of("b", "2")]);
    let _other = server.watch("12").await.stream();
    watcher.wait_for_sync(SOON).await.unwrap();
    // A relist of one namespace leaves the other alone.
    stream.event("ERROR", &crate::scripted::status(410, "Expired"));
    server.list().await.items("20", &[]);
    server.watch("20").await;
    let left = watcher.store().list();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].namespace(), Some("b"));
    watcher.shutdown().await;
    assert_eq!(watcher.status().callback_panics, 0);
}

#[tokio::test(start_paused = true)]
async fn s11_objects_enter_and_leave_as_the_client_side_selector_matches() {
    let (mut server, client) = scripted();
    let config = config()
        .client_side_field_selector("data.k=yes")
        .ignore_field("data");
    let watcher = Watcher::start(&client, config).unwrap();
    server.list().await.items(
        "10",
        &[config_map("in", "1", "yes"), config_map("out", "2", "no")],
    );
    let stream = server.watch("10").await.stream();
    watcher.wait_for_sync(SOON).await.unwrap();
    assert_eq!(watcher.store().len(), 1);
    assert!(
        watcher.store().list()[0]
            .get("data.k")
            .unwrap()
            .first()
            .is_none(),
        "the field looked at is not stored"
    );
    let mut changes = watcher.changes();
    stream.event("MODIFIED", &config_map("out", "11", "yes"));
    let told = changes.next().await.unwrap();
    assert_eq!(told.iter().next().unwrap().kind(), ChangeKind::Created);
    stream.event("MODIFIED", &config_map("out", "12", "no"));
    let told = changes.next().await.unwrap();
    assert_eq!(told.iter().next().unwrap().kind(), ChangeKind::Deleted);
    assert_eq!(watcher.store().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn metadata_only_asks_for_and_keeps_metadata() {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, config().metadata_only()).unwrap();
    let call = server.list().await;
    assert!(
        call.headers["accept"]
            .to_str()
            .unwrap()
            .contains("as=PartialObjectMetadataList")
    );
    let partial = |name: &str, version: &str| {
        let mut object = config_map(name, version, "x");
        object["kind"] = "PartialObjectMetadata".into();
        object["apiVersion"] = "meta.k8s.io/v1".into();
        object.as_object_mut().unwrap().remove("data");
        object
    };
    let mut page = crate::scripted::list("10", None, &[partial("a", "1")]);
    page["kind"] = "PartialObjectMetadataList".into();
    page["apiVersion"] = "meta.k8s.io/v1".into();
    call.json(200, &page);
    let stream = server.watch("10").await.stream();
    watcher.wait_for_sync(SOON).await.unwrap();
    let mut changes = watcher.changes();
    stream.event("MODIFIED", &partial("a", "11"));
    assert_eq!(
        changes.next().await.unwrap().modified(),
        1,
        "any new version counts"
    );
}
