use super::super::Format;
use super::*;
use crate::model::{ProblemKind, Protocol, Subject};

const PLAIN: Style = Style {
    format: Format::Table,
    width: 80,
    color: false,
};

fn cluster(name: &str, endpoints: &[(&str, State)]) -> Arc<Cluster> {
    Arc::new(Cluster {
        name: name.into(),
        protocol: Protocol::Tcp,
        app_protocol: None,
        endpoints: endpoints
            .iter()
            .map(|(address, state)| Endpoint {
                address: address.parse().unwrap(),
                port: 8080,
                state: *state,
                zone: None,
                node: None,
            })
            .collect(),
        session_affinity: None,
    })
}

fn ready(addresses: &[&'static str]) -> Vec<(&'static str, State)> {
    addresses
        .iter()
        .map(|address| (*address, State::Ready))
        .collect()
}

fn problem() -> Problem {
    Problem {
        kind: ProblemKind::ExternalName,
        subject: Subject {
            kind: "Service",
            namespace: "shop".into(),
            name: "legacy".into(),
        },
        port: None,
    }
}

#[test]
fn a_state_is_a_table_with_problems_and_a_summary() {
    let clusters = [
        cluster(
            "k8s/shop/api:http",
            &ready(&["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]),
        ),
        cluster("k8s/shop/cart:http", &[]),
        cluster(
            "k8s/shop/v6:http",
            &[
                ("2001:db8::1", State::Ready),
                ("2001:db8::2", State::Draining),
            ],
        ),
    ];
    assert_eq!(
        state(&clusters, &[&problem()], PLAIN),
        "\
CLUSTER             PROTO  READY  DRAINING  ENDPOINTS
k8s/shop/api:http   TCP        4         0  10.0.0.1:8080 10.0.0.2:8080 +2
k8s/shop/cart:http  TCP        0         0  -
k8s/shop/v6:http    TCP        1         1  [2001:db8::1]:8080 +1

! external-name Service/shop/legacy
  it stands for a DNS name, which gives no endpoints

3 clusters, 5 endpoints ready, 1 draining, 1 problem
"
    );
    assert_eq!(state(&[], &[], PLAIN), "0 clusters, 0 endpoints ready\n");
}

#[test]
fn no_line_is_wider_than_the_screen_except_for_a_name() {
    let long = format!("k8s/{}/{}:http", "n".repeat(63), "s".repeat(63));
    let addresses: Vec<_> = (1..30)
        .map(|n| format!("2001:db8:0:1:2:3:4:{n:x}"))
        .collect();
    let many: Vec<_> = addresses
        .iter()
        .map(|address| (address.as_str(), State::Ready))
        .collect();
    for width in [40, 60, 80, 120] {
        let style = Style { width, ..PLAIN };
        let clusters = [
            cluster(&long, &many),
            cluster("k8s/shop/a-service-of-some-length:http", &many),
        ];
        let before = cluster(&clusters[1].name, &many[..9]);
        let diff = Diff {
            clusters: vec![ClusterChange::Updated {
                before,
                after: Arc::clone(&clusters[1]),
            }],
            ..Diff::default()
        };
        for text in [
            state(&clusters, &[], style),
            changed("12:00:00", &diff, style),
        ] {
            for line in text.lines().filter(|line| !line.contains("k8s/")) {
                assert!(line.chars().count() <= width.max(46), "{width}: {line}");
            }
        }
    }
}

#[test]
fn a_change_shows_what_happened_to_each_endpoint() {
    let before = cluster("k8s/shop/api:http", &ready(&["10.0.0.1", "10.0.0.2"]));
    let after = cluster(
        "k8s/shop/api:http",
        &[
            ("10.0.0.2", State::Draining),
            ("10.0.0.3", State::Ready),
            ("10.0.0.4", State::Draining),
        ],
    );
    let diff = Diff {
        clusters: vec![
            ClusterChange::Updated { before, after },
            ClusterChange::Added(cluster("k8s/shop/new:80", &ready(&["10.0.0.9"]))),
            ClusterChange::Removed(cluster("k8s/shop/old:80", &ready(&["10.0.0.8"]))),
        ],
        problems_added: vec![problem()],
        problems_removed: vec![problem()],
    };
    assert_eq!(
        changed("12:00:00", &diff, PLAIN),
        "\
12:00:00 ~ k8s/shop/api:http  2 -> 1 ready, 2 draining
           ~10.0.0.2:8080 (draining) +10.0.0.3:8080 +10.0.0.4:8080 (draining)
           -10.0.0.1:8080
12:00:00 + k8s/shop/new:80  1 ready
           +10.0.0.9:8080
12:00:00 - k8s/shop/old:80
12:00:00 ! external-name Service/shop/legacy
           it stands for a DNS name, which gives no endpoints
12:00:00 . external-name Service/shop/legacy: resolved
"
    );
}

#[test]
fn a_change_of_the_cluster_itself_is_named() {
    let before = cluster("k8s/shop/api:http", &[]);
    let mut after = Cluster::clone(&before);
    after.app_protocol = Some("h2c".into());
    after.session_affinity = Some(SessionAffinity::ClientIp {
        timeout: std::time::Duration::from_secs(60),
    });
    let diff = Diff {
        clusters: vec![ClusterChange::Updated {
            before,
            after: Arc::new(after),
        }],
        ..Diff::default()
    };
    assert_eq!(
        changed("12:00:00", &diff, PLAIN),
        "\
12:00:00 ~ k8s/shop/api:http  0 ready
           ~app protocol none -> h2c ~session affinity none -> ClientIP 60s
"
    );
}

#[test]
fn a_large_change_is_counted_rather_than_listed() {
    let addresses: Vec<_> = (0..100).map(|n| format!("10.0.0.{n}")).collect();
    let many: Vec<_> = addresses
        .iter()
        .map(|address| (address.as_str(), State::Ready))
        .collect();
    let diff = Diff {
        clusters: vec![ClusterChange::Added(cluster("k8s/shop/api:http", &many))],
        ..Diff::default()
    };
    let text = changed("12:00:00", &diff, PLAIN);
    assert!(text.ends_with("\n           and 76 more\n"), "{text}");
}

#[test]
fn colour_is_used_only_when_asked_for() {
    let diff = Diff {
        clusters: vec![ClusterChange::Added(cluster("a", &[]))],
        ..Diff::default()
    };
    assert!(!changed("12:00:00", &diff, PLAIN).contains('\x1b'));
    let style = Style {
        color: true,
        ..PLAIN
    };
    assert!(changed("12:00:00", &diff, style).contains("\x1b[32m+\x1b[0m a"));
}

#[test]
fn nothing_in_a_manifest_can_steer_the_terminal() {
    let evil = cluster("k8s/a/b:\u{1b}[31m\u{9b}x\n", &[]);
    let mut malformed = problem();
    malformed.kind = ProblemKind::Malformed {
        reason: "\u{1b}[2J".into(),
    };
    let diff = Diff {
        clusters: vec![ClusterChange::Added(Arc::clone(&evil))],
        problems_added: vec![malformed.clone()],
        ..Diff::default()
    };
    let text = state(&[evil], &[&malformed], PLAIN) + &changed("12:00:00", &diff, PLAIN);
    assert!(
        text.lines().all(|line| !line.contains(char::is_control)),
        "{text:?}"
    );
    assert!(text.contains("k8s/a/b:?[31m?x?"));
}
