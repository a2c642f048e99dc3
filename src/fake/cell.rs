//! Cells of tables that are more than a field: what `kubectl get` shows of pods, services and the like.

use serde_json::{Map, Value, json};

type Object = Map<String, Value>;
type Rule = fn(&Object) -> String;

const RULES: [(&str, Rule); 24] = [
    ("cluster-ip", |object| {
        or(text(object, "/spec/clusterIP"), "<none>")
    }),
    ("containers", |object| containers(object, "name")),
    ("endpoints", |object| {
        let addresses = each(object, "/subsets").flat_map(|subset| field_list(subset, "addresses"));
        limited(addresses.map(|address| field(address, "ip")).collect())
    }),
    ("event-object", |object| {
        let kind = text(object, "/involvedObject/kind").to_lowercase();
        format!("{kind}/{}", text(object, "/involvedObject/name"))
    }),
    ("external-ip", external_ip),
    ("images", |object| containers(object, "image")),
    ("ingress-address", |object| load_balancer(object)),
    ("ingress-hosts", |object| {
        or(
            limited(
                each(object, "/spec/rules")
                    .map(|rule| field(rule, "host"))
                    .collect(),
            ),
            "*",
        )
    }),
    ("ingress-ports", |object| {
        let secure = object.pointer("/spec/tls").is_some();
        if secure { "80, 443" } else { "80" }.to_owned()
    }),
    ("job-completions", |object| {
        format!(
            "{}/{}",
            number(object, "/status/succeeded"),
            number(object, "/spec/completions")
        )
    }),
    ("job-status", |object| {
        each(object, "/status/conditions")
            .find(|condition| field(condition, "status") == "True")
            .map_or_else(
                || "Running".to_owned(),
                |condition| field(condition, "type"),
            )
    }),
    ("label-selector", |object| {
        labels(object, "/spec/selector/matchLabels")
    }),
    ("node-name", |object| {
        or(text(object, "/spec/nodeName"), "<none>")
    }),
    ("node-roles", |object| {
        let roles = object
            .pointer("/metadata/labels")
            .and_then(Value::as_object);
        let roles: Vec<String> = roles
            .into_iter()
            .flat_map(Map::keys)
            .filter_map(|key| key.strip_prefix("node-role.kubernetes.io/"))
            .map(str::to_owned)
            .collect();
        or(roles.join(","), "<none>")
    }),
    ("node-selector", |object| {
        labels(object, "/spec/template/spec/nodeSelector")
    }),
    ("node-status", |object| {
        let ready = each(object, "/status/conditions").any(|condition| {
            field(condition, "type") == "Ready" && field(condition, "status") == "True"
        });
        let status = if ready { "Ready" } else { "NotReady" };
        if object.pointer("/spec/unschedulable") == Some(&Value::Bool(true)) {
            format!("{status},SchedulingDisabled")
        } else {
            status.to_owned()
        }
    }),
    ("nominated-node", |object| {
        or(text(object, "/status/nominatedNodeName"), "<none>")
    }),
    ("none", |_| "<none>".to_owned()),
    ("pod-ip", |object| {
        or(text(object, "/status/podIP"), "<none>")
    }),
    ("pod-ready", |object| {
        let ready = each(object, "/status/containerStatuses")
            .filter(|status| status.get("ready") == Some(&Value::Bool(true)))
            .count();
        format!("{ready}/{}", each(object, "/spec/containers").count())
    }),
    ("pod-restarts", |object| {
        each(object, "/status/containerStatuses")
            .filter_map(|status| status.get("restartCount")?.as_i64())
            .sum::<i64>()
            .to_string()
    }),
    ("pod-selector", |object| {
        labels(object, "/spec/podSelector/matchLabels")
    }),
    ("pod-status", |object| {
        if object.pointer("/metadata/deletionTimestamp").is_some() {
            "Terminating".to_owned()
        } else {
            or(
                text(object, "/status/reason"),
                &text(object, "/status/phase"),
            )
        }
    }),
    ("ready-of-replicas", |object| {
        format!(
            "{}/{}",
            number(object, "/status/readyReplicas"),
            number(object, "/spec/replicas")
        )
    }),
];

