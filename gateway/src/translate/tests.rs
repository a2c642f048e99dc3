//! Corners that no vector reaches: what the API server would refuse, or does not check.

use serde_json::{Value, json};

use super::*;

fn service(spec: &Value) -> Service {
    let metadata = json!({"name": "web", "namespace": "shop"});
    serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
}

fn slice(name: &str, ports: &Value, endpoints: &Value) -> EndpointSlice {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": ports,
        "endpoints": endpoints,
    }))
    .unwrap()
}

fn run(service: &Service, slices: &[EndpointSlice]) -> (Vec<String>, Vec<String>) {
    let translation = translate(service, slices, &Options::default());
    (
        translation
            .clusters
            .iter()
            .flat_map(|cluster| &cluster.endpoints)
            .map(|endpoint| {
                format!(
                    "{} {} {}",
                    endpoint.socket(),
                    endpoint.state,
                    endpoint.zone.as_deref().unwrap_or("-")
                )
            })
            .collect(),
        translation
            .problems
            .iter()
            .map(ToString::to_string)
            .collect(),
    )
}

#[test]
fn a_port_number_out_of_range_is_a_problem_of_that_port_alone() {
    let web = service(&json!({"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81}]}));
    let address = json!([{"addresses": ["10.0.0.1"]}]);
    for number in [0, -1, 65_536] {
        let ports = json!([{"name": "a", "port": number}, {"name": "b", "port": 81}]);
        let (endpoints, problems) = run(&web, &[slice("web-1", &ports, &address)]);
        assert_eq!(endpoints, ["10.0.0.1:81 ready -"]);
        assert_eq!(problems, ["invalid-port EndpointSlice/shop/web-1:a"]);
    }
}

#[test]
fn a_target_port_of_zero_or_without_a_name_is_the_port_itself() {
    let address = json!([{"addresses": ["10.0.0.1"]}]);
    for target in [json!(0), json!(""), json!(null)] {
        let web = service(&json!({"ports": [{"port": 80, "targetPort": target}]}));
        let (endpoints, problems) = run(&web, &[slice("web-1", &json!([{}]), &address)]);
        assert_eq!(endpoints, ["10.0.0.1:80 ready -"]);
        assert!(problems.is_empty());
    }
}

#[test]
fn two_ports_of_one_name_are_one_cluster_and_a_problem() {
    let web = service(&json!({"ports": [
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns", "port": 53, "protocol": "TCP"},
    ]}));
    let translation = translate(&web, &[], &Options::default());
    assert_eq!(translation.clusters.len(), 1);
    assert_eq!(translation.clusters[0].protocol, Protocol::Udp);
    assert_eq!(
        translation.problems[0].to_string(),
        "duplicate-port Service/shop/web:dns"
    );
}

#[test]
fn a_name_that_is_none_gives_no_cluster() {
    for (namespace, name) in [
        ("a", "b:c"),
        ("a/b", "c"),
        ("", "c"),
        ("a", ""),
        ("a", "\u{1b}[31m"),
    ] {
        let service: Service = serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"ports": [{"port": 80}]},
        }))
        .unwrap();
        let translation = translate(&service, &[], &Options::default());
        assert!(translation.clusters.is_empty());
        assert_eq!(translation.problems.len(), 1);
    }
}

#[test]
fn an_unknown_address_type_is_a_problem_unless_a_family_is_asked_for() {
    let mut odd = slice("web-1", &json!([{}]), &json!([]));
    odd.address_type = "IPv7".into();
    let web = service(&json!({"ports": [{"port": 80}]}));
    let (_, problems) = run(&web, std::slice::from_ref(&odd));
    assert_eq!(problems, ["malformed EndpointSlice/shop/web-1"]);
    let options = Options {
        ip_family: Some(IpFamily::V4),
        ..Options::default()
    };
    assert!(translate(&web, [&odd], &options).problems.is_empty());
}

#[test]
fn an_address_of_the_wrong_family_or_with_leading_zeros_is_skipped() {
    let web = service(&json!({"ports": [{"port": 80}]}));
    for address in [
        "2001:db8::1",
        "10.0.0.01",
        "010.0.0.1",
        " 10.0.0.1",
        "10.0.0.1/32",
        "",
    ] {
        let endpoints = json!([{"addresses": [address]}, {"addresses": ["10.0.0.2"]}]);
        let (endpoints, problems) = run(&web, &[slice("web-1", &json!([{}]), &endpoints)]);
        assert_eq!(endpoints, ["10.0.0.2:80 ready -"], "{address:?}");
        assert_eq!(problems, ["invalid-address EndpointSlice/shop/web-1"]);
    }
}

