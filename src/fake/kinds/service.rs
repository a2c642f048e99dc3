//! Service and EndpointSlice.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Object, State, list, part, text};
use crate::fake::status::FieldFault;

/// Fills in a Service's spec: allocates addresses in 10.0.0.0/12 and node ports from 30000, keeps what was allocated
/// before, and takes out what a change of type makes meaningless.
pub(super) fn prepare(state: &mut State, object: &mut Object, old: Option<&Object>) {
    let spec = object.entry("spec").or_insert_with(|| json!({}));
    let Value::Object(spec) = spec else { return };
    let before = old.and_then(|old| part(old, "spec"));
    default_spec(spec);
    if let Some(before) = before {
        keep_allocated(spec, before);
    }
    if needs_address(spec) {
        allocate_address(state, spec);
        default_families(spec, before);
    }
    if allocates_node_ports(spec) {
        for port in ports_mut(spec) {
            if node_port(port) == 0 {
                let number = next_port(state);
                port.insert("nodePort".to_owned(), json!(number));
            }
        }
    }
    if needs_health_port(spec) && !spec.contains_key("healthCheckNodePort") {
        let number = next_port(state);
        spec.insert("healthCheckNodePort".to_owned(), json!(number));
    }
    if let Some(before) = before {
        drop_for_type(spec, before);
    }
}

fn kind(spec: &Object) -> &str {
    match text(spec, "type") {
        "" => "ClusterIP",
        given => given,
    }
}

fn needs_address(spec: &Object) -> bool {
    kind(spec) != "ExternalName"
}

fn needs_node_ports(spec: &Object) -> bool {
    matches!(kind(spec), "NodePort" | "LoadBalancer")
}

fn allocates_node_ports(spec: &Object) -> bool {
    let declined = spec.get("allocateLoadBalancerNodePorts") == Some(&json!(false));
    needs_node_ports(spec) && !(kind(spec) == "LoadBalancer" && declined)
}

fn needs_health_port(spec: &Object) -> bool {
    kind(spec) == "LoadBalancer" && text(spec, "externalTrafficPolicy") == "Local"
}

fn ports_mut(spec: &mut Object) -> impl Iterator<Item = &mut Object> {
    spec.get_mut("ports")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
}

fn ports(spec: &Object) -> impl Iterator<Item = &Object> {
    list(spec, "ports").iter().filter_map(Value::as_object)
}

/// 0: none.
fn node_port(port: &Object) -> i64 {
    port.get("nodePort")
        .and_then(Value::as_i64)
        .unwrap_or_default()
}

fn node_ports(spec: &Object) -> BTreeSet<i64> {
    ports(spec)
        .map(node_port)
        .filter(|port| *port != 0)
        .collect()
}

fn next_port(state: &mut State) -> u32 {
    state.addresses += 1;
    30000 + state.addresses % 2768
}

fn default_spec(spec: &mut Object) {
    for port in ports_mut(spec) {
        if let Some(number) = port.get("port").cloned() {
            port.entry("targetPort").or_insert(number);
        }
    }
    spec.entry("type").or_insert_with(|| json!("ClusterIP"));
    if needs_address(spec) {
        spec.entry("internalTrafficPolicy")
            .or_insert_with(|| json!("Cluster"));
    }
    if needs_node_ports(spec) {
        spec.entry("externalTrafficPolicy")
            .or_insert_with(|| json!("Cluster"));
    }
    if kind(spec) == "LoadBalancer" {
        spec.entry("allocateLoadBalancerNodePorts")
            .or_insert_with(|| json!(true));
    }
}

/// What was allocated and is not named stays: a writer may send again what it sent first.
fn keep_allocated(spec: &mut Object, before: &Object) {
    if needs_address(before) && needs_address(spec) && text(spec, "clusterIP").is_empty() {
        let address = text(before, "clusterIP");
        if !address.is_empty() {
            spec.insert("clusterIP".to_owned(), json!(address));
        }
    }
    if needs_node_ports(before) && needs_node_ports(spec) {
        let mut used: BTreeSet<i64> = node_ports(before)
            .intersection(&node_ports(spec))
            .copied()
            .collect();
        for port in ports_mut(spec).filter(|port| node_port(port) == 0) {
            let known = ports(before)
                .filter(|known| text(known, "name") == text(port, "name"))
                .last()
                .map(node_port)
                .unwrap_or_default();
            if known != 0 && used.insert(known) {
                port.insert("nodePort".to_owned(), json!(known));
            }
        }
    }
    if needs_health_port(before)
        && needs_health_port(spec)
        && let Some(port) = before.get("healthCheckNodePort")
    {
        spec.entry("healthCheckNodePort")
            .or_insert_with(|| port.clone());
    }
}

