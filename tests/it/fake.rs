//! The fake cluster through a client, in process.

use std::time::Duration;

use futures::{AsyncBufReadExt, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kubedex::Gvr;
use kubedex::fake::{FakeCluster, Fault, ResourceDefinition};
use serde_json::{Value, json};

fn config_map(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default"},
    })
}

fn config_maps() -> Gvr {
    Gvr::new("", "v1", "configmaps")
}

fn maps(cluster: &FakeCluster) -> Api<ConfigMap> {
    Api::default_namespaced(cluster.client())
}

/// The lines of a watch, as they come.
async fn watch(
    cluster: &FakeCluster,
    query: &str,
) -> impl futures::Stream<Item = std::io::Result<String>> + Unpin + use<> {
    let request = http::Request::get(format!(
        "/api/v1/namespaces/default/configmaps?watch=1&{query}"
    ))
    .body(Vec::new())
    .unwrap();
    let stream = cluster.client().request_stream(request).await.unwrap();
    Box::pin(stream.lines())
}

async fn event(
    stream: &mut (impl futures::Stream<Item = std::io::Result<String>> + Unpin),
) -> Value {
    serde_json::from_str(&stream.next().await.unwrap().unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_created_is_read_changed_and_deleted() {
    let cluster = FakeCluster::new();
    let api = maps(&cluster);
    let map: ConfigMap = serde_json::from_value(config_map("a")).unwrap();
    let made = api.create(&PostParams::default(), &map).await.unwrap();
    assert!(made.metadata.uid.is_some() && made.metadata.creation_timestamp.is_some());
    let patch = Patch::Merge(json!({"data": {"k": "v"}}));
    let patched = api
        .patch("a", &PatchParams::default(), &patch)
        .await
        .unwrap();
    assert_eq!(patched.data.unwrap()["k"], "v");
    let stale = api
        .replace("a", &PostParams::default(), &made)
        .await
        .unwrap_err();
    assert!(
        stale.to_string().contains("the object has been modified"),
        "{stale}"
    );
    api.delete("a", &Default::default()).await.unwrap();
    assert!(api.get_opt("a").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_nobody_registered_appears_with_its_first_object() {
    let cluster = FakeCluster::new();
    let kind = GroupVersionKind::gvk("example.com", "v1", "Gateway");
    let api: Api<DynamicObject> = Api::default_namespaced_with(
        cluster.client(),
        &ApiResource::from_gvk_with_plural(&kind, "gateways"),
    );
    assert!(api.list(&ListParams::default()).await.is_err());
    cluster
        .apply(json!({"apiVersion": "example.com/v1", "kind": "Gateway", "metadata": {"name": "a", "namespace": "default"}}))
        .unwrap();
    assert_eq!(
        api.list(&ListParams::default()).await.unwrap().items.len(),
        1
    );
    cluster.register(
        &ResourceDefinition::new(Gvr::new("example.com", "v1", "nodes"), "Node").cluster_scoped(),
    );
    let (found, _) = kube::discovery::pinned_kind(
        &cluster.client(),
        &GroupVersionKind::gvk("example.com", "v1", "Node"),
    )
    .await
    .unwrap();
    assert_eq!(found.plural, "nodes");
}

#[tokio::test(start_paused = true)]
async fn a_list_and_a_watch_from_its_revision_lose_nothing() {
    let cluster = FakeCluster::new();
    for index in 0..5 {
        cluster.create(config_map(&format!("m{index}"))).unwrap();
    }
    let list = maps(&cluster)
        .list(&ListParams::default().limit(2))
        .await
        .unwrap();
    let revision = list.metadata.resource_version.clone().unwrap();
    cluster
        .delete(&config_maps(), Some("default"), "m3")
        .unwrap();
    let token = list.metadata.continue_.unwrap();
    let rest = maps(&cluster)
        .list(&ListParams::default().continue_token(&token))
        .await
        .unwrap();
    assert_eq!(rest.items.len(), 3);
    let mut stream = watch(&cluster, &format!("resourceVersion={revision}")).await;
    assert_eq!(event(&mut stream).await["type"], "DELETED");
    cluster.apply(config_map("m9")).unwrap();
    assert_eq!(event(&mut stream).await["object"]["metadata"]["name"], "m9");
    cluster.restart();
    assert!(stream.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_idle_watch_sends_bookmarks_and_ends_at_its_timeout() {
    let cluster = FakeCluster::new();
    let revision = cluster.resource_version();
    let start = tokio::time::Instant::now();
    let query = format!("resourceVersion={revision}&allowWatchBookmarks=true&timeoutSeconds=100");
    let mut stream = watch(&cluster, &query).await;
    cluster.ensure_namespace("elsewhere");
    let bookmark = event(&mut stream).await;
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(
        bookmark["object"]["metadata"]["resourceVersion"],
        cluster.resource_version().to_string()
    );
    assert_eq!(start.elapsed(), Duration::from_secs(60));
    assert!(stream.next().await.is_none());
    assert_eq!(start.elapsed(), Duration::from_secs(100));
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_a_forgotten_revision_gets_one_error_event() {
    let cluster = FakeCluster::new();
    let revision = cluster.resource_version();
    cluster.create(config_map("a")).unwrap();
    let mut open = watch(&cluster, &format!("resourceVersion={revision}")).await;
    cluster.compact();
    let lines: Vec<String> = watch(&cluster, &format!("resourceVersion={revision}"))
        .await
        .try_collect()
        .await
        .unwrap();
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].contains(&format!("too old resource version: {revision} (")),
        "{lines:?}"
    );
    assert_eq!(
        event(&mut open).await["type"],
        "ADDED",
        "an open watch goes on"
    );
}

#[tokio::test(start_paused = true)]
async fn faults_hit_whom_and_as_often_as_they_say() {
    let cluster = FakeCluster::new();
    let refused = cluster.inject(Fault::connection_refused().verb("list").times(2));
    cluster.inject(
        Fault::status(429)
            .retry_after(Duration::from_secs(7))
            .verb("get")
            .resource(&config_maps()),
    );
    cluster.inject(Fault::latency(Duration::from_secs(3)).verb("create"));
    let api = maps(&cluster);
    for _ in 0..2 {
        assert!(api.list(&ListParams::default()).await.is_err());
    }
    assert!(api.list(&ListParams::default()).await.is_ok());
    assert_eq!(cluster.fault_hits(refused), 2);
    assert!(
        api.get_opt("a")
            .await
            .unwrap_err()
            .to_string()
            .contains("too many requests")
    );
    let start = tokio::time::Instant::now();
    let map: ConfigMap = serde_json::from_value(config_map("a")).unwrap();
    api.create(&PostParams::default(), &map).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    let verbs: Vec<_> = cluster
        .requests()
        .into_iter()
        .map(|request| request.verb)
        .collect();
    assert_eq!(verbs, ["list", "list", "list", "get", "create"]);
}

#[tokio::test(start_paused = true)]
async fn stream_faults_strike_after_so_many_events() {
    let cluster = FakeCluster::new();
    for name in ["a", "b", "c"] {
        cluster.create(config_map(name)).unwrap();
    }
    let names = |lines: &[String]| -> Vec<String> {
        lines
            .iter()
            .map(|line| match serde_json::from_str::<Value>(line) {
                Ok(event) => event["object"]["metadata"]["name"]
                    .as_str()
                    .unwrap_or("?")
                    .to_owned(),
                Err(_) => "!".to_owned(),
            })
            .collect()
    };
    for (fault, expected) in [
        (Fault::end_after(2), vec!["a", "b"]),
        (Fault::end_after(0), vec![]),
        (Fault::truncated_line(1), vec!["a", "!"]),
        (Fault::truncated_line_with_newline(1), vec!["a", "!"]),
        (Fault::dropped_event(1), vec!["a", "c"]),
        (Fault::duplicated_event(1), vec!["a", "b", "b", "c"]),
        (Fault::reordered_event(0), vec!["b", "a", "c"]),
        (Fault::error_event(2, 410), vec!["a", "b", "?"]),
    ] {
        cluster.clear_faults();
        cluster.inject(fault.verb("watch"));
        let lines: Vec<String> = watch(&cluster, "timeoutSeconds=1")
            .await
            .try_collect()
            .await
            .unwrap();
        assert_eq!(names(&lines), expected);
    }
    cluster.inject(Fault::reset_after(1).verb("watch"));
    let mut stream = watch(&cluster, "timeoutSeconds=1").await;
    assert!(stream.next().await.unwrap().is_ok());
    assert!(stream.next().await.unwrap().is_err());
    cluster.inject(Fault::silence_after(1).verb("watch"));
    let mut stream = watch(&cluster, "timeoutSeconds=1").await;
    assert!(stream.next().await.unwrap().is_ok());
    assert!(
        tokio::time::timeout(Duration::from_secs(3600), stream.next())
            .await
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_makes_the_same_cluster() {
    let run = || {
        let cluster = FakeCluster::builder().seed(7).build();
        cluster.create(config_map("a")).unwrap().to_json()
    };
    assert_eq!(run(), run());
}
