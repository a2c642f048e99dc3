//! What Envoy is told of a cluster, before it is put in JSON or in protobuf.
//!
//! Both forms, files and ADS, are made of this, so that a cluster means the same whichever way it arrives. It decides
//! what a cluster's declarations become and names what Envoy has no way to say.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::output::wire::Wire;

use crate::model::{Cluster, Problem, ProblemKind, Protocol, SessionAffinity, Subject};

/// How Envoy speaks to a cluster's endpoints, and how it chooses among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Upstream {
    /// HTTP/2 from the first byte, without an upgrade.
    pub(crate) http2: bool,
    /// TLS.
    pub(crate) tls: bool,
    /// The endpoint is chosen by a hash, for session affinity.
    pub(crate) hashes: bool,
}

/// Endpoints that share a locality.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Locality<'a> {
    /// The zone, if known.
    pub(crate) zone: Option<&'a str>,
    /// The endpoints, in the cluster's order.
    pub(crate) endpoints: Vec<Host>,
}

/// One endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// The IP address.
    pub(crate) address: IpAddr,
    /// The port.
    pub(crate) port: u16,
    /// Whether it takes no new traffic. One that is used as a fallback (C5) does not drain.
    pub(crate) drains: bool,
}

impl Upstream {
    /// What a cluster's declarations become; `None` when Envoy cannot have the cluster at all.
    pub(crate) fn of(cluster: &Cluster) -> Option<Self> {
        let hashes = matches!(
            cluster.session_affinity,
            Some(SessionAffinity::ClientIp { .. })
        );
        let (http2, tls) = match cluster.protocol {
            _ if cluster.name.is_empty() => return None,
            Protocol::Tcp => layers(cluster.app_protocol.as_deref()),
            Protocol::Udp => (false, false),
            _ => return None,
        };
        Some(Self { http2, tls, hashes })
    }
}

/// Whether an application protocol, in any case, needs HTTP/2 from the start, and TLS. What is not known here needs neither: it is
/// HTTP/1.1 or passed through, as the listener decides.
fn layers(app_protocol: Option<&str>) -> (bool, bool) {
    let app_protocol = app_protocol.unwrap_or_default();
    match Wire::named(app_protocol) {
        Wire::H2c => (true, false),
        Wire::Https => (Wire::is_http2_over_tls(app_protocol), true),
        Wire::Http | Wire::Tcp | Wire::Udp => (false, false),
    }
}

/// A cluster's endpoints by zone, sorted; those of no known zone come first. Envoy refuses a locality named twice.
pub(crate) fn localities(cluster: &Cluster) -> Vec<Locality<'_>> {
    let mut zones: BTreeMap<Option<&str>, Vec<Host>> = BTreeMap::new();
    for (endpoint, drains) in cluster.served() {
        zones
            .entry(endpoint.zone.as_deref())
            .or_default()
            .push(Host {
                address: endpoint.address,
                port: endpoint.port,
                drains,
            });
    }
    zones
        .into_iter()
        .map(|(zone, endpoints)| Locality { zone, endpoints })
        .collect()
}

