//! Tables, as `kubectl get` shows them: which columns a kind has, and how a cell is made.
//!
//! The columns of built-in kinds are data; a source is a path (`.status.phase`), a count (`#data`), an age (`@path`), or
//! the name of a rule in this module. Those of custom resources come from their CRD.

use serde_json::{Map, Value, json};

use super::negotiate::Form;
use super::query::Query;
use super::registry::Column;
use super::represent::View;
use super::status::ApiError;
use super::store::Entry;

/// `Kind: Column:type=source …`; a `+` before a column shows it only in wide output.
const COLUMNS: &str = "
ConfigMap: Data:string=#data Age:string=@
CronJob: Schedule:string=.spec.schedule Suspend:boolean=.spec.suspend Active:integer=#status.active Last-Schedule:string=@status.lastScheduleTime Age:string=@
CustomResourceDefinition: Created-At:date=.metadata.creationTimestamp
ClusterRole: Created-At:date=.metadata.creationTimestamp
ClusterRoleBinding: Role:string=role Age:string=@
DaemonSet: Desired:integer=.status.desiredNumberScheduled Current:integer=.status.currentNumberScheduled Ready:integer=.status.numberReady Up-to-date:integer=.status.updatedNumberScheduled Available:integer=.status.numberAvailable Node-Selector:string=node-selector Age:string=@ +Containers:string=containers +Images:string=images +Selector:string=label-selector
Deployment: Ready:string=ready-of-replicas Up-to-date:integer=.status.updatedReplicas Available:integer=.status.availableReplicas Age:string=@ +Containers:string=containers +Images:string=images +Selector:string=label-selector
Endpoints: Endpoints:string=endpoints Age:string=@
EndpointSlice: AddressType:string=.addressType Ports:string=slice-ports Endpoints:string=slice-endpoints Age:string=@
Event: Last-Seen:string=@lastTimestamp Type:string=.type Reason:string=.reason Object:string=event-object Message:string=.message
Ingress: Class:string=.spec.ingressClassName Hosts:string=ingress-hosts Address:string=ingress-address Ports:string=ingress-ports Age:string=@
IngressClass: Controller:string=.spec.controller Age:string=@
Job: Status:string=job-status Completions:string=job-completions Duration:string=@status.startTime Age:string=@
Lease: Holder:string=.spec.holderIdentity Age:string=@
Namespace: Status:string=.status.phase Age:string=@
NetworkPolicy: Pod-Selector:string=pod-selector Age:string=@
Node: Status:string=node-status Roles:string=node-roles Age:string=@ Version:string=.status.nodeInfo.kubeletVersion
PersistentVolumeClaim: Status:string=.status.phase Volume:string=.spec.volumeName Capacity:string=.status.capacity.storage Access-Modes:string=.spec.accessModes StorageClass:string=.spec.storageClassName Age:string=@
Pod: Ready:string=pod-ready Status:string=pod-status Restarts:string=pod-restarts Age:string=@ +IP:string=pod-ip +Node:string=node-name +Nominated-Node:string=nominated-node +Readiness-Gates:string=none
ReplicaSet: Desired:integer=.spec.replicas Current:integer=.status.replicas Ready:integer=.status.readyReplicas Age:string=@ +Containers:string=containers +Images:string=images +Selector:string=label-selector
Role: Created-At:date=.metadata.creationTimestamp
RoleBinding: Role:string=role Age:string=@
Secret: Type:string=.type Data:string=#data Age:string=@
Service: Type:string=.spec.type Cluster-IP:string=cluster-ip External-IP:string=external-ip Port(s):string=service-ports Age:string=@ +Selector:string=service-selector
ServiceAccount: Secrets:string=#secrets Age:string=@
StatefulSet: Ready:string=ready-of-replicas Age:string=@ +Containers:string=containers +Images:string=images
";

/// Names that keep their hyphens.
const HYPHENATED: [&str; 3] = ["Up-to-date", "Cluster-IP", "External-IP"];

