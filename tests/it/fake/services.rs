//! What a Service's spec becomes.

use kubedex::fake::FakeCluster;
use serde_json::{Value, json};

use super::asking::{SERVICES, patch, post, put};

fn service(spec: Value) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}});
    object["spec"] = spec;
    object
}

fn keys(spec: &Value, names: &[&str]) -> Vec<String> {
    let has = |name: &&&str| spec.get(**name).is_some();
    names
        .iter()
        .filter(has)
        .map(|name| (*name).to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_change_of_type_takes_along_what_only_the_old_one_needs() {
    let target = format!("{SERVICES}/s");
    for (old, new, gone) in [
        ("NodePort", "ClusterIP", vec!["externalTrafficPolicy"]),
        (
            "LoadBalancer",
            "ClusterIP",
            vec!["externalTrafficPolicy", "allocateLoadBalancerNodePorts"],
        ),
        (
            "ClusterIP",
            "ExternalName",
            vec!["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"],
        ),
    ] {
        let cluster = FakeCluster::new();
        let spec = json!({"type": old, "ports": [{"port": 80}]});
        let made = post(&cluster, SERVICES, service(spec)).await;
        assert_eq!(keys(&made.body["spec"], &gone), gone, "{old}");
        let change = json!({"spec": {"type": new, "externalName": "example.com"}});
        let changed = patch(&cluster, &target, change).await;
        assert_eq!(changed.status, 200, "{:?}", changed.body);
        let spec = &changed.body["spec"];
        assert!(keys(spec, &gone).is_empty(), "{spec}");
        assert_eq!(spec["ports"][0].get("nodePort"), None);
        assert_eq!(spec["internalTrafficPolicy"], "Cluster");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_port_is_kept_by_the_name_of_its_port() {
    let cluster = FakeCluster::new();
    let spec = |ports: Value| service(json!({"type": "NodePort", "ports": ports}));
    let first = json!([{"name": "a", "port": 80}, {"name": "b", "port": 443}]);
    let made = post(&cluster, SERVICES, spec(first)).await;
    let before = &made.body["spec"];
    let second = json!([{"name": "b", "port": 8443}, {"name": "c", "port": 80}]);
    let changed = put(&cluster, &format!("{SERVICES}/s"), spec(second)).await;
    let after = &changed.body["spec"];
    assert_eq!(after["clusterIP"], before["clusterIP"]);
    assert_eq!(
        after["ports"][0]["nodePort"],
        before["ports"][1]["nodePort"]
    );
    assert_ne!(
        after["ports"][1]["nodePort"],
        before["ports"][0]["nodePort"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_headless_service_that_selects_nothing_is_of_both_families() {
    for (spec, policy, families) in [
        (
            json!({"clusterIP": "None", "ports": [{"port": 80}]}),
            "RequireDualStack",
            json!(["IPv4", "IPv6"]),
        ),
        (
            json!({"clusterIP": "None", "ipFamilyPolicy": "SingleStack", "ports": [{"port": 80}]}),
            "SingleStack",
            json!(["IPv4"]),
        ),
        (
            json!({"clusterIP": "None", "selector": {"a": "b"}, "ports": [{"port": 80}]}),
            "SingleStack",
            json!(["IPv4"]),
        ),
    ] {
        let made = post(&FakeCluster::new(), SERVICES, service(spec)).await;
        let spec = &made.body["spec"];
        assert_eq!(spec["ipFamilyPolicy"], policy);
        assert_eq!(spec["ipFamilies"], families);
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_has_what_its_type_can_use() {
    for (spec, fault) in [
        (
            json!({"type": "ExternalName"}),
            "spec.externalName: Required value",
        ),
        (
            json!({"type": "NodePort", "clusterIP": "None", "ports": [{"port": 80}]}),
            r#"spec.clusterIPs[0]: Invalid value: "None": may not be set to 'None' for NodePort services"#,
        ),
        (
            json!({"ports": [{"port": 80, "nodePort": 30080}]}),
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        (
            json!({"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 80}]}),
            r#"spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}"#,
        ),
    ] {
        let refused = post(&FakeCluster::new(), SERVICES, service(spec)).await;
        let words = format!(r#"Service "s" is invalid: {fault}"#);
        assert_eq!(refused.refusal(), (422, &*words));
    }
}