/// What Envoy cannot say of a cluster, sorted.
pub(crate) fn problems(cluster: &Cluster, checks_certificates: bool) -> Vec<Problem> {
    let mut whats = Vec::new();
    if cluster.name.is_empty() {
        whats.push("a cluster needs a name, so it is left out".to_owned());
    } else if let Some(upstream) = Upstream::of(cluster) {
        if let Some(SessionAffinity::ClientIp { timeout }) = cluster.session_affinity {
            whats.push(format!(
                "a client keeps its endpoint only where the route hashes its address (hash_policy), and for as long \
                 as the endpoint stands, not for {} s",
                timeout.as_secs()
            ));
        }
        let app_protocol = cluster.app_protocol.as_deref().unwrap_or_default();
        if upstream.tls && !checks_certificates {
            whats.push(format!(
                "TLS is spoken, as {app_protocol} asks, but no certificate is checked since upstream_ca is not set"
            ));
        }
        let layered = layers(cluster.app_protocol.as_deref()) != (false, false);
        if layered && cluster.protocol == Protocol::Udp {
            whats.push(format!(
                "{app_protocol} over UDP is not spoken; datagrams are passed on as they are"
            ));
        }
    } else {
        whats.push(format!(
            "no cluster can be of protocol {}, so it is left out",
            cluster.protocol
        ));
    }
    let mut problems: Vec<_> = whats
        .into_iter()
        .map(|what| Problem {
            kind: ProblemKind::Inexpressible {
                output: super::FORMAT,
                what: what.into(),
            },
            subject: Subject::cluster(&cluster.name),
            port: None,
        })
        .collect();
    problems.sort();
    problems
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{Endpoint, State};

    fn speaking(protocol: &str, app_protocol: &str) -> Cluster {
        Cluster {
            app_protocol: Some(app_protocol.into()),
            ..Cluster::new("a", Protocol::from(protocol))
        }
    }

    fn said(cluster: &Cluster) -> Vec<String> {
        problems(cluster, false)
            .iter()
            .map(Problem::explanation)
            .collect()
    }

    #[test]
    fn the_application_protocol_decides_on_http2_and_tls() {
        let layers = |app_protocol| {
            let upstream = Upstream::of(&speaking("TCP", app_protocol)).unwrap();
            (upstream.http2, upstream.tls)
        };
        for (app_protocol, expected) in [
            ("kubernetes.io/h2c", (true, false)),
            ("grpc", (true, false)),
            ("https", (false, true)),
            ("kubernetes.io/wss", (false, true)),
            ("grpcs", (true, true)),
            ("GRPC", (true, false)),
            ("http", (false, false)),
            ("kubernetes.io/ws", (false, false)),
            ("mysql", (false, false)),
        ] {
            assert_eq!(layers(app_protocol), expected, "{app_protocol}");
        }
    }

    #[test]
    fn what_envoy_cannot_say_is_said() {
        assert_eq!(Upstream::of(&speaking("SCTP", "http")), None);
        assert_eq!(
            said(&speaking("SCTP", "http")),
            ["envoy: no cluster can be of protocol SCTP, so it is left out"]
        );
        assert_eq!(said(&speaking("TCP", "kubernetes.io/h2c")), [""; 0]);
        assert_eq!(said(&speaking("TCP", "https")).len(), 1);
        assert!(problems(&speaking("TCP", "https"), true).is_empty());
        assert_eq!(said(&speaking("UDP", "https")).len(), 1);
        assert_eq!(said(&speaking("UDP", "dns")), [""; 0]);
        let mut sticky = speaking("TCP", "https");
        sticky.session_affinity = Some(SessionAffinity::ClientIp {
            timeout: Duration::from_secs(600),
        });
        let said = said(&sticky);
        assert_eq!(said.len(), 2);
        assert!(said.iter().any(|what| what.contains("not for 600 s")));
        assert!(Upstream::of(&sticky).is_some_and(|upstream| upstream.hashes));
    }

    #[test]
    fn endpoints_stand_by_zone_and_drain_only_beside_ready_ones() {
        let endpoint = |last: u8, zone: Option<&str>, state| Endpoint {
            address: [10, 0, 0, last].into(),
            port: 80,
            state,
            zone: zone.map(Into::into),
            node: None,
        };
        let mut cluster = Cluster {
            endpoints: vec![
                endpoint(1, Some("b"), State::Ready),
                endpoint(2, None, State::Draining),
                endpoint(3, Some("b"), State::Draining),
            ],
            ..Cluster::new("a", Protocol::Tcp)
        };
        let host = |last: u8, drains| Host {
            address: [10, 0, 0, last].into(),
            port: 80,
            drains,
        };
        let locality = |zone, endpoints| Locality { zone, endpoints };
        assert_eq!(
            localities(&cluster),
            [
                locality(None, vec![host(2, true)]),
                locality(Some("b"), vec![host(1, false), host(3, true)]),
            ]
        );
        cluster.endpoints.remove(0);
        assert_eq!(
            localities(&cluster),
            [
                locality(None, vec![host(2, false)]),
                locality(Some("b"), vec![host(3, false)]),
            ]
        );
    }
}
