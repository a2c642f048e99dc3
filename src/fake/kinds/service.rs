//! Service and EndpointSlice.

use serde_json::{Value, json};

use super::{Object, State, list, part, text};
use crate::fake::status::FieldFault;

/// Allocates addresses in 10.0.0.0/12 and node ports from 30000, keeps what a change leaves out, and fills in the
/// families.
pub(super) fn prepare(state: &mut State, object: &mut Object, old: Option<&Object>) {
    let spec = object.entry("spec").or_insert_with(|| json!({}));
    let Value::Object(spec) = spec else { return };
    let kind = match text(spec, "type") {
        "" => "ClusterIP",
        given => given,
    }
    .to_owned();
    let before = old.and_then(|old| part(old, "spec"));
    if let Some(Value::Array(ports)) = spec.get_mut("ports") {
        for port in ports.iter_mut().filter_map(Value::as_object_mut) {
            if let Some(number) = port.get("port").cloned() {
                port.entry("targetPort").or_insert(number);
            }
        }
    }
    if kind == "ExternalName" {
        return;
    }
    if text(spec, "clusterIP").is_empty() {
        let kept = before
            .map(|before| text(before, "clusterIP"))
            .filter(|address| !address.is_empty());
        let address = kept.map_or_else(
            || {
                state.addresses += 1;
                let number = state.addresses;
                let byte = |shift: u32| number.checked_shr(shift).unwrap_or_default() & 0xff;
                format!("10.{}.{}.{}", byte(16) & 0xf, byte(8), byte(0))
            },
            str::to_owned,
        );
        spec.insert("clusterIP".to_owned(), json!(address));
    }
    let address = json!([text(spec, "clusterIP")]);
    spec.entry("clusterIPs").or_insert(address);
    spec.entry("ipFamilies").or_insert_with(|| json!(["IPv4"]));
    spec.entry("ipFamilyPolicy")
        .or_insert_with(|| json!("SingleStack"));
    spec.entry("internalTrafficPolicy")
        .or_insert_with(|| json!("Cluster"));
    if kind == "NodePort" || kind == "LoadBalancer" {
        spec.entry("externalTrafficPolicy")
            .or_insert_with(|| json!("Cluster"));
        let ports: Vec<Value> = before
            .map(|before| list(before, "ports").to_vec())
            .unwrap_or_default();
        if let Some(Value::Array(list)) = spec.get_mut("ports") {
            for port in list.iter_mut().filter_map(Value::as_object_mut) {
                let kept = ports
                    .iter()
                    .find(|known| known.get("port") == port.get("port"))
                    .and_then(|known| known.get("nodePort"))
                    .cloned();
                port.entry("nodePort").or_insert_with(|| {
                    kept.unwrap_or_else(|| {
                        state.addresses += 1;
                        json!(30000 + state.addresses % 2768)
                    })
                });
            }
        }
    }
    if kind == "LoadBalancer" {
        spec.entry("allocateLoadBalancerNodePorts")
            .or_insert_with(|| json!(true));
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
        if let Some(target) = port.get("targetPort") {
            port_range(format!("{place}.targetPort"), target, &mut faults);
        }
    }
    if !["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"].contains(&text(spec, "type")) {
        faults.push(FieldFault::not_supported(
            "spec.type",
            &json!(text(spec, "type")),
            &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"],
        ));
    }
    faults
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
