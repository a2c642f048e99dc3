//! How watches start.

use super::*;

fn name(event: &Value) -> &str {
    event["object"]["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_nowhere_tells_where_its_first_state_ends() {
    let cluster = FakeCluster::new();
    cluster.create(config_map("a")).unwrap();
    for query in [
        "allowWatchBookmarks=true",
        "allowWatchBookmarks=true&resourceVersion=0",
    ] {
        let mut stream = watch(&cluster, query).await;
        assert_eq!(name(&event(&mut stream).await), "a");
        let bookmark = event(&mut stream).await;
        assert_eq!(bookmark["type"], "BOOKMARK");
        assert_eq!(
            bookmark["object"]["metadata"],
            json!({
                "resourceVersion": cluster.resource_version().to_string(),
                "annotations": {"k8s.io/initial-events-end": "true"},
            })
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_the_future_is_silent_until_it_comes() {
    let cluster = FakeCluster::new();
    let future = cluster.resource_version() + 2;
    let mut stream = watch(&cluster, &format!("resourceVersion={future}")).await;
    for name in ["a", "b", "c"] {
        cluster.create(config_map(name)).unwrap();
    }
    assert_eq!(name(&event(&mut stream).await), "c");
}

#[tokio::test(start_paused = true)]
async fn a_page_token_is_nothing_to_a_watch_but_a_streaming_one() {
    let cluster = FakeCluster::new();
    let revision = cluster.resource_version();
    let target = |query: &str| format!("{}?watch=1&timeoutSeconds=1&{query}", asking::MAPS);
    let answer = asking::get(
        &cluster,
        &target(&format!("continue=x&resourceVersion={revision}")),
    )
    .await;
    assert_eq!(answer.status, 200);
    let refused = asking::get(&cluster, &target("continue=x")).await;
    let words = r#"ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided"#;
    assert_eq!(refused.refusal(), (422, words));
}