/// What a table's rows carry beside their cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Include {
    #[default]
    Metadata,
    Object,
    None,
}

impl Include {
    pub(super) fn read(query: &Query, form: Form) -> Result<Self, ApiError> {
        let given = query.text("includeObject").unwrap_or_default();
        match given {
            _ if form != Form::Table => Ok(Self::Metadata),
            "" | "Metadata" => Ok(Self::Metadata),
            "Object" => Ok(Self::Object),
            "None" => Ok(Self::None),
            _ => Err(ApiError::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {given:?}: must be 'Metadata', 'Object', 'None', or empty"
            ))),
        }
    }
}

/// The columns of a built-in kind, after its name.
pub(super) fn built_in_columns(kind: &str) -> Vec<Column> {
    let line = COLUMNS
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| *name == kind)
        .map_or("Age:string=@", |(_, columns)| columns);
    line.split(' ')
        .filter_map(|column| {
            let (priority, column) = match column.strip_prefix('+') {
                Some(column) => (1, column),
                None => (0, column),
            };
            let (name, source) = column.split_once('=')?;
            let (name, kind) = name.split_once(':')?;
            Some(Column {
                name: if HYPHENATED.contains(&name) {
                    name.to_owned()
                } else {
                    name.replace('-', " ")
                },
                kind: kind.to_owned(),
                format: String::new(),
                description: format!("see {kind} in the documentation of this resource"),
                priority,
                source: source.to_owned(),
            })
        })
        .collect()
}

/// A table of objects. Later events of a watch leave the column definitions out.
pub(super) fn table<'a>(
    view: &View,
    entries: impl Iterator<Item = &'a Entry>,
    metadata: &Value,
    define: bool,
) -> Value {
    let columns = &view.served().columns;
    let definitions = if define {
        let name = json!({
            "name": "Name",
            "type": "string",
            "format": "name",
            "description": "the object's name",
            "priority": 0,
        });
        std::iter::once(name)
            .chain(columns.iter().map(|column| {
                json!({
                    "name": column.name,
                    "type": column.kind,
                    "format": column.format,
                    "description": column.description,
                    "priority": column.priority,
                })
            }))
            .collect()
    } else {
        Value::Null
    };
    let rows: Vec<Value> = entries
        .map(|entry| {
            let cells: Vec<Value> = std::iter::once(json!(entry.name()))
                .chain(columns.iter().map(|column| {
                    if view.resource.traits.built_in {
                        cell(entry, column, view.now)
                    } else {
                        custom_cell(column, at(&entry.value, &column.source), view.now)
                    }
                }))
                .collect();
            json!({"cells": cells, "object": object(view, entry)})
        })
        .collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": definitions,
        "rows": rows,
    })
}

fn object(view: &View, entry: &Entry) -> Value {
    let mut body = Vec::new();
    match view.include {
        Include::None => return Value::Null,
        Include::Metadata => View::partial(entry, &mut body),
        Include::Object => view.whole(entry, &mut body),
    }
    serde_json::from_slice(&body).unwrap_or_default()
}

fn at<'a>(object: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let mut steps = path.trim_start_matches('.').split('.');
    let first = object.get(steps.next()?)?;
    steps.try_fold(first, |value, step| {
        // The one form of index that printer columns use much.
        match step.split_once('[') {
            Some((name, index)) => value
                .get(name)?
                .get(index.trim_end_matches(']').parse::<usize>().ok()?),
            None => value.get(step),
        }
    })
}

fn count(value: Option<&Value>) -> usize {
    match value {
        Some(Value::Object(map)) => map.len(),
        Some(Value::Array(list)) => list.len(),
        _ => 0,
    }
}

