//! Laws of discovery under random events: neither order nor history matters, and a diff is exactly the difference.

use std::collections::{BTreeMap, BTreeSet};

use kubedex::{Object, ObjectRef};
use kubedex_gateway::discovery::{Diff, Discovery, Inventory, Kind};
use kubedex_gateway::translate::{IpFamily, Options};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Few names and addresses, so that events meet.
const SERVICES: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
enum Event {
    Apply(Value),
    Delete(&'static str, String),
}

fn reference(kind: &str, name: &str) -> (Kind, ObjectRef) {
    let kind = match kind {
        "Service" => Kind::Service,
        _ => Kind::EndpointSlice,
    };
    (kind, ObjectRef::namespaced("shop", name))
}

fn service() -> impl Strategy<Value = Value> {
    let port = |name: &'static str| {
        (
            prop_oneof![Just(json!(null)), Just(json!(8080)), Just(json!("web"))],
            prop_oneof![Just(json!(null)), Just(json!("TCP")), Just(json!("UDP"))],
        )
            .prop_map(move |(target, protocol)| {
                json!({"name": name, "port": 80, "targetPort": target, "protocol": protocol})
            })
    };
    let ports = prop_oneof![
        Just(json!([])),
        port("").prop_map(|port| json!([port])),
        (port("http"), port("admin")).prop_map(|(a, b)| json!([a, b])),
    ];
    let families = prop_oneof![
        Just(json!(null)),
        Just(json!(["IPv4"])),
        Just(json!(["IPv6", "IPv4"]))
    ];
    let kind = prop_oneof![5 => Just("ClusterIP"), 1 => Just("ExternalName"), 1 => Just("")];
    (prop::sample::select(&SERVICES[..]), kind, ports, families).prop_map(
        |(name, kind, ports, families)| {
            json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name, "namespace": "shop"},
                "spec": {"type": kind, "ports": ports, "ipFamilies": families},
            })
        },
    )
}

fn maybe<T: Clone + std::fmt::Debug>(values: &'static [T]) -> impl Strategy<Value = Option<T>> {
    prop::option::of(prop::sample::select(values))
}

fn endpoint() -> impl Strategy<Value = Value> {
    let address = prop_oneof![
        8 => (1..4_u8).prop_map(|n| format!("10.0.0.{n}")),
        4 => (1..4_u8).prop_map(|n| format!("2001:db8::{n}")),
        1 => Just("nonsense".to_owned()),
    ];
    (
        address,
        maybe(&[true, false]),
        maybe(&[true, false]),
        maybe(&[true, false]),
        maybe(&["z1", "z2"]),
        maybe(&["z1", "z2"]),
    )
        .prop_map(|(address, ready, serving, terminating, zone, hint)| {
            json!({
                "addresses": [address],
                "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
                "zone": zone,
                "hints": {"forZones": hint.map(|hint| [json!({"name": hint})])},
            })
        })
}

fn slice() -> impl Strategy<Value = Value> {
    let ports = prop_oneof![
        Just(json!(null)),
        Just(json!([{"port": 8080}])),
        Just(
            json!([{"name": "http", "port": 8080}, {"name": "admin", "protocol": "UDP", "port": 9000}])
        ),
        Just(json!([{"name": "http"}])),
        Just(json!([{"name": "admin", "port": 70_000}])),
    ];
    let owner = prop::option::weighted(0.9, prop::sample::select(&SERVICES[..]));
    let family =
        prop_oneof![6 => Just("IPv4"), 3 => Just("IPv6"), 1 => Just("FQDN"), 1 => Just("")];
    let endpoints = prop::collection::vec(endpoint(), 0..5);
    (0..4_u8, owner, family, ports, endpoints).prop_map(
        |(name, owner, family, ports, endpoints)| {
            json!({
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": format!("s{name}"),
                    "namespace": "shop",
                    "labels": {"kubernetes.io/service-name": owner},
                },
                "addressType": family,
                "ports": ports,
                "endpoints": endpoints,
            })
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => service().prop_map(Event::Apply),
        6 => slice().prop_map(Event::Apply),
        1 => prop::sample::select(&SERVICES[..])
            .prop_map(|name| Event::Delete("Service", name.to_owned())),
        2 => (0..4_u8).prop_map(|n| Event::Delete("EndpointSlice", format!("s{n}"))),
        // A Service and a slice that do not have the form at all.
        1 => prop::sample::select(&SERVICES[..]).prop_map(|name| Event::Apply(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": "shop"}, "spec": {"ports": "http"},
        }))),
        1 => (0..4_u8, prop::sample::select(&SERVICES[..])).prop_map(|(n, owner)| Event::Apply(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": format!("s{n}"), "namespace": "shop",
                         "labels": {"kubernetes.io/service-name": owner}},
            "endpoints": 7,
        }))),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    (
        prop_oneof![Just(None), Just(Some("z1".into())), Just(Some("".into()))],
        prop_oneof![4 => Just(None), 1 => Just(Some(IpFamily::V6))],
        any::<bool>(),
    )
        .prop_map(|(zone, ip_family, include_draining)| Options {
            zone,
            ip_family,
            include_draining,
            ..Options::default()
        })
}

