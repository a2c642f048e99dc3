use serde_json::{Value, json};

use super::*;

fn read(value: Value) -> Vec<StaticCluster> {
    serde_json::from_value(value).unwrap()
}

fn errors(value: Value) -> Vec<String> {
    let errors = check(&read(value)).unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn a_static_cluster_reads_as_a_discovered_one_does() {
    let yaml = "
- name: legacy
  app_protocol: http
  session_affinity: {type: ClientIP}
  endpoints:
  - {address: '2001:DB8::1', port: 80}
  - {address: 192.0.2.10, port: 80, zone: a, node: n1}
  - {address: 192.0.2.9, port: 443}
  - {address: 192.0.2.9, port: 80}
- name: k8s/shop/web:http
  protocol: UDP
  session_affinity: {type: ClientIP, timeout: 10m}
";
    let statics: Vec<StaticCluster> = serde_saphyr::from_str(yaml).unwrap();
    let clusters = check(&statics).unwrap();
    assert_eq!(
        serde_json::to_value(&clusters).unwrap(),
        json!([
            {
                "name": "k8s/shop/web:http",
                "protocol": "UDP",
                "endpoints": [],
                "session_affinity": "ClientIP",
                "session_affinity_timeout_seconds": 600,
            },
            {
                "name": "legacy",
                "protocol": "TCP",
                "app_protocol": "http",
                "endpoints": [
                    {"address": "192.0.2.9", "port": 80, "state": "ready"},
                    {"address": "192.0.2.9", "port": 443, "state": "ready"},
                    {"address": "192.0.2.10", "port": 80, "state": "ready", "zone": "a", "node": "n1"},
                    {"address": "2001:db8::1", "port": 80, "state": "ready"},
                ],
                "session_affinity": "ClientIP",
                "session_affinity_timeout_seconds": 10800,
            },
        ])
    );
    // It can be shown as it was written.
    let again: Vec<StaticCluster> = read(serde_json::to_value(&statics).unwrap());
    assert_eq!(again, statics);
}

#[test]
fn everything_that_is_wrong_is_told_with_its_path() {
    let long = "x".repeat(MOST_NAME + 1);
    let found = errors(json!([
        {"name": "a", "endpoints": [{"address": "web.example", "port": 80}]},
        {"name": "", "app_protocol": "a\nb"},
        {"name": "a", "endpoints": [
            {"address": "10.0.0.1", "port": 0},
            {"address": "2001:db8::1", "port": 1, "zone": " z"},
            {"address": "2001:DB8:0::1", "port": 1, "node": ""},
        ]},
        {"name": long},
        {"name": "tab\there", "session_affinity": {"type": "ClientIP", "timeout": "1500ms"}},
    ]));
    assert_eq!(
        found,
        [
            "static[0].endpoints[0].address: \"web.example\" is no IP address; names are not resolved",
            "static[1].name: it is empty",
            "static[1].app_protocol: \"a\\nb\" has a control character",
            "static[2].name: static[0] has the same name",
            "static[2].endpoints[0].port: a port is from 1 to 65535",
            "static[2].endpoints[1].zone: \" z\" has a blank at an end",
            "static[2].endpoints[2].node: it is empty",
            "static[2].endpoints[2]: endpoints[1] has the same address and port",
            "static[3].name: it has 513 bytes; the most is 512",
            "static[4].name: \"tab\\there\" has a control character",
            "static[4].session_affinity.timeout: it is not whole seconds from 1s to 24h",
        ]
    );
}

#[test]
fn addresses_are_read_strictly() {
    for address in [
        "",
        "10.0.0.01",
        "10.0.0.1:80",
        "[::1]",
        "fe80::1%eth0",
        " ::1",
    ] {
        let found = errors(json!([{"name": "a", "endpoints": [{"address": address, "port": 1}]}]));
        assert!(
            found[0].starts_with("static[0].endpoints[0].address: "),
            "{found:?}"
        );
    }
}

#[test]
fn what_no_field_is_called_is_refused() {
    for value in [
        json!([{"name": "a", "endpoint": []}]),
        json!([{"name": "a", "endpoints": [{"address": "10.0.0.1", "port": 1, "weight": 1}]}]),
        json!([{"name": "a", "protocol": "QUIC"}]),
        json!([{"endpoints": []}]),
    ] {
        assert!(serde_json::from_value::<Vec<StaticCluster>>(value).is_err());
    }
}
