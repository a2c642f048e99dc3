//! Services and their slices.

use serde_json::{Value, json};

/// Endpoints of each Service, all in one slice.
pub(crate) const ENDPOINTS: usize = 5;

pub(crate) fn service(number: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": format!("web-{number}"),
            "namespace": "shop",
            "labels": {"app": format!("web-{number}"), "app.kubernetes.io/part-of": "shop"},
        },
        "spec": {
            "type": "ClusterIP",
            "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP", "appProtocol": "http"}],
            "selector": {"app": format!("web-{number}")},
        },
    })
}

/// The slice of a Service. The port tells which writing of it this is.
pub(crate) fn slice(number: usize, writing: u16) -> Value {
    let endpoint = |host: usize| {
        let [.., high, middle, low] = (number * ENDPOINTS + host).to_be_bytes();
        json!({
            "addresses": [format!("10.{high}.{middle}.{low}")],
            "conditions": {"ready": true, "serving": true, "terminating": false},
            "nodeName": format!("node-{}", host % 20),
            "zone": format!("zone-{}", host % 3),
            "targetRef": {"kind": "Pod", "namespace": "shop", "name": format!("web-{number}-{host}")},
        })
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("web-{number}-x"),
            "namespace": "shop",
            "labels": {
                "kubernetes.io/service-name": format!("web-{number}"),
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            },
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "protocol": "TCP", "port": writing}],
        "endpoints": (0..ENDPOINTS).map(endpoint).collect::<Vec<_>>(),
    })
}

/// The cluster's name.
pub(crate) fn cluster(number: usize) -> String {
    format!("k8s/shop/web-{number}:http")
}