fn feed(inventory: &mut Inventory, event: &Event) -> Vec<ObjectRef> {
    match event {
        Event::Apply(value) => inventory.apply(Object::from_value(value).unwrap()),
        Event::Delete(kind, name) => {
            let (kind, reference) = reference(kind, name);
            inventory.delete(kind, &reference).into_iter().collect()
        }
    }
}

/// What stands, as text: clusters by name, and problems.
fn state(discovery: &Discovery) -> (BTreeMap<String, String>, Vec<String>) {
    let clusters = discovery
        .clusters()
        .iter()
        .map(|cluster| (cluster.name.to_string(), json!(cluster).to_string()))
        .collect();
    let problems = discovery
        .problems()
        .into_iter()
        .map(|problem| format!("{problem} {}", problem.explanation()))
        .collect();
    (clusters, problems)
}

fn from_scratch<'a>(
    options: &Options,
    objects: impl IntoIterator<Item = &'a Value>,
) -> (BTreeMap<String, String>, Vec<String>) {
    let mut inventory = Inventory::default();
    for value in objects {
        inventory.apply(Object::from_value(value).unwrap());
    }
    let mut discovery = Discovery::new(options.clone());
    let all: Vec<_> = inventory.services().cloned().collect();
    discovery.refresh(&inventory, all);
    state(&discovery)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn incremental_equals_from_scratch_after_every_event(
        options in options(),
        events in prop::collection::vec(event(), 1..40),
    ) {
        let mut inventory = Inventory::default();
        let mut discovery = Discovery::new(options.clone());
        let mut exists: BTreeMap<(String, String), Value> = BTreeMap::new();
        let mut follower = BTreeMap::new();
        let mut history = Diff::default();
        let mut problems = BTreeSet::new();
        for event in &events {
            let touched = feed(&mut inventory, event);
            prop_assert!(touched.len() <= 2);
            let diff = discovery.refresh(&inventory, touched);
            match event {
                Event::Apply(value) => {
                    let text = |value: &Value| value.as_str().unwrap().to_owned();
                    let key = (text(&value["kind"]), text(&value["metadata"]["name"]));
                    exists.insert(key, value.clone());
                }
                Event::Delete(kind, name) => {
                    exists.remove(&((*kind).to_owned(), name.clone()));
                }
            }
            let now = state(&discovery);
            prop_assert_eq!(&now, &from_scratch(&options, exists.values()));
            prop_assert_eq!(&now, &from_scratch(&options, exists.values().rev()));

            // Who follows the diffs alone sees the same, and nothing that did not change.
            for change in &diff.clusters {
                let before: Option<String> = match change.after() {
                    Some(after) => follower.insert(change.name().to_owned(), json!(after).to_string()),
                    None => follower.remove(change.name()),
                };
                prop_assert_eq!(before, change.before().map(|it| json!(it).to_string()));
                prop_assert_ne!(change.before(), change.after());
            }
            prop_assert_eq!(&follower, &now.0);

            // Who is told of all of it at once, too.
            history = history.then(diff);
            let all: BTreeMap<String, String> = history
                .upserted()
                .map(|cluster| (cluster.name.to_string(), json!(cluster).to_string()))
                .collect();
            prop_assert_eq!(&all, &now.0);
            prop_assert_eq!(history.removed().count(), 0);
            prop_assert!(history.problems_removed.is_empty());
            problems.clear();
            problems.extend(history.problems_added.iter().map(|problem| {
                format!("{problem} {}", problem.explanation())
            }));
            prop_assert_eq!(problems.iter().collect::<Vec<_>>(), now.1.iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn any_order_of_the_same_objects_gives_the_same(
        options in options(),
        (objects, shuffled) in prop::collection::vec(prop_oneof![service(), slice()], 1..12)
            .prop_map(|objects| {
                // One object of each name.
                let unique: BTreeMap<_, _> = objects
                    .into_iter()
                    .map(|it| ((it["kind"].to_string(), it["metadata"]["name"].to_string()), it))
                    .collect();
                unique.into_values().collect::<Vec<_>>()
            })
            .prop_flat_map(|objects| (Just(objects.clone()), Just(objects).prop_shuffle())),
    ) {
        // Event by event, so that slices come before their Service and Services before their slices.
        let mut inventory = Inventory::default();
        let mut discovery = Discovery::new(options.clone());
        for value in &shuffled {
            let touched = inventory.apply(Object::from_value(value).unwrap());
            discovery.refresh(&inventory, touched);
        }
        prop_assert_eq!(state(&discovery), from_scratch(&options, &objects));
    }

    #[test]
    fn the_order_of_endpoints_and_ports_in_a_slice_has_no_say(
        options in options(),
        service in service(),
        (slice, shuffled) in slice().prop_flat_map(|slice| {
            let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
            let endpoints = Just(list(&slice["endpoints"])).prop_shuffle();
            let ports = Just(list(&slice["ports"])).prop_shuffle();
            (Just(slice), endpoints, ports).prop_map(|(slice, endpoints, ports)| {
                let mut shuffled = slice.clone();
                shuffled["endpoints"] = json!(endpoints);
                shuffled["ports"] = json!(ports);
                (slice, shuffled)
            })
        }),
    ) {
        prop_assert_eq!(
            from_scratch(&options, [&service, &slice]),
            from_scratch(&options, [&service, &shuffled])
        );
    }
}
