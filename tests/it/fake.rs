//! The fake cluster through a client, in process.

mod asking;
mod rules;
mod services;
mod watches;
mod writes;

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

#[tokio::test(start_paused = true)]
async fn manifests_load_in_the_order_that_lets_them_in() {
    let cluster = FakeCluster::builder().strict().build();
    let loaded = cluster
        .load(
            "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w, namespace: made}\nspec: {size: 1, unknown: 2}\n---\n---\n\
             apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: made}}\n\
             - apiVersion: v1\n  kind: Pod\n  metadata: {name: p, namespace: made}\n  spec: {containers: [{name: c, image: i}]}\n  status: {phase: Running}\n---\n\
             apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: widgets.example.com}\n\
             spec:\n  group: example.com\n  scope: Namespaced\n  names: {plural: widgets, kind: Widget}\n  versions:\n  - name: v1\n    served: true\n    storage: true\n    \
             schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}\n",
        )
        .unwrap();
    assert_eq!(loaded.len(), 4);
    let widget = cluster
        .get(&Gvr::new("example.com", "v1", "widgets"), Some("made"), "w")
        .unwrap();
    assert_eq!(widget.to_value()["spec"], json!({"size": 1}));
    let pod = cluster
        .get(&Gvr::new("", "v1", "pods"), Some("made"), "p")
        .unwrap();
    assert_eq!(pod.to_value()["status"]["phase"], "Running");
    let error = cluster
        .load("apiVersion: nope.io/v1\nkind: Nope\nmetadata: {name: x}")
        .unwrap_err();
    assert!(error.to_string().contains("document 1"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn controllers_steps_are_taken_on_request() {
    let cluster = FakeCluster::new();
    cluster
        .load(
            "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}}\n---\n\
             {apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop, labels: {app: web}}, spec: {nodeName: n, containers: [{name: c, image: i, ports: [{name: http, containerPort: 8080}]}]}, status: {podIP: 10.1.0.1, conditions: [{type: Ready, status: 'True'}]}}\n---\n\
             {apiVersion: v1, kind: Pod, metadata: {name: other, namespace: shop}, spec: {containers: [{name: c, image: i}]}, status: {podIP: 10.1.0.2}}\n",
        )
        .unwrap();
    assert_eq!(cluster.sync_endpoints().unwrap(), 1);
    assert_eq!(cluster.sync_endpoints().unwrap(), 0, "nothing changed");
    let slices = Gvr::new("discovery.k8s.io", "v1", "endpointslices");
    let slice = cluster
        .get(&slices, Some("shop"), "web-fake")
        .unwrap()
        .to_value();
    assert_eq!(slice["endpoints"][0]["addresses"], json!(["10.1.0.1"]));
    assert_eq!(slice["endpoints"].as_array().unwrap().len(), 1);
    assert_eq!(slice["ports"][0]["port"], 8080);

    cluster
        .delete(&Gvr::new("", "v1", "services"), Some("shop"), "web")
        .unwrap();
    assert_eq!(
        cluster.collect_garbage(),
        1,
        "the slice goes with its Service"
    );
    assert!(cluster.get(&slices, Some("shop"), "web-fake").is_none());

    assert!(
        !cluster.delete_namespace("shop").unwrap(),
        "a pod on a node is still there"
    );
    cluster
        .update(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}))
        .unwrap();
    let client = cluster.client();
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(client, "shop");
    pods.delete("a", &kube::api::DeleteParams::default().grace_period(0))
        .await
        .unwrap();
    assert!(cluster.delete_namespace("shop").unwrap());
    assert!(
        cluster
            .get(&Gvr::new("", "v1", "namespaces"), None, "shop")
            .is_none()
    );
}

#[tokio::test(start_paused = true)]
async fn rights_follow_the_rbac_objects() {
    let cluster = FakeCluster::new();
    let viewer: Api<ConfigMap> = Api::default_namespaced(cluster.client_as("viewer"));
    let denied = viewer.list(&ListParams::default()).await.unwrap_err();
    assert!(
        denied
            .to_string()
            .contains("User \"viewer\" cannot list resource"),
        "{denied}"
    );
    cluster
        .load(
            "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: r}, rules: [{apiGroups: [''], resources: [configmaps], verbs: [list, watch]}]}\n---\n\
             {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: b}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: r}, subjects: [{kind: Group, name: 'system:authenticated'}]}\n",
        )
        .unwrap();
    viewer.list(&ListParams::default()).await.unwrap();
    assert!(
        viewer
            .get("x")
            .await
            .unwrap_err()
            .to_string()
            .contains("cannot get resource")
    );
    cluster
        .delete(
            &Gvr::new("rbac.authorization.k8s.io", "v1", "clusterrolebindings"),
            None,
            "b",
        )
        .unwrap();
    assert!(viewer.list(&ListParams::default()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn namespaces_that_a_cluster_needs_cannot_be_deleted() {
    let cluster = FakeCluster::new();
    let namespaces = Gvr::new("", "v1", "namespaces");
    for name in ["default", "kube-public", "kube-system"] {
        let error = cluster.delete(&namespaces, None, name).unwrap_err();
        assert_eq!((error.code(), error.reason()), (403, "Forbidden"));
        let expected =
            format!("namespaces \"{name}\" is forbidden: this namespace may not be deleted");
        assert_eq!(error.message(), expected);
    }
    cluster.ensure_namespace("other");
    cluster.delete(&namespaces, None, "other").unwrap();
}
