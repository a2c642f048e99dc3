//! Reads Kubernetes' protobuf encoding, for the kinds that kubectl's own commands send in it.
//!
//! The field numbers are data: `Message: number=name:type …`. Types: `s` string, `i` integer, `I` integer that may be
//! zero, `b` boolean, `y` bytes, `t` time, `u` time with microseconds, `q` quantity, `x` integer or string, `m` map of
//! strings, `M` map of bytes, `Q` map of quantities, another message's name; `*` after a type repeats it.
//!
//! A field without a number here makes the whole body unreadable: better refused than half understood.

use std::collections::HashMap;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

const MAGIC: &[u8] = b"k8s\0";

const MESSAGES: &str = "
Unknown: 1=typeMeta:TypeMeta 2=raw:y 3=contentEncoding:s 4=contentType:s
TypeMeta: 1=apiVersion:s 2=kind:s
ObjectMeta: 1=name:s 2=generateName:s 3=namespace:s 4=selfLink:s 5=uid:s 6=resourceVersion:s 7=generation:i 8=creationTimestamp:t 9=deletionTimestamp:t 10=deletionGracePeriodSeconds:I 11=labels:m 12=annotations:m 13=ownerReferences:OwnerReference* 14=finalizers:s*
OwnerReference: 1=kind:s 3=name:s 4=uid:s 5=apiVersion:s 6=controller:b 7=blockOwnerDeletion:b
LabelSelector: 1=matchLabels:m 2=matchExpressions:LabelRequirement*
LabelRequirement: 1=key:s 2=operator:s 3=values:s*
DeleteOptions: 1=gracePeriodSeconds:I 2=preconditions:Preconditions 3=orphanDependents:b 4=propagationPolicy:s 5=dryRun:s*
Preconditions: 1=uid:s 2=resourceVersion:s
Namespace: 1=metadata:ObjectMeta 2=spec:NamespaceSpec 3=status:NamespaceStatus
NamespaceSpec: 1=finalizers:s*
NamespaceStatus: 1=phase:s
ConfigMap: 1=metadata:ObjectMeta 2=data:m 3=binaryData:M 4=immutable:b
Secret: 1=metadata:ObjectMeta 2=data:M 3=type:s 4=stringData:m 5=immutable:b
ServiceAccount: 1=metadata:ObjectMeta 2=secrets:LocalReference* 3=imagePullSecrets:LocalReference* 4=automountServiceAccountToken:b
LocalReference: 1=name:s
Service: 1=metadata:ObjectMeta 2=spec:ServiceSpec 3=status:ServiceStatus
ServiceSpec: 1=ports:ServicePort* 2=selector:m 3=clusterIP:s 4=type:s 5=externalIPs:s* 7=sessionAffinity:s 8=loadBalancerIP:s 9=loadBalancerSourceRanges:s* 10=externalName:s 11=externalTrafficPolicy:s 12=healthCheckNodePort:i 13=publishNotReadyAddresses:b 17=ipFamilyPolicy:s 18=clusterIPs:s* 19=ipFamilies:s* 20=allocateLoadBalancerNodePorts:b 21=loadBalancerClass:s 22=internalTrafficPolicy:s 23=trafficDistribution:s
ServicePort: 1=name:s 2=protocol:s 3=port:i 4=targetPort:x 5=nodePort:i 6=appProtocol:s
ServiceStatus: 1=loadBalancer:Empty
Empty:
Deployment: 1=metadata:ObjectMeta 2=spec:DeploymentSpec 3=status:DeploymentStatus
DeploymentSpec: 1=replicas:I 2=selector:LabelSelector 3=template:PodTemplateSpec 4=strategy:DeploymentStrategy 5=minReadySeconds:i 6=revisionHistoryLimit:I 7=paused:b 9=progressDeadlineSeconds:I
DeploymentStrategy: 1=type:s 2=rollingUpdate:RollingUpdate
RollingUpdate: 1=maxUnavailable:x 2=maxSurge:x
DeploymentStatus: 1=observedGeneration:i 2=replicas:i 3=updatedReplicas:i 4=availableReplicas:i 5=unavailableReplicas:i 7=readyReplicas:i
PodTemplateSpec: 1=metadata:ObjectMeta 2=spec:PodSpec
PodSpec: 2=containers:Container* 3=restartPolicy:s 4=terminationGracePeriodSeconds:I 5=activeDeadlineSeconds:I 6=dnsPolicy:s 7=nodeSelector:m 8=serviceAccountName:s 9=serviceAccount:s 10=nodeName:s 11=hostNetwork:b 12=hostPID:b 13=hostIPC:b 15=imagePullSecrets:LocalReference* 16=hostname:s 17=subdomain:s 19=schedulerName:s 20=initContainers:Container* 21=automountServiceAccountToken:b 24=priorityClassName:s 25=priority:I 30=enableServiceLinks:b 31=preemptionPolicy:s
Container: 1=name:s 2=image:s 3=command:s* 4=args:s* 5=workingDir:s 6=ports:ContainerPort* 7=env:EnvVar* 8=resources:Resources 13=terminationMessagePath:s 14=imagePullPolicy:s 16=stdin:b 17=stdinOnce:b 18=tty:b 20=terminationMessagePolicy:s
ContainerPort: 1=name:s 2=hostPort:i 3=containerPort:i 4=protocol:s 5=hostIP:s
EnvVar: 1=name:s 2=value:s
Resources: 1=limits:Q 2=requests:Q
Job: 1=metadata:ObjectMeta 2=spec:JobSpec 3=status:JobStatus
JobSpec: 1=parallelism:I 2=completions:I 3=activeDeadlineSeconds:I 4=selector:LabelSelector 5=manualSelector:b 6=template:PodTemplateSpec 7=backoffLimit:I 8=ttlSecondsAfterFinished:I 9=completionMode:s 10=suspend:b
JobStatus: 4=active:i 5=succeeded:i 6=failed:i 7=completedIndexes:s
CronJob: 1=metadata:ObjectMeta 2=spec:CronJobSpec 3=status:Empty
CronJobSpec: 1=schedule:s 2=startingDeadlineSeconds:I 3=concurrencyPolicy:s 4=suspend:b 5=jobTemplate:JobTemplateSpec 6=successfulJobsHistoryLimit:I 7=failedJobsHistoryLimit:I 8=timeZone:s
JobTemplateSpec: 1=metadata:ObjectMeta 2=spec:JobSpec
Role: 1=metadata:ObjectMeta 2=rules:PolicyRule*
ClusterRole: 1=metadata:ObjectMeta 2=rules:PolicyRule*
RoleBinding: 1=metadata:ObjectMeta 2=subjects:Subject* 3=roleRef:RoleRef
ClusterRoleBinding: 1=metadata:ObjectMeta 2=subjects:Subject* 3=roleRef:RoleRef
PolicyRule: 1=verbs:s* 2=apiGroups:s* 3=resources:s* 4=resourceNames:s* 5=nonResourceURLs:s*
Subject: 1=kind:s 2=apiGroup:s 3=name:s 4=namespace:s
RoleRef: 1=apiGroup:s 2=kind:s 3=name:s
SelfSubjectAccessReview: 1=metadata:ObjectMeta 2=spec:AccessReviewSpec 3=status:AccessReviewStatus
AccessReviewSpec: 1=resourceAttributes:ResourceAttributes 2=nonResourceAttributes:NonResourceAttributes
AccessReviewStatus: 1=allowed:b 2=reason:s 3=evaluationError:s 4=denied:b
ResourceAttributes: 1=namespace:s 2=verb:s 3=group:s 4=version:s 5=resource:s 6=subresource:s 7=name:s
NonResourceAttributes: 1=path:s 2=verb:s
SelfSubjectRulesReview: 1=metadata:ObjectMeta 2=spec:RulesReviewSpec 3=status:RulesReviewStatus
RulesReviewSpec: 1=namespace:s
RulesReviewStatus: 3=incomplete:b 4=evaluationError:s
SelfSubjectReview: 1=metadata:ObjectMeta 2=status:SelfReviewStatus
SelfReviewStatus: 1=userInfo:Empty
PodDisruptionBudget: 1=metadata:ObjectMeta 2=spec:PodDisruptionBudgetSpec 3=status:PodDisruptionBudgetStatus
PodDisruptionBudgetSpec: 1=minAvailable:x 2=selector:LabelSelector 3=maxUnavailable:x 4=unhealthyPodEvictionPolicy:s
PodDisruptionBudgetStatus: 1=observedGeneration:i 3=disruptionsAllowed:i 4=currentHealthy:i 5=desiredHealthy:i 6=expectedPods:i
ResourceQuota: 1=metadata:ObjectMeta 2=spec:ResourceQuotaSpec 3=status:Empty
ResourceQuotaSpec: 1=hard:Q 2=scopes:s*
PriorityClass: 1=metadata:ObjectMeta 2=value:I 3=globalDefault:b 4=description:s 5=preemptionPolicy:s
Ingress: 1=metadata:ObjectMeta 2=spec:IngressSpec 3=status:ServiceStatus
IngressSpec: 1=defaultBackend:IngressBackend 2=tls:IngressTLS* 3=rules:IngressRule* 4=ingressClassName:s
IngressTLS: 1=hosts:s* 2=secretName:s
IngressRule: 1=host:s 2=:IngressRuleValue
IngressRuleValue: 1=http:IngressHTTP
IngressHTTP: 1=paths:IngressPath*
IngressPath: 1=path:s 2=backend:IngressBackend 3=pathType:s
IngressBackend: 4=service:IngressService
IngressService: 1=name:s 2=port:IngressPort
IngressPort: 1=name:s 2=number:i
Lease: 1=metadata:ObjectMeta 2=spec:LeaseSpec
LeaseSpec: 1=holderIdentity:s 2=leaseDurationSeconds:I 3=acquireTime:u 4=renewTime:u 5=leaseTransitions:I 6=strategy:s 7=preferredHolder:s
";