#[test]
fn equal_copies_are_settled_without_regard_to_any_order() {
    let web = service(&json!({"ports": [{"port": 80}]}));
    let copy = |zone: &str| json!({"addresses": ["10.0.0.1"], "zone": zone});
    let one = |order: [&str; 2]| slice("web-2", &json!([{}]), &json!(order.map(copy)));
    let other = slice("web-10", &json!([{}]), &json!([copy("z")]));
    // Within one slice content decides.
    for order in [["a", "b"], ["b", "a"]] {
        assert_eq!(run(&web, &[one(order)]).0, ["10.0.0.1:80 ready a"]);
    }
    // Between slices the smallest name does, as bytes.
    let (one, other) = (one(["a", "b"]), other);
    for slices in [[one.clone(), other.clone()], [other, one]] {
        assert_eq!(run(&web, &slices).0, ["10.0.0.1:80 ready z"]);
    }
}

#[test]
fn an_unlisted_family_comes_after_the_listed_one() {
    let mut six = slice(
        "web-6",
        &json!([{}]),
        &json!([{"addresses": ["2001:DB8:0:0::1"]}]),
    );
    six.address_type = "IPv6".into();
    let four = slice("web-4", &json!([{}]), &json!([{"addresses": ["10.0.0.1"]}]));
    for (families, first) in [
        (json!(["IPv6"]), "[2001:db8::1]:80 ready -"),
        (json!(["IPv4"]), "10.0.0.1:80 ready -"),
        (json!([]), "10.0.0.1:80 ready -"),
        (json!(null), "10.0.0.1:80 ready -"),
    ] {
        let web = service(&json!({"ports": [{"port": 80}], "ipFamilies": families}));
        let (endpoints, _) = run(&web, &[four.clone(), six.clone()]);
        assert_eq!(endpoints.len(), 2);
        assert_eq!(endpoints[0], first);
    }
}

#[test]
fn a_port_of_the_same_name_and_another_protocol_is_no_match() {
    let web = service(&json!({"ports": [{"name": "dns", "port": 53, "protocol": "UDP"}]}));
    let address = json!([{"addresses": ["10.0.0.1"]}]);
    for (ports, expected) in [
        (json!([{"name": "dns", "port": 53}]), 0),
        (json!([{"name": "dns", "port": 53, "protocol": "TCP"}]), 0),
        (json!([{"name": "dns", "port": 53, "protocol": "UDP"}]), 1),
    ] {
        let (endpoints, problems) = run(&web, &[slice("web-1", &ports, &address)]);
        assert_eq!(endpoints.len(), expected, "{ports}");
        assert!(problems.is_empty());
    }
}

