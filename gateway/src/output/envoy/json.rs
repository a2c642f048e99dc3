//! Clusters and endpoints as Envoy reads them from files: JSON of its API, v3.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::upstream::{Locality, Upstream};
use crate::model::ContentHash;

/// A cluster whose endpoints stand in a file of their own.
pub(super) fn cluster(
    name: &str,
    upstream: Upstream,
    assignment: &str,
    upstream_ca: Option<&str>,
) -> Value {
    let mut cluster = json!({
        "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {
            "eds_config": {
                "path_config_source": {"path": assignment},
                "resource_api_version": "V3",
            },
        },
        // Panic would send new traffic to draining endpoints as soon as they outnumber the ready ones; and what is
        // published together has been gathered already, so nothing is gained by waiting for more.
        "common_lb_config": {
            "healthy_panic_threshold": {"value": 0},
            "update_merge_window": "0s",
        },
    });
    if upstream.hashes {
        cluster["lb_policy"] = "RING_HASH".into();
    }
    if upstream.http2 || upstream.tls {
        cluster["typed_extension_protocol_options"] = json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http_options(upstream),
        });
    }
    if upstream.tls {
        cluster["transport_socket"] = json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": tls(upstream, upstream_ca),
        });
    }
    cluster
}

fn http_options(upstream: Upstream) -> Value {
    let version = if upstream.http2 {
        json!({"http2_protocol_options": {}})
    } else {
        json!({"http_protocol_options": {}})
    };
    let mut options = json!({
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": version,
    });
    if upstream.tls {
        // Endpoints are addresses: the name to ask for is the one the client asked for.
        options["upstream_http_protocol_options"] = json!({"auto_sni": true});
    }
    options
}

fn tls(upstream: Upstream, upstream_ca: Option<&str>) -> Value {
    let mut common = Map::new();
    if upstream.http2 {
        common.insert("alpn_protocols".into(), json!(["h2"]));
    }
    if let Some(file) = upstream_ca {
        let context = json!({"trusted_ca": {"filename": file}});
        common.insert("validation_context".into(), context);
    }
    json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": common,
    })
}

/// A cluster's endpoints; the assignment stands even when there are none.
pub(super) fn assignment(name: &str, localities: &[Locality<'_>]) -> Value {
    let endpoints: Vec<Value> = localities.iter().map(locality).collect();
    json!({
        "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": name,
        "endpoints": endpoints,
    })
}

fn locality(locality: &Locality<'_>) -> Value {
    let hosts: Vec<Value> = locality
        .endpoints
        .iter()
        .map(|host| {
            let socket = json!({"address": host.address, "port_value": host.port});
            let health = if host.drains { "DRAINING" } else { "HEALTHY" };
            json!({"endpoint": {"address": {"socket_address": socket}}, "health_status": health})
        })
        .collect();
    match locality.zone {
        Some(zone) => json!({"locality": {"zone": zone}, "lb_endpoints": hosts}),
        None => json!({"lb_endpoints": hosts}),
    }
}

/// A file of resources, one a line; its version stands for them.
pub(super) fn document(resources: impl Iterator<Item = Value>) -> Bytes {
    let lines: Vec<String> = resources.map(|resource| resource.to_string()).collect();
    let lines = lines.join(",\n");
    let version = ContentHash::of_bytes(lines.as_bytes());
    format!("{{\"version_info\":\"{version}\",\"resources\":[\n{lines}\n]}}\n").into()
}