const MORE_RULES: [(&str, Rule); 5] = [
    ("role", |object| {
        format!(
            "{}/{}",
            text(object, "/roleRef/kind"),
            text(object, "/roleRef/name")
        )
    }),
    ("service-ports", service_ports),
    ("service-selector", |object| {
        labels(object, "/spec/selector")
    }),
    ("slice-endpoints", |object| {
        let addresses =
            each(object, "/endpoints").flat_map(|endpoint| field_list(endpoint, "addresses"));
        limited(
            addresses
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
        )
    }),
    ("slice-ports", |object| {
        limited(
            each(object, "/ports")
                .map(|port| field(port, "port"))
                .collect(),
        )
    }),
];

fn rule(name: &str) -> Option<Rule> {
    RULES
        .iter()
        .chain(&MORE_RULES)
        .find(|(known, _)| *known == name)
        .map(|(_, rule)| *rule)
}

#[cfg(test)]
pub(super) fn knows(name: &str) -> bool {
    rule(name).is_some()
}

/// The cell that a rule makes of an object.
pub(super) fn of(name: &str, object: &Object) -> Value {
    rule(name).map_or(Value::Null, |rule| json!(rule(object)))
}

trait Pointer {
    fn pointer(&self, path: &str) -> Option<&Value>;
}

impl Pointer for Object {
    fn pointer(&self, path: &str) -> Option<&Value> {
        let mut steps = path.split('/').skip(1);
        let first = self.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.get(step))
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn text(object: &Object, path: &str) -> String {
    object.pointer(path).map(shown).unwrap_or_default()
}

fn number(object: &Object, path: &str) -> i64 {
    object
        .pointer(path)
        .and_then(Value::as_i64)
        .unwrap_or_default()
}

fn field(value: &Value, key: &str) -> String {
    value.get(key).map(shown).unwrap_or_default()
}

fn field_list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn each<'a>(object: &'a Object, path: &str) -> impl Iterator<Item = &'a Value> {
    object
        .pointer(path)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn or(text: String, instead: &str) -> String {
    if text.is_empty() {
        instead.to_owned()
    } else {
        text
    }
}

/// Three of many, and how many more there are.
fn limited(values: Vec<String>) -> String {
    let more = values.len().saturating_sub(3);
    let shown = values.into_iter().take(3).collect::<Vec<_>>().join(",");
    match more {
        0 => or(shown, "<unset>"),
        more => format!("{shown} + {more} more..."),
    }
}

fn labels(object: &Object, path: &str) -> String {
    let pairs: Vec<String> = object
        .pointer(path)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", shown(value)))
        .collect();
    or(pairs.join(","), "<none>")
}

fn containers(object: &Object, key: &str) -> String {
    let values: Vec<String> = each(object, "/spec/template/spec/containers")
        .map(|container| field(container, key))
        .collect();
    values.join(",")
}

fn load_balancer(object: &Object) -> String {
    let addresses: Vec<String> = each(object, "/status/loadBalancer/ingress")
        .map(|ingress| or(field(ingress, "ip"), &field(ingress, "hostname")))
        .collect();
    addresses.join(",")
}

fn external_ip(object: &Object) -> String {
    let extra: Vec<String> = each(object, "/spec/externalIPs").map(shown).collect();
    match text(object, "/spec/type").as_str() {
        "ExternalName" => text(object, "/spec/externalName"),
        "LoadBalancer" => or(load_balancer(object), "<pending>"),
        _ => or(extra.join(","), "<none>"),
    }
}

fn service_ports(object: &Object) -> String {
    let ports: Vec<String> = each(object, "/spec/ports")
        .map(|port| {
            let node = field(port, "nodePort");
            let node = if node.is_empty() {
                node
            } else {
                format!(":{node}")
            };
            format!("{}{node}/{}", field(port, "port"), field(port, "protocol"))
        })
        .collect();
    or(ports.join(","), "<none>")
}
