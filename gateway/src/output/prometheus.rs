//! Prometheus: every endpoint as a target, for file-based and for HTTP service discovery (`targets.json`).
//!
//! Each target is a group of its own, since zone and state are its own. What is known about it is in labels
//! `__meta_kubedex_*`, which Prometheus drops after relabelling; what to keep and what to scrape is its users' choice.
//! Targets of HTTPS clusters carry `__scheme__` too.

use std::net::SocketAddr;

use serde::Serialize;

use super::wire::{DefaultProtocol, Wire};
use super::{File, Output, Rendering};
use crate::model::{Cluster, Endpoint, Snapshot};

/// Renders a snapshot for Prometheus' service discovery.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prometheus;

#[derive(Serialize)]
struct Group<'a> {
    targets: [SocketAddr; 1],
    labels: Labels<'a>,
}

/// In a fixed order.
#[derive(Serialize)]
struct Labels<'a> {
    #[serde(rename = "__meta_kubedex_app_protocol")]
    #[serde(skip_serializing_if = "Option::is_none")]
    app_protocol: Option<&'a str>,
    #[serde(rename = "__meta_kubedex_cluster")]
    cluster: &'a str,
    #[serde(flatten)]
    service: Option<Service<'a>>,
    #[serde(rename = "__meta_kubedex_node")]
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    #[serde(rename = "__meta_kubedex_protocol")]
    protocol: &'a str,
    #[serde(rename = "__meta_kubedex_state")]
    state: &'static str,
    #[serde(rename = "__meta_kubedex_zone")]
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<&'a str>,
    #[serde(rename = "__scheme__")]
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<&'static str>,
}

/// The parts of a discovered cluster's name.
#[derive(Clone, Copy, Serialize)]
struct Service<'a> {
    #[serde(rename = "__meta_kubedex_namespace")]
    namespace: &'a str,
    #[serde(rename = "__meta_kubedex_port")]
    port: &'a str,
    #[serde(rename = "__meta_kubedex_service")]
    name: &'a str,
}

impl<'a> Service<'a> {
    fn parse(cluster: &'a str) -> Option<Self> {
        let (namespace, rest) = cluster.strip_prefix("k8s/")?.split_once('/')?;
        let (name, port) = rest.split_once(':')?;
        Some(Self {
            namespace,
            port,
            name,
        })
    }
}

fn group<'a>(cluster: &'a Cluster, endpoint: &'a Endpoint, drains: bool) -> Group<'a> {
    let is_https = Wire::of(cluster, DefaultProtocol::Http) == Some(Wire::Https);
    Group {
        targets: [endpoint.socket()],
        labels: Labels {
            app_protocol: cluster.app_protocol.as_deref(),
            cluster: &cluster.name,
            service: Service::parse(&cluster.name),
            node: endpoint.node.as_deref(),
            protocol: cluster.protocol.as_str(),
            state: if drains { "draining" } else { "ready" },
            zone: endpoint.zone.as_deref(),
            scheme: is_https.then_some("https"),
        },
    }
}

impl Output for Prometheus {
    fn format(&self) -> &'static str {
        "prometheus"
    }

    fn render(&mut self, snapshot: &Snapshot, _last: Option<&Snapshot>) -> Rendering {
        let mut text = String::new();
        for cluster in snapshot.clusters() {
            for (endpoint, drains) in cluster.served() {
                text.push_str(if text.is_empty() { "[\n" } else { ",\n" });
                text.push_str(super::json(&group(cluster, endpoint, drains)).trim_end());
            }
        }
        text.push_str(if text.is_empty() { "[]\n" } else { "\n]\n" });
        let file = File::text("targets.json", "application/json", text);
        Rendering::whole(vec![file], Vec::new())
    }
}