struct Field {
    name: &'static str,
    kind: &'static str,
    repeated: bool,
}

type Messages = HashMap<&'static str, HashMap<u64, Field>>;

fn messages() -> &'static Messages {
    static READ: LazyLock<Messages> = LazyLock::new(|| {
        MESSAGES
            .lines()
            .filter_map(|line| {
                let (name, fields) = line.split_once(':')?;
                let fields = fields
                    .split(' ')
                    .filter_map(|field| {
                        let (number, rest) = field.split_once('=')?;
                        let (name, kind) = rest.split_once(':')?;
                        let field = Field {
                            name,
                            kind: kind.trim_end_matches('*'),
                            repeated: kind.ends_with('*'),
                        };
                        Some((number.parse().ok()?, field))
                    })
                    .collect();
                Some((name, fields))
            })
            .collect()
    });
    &READ
}

/// The object in a body; the error says what is not understood.
pub(super) fn decode(body: &[u8]) -> Result<Value, String> {
    let body = body
        .strip_prefix(MAGIC)
        .ok_or("provided data does not appear to be a protobuf message")?;
    let envelope = message("Unknown", body)?;
    let text = |key: &str| {
        envelope
            .get("typeMeta")
            .and_then(|meta| meta.get(key))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let raw = envelope
        .get("raw")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let raw = STANDARD.decode(raw).map_err(|error| error.to_string())?;
    let mut object = message(&kind, &raw)?;
    object.insert("apiVersion".to_owned(), json!(api_version));
    object.insert("kind".to_owned(), json!(kind));
    Ok(Value::Object(object))
}

/// A wire value: a number, or bytes.
#[derive(Clone, Copy)]
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or("a number is cut off")?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("a number is too long".to_owned())
}