#[test]
fn node_hints_are_tried_before_zone_hints_and_these_if_those_cannot_be_used() {
    let web = service(&json!({"ports": [{"port": 80}]}));
    let hinted = |address: &str, node: Option<&str>, zone: &str| {
        let nodes = node.map(|node| json!([{"name": node}]));
        json!({"addresses": [address], "hints": {"forNodes": nodes, "forZones": [{"name": zone}]}})
    };
    let kept = |third_node: Option<&str>, node: &str| {
        let endpoints = json!([
            hinted("10.0.0.1", Some("n1"), "z1"),
            hinted("10.0.0.2", Some("n2"), "z1"),
            hinted("10.0.0.3", third_node, "z2"),
        ]);
        let options = Options {
            node: Some(node.into()),
            zone: Some("z1".into()),
            ..Options::default()
        };
        let slices = [slice("web-1", &json!([{}]), &endpoints)];
        let clusters = translate(&web, &slices, &options).clusters;
        let addresses = clusters[0].endpoints.iter();
        addresses
            .map(|endpoint| endpoint.address.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(kept(Some("n1"), "n1"), ["10.0.0.1", "10.0.0.3"], "by node");
    let by_zone = ["10.0.0.1", "10.0.0.2"];
    assert_eq!(kept(None, "n1"), by_zone, "a node hint is missing");
    assert_eq!(kept(Some("n1"), "n9"), by_zone, "no hint names the node");
    assert_eq!(kept(Some("n1"), ""), by_zone, "no node is given");
}

#[test]
fn only_wanted_ports_make_clusters_and_have_problems() {
    let web = service(&json!({"ports": [
        {"name": "http", "port": 80},
        {"name": "admin", "port": 81, "targetPort": "admin"},
        {"port": 9000},
    ]}));
    let ports = json!([{"name": "http", "port": 8080}, {"name": "admin"}, {"port": 9000}]);
    let slices = [slice(
        "web-1",
        &ports,
        &json!([{"addresses": ["10.0.0.1"]}, {"addresses": ["?"]}]),
    )];
    let wanted = |ports: &[&str]| {
        let options = Options {
            ports: ports.iter().map(|it| (*it).into()).collect(),
            ..Options::default()
        };
        let Translation { clusters, problems } = translate(&web, &slices, &options);
        let clusters: Vec<_> = clusters.iter().map(|it| it.name.to_string()).collect();
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        (clusters, problems)
    };
    let address = "invalid-address EndpointSlice/shop/web-1";
    let (clusters, problems) = wanted(&["http", "9000", "nowhere"]);
    assert_eq!(clusters, ["k8s/shop/web:9000", "k8s/shop/web:http"]);
    assert_eq!(problems, [address]);
    let (clusters, problems) = wanted(&["admin"]);
    assert_eq!(clusters, ["k8s/shop/web:admin"]);
    let port = "unresolved-port EndpointSlice/shop/web-1:admin";
    assert_eq!(problems, [address, port]);
    // The number of a port that has a name is not what it is called.
    assert_eq!(wanted(&["80"]), (Vec::new(), Vec::new()));
    assert_eq!(wanted(&[]).0.len(), 3);
}

#[test]
fn a_service_says_by_an_annotation_whether_it_is_wanted() {
    let says = |annotations: Value, mode: ChoiceMode| {
        let service: Service = serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "shop", "annotations": annotations},
            "spec": {"ports": [{"port": 80}]},
        }))
        .unwrap();
        let key = DEFAULT_CHOICE_KEY.into();
        let options = Options {
            annotation: Some(Choice { key, mode }),
            ..Options::default()
        };
        let Translation { clusters, problems } = translate(&service, &[], &options);
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        (clusters.len() == 1, problems)
    };
    let odd = vec!["invalid-annotation Service/shop/web".to_owned()];
    for (annotations, opt_in, opt_out, problems) in [
        (json!(null), false, true, vec![]),
        (json!({"other": "true"}), false, true, vec![]),
        (json!({"kubedex.dev/gateway": null}), false, true, vec![]),
        (json!({"kubedex.dev/gateway": "true"}), true, true, vec![]),
        (
            json!({"kubedex.dev/gateway": "false"}),
            false,
            false,
            vec![],
        ),
        (
            json!({"kubedex.dev/gateway": "yes"}),
            false,
            true,
            odd.clone(),
        ),
        (json!({"kubedex.dev/gateway": ""}), false, true, odd.clone()),
        (json!({"kubedex.dev/gateway": "True"}), false, true, odd),
    ] {
        let (wanted, told) = says(annotations.clone(), ChoiceMode::OptIn);
        assert_eq!((wanted, &told), (opt_in, &problems), "{annotations}");
        let (wanted, told) = says(annotations.clone(), ChoiceMode::OptOut);
        assert_eq!((wanted, told), (opt_out, problems), "{annotations}");
    }
}

#[test]
fn who_is_not_wanted_has_no_other_problem() {
    let service: Service = serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"type": "ExternalName"},
    }))
    .unwrap();
    let choice: Choice = serde_json::from_value(json!({"mode": "opt-in"})).unwrap();
    assert_eq!(&*choice.key, DEFAULT_CHOICE_KEY);
    let options = Options {
        annotation: Some(choice),
        ..Options::default()
    };
    assert_eq!(translate(&service, &[], &options), Translation::default());
}

#[test]
fn an_endless_annotation_is_shown_shortened() {
    let service: Service = serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "shop", "annotations": {"x": "é".repeat(100_000)}},
        "spec": {},
    }))
    .unwrap();
    let choice = json!({"key": "x", "mode": "opt-out"});
    let options = Options {
        annotation: Some(serde_json::from_value(choice).unwrap()),
        ..Options::default()
    };
    let translation = translate(&service, &[], &options);
    assert!(translation.problems[0].explanation().len() < 300);
}