/// A cell of a custom resource: what is missing, or not of its column's type, is null.
fn custom_cell(column: &Column, value: Option<&Value>, now: i64) -> Value {
    match (&*column.kind, value) {
        ("string", Some(Value::String(text))) => json!(text),
        (_, None | Some(Value::Null)) => Value::Null,
        ("string", Some(other)) => json!(other.to_string()),
        ("integer", Some(Value::Number(number))) => {
            let whole = number
                .as_i64()
                .or_else(|| format!("{:.0}", number.as_f64()?.trunc()).parse().ok());
            json!(whole)
        }
        ("number", Some(number @ Value::Number(_))) => number.clone(),
        ("boolean", Some(flag @ Value::Bool(_))) => flag.clone(),
        ("date", Some(Value::String(text))) => match text.parse::<jiff::Timestamp>() {
            Ok(_) => json!(age(value, now)),
            Err(_) => json!("<invalid>"),
        },
        _ => Value::Null,
    }
}

fn cell(entry: &Entry, column: &Column, now: i64) -> Value {
    let object = &entry.value;
    let source = column.source.as_str();
    if let Some(path) = source.strip_prefix('#') {
        return json!(count(at(object, path)));
    }
    if let Some(path) = source.strip_prefix('@') {
        let path = if path.is_empty() {
            "metadata.creationTimestamp"
        } else {
            path
        };
        return json!(age(at(object, path), now));
    }
    if !source.starts_with('.') && !source.starts_with('{') {
        return super::cell::of(source, object);
    }
    let value = at(object, source);
    match (column.kind.as_str(), value) {
        ("date", value) if column.name != "Created At" => json!(age(value, now)),
        (_, None | Some(Value::Null))
            if column.kind == "integer" && source.starts_with(".status") =>
        {
            json!(0)
        }
        (_, None | Some(Value::Null)) => Value::Null,
        ("string" | "date", Some(Value::String(text))) => json!(text),
        ("string", Some(other)) => json!(other.to_string()),
        (_, Some(value)) => value.clone(),
    }
}

/// How long ago a time was, in the two largest units that matter.
fn age(time: Option<&Value>, now: i64) -> String {
    let Some(then) = time
        .and_then(Value::as_str)
        .and_then(|text| text.parse::<jiff::Timestamp>().ok())
    else {
        return "<unknown>".to_owned();
    };
    let seconds = (now - then.as_second()).max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let two = |large: i64, unit: char, small: i64, below: char| {
        if small == 0 {
            format!("{large}{unit}")
        } else {
            format!("{large}{unit}{small}{below}")
        }
    };
    if seconds < 120 {
        format!("{seconds}s")
    } else if minutes < 10 {
        two(minutes, 'm', seconds % 60, 's')
    } else if hours < 3 {
        format!("{minutes}m")
    } else if hours < 8 {
        two(hours, 'h', minutes % 60, 'm')
    } else if hours < 48 {
        format!("{hours}h")
    } else if days < 8 {
        two(days, 'd', hours % 24, 'h')
    } else if days < 730 {
        format!("{days}d")
    } else {
        two(days / 365, 'y', days % 365, 'd')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let then = json!("2026-01-01T00:00:00Z");
        for (seconds, text) in [
            (5, "5s"),
            (119, "119s"),
            (182, "3m2s"),
            (900, "15m"),
            (14_400, "4h"),
            (14_460, "4h1m"),
            (100_000, "27h"),
            (300_000, "3d11h"),
            (9_000_000, "104d"),
        ] {
            assert_eq!(age(Some(&then), 1_767_225_600 + seconds), text);
        }
        assert_eq!(age(None, 0), "<unknown>");
    }

    #[test]
    fn every_rule_that_the_columns_name_exists() {
        for line in COLUMNS.lines().filter(|line| !line.is_empty()) {
            let (kind, _) = line.split_once(": ").unwrap();
            for column in built_in_columns(kind) {
                let named = !column.source.starts_with(['.', '#', '@']);
                assert!(
                    !named || super::super::cell::knows(&column.source),
                    "{}",
                    column.source
                );
            }
        }
    }
}
