//! Pods and pod templates.

use serde_json::{Value, json};

use super::{Object, list, part, part_mut, text};
use crate::fake::defaults;
use crate::fake::status::FieldFault;

const IMMUTABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n";

pub(super) fn default_spec(spec: &mut Object) {
    defaults::apply("PodSpec", spec);
    for key in ["containers", "initContainers"] {
        let Some(Value::Array(containers)) = spec.get_mut(key) else {
            continue;
        };
        for container in containers.iter_mut().filter_map(Value::as_object_mut) {
            let image = text(container, "image");
            let tag = image.rsplit('/').next().unwrap_or_default();
            let latest = !image.contains('@') && (!tag.contains(':') || tag.ends_with(":latest"));
            let policy = if latest { "Always" } else { "IfNotPresent" };
            container
                .entry("imagePullPolicy")
                .or_insert_with(|| json!(policy));
            if let Some(resources) = part_mut(container, "resources") {
                requests_from_limits(resources);
            }
        }
    }
}

/// A limit without a request is the request, too.
fn requests_from_limits(resources: &mut Object) {
    let Some(Value::Object(limits)) = resources.get("limits").cloned() else {
        return;
    };
    let requests = resources.entry("requests").or_insert_with(|| json!({}));
    if let Value::Object(requests) = requests {
        for (name, limit) in limits {
            requests.entry(name).or_insert(limit);
        }
    }
}

pub(super) fn prepare(object: &mut Object, new: bool) {
    let quality = part(object, "spec").map(quality_of_service);
    let Some(spec) = part_mut(object, "spec") else {
        return;
    };
    default_spec(spec);
    if new {
        tolerate(spec, "node.kubernetes.io/not-ready");
        tolerate(spec, "node.kubernetes.io/unreachable");
    }
    if let (Some(status), Some(quality)) = (part_mut(object, "status"), quality) {
        status.entry("qosClass").or_insert_with(|| json!(quality));
    }
}

/// Every pod survives five minutes on an ailing node, unless it says otherwise.
fn tolerate(spec: &mut Object, key: &str) {
    let tolerations = spec.entry("tolerations").or_insert_with(|| json!([]));
    let Value::Array(tolerations) = tolerations else {
        return;
    };
    let known = tolerations
        .iter()
        .filter_map(Value::as_object)
        .any(|toleration| matches!(text(toleration, "key"), "") || text(toleration, "key") == key);
    if !known {
        tolerations.push(json!({
            "key": key,
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": 300,
        }));
    }
}

fn quality_of_service(spec: &Object) -> &'static str {
    let mut any = false;
    let mut all = true;
    for container in list(spec, "containers").iter().filter_map(Value::as_object) {
        let resources = part(container, "resources");
        let of = |key: &str| resources.and_then(|resources| part(resources, key));
        let (limits, requests) = (of("limits"), of("requests"));
        any |= limits.is_some() || requests.is_some();
        for name in ["cpu", "memory"] {
            let limit = limits.and_then(|limits| limits.get(name));
            let request = requests.and_then(|requests| requests.get(name));
            all &= limit.is_some() && request.is_none_or(|request| Some(request) == limit);
        }
    }
    match (any, all) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

pub(super) fn faults(object: &Object, old: Option<&Object>) -> Vec<FieldFault> {
    let spec = part(object, "spec");
    if spec.is_none_or(|spec| list(spec, "containers").is_empty()) {
        return vec![FieldFault::required("spec.containers", "")];
    }
    let fixed = |object: &Object| {
        let mut spec = part(object, "spec").cloned().unwrap_or_default();
        for key in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
            spec.remove(key);
        }
        for key in ["containers", "initContainers"] {
            if let Some(Value::Array(containers)) = spec.get_mut(key) {
                for container in containers.iter_mut().filter_map(Value::as_object_mut) {
                    container.remove("image");
                }
            }
        }
        spec
    };
    match old {
        Some(old) if fixed(old) != fixed(object) => {
            vec![FieldFault::forbidden("spec", IMMUTABLE)]
        }
        _ => Vec::new(),
    }
}
