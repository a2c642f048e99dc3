//! Answers to writes, word by word.

use kubedex::fake::FakeCluster;
use serde_json::{Value, json};

use super::asking::{
    LEASES, MAPS, SERVICES, STRATEGIC, WIDGETS, ask_as, delete, get, lease, map, patch, post, put,
    widget, with_widgets,
};

#[tokio::test(start_paused = true)]
async fn a_name_that_is_going_away_is_taken_in_words_of_its_own() {
    let cluster = FakeCluster::new();
    let held = map(json!({"name": "f", "finalizers": ["example.com/hold"]}));
    post(&cluster, MAPS, held.clone()).await;
    let taken = post(&cluster, MAPS, held.clone()).await;
    assert_eq!(taken.refusal(), (409, r#"configmaps "f" already exists"#));
    delete(&cluster, &format!("{MAPS}/f"), Value::Null).await;
    let going = post(&cluster, MAPS, held).await;
    let words = r#"object is being deleted: configmaps "f" already exists"#;
    assert_eq!(going.refusal(), (409, words));
    assert_eq!(going.body["reason"], "AlreadyExists");
}

#[tokio::test(start_paused = true)]
async fn odd_revisions_are_refused_where_the_server_reads_them() {
    let cluster = with_widgets();
    post(&cluster, MAPS, map(json!({"name": "m"}))).await;
    post(&cluster, LEASES, lease(json!({"name": "l"}))).await;
    post(&cluster, WIDGETS, widget(json!({"name": "w"}))).await;
    let no_number = r#"strconv.ParseUint: parsing "abc": invalid syntax"#;
    let needed = "metadata.resourceVersion: Invalid value: 0: must be specified for an update";
    let lease_needed = format!(r#"leases.coordination.k8s.io "l" is invalid: {needed}"#);
    let widget_needed = format!(r#"widgets.example.com "w" is invalid: {needed}"#);
    let (m, l, w) = (
        format!("{MAPS}/m"),
        format!("{LEASES}/l"),
        format!("{WIDGETS}/w"),
    );
    for (target, revision, status, message) in [
        (&m, json!("abc"), 500, no_number),
        (&w, json!("abc"), 500, no_number),
        (&m, json!("0"), 200, ""),
        (&m, json!(null), 200, ""),
        (&l, json!("0"), 422, &*lease_needed),
        (&l, json!(null), 422, &*lease_needed),
        (&w, json!("0"), 422, &*widget_needed),
        (&w, json!(null), 422, &*widget_needed),
    ] {
        let body = json!({"metadata": {"resourceVersion": revision}});
        let answer = patch(&cluster, target, body).await;
        assert_eq!(answer.refusal(), (status, message), "{target} {revision}");
    }
    let answer = put(
        &cluster,
        &m,
        map(json!({"name": "m", "resourceVersion": "abc"})),
    )
    .await;
    assert_eq!(answer.refusal(), (500, no_number));
    let made = post(
        &cluster,
        MAPS,
        map(json!({"name": "n", "resourceVersion": "abc"})),
    )
    .await;
    assert_eq!(made.status, 201, "a creation reads no text");
}

#[tokio::test(start_paused = true)]
async fn a_uid_means_an_object_that_is_there() {
    let cluster = with_widgets();
    let refused = |resource: &str, name: &str, key: &str, uid: &str| {
        format!(
            r#"Operation cannot be fulfilled on {resource} "{name}": StorageError: invalid object, Code: 4, Key: /registry/{key}/default/{name}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: old, UID in object meta: {uid}"#
        )
    };
    let made = post(&cluster, WIDGETS, widget(json!({"name": "w"}))).await;
    let uid = made.body["metadata"]["uid"].as_str().unwrap();
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "uid": "old"}, "spec": {"ports": [{"port": 80}]}});
    for (target, body, message) in [
        (
            format!("{LEASES}/l"),
            lease(json!({"name": "l", "uid": "old"})),
            refused("leases.coordination.k8s.io", "l", "leases", ""),
        ),
        (
            format!("{SERVICES}/s"),
            service,
            refused("services", "s", "services/specs", ""),
        ),
        (
            format!("{WIDGETS}/w"),
            widget(json!({"name": "w", "uid": "old", "resourceVersion": "1"})),
            refused("widgets.example.com", "w", "example.com/widgets", uid),
        ),
    ] {
        let answer = put(&cluster, &target, body).await;
        assert_eq!(answer.refusal(), (409, &*message));
    }
}

#[tokio::test(start_paused = true)]
async fn a_generated_name_is_as_long_as_a_label_at_most() {
    let cluster = FakeCluster::new();
    let prefix = "p".repeat(80);
    let made = post(&cluster, MAPS, map(json!({"generateName": prefix}))).await;
    let metadata = &made.body["metadata"];
    let name = metadata["name"].as_str().unwrap();
    assert_eq!((made.status, name.len()), (201, 63));
    assert!(name.starts_with(&prefix[..58]) && metadata["generateName"] == *prefix);
}

#[tokio::test(start_paused = true)]
async fn a_generation_that_nobody_counts_stays() {
    let cluster = FakeCluster::new();
    post(&cluster, MAPS, map(json!({"name": "m"}))).await;
    let body = map(json!({"name": "m", "generation": 7, "labels": {"a": "b"}}));
    let answer = put(&cluster, &format!("{MAPS}/m"), body).await;
    assert_eq!(answer.body["metadata"].get("generation"), None);
}

#[tokio::test(start_paused = true)]
async fn finalizers_without_a_domain_are_for_custom_resources_only() {
    let cluster = with_widgets();
    let hold = json!({"name": "f", "finalizers": ["hold"]});
    let refused = post(&cluster, MAPS, map(hold.clone())).await;
    let fault = r#"metadata.finalizers[0]: Invalid value: "hold": name is neither a standard finalizer name nor is it fully qualified"#;
    let words = format!(r#"ConfigMap "f" is invalid: {fault}"#);
    assert_eq!(refused.refusal(), (422, &*words));
    post(&cluster, MAPS, map(json!({"name": "f"}))).await;
    let refused = put(&cluster, &format!("{MAPS}/f"), map(hold.clone())).await;
    assert_eq!(refused.refusal(), (422, &*words));
    assert_eq!(refused.fields(), ["metadata.finalizers[0]"; 2]);
    assert_eq!(
        post(&cluster, LEASES, lease(hold.clone())).await.status,
        201
    );

    let made = post(&cluster, WIDGETS, widget(hold)).await;
    let warning = |name: &str, path: &str| {
        format!(
            r#"299 - "metadata.finalizers: \"{name}\": prefer a domain-qualified finalizer name{path} to avoid accidental conflicts with other finalizer writers""#
        )
    };
    assert_eq!(
        (made.status, made.warnings),
        (201, vec![warning("hold", "")])
    );
    let added = json!({"metadata": {"finalizers": ["hold", "example.com"]}});
    let changed = patch(&cluster, &format!("{WIDGETS}/f"), added).await;
    let expected = vec![warning("example.com", " including a path (/)")];
    assert_eq!((changed.status, changed.warnings), (200, expected));
}

#[tokio::test(start_paused = true)]
async fn the_garbage_collectors_finalizers_exclude_each_other() {
    let cluster = FakeCluster::new();
    let both = json!({"name": "f", "finalizers": ["orphan", "foregroundDeletion"]});
    let refused = post(&cluster, MAPS, map(both)).await;
    let words = r#"ConfigMap "f" is invalid: metadata.finalizers: Invalid value: ["orphan","foregroundDeletion"]: finalizer orphan and foregroundDeletion cannot be both set"#;
    assert_eq!(refused.refusal(), (422, words));
}

#[tokio::test(start_paused = true)]
async fn owners_are_named_in_full_and_one_controls() {
    let cluster = FakeCluster::new();
    let owner = |name: &str| json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": name, "controller": true});
    let body = map(
        json!({"name": "m", "ownerReferences": [{"apiVersion": "apps/", "kind": "", "name": "", "uid": ""}]}),
    );
    let refused = post(&cluster, MAPS, body).await;
    let field = |name: &str| format!("metadata.ownerReferences.{name}");
    assert_eq!(refused.status, 422);
    assert_eq!(
        refused.fields(),
        ["apiVersion", "kind", "name", "uid"].map(field)
    );
    let message = refused.refusal().1;
    assert!(
        message.contains(r#"metadata.ownerReferences.apiVersion: Invalid value: "apps/": version must not be empty"#),
        "{message}"
    );
    let two = map(json!({"name": "m", "ownerReferences": [owner("a"), owner("b")]}));
    let words = r#"ConfigMap "m" is invalid: metadata.ownerReferences: Invalid value: [{"apiVersion":"v1","kind":"Pod","name":"a","uid":"a","controller":true},{"apiVersion":"v1","kind":"Pod","name":"b","uid":"b","controller":true}]: Only one reference can have Controller set to true. Found "true" in references for Pod/a and Pod/b"#;
    assert_eq!(post(&cluster, MAPS, two).await.refusal(), (422, words));

    let twins = map(json!({"name": "m", "ownerReferences": [owner("a"), owner("a")]}));
    let made = post(&cluster, MAPS, twins).await;
    assert_eq!(
        made.body["metadata"]["ownerReferences"],
        json!([owner("a")])
    );
    assert_eq!(
        made.warnings,
        [
            r#"299 - ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: a""#
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_the_metadata_is_told_as_often_as_the_server_looks() {
    let cluster = with_widgets();
    let bad = json!({"metadata": {"labels": {"a": "b c"}}});
    post(&cluster, MAPS, map(json!({"name": "x"}))).await;
    post(&cluster, LEASES, lease(json!({"name": "x"}))).await;
    post(&cluster, WIDGETS, widget(json!({"name": "x"}))).await;
    for (target, times) in [(MAPS, 4), (LEASES, 3), (WIDGETS, 3)] {
        let answer = patch(&cluster, &format!("{target}/x"), bad.clone()).await;
        assert_eq!(answer.fields(), vec!["metadata.labels"; times], "{target}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_is_judged_by_its_own_schema() {
    let cluster = with_widgets();
    post(&cluster, WIDGETS, widget(json!({"name": "w"}))).await;
    let target = format!("{WIDGETS}/w/status");
    for (status, words) in [
        (
            json!({"phase": "x"}),
            r#"status.phase: Invalid value: "x": phase in body should be at least 2 chars long"#,
        ),
        (
            json!({"phase": 1}),
            r#"status.phase: Invalid value: "integer": phase in body must be of type string: "integer""#,
        ),
    ] {
        let answer = patch(&cluster, &target, json!({"status": status})).await;
        let expected = format!(r#"Widget.example.com "w" is invalid: {words}"#);
        assert_eq!(answer.refusal(), (422, &*expected));
        assert_eq!(answer.fields(), ["status.phase"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_strategic_patch_puts_what_it_adds_first() {
    let cluster = FakeCluster::new();
    let target = format!("{MAPS}/m");
    post(
        &cluster,
        MAPS,
        map(json!({"name": "m", "finalizers": ["example.com/a"]})),
    )
    .await;
    let body = json!({"metadata": {"finalizers": ["example.com/b"]}});
    ask_as(&cluster, "PATCH", &target, STRATEGIC, &body).await;
    let found = get(&cluster, &target).await;
    assert_eq!(
        found.body["metadata"]["finalizers"],
        json!(["example.com/b", "example.com/a"])
    );
}
