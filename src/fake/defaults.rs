//! Defaults of built-in kinds, as a table of paths and values.
//!
//! A path's steps are joined by dots; `[*]` after a step goes into every element of a list. A default is set where the
//! path's container exists and the field does not. What depends on other fields is code, in [`kinds`](super::kinds).

use std::sync::LazyLock;

use serde_json::{Map, Value};

const TABLE: &str = r#"
PodSpec restartPolicy "Always"
PodSpec terminationGracePeriodSeconds 30
PodSpec dnsPolicy "ClusterFirst"
PodSpec securityContext {}
PodSpec schedulerName "default-scheduler"
PodSpec containers[*].terminationMessagePath "/dev/termination-log"
PodSpec containers[*].terminationMessagePolicy "File"
PodSpec containers[*].ports[*].protocol "TCP"
PodSpec containers[*].env[*].valueFrom.fieldRef.apiVersion "v1"
PodSpec containers[*].livenessProbe.timeoutSeconds 1
PodSpec containers[*].livenessProbe.periodSeconds 10
PodSpec containers[*].livenessProbe.successThreshold 1
PodSpec containers[*].livenessProbe.failureThreshold 3
PodSpec containers[*].livenessProbe.httpGet.path "/"
PodSpec containers[*].livenessProbe.httpGet.scheme "HTTP"
PodSpec containers[*].readinessProbe.timeoutSeconds 1
PodSpec containers[*].readinessProbe.periodSeconds 10
PodSpec containers[*].readinessProbe.successThreshold 1
PodSpec containers[*].readinessProbe.failureThreshold 3
PodSpec containers[*].readinessProbe.httpGet.path "/"
PodSpec containers[*].readinessProbe.httpGet.scheme "HTTP"
PodSpec containers[*].startupProbe.timeoutSeconds 1
PodSpec containers[*].startupProbe.periodSeconds 10
PodSpec containers[*].startupProbe.successThreshold 1
PodSpec containers[*].startupProbe.failureThreshold 3
PodSpec containers[*].startupProbe.httpGet.path "/"
PodSpec containers[*].startupProbe.httpGet.scheme "HTTP"
PodSpec initContainers[*].terminationMessagePath "/dev/termination-log"
PodSpec initContainers[*].terminationMessagePolicy "File"
PodSpec initContainers[*].ports[*].protocol "TCP"
PodSpec volumes[*].configMap.defaultMode 420
PodSpec volumes[*].secret.defaultMode 420
PodSpec volumes[*].projected.defaultMode 420
PodSpec volumes[*].downwardAPI.defaultMode 420
PodSpec volumes[*].hostPath.type ""
Pod spec.enableServiceLinks true
Pod spec.priority 0
Pod spec.preemptionPolicy "PreemptLowerPriority"
Pod status {}
Pod status.phase "Pending"
Service spec {}
Service spec.type "ClusterIP"
Service spec.sessionAffinity "None"
Service spec.ports[*].protocol "TCP"
EndpointSlice ports[*].protocol "TCP"
EndpointSlice ports[*].name ""
Endpoints subsets[*].ports[*].protocol "TCP"
Secret type "Opaque"
Namespace spec {}
Namespace spec.finalizers ["kubernetes"]
Namespace status {}
Namespace status.phase "Active"
Deployment spec.replicas 1
Deployment spec.strategy {"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":"25%","maxSurge":"25%"}}
Deployment spec.revisionHistoryLimit 10
Deployment spec.progressDeadlineSeconds 600
ReplicaSet spec.replicas 1
StatefulSet spec.replicas 1
StatefulSet spec.podManagementPolicy "OrderedReady"
StatefulSet spec.updateStrategy {"type":"RollingUpdate","rollingUpdate":{"partition":0}}
StatefulSet spec.revisionHistoryLimit 10
StatefulSet spec.persistentVolumeClaimRetentionPolicy {"whenDeleted":"Retain","whenScaled":"Retain"}
DaemonSet spec.updateStrategy {"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":1,"maxSurge":0}}
DaemonSet spec.revisionHistoryLimit 10
Job spec.parallelism 1
Job spec.completions 1
Job spec.backoffLimit 6
Job spec.completionMode "NonIndexed"
Job spec.suspend false
Job spec.podReplacementPolicy "TerminatingOrFailed"
CronJob spec.concurrencyPolicy "Allow"
CronJob spec.suspend false
CronJob spec.successfulJobsHistoryLimit 3
CronJob spec.failedJobsHistoryLimit 1
Ingress spec.rules[*].http.paths[*].pathType "ImplementationSpecific"
NetworkPolicy spec.policyTypes ["Ingress"]
PersistentVolumeClaim spec.volumeMode "Filesystem"
PersistentVolumeClaim status {"phase":"Pending"}
PersistentVolume spec.volumeMode "Filesystem"
PersistentVolume spec.persistentVolumeReclaimPolicy "Retain"
PersistentVolume status {"phase":"Pending"}
StorageClass reclaimPolicy "Delete"
StorageClass volumeBindingMode "Immediate"
"#;

struct Default {
    kind: &'static str,
    steps: Vec<Step>,
    value: Value,
}

struct Step {
    name: &'static str,
    each: bool,
}

fn table() -> &'static [Default] {
    static READ: LazyLock<Vec<Default>> = LazyLock::new(|| {
        TABLE
            .lines()
            .filter_map(|line| {
                let (kind, rest) = line.split_once(' ')?;
                let (path, value) = rest.split_once(' ')?;
                let steps = path
                    .split('.')
                    .map(|step| Step {
                        name: step.trim_end_matches("[*]"),
                        each: step.ends_with("[*]"),
                    })
                    .collect();
                Some(Default {
                    kind,
                    steps,
                    value: serde_json::from_str(value).ok()?,
                })
            })
            .collect()
    });
    &READ
}

/// Sets the defaults of a kind (or of the part `PodSpec`).
pub(super) fn apply(kind: &str, object: &mut Map<String, Value>) {
    for default in table().iter().filter(|default| default.kind == kind) {
        set(object, &default.steps, &default.value);
    }
}

fn set(object: &mut Map<String, Value>, steps: &[Step], value: &Value) {
    let Some((step, rest)) = steps.split_first() else {
        return;
    };
    if rest.is_empty() {
        object.entry(step.name).or_insert_with(|| value.clone());
        return;
    }
    match object.get_mut(step.name) {
        Some(Value::Object(map)) if !step.each => set(map, rest, value),
        Some(Value::Array(list)) if step.each => {
            for element in list {
                if let Value::Object(map) = element {
                    set(map, rest, value);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_line_of_the_table_is_read() {
        let lines = super::TABLE.lines().filter(|line| !line.is_empty()).count();
        assert_eq!(super::table().len(), lines);
    }
}