fn allocate_address(state: &mut State, spec: &mut Object) {
    if text(spec, "clusterIP").is_empty() {
        state.addresses += 1;
        let number = state.addresses;
        let byte = |shift: u32| number.checked_shr(shift).unwrap_or_default() & 0xff;
        let address = format!("10.{}.{}.{}", byte(16) & 0xf, byte(8), byte(0));
        spec.insert("clusterIP".to_owned(), json!(address));
    }
    let address = json!([text(spec, "clusterIP")]);
    spec.entry("clusterIPs").or_insert(address);
}

/// One family, IPv4; a headless Service that selects nothing may be of any, and is of both.
fn default_families(spec: &mut Object, before: Option<&Object>) {
    let free = text(spec, "clusterIP") == "None"
        && part(spec, "selector").is_none_or(serde_json::Map::is_empty);
    if text(spec, "ipFamilyPolicy").is_empty() {
        let policy = match before.map_or("", |before| text(before, "ipFamilyPolicy")) {
            "" if free => "RequireDualStack",
            "" => "SingleStack",
            kept => kept,
        };
        let policy = json!(policy);
        spec.insert("ipFamilyPolicy".to_owned(), policy);
    }
    let both = free && text(spec, "ipFamilyPolicy") != "SingleStack";
    let families = spec.entry("ipFamilies").or_insert_with(|| json!(["IPv4"]));
    if let (true, Value::Array(families)) = (both, families)
        && let [family] = &families[..]
    {
        let other = if family == "IPv4" { "IPv6" } else { "IPv4" };
        families.push(json!(other));
    }
}

/// A change of type takes along what only the old type needs, unless the writer changed it, too.
fn drop_for_type(spec: &mut Object, before: &Object) {
    let drop = |spec: &mut Object, keys: &[&str]| {
        if keys.iter().all(|key| spec.get(*key) == before.get(*key)) {
            for key in keys {
                spec.remove(*key);
            }
        }
    };
    if needs_address(before) && !needs_address(spec) {
        drop(spec, &["clusterIP", "clusterIPs"]);
        drop(spec, &["ipFamilies"]);
        drop(spec, &["ipFamilyPolicy"]);
    }
    if needs_node_ports(before) && !needs_node_ports(spec) {
        if node_ports(spec).is_subset(&node_ports(before)) {
            for port in ports_mut(spec) {
                port.remove("nodePort");
            }
        }
        drop(spec, &["externalTrafficPolicy"]);
    }
    if needs_health_port(before) && !needs_health_port(spec) {
        drop(spec, &["healthCheckNodePort"]);
    }
    if kind(before) == "LoadBalancer" && kind(spec) != "LoadBalancer" {
        drop(spec, &["allocateLoadBalancerNodePorts"]);
        drop(spec, &["loadBalancerClass"]);
    }
}

fn port_range(path: String, value: &Value, faults: &mut Vec<FieldFault>) {
    if let Some(number) = value.as_i64()
        && !(1..=65535).contains(&number)
    {
        faults.push(FieldFault::invalid(
            path,
            value,
            "must be between 1 and 65535, inclusive",
        ));
    }
}

