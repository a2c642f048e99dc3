//! How Envoys take what they are told, as JSON.

use serde_json::{Value, json};

use crate::xds::{NodeStatus, Status, TypeStatus};

pub(super) fn status(status: &Status) -> Value {
    let nodes: Vec<Value> = status.nodes.iter().map(node).collect();
    json!({
        "streams": status.streams,
        "problems": status.problems.len(),
        "tls_error": status.tls_error.as_deref(),
        "nodes": nodes,
    })
}

fn node(node: &NodeStatus) -> Value {
    json!({
        "id": &*node.id,
        "cluster": &*node.cluster,
        "zone": &*node.zone,
        "streams": node.streams,
        "clusters": resources(&node.clusters),
        "endpoints": resources(&node.endpoints),
    })
}

fn resources(status: &TypeStatus) -> Value {
    json!({
        "sent": status.sent,
        "acked": status.acked,
        "acks": status.acks,
        "nacks": status.nacks,
        "last_error": status.last_error.as_deref(),
    })
}
