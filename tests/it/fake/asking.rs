//! Requests in the API's own terms, and what is said to them.

use http_body_util::BodyExt;
use kube::client::Body;
use kubedex::fake::FakeCluster;
use serde_json::{Value, json};

pub(super) const JSON: &str = "application/json";
pub(super) const MERGE: &str = "application/merge-patch+json";
pub(super) const STRATEGIC: &str = "application/strategic-merge-patch+json";

pub(super) const MAPS: &str = "/api/v1/namespaces/default/configmaps";
pub(super) const SERVICES: &str = "/api/v1/namespaces/default/services";
pub(super) const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
pub(super) const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";

/// An answer, read whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
    pub(super) warnings: Vec<String>,
}

impl Answer {
    /// Status and message of a refusal.
    pub(super) fn refusal(&self) -> (u16, &str) {
        (
            self.status,
            self.body["message"].as_str().unwrap_or_default(),
        )
    }

    /// The fields that a refusal names, in order.
    pub(super) fn fields(&self) -> Vec<&str> {
        self.body["details"]["causes"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|cause| cause["field"].as_str())
            .collect()
    }
}

pub(super) async fn send(client: kube::Client, request: http::Request<Vec<u8>>) -> Answer {
    let response = client.send(request.map(Body::from)).await.unwrap();
    let (parts, body) = response.into_parts();
    let warnings = parts
        .headers
        .get_all("Warning")
        .iter()
        .map(|value| value.to_str().unwrap().to_owned())
        .collect();
    let bytes = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status.as_u16(),
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        warnings,
    }
}

/// Sends a body of a media type.
pub(super) async fn ask_as(
    cluster: &FakeCluster,
    method: &str,
    target: &str,
    kind: &str,
    body: &Value,
) -> Answer {
    let bytes = if body.is_null() {
        Vec::new()
    } else {
        body.to_string().into_bytes()
    };
    let request = http::Request::builder()
        .method(method)
        .uri(target)
        .header("Content-Type", kind)
        .body(bytes)
        .unwrap();
    send(cluster.client(), request).await
}

pub(super) async fn get(cluster: &FakeCluster, target: &str) -> Answer {
    ask_as(cluster, "GET", target, JSON, &Value::Null).await
}

pub(super) async fn post(cluster: &FakeCluster, target: &str, body: Value) -> Answer {
    ask_as(cluster, "POST", target, JSON, &body).await
}

pub(super) async fn put(cluster: &FakeCluster, target: &str, body: Value) -> Answer {
    ask_as(cluster, "PUT", target, JSON, &body).await
}

pub(super) async fn patch(cluster: &FakeCluster, target: &str, body: Value) -> Answer {
    ask_as(cluster, "PATCH", target, MERGE, &body).await
}

pub(super) async fn delete(cluster: &FakeCluster, target: &str, body: Value) -> Answer {
    ask_as(cluster, "DELETE", target, JSON, &body).await
}

fn object(api_version: &str, kind: &str, metadata: Value) -> Value {
    let mut object = json!({"apiVersion": api_version, "kind": kind});
    object["metadata"] = metadata;
    object
}

/// A ConfigMap with this metadata.
pub(super) fn map(metadata: Value) -> Value {
    object("v1", "ConfigMap", metadata)
}

pub(super) fn lease(metadata: Value) -> Value {
    object("coordination.k8s.io/v1", "Lease", metadata)
}

pub(super) fn widget(metadata: Value) -> Value {
    object("example.com/v1", "Widget", metadata)
}

/// A cluster that serves widgets: a size of 1 to 9, and a status with a phase of two letters or more.
pub(super) fn with_widgets() -> FakeCluster {
    let cluster = FakeCluster::builder().strict().build();
    cluster
        .create(json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "widgets.example.com"},
            "spec": {
                "group": "example.com",
                "scope": "Namespaced",
                "names": {"plural": "widgets", "kind": "Widget"},
                "versions": [{
                    "name": "v1",
                    "served": true,
                    "storage": true,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                        {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
                    ],
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                        "spec": {"type": "object", "properties": {
                            "size": {"type": "integer", "minimum": 1, "maximum": 9},
                        }},
                        "status": {"type": "object", "properties": {
                            "phase": {"type": "string", "minLength": 2},
                        }},
                    }}},
                }],
            },
        }))
        .unwrap();
    cluster
}
