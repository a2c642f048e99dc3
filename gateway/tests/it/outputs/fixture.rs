//! Snapshots to render.

use std::sync::Arc;
use std::time::Duration;

use kubedex_gateway::model::{
    Cluster, Endpoint, Problem, ProblemKind, Protocol, SessionAffinity, Snapshot, State, Subject,
};

/// A snapshot of these clusters.
pub(super) fn snapshot(clusters: impl IntoIterator<Item = Cluster>) -> Snapshot {
    let mut edit = Snapshot::default().edit();
    for cluster in clusters {
        edit.upsert(Arc::new(cluster));
    }
    edit.finish().unwrap_or_default()
}

pub(super) fn cluster(name: &str, app_protocol: &str, sockets: &[&str]) -> Cluster {
    Cluster {
        app_protocol: (!app_protocol.is_empty()).then(|| app_protocol.into()),
        endpoints: sockets.iter().map(|socket| endpoint(socket)).collect(),
        ..Cluster::new(name, Protocol::Tcp)
    }
}

/// An endpoint that is ready, at an address and port.
pub(super) fn endpoint(socket: &str) -> Endpoint {
    let socket: std::net::SocketAddr = socket.parse().unwrap();
    Endpoint {
        address: socket.ip(),
        port: socket.port(),
        state: State::Ready,
        zone: None,
        node: None,
    }
}

fn draining(socket: &str) -> Endpoint {
    Endpoint {
        state: State::Draining,
        ..endpoint(socket)
    }
}

pub(super) fn sticky(cluster: Cluster, seconds: u64) -> Cluster {
    Cluster {
        session_affinity: Some(SessionAffinity::ClientIp {
            timeout: Duration::from_secs(seconds),
        }),
        ..cluster
    }
}

fn over(protocol: &str, cluster: Cluster) -> Cluster {
    Cluster {
        protocol: protocol.into(),
        ..cluster
    }
}

/// A bit of everything.
pub(super) fn full() -> Snapshot {
    let located = |socket: &str, zone: &str, node: &str| Endpoint {
        zone: Some(zone.into()),
        node: Some(node.into()),
        ..endpoint(socket)
    };
    let clusters = [
        Cluster {
            endpoints: vec![
                located("10.0.1.1:8080", "a", "n1"),
                located("10.0.1.2:8080", "b", "n2"),
                endpoint("[2001:db8::1:2]:8080"),
            ],
            ..cluster("k8s/shop/api:http", "http", &[])
        },
        cluster("k8s/shop/empty:http", "http", &[]),
        cluster("k8s/shop/empty:redis", "redis", &[]),
        over("UDP", cluster("k8s/shop/empty:udp", "", &[])),
        cluster("k8s/shop/grpc:grpc", "grpc", &["10.0.2.1:9000"]),
        cluster(
            "k8s/shop/h2c:web",
            "kubernetes.io/h2c",
            &["10.0.3.1:80", "[2001:db8::3]:80"],
        ),
        cluster(
            "k8s/shop/pay:https",
            "https",
            &["10.0.4.1:8443", "10.0.4.2:8443"],
        ),
        cluster("k8s/shop/chat:ws", "kubernetes.io/ws", &["10.0.5.1:80"]),
        cluster("k8s/shop/plain:80", "", &["10.0.6.1:80", "10.0.6.2:81"]),
        cluster("k8s/shop/redis:redis", "redis", &["10.0.7.1:6379"]),
        cluster("k8s/shop/own:proto", "example.com/own", &["10.0.7.9:7"]),
        over(
            "UDP",
            cluster(
                "k8s/infra/dns:dns",
                "",
                &["10.0.8.1:53", "[2001:db8::53]:53"],
            ),
        ),
        over(
            "SCTP",
            cluster("k8s/infra/sig:sctp", "", &["10.0.9.1:2905"]),
        ),
        Cluster {
            endpoints: vec![
                endpoint("10.0.10.1:80"),
                draining("10.0.10.2:80"),
                endpoint("10.0.10.3:80"),
            ],
            ..cluster("k8s/shop/rolling:http", "http", &[])
        },
        Cluster {
            endpoints: vec![draining("10.0.11.1:80"), draining("10.0.11.2:80")],
            ..cluster("k8s/shop/leaving:http", "http", &[])
        },
        sticky(
            cluster(
                "k8s/shop/cart:http",
                "http",
                &["10.0.12.1:80", "10.0.12.2:80"],
            ),
            10_800,
        ),
        sticky(
            cluster("k8s/shop/mq:amqp", "amqp", &["10.0.13.1:5672"]),
            5_000_000,
        ),
        sticky(
            over(
                "UDP",
                cluster("k8s/shop/syslog:log", "", &["10.0.14.1:514"]),
            ),
            u64::MAX / 1000,
        ),
        // Names that only a configuration file can give.
        cluster("Legacy", "http", &["192.0.2.1:80"]),
        cluster("legacy", "http", &["192.0.2.2:80"]),
        cluster("a_b.c:d", "http", &["192.0.2.3:80"]),
        cluster("a:b.c_d", "http", &["192.0.2.4:80"]),
        cluster("x {\n}\" # ' \\@$é;", "redis", &["192.0.2.5:1"]),
        cluster(&"long".repeat(100), "http", &["192.0.2.6:80"]),
        cluster("", "http", &["192.0.2.7:80"]),
    ];
    let mut edit = snapshot(clusters).edit();
    edit.add_problem(Problem {
        kind: ProblemKind::ExternalName,
        subject: Subject {
            kind: "Service",
            namespace: "shop".into(),
            name: "outside".into(),
        },
        port: None,
    });
    edit.finish().unwrap_or_default()
}

/// Many clusters with a few endpoints each, some of them with something special.
pub(super) fn many(count: usize) -> Snapshot {
    snapshot((0..count).map(|number| {
        let [_, _, high, low] = u32::try_from(number).unwrap().to_be_bytes();
        let sockets = [1, 2, 3].map(|host| format!("10.{high}.{low}.{host}:8080"));
        let sockets = sockets.each_ref().map(String::as_str);
        let app_protocol = ["http", "", "grpc", "redis"][number % 4];
        cluster(
            &format!("k8s/ns-{}/svc-{number}:http", number % 100),
            app_protocol,
            &sockets,
        )
    }))
}