fn next<'a>(bytes: &mut &'a [u8]) -> Result<Option<(u64, Wire<'a>)>, String> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let tag = varint(bytes)?;
    let mut take = |length: usize| -> Result<&'a [u8], String> {
        let (taken, rest) = bytes.split_at_checked(length).ok_or("a field is cut off")?;
        *bytes = rest;
        Ok(taken)
    };
    let wire = match tag & 7 {
        1 => Wire::Bytes(take(8)?),
        5 => Wire::Bytes(take(4)?),
        0 => Wire::Number(varint(bytes)?),
        2 => {
            let length = usize::try_from(varint(bytes)?).map_err(|error| error.to_string())?;
            let (taken, rest) = bytes.split_at_checked(length).ok_or("a field is cut off")?;
            *bytes = rest;
            Wire::Bytes(taken)
        }
        other => return Err(format!("wire type {other} is not used")),
    };
    Ok(Some((tag >> 3, wire)))
}

fn message(name: &str, mut bytes: &[u8]) -> Result<Map<String, Value>, String> {
    let fields = messages()
        .get(name)
        .ok_or_else(|| format!("{name} is not understood in protobuf"))?;
    let mut object = Map::new();
    while let Some((number, wire)) = next(&mut bytes)? {
        let field = fields
            .get(&number)
            .ok_or_else(|| format!("field {number} of {name} is not understood in protobuf"))?;
        if matches!(field.kind, "m" | "M" | "Q") {
            let (key, value) = entry(field.kind, wire)?;
            let map = object.entry(field.name).or_insert_with(|| json!({}));
            if let Value::Object(map) = map {
                map.insert(key, value);
            }
            continue;
        }
        let value = match value(field.kind, wire)? {
            Some(value) => value,
            // An empty text in a list is there on purpose.
            None if field.repeated && field.kind == "s" => json!(""),
            None => continue,
        };
        match (field.repeated, value) {
            // An embedded message's fields are the outer one's.
            (false, Value::Object(inner)) if field.name.is_empty() => object.extend(inner),
            (false, value) => {
                object.insert(field.name.to_owned(), value);
            }
            (true, value) => {
                let list = object.entry(field.name).or_insert_with(|| json!([]));
                if let Value::Array(list) = list {
                    list.push(value);
                }
            }
        }
    }
    Ok(object)
}

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())
}