pub(super) fn faults(object: &Object, old: Option<&Object>) -> Vec<FieldFault> {
    let mut faults = Vec::new();
    let Some(spec) = part(object, "spec") else {
        return faults;
    };
    let address = text(spec, "clusterIP");
    if let Some(before) = old.and_then(|old| part(old, "spec"))
        && text(before, "type") != "ExternalName"
        && text(spec, "type") != "ExternalName"
        && text(before, "clusterIP") != address
    {
        faults.push(FieldFault::invalid(
            "spec.clusterIPs[0]",
            &json!([address]),
            "may not change once set",
        ));
    }
    match text(spec, "type") {
        "ExternalName" if text(spec, "externalName").is_empty() => {
            faults.push(FieldFault::required("spec.externalName", ""));
        }
        kind @ ("NodePort" | "LoadBalancer") if address == "None" => {
            faults.push(FieldFault::invalid(
                "spec.clusterIPs[0]",
                &json!(address),
                &format!("may not be set to 'None' for {kind} services"),
            ));
        }
        _ => {}
    }
    let ports = list(spec, "ports");
    if ports.is_empty() && address != "None" && text(spec, "type") != "ExternalName" {
        faults.push(FieldFault::required("spec.ports", ""));
    }
    let mut names: Vec<&str> = Vec::new();
    for (index, port) in ports.iter().filter_map(Value::as_object).enumerate() {
        let place = format!("spec.ports[{index}]");
        let name = text(port, "name");
        if name.is_empty() && ports.len() > 1 {
            faults.push(FieldFault::required(format!("{place}.name"), ""));
        } else if !name.is_empty() && names.contains(&name) {
            faults.push(FieldFault::duplicate(format!("{place}.name"), &json!(name)));
        }
        names.push(name);
        port_range(
            format!("{place}.port"),
            port.get("port").unwrap_or(&json!(0)),
            &mut faults,
        );
        let protocol = text(port, "protocol");
        if !["TCP", "UDP", "SCTP"].contains(&protocol) {
            faults.push(FieldFault::not_supported(
                format!("{place}.protocol"),
                &json!(protocol),
                &["SCTP", "TCP", "UDP"],
            ));
        }
        if text(spec, "type") == "ClusterIP" && node_port(port) != 0 {
            faults.push(FieldFault::forbidden(
                format!("{place}.nodePort"),
                "may not be used when `type` is 'ClusterIP'",
            ));
        }
        if let Some(target) = port.get("targetPort") {
            port_range(format!("{place}.targetPort"), target, &mut faults);
        }
    }
    faults.extend(ports_given_twice(spec));
    if !["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"].contains(&text(spec, "type")) {
        faults.push(FieldFault::not_supported(
            "spec.type",
            &json!(text(spec, "type")),
            &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"],
        ));
    }
    faults
}

/// No two ports may have the same number and protocol. The server shows these two of the second one, in its own form.
fn ports_given_twice(spec: &Object) -> impl Iterator<Item = FieldFault> {
    let mut seen = BTreeSet::new();
    ports(spec).enumerate().filter_map(move |(index, port)| {
        let number = port.get("port").and_then(Value::as_i64).unwrap_or_default();
        let protocol = text(port, "protocol");
        let is_new = seen.insert((protocol, number));
        let protocol = json!(protocol);
        (!is_new).then(|| {
            let shown = format!(
                r#"{{"Name":"","Protocol":{protocol},"AppProtocol":null,"Port":{number},"TargetPort":0,"NodePort":0}}"#
            );
            FieldFault::duplicate_shown(format!("spec.ports[{index}]"), &shown)
        })
    })
}

pub(super) fn slice_faults(object: &Object, old: Option<&Object>) -> Vec<FieldFault> {
    let mut faults = Vec::new();
    let kind = text(object, "addressType");
    match old {
        Some(old) if text(old, "addressType") != kind => {
            faults.push(FieldFault::invalid(
                "addressType",
                &json!(kind),
                "field is immutable",
            ));
            return faults;
        }
        _ => {}
    }
    if kind.is_empty() {
        faults.push(FieldFault::required("addressType", ""));
    } else if !["FQDN", "IPv4", "IPv6"].contains(&kind) {
        faults.push(FieldFault::not_supported(
            "addressType",
            &json!(kind),
            &["FQDN", "IPv4", "IPv6"],
        ));
    }
    for (index, endpoint) in list(object, "endpoints")
        .iter()
        .filter_map(Value::as_object)
        .enumerate()
    {
        let addresses = list(endpoint, "addresses");
        let place = format!("endpoints[{index}].addresses");
        if addresses.is_empty() {
            faults.push(FieldFault::required(
                place.clone(),
                "must contain at least 1 address",
            ));
        } else if addresses.len() > 100 {
            faults.push(FieldFault::too_many(place.clone(), addresses.len(), 100));
        }
        for (index, address) in addresses.iter().enumerate() {
            let place = format!("{place}[{index}]");
            let text = address.as_str().unwrap_or_default();
            let fits = match kind {
                "IPv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
                "IPv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
                _ => true,
            };
            if !fits {
                let words = if text.parse::<std::net::IpAddr>().is_err() {
                    "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
                } else if kind == "IPv4" {
                    "must be an IPv4 address"
                } else {
                    "must be an IPv6 address"
                };
                faults.push(FieldFault::invalid(place, address, words));
            }
        }
    }
    faults
}
