//! Rules of particular kinds, verbs and representations.

use kubedex::fake::FakeCluster;
use serde_json::{Value, json};

use super::asking::{LEASES, MAPS, WIDGETS, ask_as, delete, lease, map, post, send, with_widgets};

const APPLY: &str = "application/apply-patch+yaml";
const SECRETS: &str = "/api/v1/namespaces/default/secrets";

#[tokio::test(start_paused = true)]
async fn configmaps_and_secrets_hold_what_they_may() {
    let cluster = FakeCluster::new();
    let mut twin = map(json!({"name": "m"}));
    twin["data"] = json!({"k": "v"});
    twin["binaryData"] = json!({"k": "dg=="});
    let words = r#"ConfigMap "m" is invalid: [data[k]: Invalid value: "k": duplicate of key present in binaryData, binaryData[k]: Invalid value: "k": duplicate of key present in data]"#;
    assert_eq!(post(&cluster, MAPS, twin).await.refusal(), (422, words));
    let mut large = map(json!({"name": "m"}));
    large["data"] = json!({"k": "x".repeat(1024 * 1024 + 1)});
    let words = r#"ConfigMap "m" is invalid: : Too long: may not be more than 1048576 bytes"#;
    assert_eq!(post(&cluster, MAPS, large).await.refusal(), (422, words));
    for (kind, data, fields) in [
        (
            "kubernetes.io/tls",
            json!({"tls.crt": "eA=="}),
            vec!["data[tls.key]"],
        ),
        (
            "kubernetes.io/ssh-auth",
            json!({}),
            vec!["data[ssh-privatekey]"],
        ),
        (
            "kubernetes.io/basic-auth",
            json!({"password": "eA=="}),
            vec![],
        ),
        (
            "kubernetes.io/basic-auth",
            json!({}),
            vec!["data[username]", "data[password]"],
        ),
    ] {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"generateName": "s"}, "type": kind, "data": data});
        let answer = post(&cluster, SECRETS, secret).await;
        assert_eq!(answer.fields(), fields, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_creation_by_another_verb_needs_the_right_to_create() {
    let cluster = FakeCluster::new();
    cluster
        .load(
            "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: r}, rules: [{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [update, patch]}]}\n---\n\
             {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: b}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: r}, subjects: [{kind: User, name: u}]}\n",
        )
        .unwrap();
    for (method, kind) in [("PUT", "application/json"), ("PATCH", APPLY)] {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{LEASES}/l?fieldManager=m"))
            .header("Content-Type", kind)
            .body(lease(json!({"name": "l"})).to_string().into_bytes())
            .unwrap();
        let refused = send(cluster.client_as("u"), request).await;
        let words = r#"leases.coordination.k8s.io "l" is forbidden: User "u" cannot create resource "leases" in API group "coordination.k8s.io" in the namespace "default""#;
        assert_eq!(refused.refusal(), (403, words), "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_applied_uid_means_an_object_that_is_there() {
    let cluster = FakeCluster::new();
    let target = format!("{MAPS}/m?fieldManager=m");
    let body = map(json!({"name": "m", "uid": "old"}));
    let refused = ask_as(&cluster, "PATCH", &target, APPLY, &body).await;
    let words = r#"Operation cannot be fulfilled on configmaps "m": uid mismatch: the provided object specified uid old, and no existing object was found"#;
    assert_eq!(refused.refusal(), (409, words));
}

#[tokio::test(start_paused = true)]
async fn a_conflict_names_the_subresource_that_was_applied_through() {
    let cluster = with_widgets();
    let body = |phase: &str| json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "status": {"phase": phase}});
    post(&cluster, WIDGETS, body("aa")).await;
    let target = |manager: &str| format!("{WIDGETS}/w/status?fieldManager={manager}");
    ask_as(&cluster, "PATCH", &target("a"), APPLY, &body("aa")).await;
    let refused = ask_as(&cluster, "PATCH", &target("b"), APPLY, &body("bb")).await;
    let words = r#"Apply failed with 1 conflict: conflict with "a" with subresource "status": .status.phase"#;
    assert_eq!(refused.refusal(), (409, words));
}

#[tokio::test(start_paused = true)]
async fn a_cell_that_is_missing_or_of_another_type_is_null() {
    let cluster = with_widgets();
    let body = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}});
    post(&cluster, WIDGETS, body).await;
    let request = http::Request::get(WIDGETS)
        .header("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())
        .unwrap();
    let table = send(cluster.client(), request).await.body;
    assert_eq!(table["rows"][0]["cells"], json!(["w", null, null]));
    assert_eq!(
        table["columnDefinitions"][2]["description"],
        "Custom resource definition column (in JSONPath format): .status.phase"
    );
}

#[tokio::test(start_paused = true)]
async fn old_words_for_cascading_get_another_status() {
    let cluster = FakeCluster::new();
    let held = map(json!({"name": "f", "finalizers": ["example.com/hold"]}));
    post(&cluster, MAPS, held).await;
    let target = format!("{MAPS}/f");
    let cascading = json!({"orphanDependents": false});
    assert_eq!(delete(&cluster, &target, cascading).await.status, 202);
    assert_eq!(delete(&cluster, &target, Value::Null).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_negative_grace_period_is_one_second() {
    let cluster = FakeCluster::new();
    let pods = "/api/v1/namespaces/default/pods";
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}});
    post(&cluster, pods, pod).await;
    let negative = json!({"gracePeriodSeconds": -5});
    let answer = delete(&cluster, &format!("{pods}/p"), negative).await;
    assert_eq!(answer.body["metadata"]["deletionGracePeriodSeconds"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_review_of_somebody_else_knows_only_the_groups_that_it_names() {
    let cluster = FakeCluster::new();
    cluster
        .load(
            "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: r}, rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]}\n---\n\
             {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: b}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: r}, subjects: [{kind: Group, name: 'system:authenticated', apiGroup: rbac.authorization.k8s.io}]}\n",
        )
        .unwrap();
    for (groups, allowed) in [(json!([]), false), (json!(["system:authenticated"]), true)] {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": "u",
                "groups": groups,
                "resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"},
            },
        });
        let target = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        let answer = post(&cluster, target, review).await;
        assert_eq!(answer.status, 201);
        assert_eq!(answer.body["status"]["allowed"], allowed);
    }
}
