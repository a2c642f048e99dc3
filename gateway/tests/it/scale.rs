//! 10,000 Services: a change costs what its own Service costs.

use kubedex::Object;
use kubedex_gateway::discovery::{Discovery, Inventory};
use kubedex_gateway::model::ClusterChange;
use kubedex_gateway::translate::Options;
use serde_json::{Value, json};

const SERVICES: usize = 10_000;

fn service(number: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": format!("web-{number}"), "namespace": "shop"},
        "spec": {"ports": [{"name": "http", "port": 80}]},
    })
}

fn slice(number: usize, part: usize, host: usize) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("web-{number}-{part}"),
            "namespace": "shop",
            "labels": {"kubernetes.io/service-name": format!("web-{number}")},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": [format!("10.0.{part}.{host}")]}],
    })
}

#[test]
fn one_slice_of_ten_thousand_services_recomputes_one_service() {
    let mut inventory = Inventory::default();
    for number in 0..SERVICES {
        for value in [service(number), slice(number, 1, 1), slice(number, 2, 1)] {
            inventory.apply(Object::from_value(&value).unwrap());
        }
    }
    let mut discovery = Discovery::new(Options::default());
    let all: Vec<_> = inventory.services().cloned().collect();
    let diff = discovery.refresh(&inventory, all);
    assert_eq!(diff.upserted().count(), SERVICES);
    assert_eq!(discovery.recomputed(), SERVICES as u64);

    let touched = inventory.apply(Object::from_value(&slice(4_711, 2, 2)).unwrap());
    let diff = discovery.refresh(&inventory, touched);
    assert_eq!(discovery.recomputed(), SERVICES as u64 + 1);
    let changed: Vec<_> = diff.clusters.iter().map(ClusterChange::name).collect();
    assert_eq!(changed, ["k8s/shop/web-4711:http"]);
}