/// A field's value; `None` for the zero that Go writes where nothing was set.
fn value(kind: &str, wire: Wire<'_>) -> Result<Option<Value>, String> {
    Ok(match (kind, wire) {
        ("i", Wire::Number(0)) | ("b", Wire::Number(0)) => None,
        // Negative numbers are their two's complement.
        ("i" | "I", Wire::Number(number)) => Some(json!(number.cast_signed())),
        ("b", Wire::Number(_)) => Some(json!(true)),
        ("s", Wire::Bytes([])) => None,
        ("s", Wire::Bytes(bytes)) => Some(json!(text(bytes)?)),
        ("y", Wire::Bytes(bytes)) => Some(json!(STANDARD.encode(bytes))),
        ("t" | "u", Wire::Bytes(bytes)) => time(bytes, kind == "u")?.map(Value::from),
        ("q", Wire::Bytes(bytes)) => Some(json!(quantity(bytes)?)),
        ("x", Wire::Bytes(bytes)) => int_or_string(bytes)?,
        (name, Wire::Bytes(bytes)) => Some(Value::Object(message(name, bytes)?)),
        (kind, Wire::Number(_)) => return Err(format!("a number where {kind} is expected")),
    })
}

fn entry(kind: &str, wire: Wire<'_>) -> Result<(String, Value), String> {
    let Wire::Bytes(mut bytes) = wire else {
        return Err("a map's entry is a number".to_owned());
    };
    let (mut key, mut value) = (String::new(), Value::from(""));
    while let Some((number, wire)) = next(&mut bytes)? {
        let Wire::Bytes(bytes) = wire else { continue };
        match (number, kind) {
            (1, _) => key = text(bytes)?,
            (_, "M") => value = json!(STANDARD.encode(bytes)),
            (_, "Q") => value = json!(quantity(bytes)?),
            _ => value = json!(text(bytes)?),
        }
    }
    Ok((key, value))
}

fn quantity(mut bytes: &[u8]) -> Result<String, String> {
    let mut found = String::new();
    while let Some((_, wire)) = next(&mut bytes)? {
        if let Wire::Bytes(bytes) = wire {
            found = text(bytes)?;
        }
    }
    Ok(found)
}

fn time(mut bytes: &[u8], micro: bool) -> Result<Option<String>, String> {
    let (mut seconds, mut nanos) = (0_i64, 0_i32);
    let mut any = false;
    while let Some((number, wire)) = next(&mut bytes)? {
        if let Wire::Number(value) = wire {
            any = true;
            match number {
                1 => seconds = value.cast_signed(),
                _ => nanos = i32::try_from(value).unwrap_or_default(),
            }
        }
    }
    if !any {
        return Ok(None);
    }
    let time = jiff::Timestamp::new(seconds, nanos).map_err(|error| error.to_string())?;
    Ok(Some(if micro {
        format!("{time:.6}")
    } else {
        time.to_string()
    }))
}

fn int_or_string(mut bytes: &[u8]) -> Result<Option<Value>, String> {
    let (mut is_text, mut number, mut string) = (false, 0, String::new());
    while let Some((field, wire)) = next(&mut bytes)? {
        match (field, wire) {
            (1, Wire::Number(kind)) => is_text = kind == 1,
            (2, Wire::Number(value)) => number = value.cast_signed(),
            (3, Wire::Bytes(bytes)) => string = text(bytes)?,
            _ => {}
        }
    }
    Ok(match (is_text, number) {
        (true, _) => Some(json!(string)),
        (false, 0) => None,
        (false, number) => Some(json!(number)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_map_is_read_from_its_envelope() {
        let map = b"\x0a\x03\x0a\x01a\x12\x06\x0a\x01k\x12\x01v";
        let mut body = MAGIC.to_vec();
        body.extend_from_slice(b"\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12");
        body.push(u8::try_from(map.len()).unwrap());
        body.extend_from_slice(map);
        assert_eq!(
            decode(&body).unwrap(),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}})
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for body in [
            &b""[..],
            b"k8s",
            b"k8s\0\x0a\x7f",
            b"k8s\0\x0a\x08\x0a\x00\x12\x04Nope",
        ] {
            assert!(decode(body).is_err());
        }
    }

    #[test]
    fn every_message_that_the_data_names_is_there() {
        for (name, fields) in messages() {
            for field in fields.values() {
                let known = field.kind.len() == 1 || messages().contains_key(field.kind);
                assert!(known, "{name}.{}", field.name);
            }
        }
    }
}
