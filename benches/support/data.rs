//! Kubernetes objects of realistic shape and size, from a seed: the JSON that an API server sends, managedFields included.
//!
//! Names, labels, nodes and images come from pools as in a real cluster, so that what recurs there recurs here; uids, times
//! and addresses do not.

use std::fmt::Write;

use fastrand::Rng;

/// One kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    EndpointSlice,
    Pod,
    Service,
    Secret,
}

/// Objects from a seed: the same seed gives the same objects.
pub(crate) struct Objects {
    rng: Rng,
    next: usize,
}

struct Workload {
    name: String,
    namespace: String,
    uid: String,
}

impl Objects {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            next: 0,
        }
    }

    /// One object as an event of a watch carries it, with `apiVersion` and `kind`.
    pub(crate) fn one(&mut self, shape: Shape) -> String {
        self.next += 1;
        let workload = self.workload();
        match shape {
            Shape::EndpointSlice => self.endpoint_slice(&workload),
            Shape::Pod => self.pod(&workload),
            Shape::Service => self.service(&workload),
            Shape::Secret => self.secret(&workload),
        }
    }

    /// As many objects of one shape.
    pub(crate) fn many(&mut self, shape: Shape, count: usize) -> Vec<String> {
        (0..count).map(|_| self.one(shape)).collect()
    }

    /// As many objects of all shapes, in the proportions of a cluster.
    pub(crate) fn mixed(&mut self, count: usize) -> Vec<String> {
        (0..count)
            .map(|_| {
                let shape = match self.rng.u8(..20) {
                    0..11 => Shape::Pod,
                    11..17 => Shape::EndpointSlice,
                    17..19 => Shape::Service,
                    _ => Shape::Secret,
                };
                self.one(shape)
            })
            .collect()
    }

    /// One of some thousands, which have several objects each.
    fn workload(&mut self) -> Workload {
        const TEAMS: [&str; 8] = [
            "payments", "search", "checkout", "identity", "media", "ml", "edge", "data",
        ];
        const PARTS: [&str; 10] = [
            "api",
            "worker",
            "frontend",
            "gateway",
            "scheduler",
            "indexer",
            "cache",
            "exporter",
            "proxy",
            "cron",
        ];
        let number = self.rng.usize(..4000);
        let team = TEAMS[number % TEAMS.len()];
        let part = PARTS[number / 8 % PARTS.len()];
        let mut own = Rng::with_seed(number as u64);
        Workload {
            name: format!("{team}-{part}-{number}"),
            namespace: format!("{team}-{}", number % 25),
            uid: uid(&mut own),
        }
    }

    fn metadata(
        &mut self,
        workload: &Workload,
        name: &str,
        labels: &str,
        owner: Option<&str>,
        manager: &str,
        fields: &str,
    ) -> String {
        let mut out = String::new();
        let version = 481_000_000 + self.next * 17;
        write!(
            out,
            r#"{{"name":"{name}","namespace":"{}","uid":"{}","resourceVersion":"{version}","generation":{},"creationTimestamp":"{}","labels":{{{labels}}}"#,
            workload.namespace,
            uid(&mut self.rng),
            self.rng.u8(1..20),
            time(&mut self.rng),
        )
        .unwrap();
        if let Some(kind) = owner {
            let group = if kind == "Service" { "v1" } else { "apps/v1" };
            write!(
                out,
                r#","ownerReferences":[{{"apiVersion":"{group}","kind":"{kind}","name":"{}","uid":"{}","controller":true,"blockOwnerDeletion":true}}]"#,
                workload.name, workload.uid
            )
            .unwrap();
        }
        write!(
            out,
            r#","managedFields":[{{"manager":"{manager}","operation":"Update","apiVersion":"v1","time":"{}","fieldsType":"FieldsV1","fieldsV1":{fields}}}]}}"#,
            time(&mut self.rng)
        )
        .unwrap();
        out
    }

    fn endpoint_slice(&mut self, workload: &Workload) -> String {
        let suffix = suffix(&mut self.rng, 5);
        let labels = format!(
            r#""app.kubernetes.io/name":"{0}","app.kubernetes.io/managed-by":"Helm","endpointslice.kubernetes.io/managed-by":"endpointslice-controller.k8s.io","kubernetes.io/service-name":"{0}""#,
            workload.name
        );
        let fields = r#"{"f:addressType":{},"f:endpoints":{},"f:metadata":{"f:annotations":{".":{},"f:endpoints.kubernetes.io/last-change-trigger-time":{}},"f:generateName":{},"f:labels":{".":{},"f:app.kubernetes.io/managed-by":{},"f:app.kubernetes.io/name":{},"f:endpointslice.kubernetes.io/managed-by":{},"f:kubernetes.io/service-name":{}},"f:ownerReferences":{".":{},"k:{\"uid\":\"UID\"}":{}}},"f:ports":{}}"#
            .replace("UID", &workload.uid);
        let name = format!("{}-{suffix}", workload.name);
        let metadata = self.metadata(
            workload,
            &name,
            &labels,
            Some("Service"),
            "kube-controller-manager",
            &fields,
        );
        let mut endpoints = String::new();
        let hash = suffix_of_template(workload);
        for place in 0..self.rng.usize(6..14) {
            let node = self.rng.usize(..500);
            let comma = if place == 0 { "" } else { "," };
            write!(
                endpoints,
                r#"{comma}{{"addresses":["{}"],"conditions":{{"ready":true,"serving":true,"terminating":false}},"targetRef":{{"kind":"Pod","namespace":"{}","name":"{}-{hash}-{}","uid":"{}"}},"nodeName":"ip-10-{}-{}-17.eu-central-1.compute.internal","zone":"eu-central-1{}"}}"#,
                address(&mut self.rng),
                workload.namespace,
                workload.name,
                self::suffix(&mut self.rng, 5),
                uid(&mut self.rng),
                node / 250,
                node % 250,
                ["a", "b", "c"][node % 3],
            )
            .unwrap();
        }
        format!(
            r#"{{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{metadata},"addressType":"IPv4","endpoints":[{endpoints}],"ports":[{{"name":"http","port":8080,"protocol":"TCP","appProtocol":"kubernetes.io/h2c"}},{{"name":"metrics","port":9090,"protocol":"TCP"}}]}}"#
        )
    }

    fn pod(&mut self, workload: &Workload) -> String {
        let hash = suffix_of_template(workload);
        let name = format!("{}-{hash}-{}", workload.name, suffix(&mut self.rng, 5));
        let labels = format!(
            r#""app.kubernetes.io/name":"{0}","app.kubernetes.io/instance":"{0}","app.kubernetes.io/part-of":"platform","app.kubernetes.io/version":"1.{1}.0","pod-template-hash":"{hash}","topology.kubernetes.io/region":"eu-central-1""#,
            workload.name,
            workload.name.len() % 9,
        );
        let fields = r#"{"f:metadata":{"f:annotations":{".":{},"f:checksum/config":{},"f:prometheus.io/port":{},"f:prometheus.io/scrape":{}},"f:generateName":{},"f:labels":{".":{},"f:app.kubernetes.io/instance":{},"f:app.kubernetes.io/name":{},"f:app.kubernetes.io/part-of":{},"f:app.kubernetes.io/version":{},"f:pod-template-hash":{}},"f:ownerReferences":{".":{},"k:{\"uid\":\"UID\"}":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"main\"}":{".":{},"f:env":{".":{},"k:{\"name\":\"LOG_LEVEL\"}":{".":{},"f:name":{},"f:value":{}},"k:{\"name\":\"POD_IP\"}":{".":{},"f:name":{},"f:valueFrom":{".":{},"f:fieldRef":{}}},"k:{\"name\":\"DATABASE_URL\"}":{".":{},"f:name":{},"f:valueFrom":{".":{},"f:secretKeyRef":{}}}},"f:image":{},"f:imagePullPolicy":{},"f:livenessProbe":{".":{},"f:failureThreshold":{},"f:httpGet":{".":{},"f:path":{},"f:port":{},"f:scheme":{}},"f:periodSeconds":{},"f:successThreshold":{},"f:timeoutSeconds":{}},"f:name":{},"f:ports":{".":{},"k:{\"containerPort\":8080,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:name":{},"f:protocol":{}}},"f:readinessProbe":{".":{},"f:failureThreshold":{},"f:httpGet":{".":{},"f:path":{},"f:port":{},"f:scheme":{}},"f:periodSeconds":{},"f:successThreshold":{},"f:timeoutSeconds":{}},"f:resources":{".":{},"f:limits":{".":{},"f:cpu":{},"f:memory":{}},"f:requests":{".":{},"f:cpu":{},"f:memory":{}}},"f:terminationMessagePath":{},"f:terminationMessagePolicy":{},"f:volumeMounts":{".":{},"k:{\"mountPath\":\"/etc/config\"}":{".":{},"f:mountPath":{},"f:name":{}}}}},"f:dnsPolicy":{},"f:enableServiceLinks":{},"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{},"f:serviceAccount":{},"f:serviceAccountName":{},"f:terminationGracePeriodSeconds":{},"f:volumes":{".":{},"k:{\"name\":\"config\"}":{".":{},"f:configMap":{".":{},"f:defaultMode":{},"f:name":{}},"f:name":{}}}},"f:status":{"f:conditions":{"k:{\"type\":\"ContainersReady\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}},"k:{\"type\":\"Initialized\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}},"k:{\"type\":\"Ready\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}}},"f:containerStatuses":{},"f:hostIP":{},"f:hostIPs":{},"f:phase":{},"f:podIP":{},"f:podIPs":{".":{},"k:{\"ip\":\"IP\"}":{".":{},"f:ip":{}}},"f:startTime":{}}}"#
            .replace("UID", &workload.uid)
            .replace("\"IP\\", &format!("\"{}\\", address(&mut self.rng)));
        let metadata = self.metadata(
            workload,
            &name,
            &labels,
            Some("ReplicaSet"),
            "kubelet",
            &fields,
        );
        let node = self.rng.usize(..500);
        let started = time(&mut self.rng);
        let (ip, host) = (address(&mut self.rng), address(&mut self.rng));
        let part = workload.name.split('-').nth(1).unwrap_or_default();
        let image = format!(
            "registry.example.com/platform/{part}:1.{}.0",
            workload.name.len() % 9
        );
        let condition = |kind: &str| {
            format!(
                r#"{{"type":"{kind}","status":"True","lastProbeTime":null,"lastTransitionTime":"{started}"}}"#
            )
        };
        let token = suffix(&mut self.rng, 5);
        format!(
            r#"{{"kind":"Pod","apiVersion":"v1","metadata":{metadata},"spec":{{"volumes":[{{"name":"config","configMap":{{"name":"{name}-config","defaultMode":420}}}},{{"name":"kube-api-access-{token}","projected":{{"sources":[{{"serviceAccountToken":{{"expirationSeconds":3607,"path":"token"}}}},{{"configMap":{{"name":"kube-root-ca.crt","items":[{{"key":"ca.crt","path":"ca.crt"}}]}}}},{{"downwardAPI":{{"items":[{{"path":"namespace","fieldRef":{{"apiVersion":"v1","fieldPath":"metadata.namespace"}}}}]}}}}],"defaultMode":420}}}}],"containers":[{{"name":"main","image":"{image}","ports":[{{"name":"http","containerPort":8080,"protocol":"TCP"}}],"env":[{{"name":"LOG_LEVEL","value":"info"}},{{"name":"POD_IP","valueFrom":{{"fieldRef":{{"apiVersion":"v1","fieldPath":"status.podIP"}}}}}},{{"name":"DATABASE_URL","valueFrom":{{"secretKeyRef":{{"name":"{name}-database","key":"url"}}}}}}],"resources":{{"limits":{{"cpu":"2","memory":"1Gi"}},"requests":{{"cpu":"250m","memory":"512Mi"}}}},"volumeMounts":[{{"name":"config","mountPath":"/etc/config"}},{{"name":"kube-api-access-{token}","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}}],"livenessProbe":{{"httpGet":{{"path":"/healthz","port":"http","scheme":"HTTP"}},"timeoutSeconds":1,"periodSeconds":10,"successThreshold":1,"failureThreshold":3}},"readinessProbe":{{"httpGet":{{"path":"/readyz","port":"http","scheme":"HTTP"}},"timeoutSeconds":1,"periodSeconds":10,"successThreshold":1,"failureThreshold":3}},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent"}}],"restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","serviceAccountName":"{name}","serviceAccount":"{name}","nodeName":"ip-10-{}-{}-17.eu-central-1.compute.internal","securityContext":{{}},"schedulerName":"default-scheduler","tolerations":[{{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}},{{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}}],"priority":0,"enableServiceLinks":true,"preemptionPolicy":"PreemptLowerPriority"}},"status":{{"phase":"Running","conditions":[{},{},{},{},{}],"hostIP":"{host}","hostIPs":[{{"ip":"{host}"}}],"podIP":"{ip}","podIPs":[{{"ip":"{ip}"}}],"startTime":"{started}","containerStatuses":[{{"name":"main","state":{{"running":{{"startedAt":"{}"}}}},"lastState":{{}},"ready":true,"restartCount":{},"image":"{image}","imageID":"{image}@sha256:{}","containerID":"containerd://{}","started":true}}],"qosClass":"Burstable"}}}}"#,
            node / 250,
            node % 250,
            condition("PodReadyToStartContainers"),
            condition("Initialized"),
            condition("Ready"),
            condition("ContainersReady"),
            condition("PodScheduled"),
            time(&mut self.rng),
            self.rng.u8(..3),
            hex(&mut Rng::with_seed(image.len() as u64), 64),
            hex(&mut self.rng, 64),
            name = workload.name,
        )
    }

    fn service(&mut self, workload: &Workload) -> String {
        let labels = format!(
            r#""app.kubernetes.io/name":"{0}","app.kubernetes.io/instance":"{0}","app.kubernetes.io/managed-by":"Helm","helm.sh/chart":"service-2.{1}.1""#,
            workload.name,
            workload.name.len() % 7,
        );
        let fields = r#"{"f:metadata":{"f:annotations":{".":{},"f:meta.helm.sh/release-name":{},"f:meta.helm.sh/release-namespace":{}},"f:labels":{".":{},"f:app.kubernetes.io/instance":{},"f:app.kubernetes.io/managed-by":{},"f:app.kubernetes.io/name":{},"f:helm.sh/chart":{}}},"f:spec":{"f:internalTrafficPolicy":{},"f:ports":{".":{},"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{},"f:port":{},"f:protocol":{},"f:targetPort":{}}},"f:selector":{},"f:sessionAffinity":{},"f:type":{}}}"#;
        // A workload has more than one when there are more of them than workloads.
        let name = format!("{}-{}", workload.name, suffix(&mut self.rng, 5));
        let metadata = self.metadata(workload, &name, &labels, None, "helm", fields);
        let ip = address(&mut self.rng);
        format!(
            r#"{{"kind":"Service","apiVersion":"v1","metadata":{metadata},"spec":{{"ports":[{{"name":"http","protocol":"TCP","appProtocol":"kubernetes.io/h2c","port":80,"targetPort":"http"}},{{"name":"metrics","protocol":"TCP","port":9090,"targetPort":9090}}],"selector":{{"app.kubernetes.io/name":"{0}","app.kubernetes.io/instance":"{0}"}},"clusterIP":"{ip}","clusterIPs":["{ip}"],"type":"ClusterIP","sessionAffinity":"None","ipFamilies":["IPv4"],"ipFamilyPolicy":"SingleStack","internalTrafficPolicy":"Cluster"}},"status":{{"loadBalancer":{{}}}}}}"#,
            workload.name
        )
    }

    fn secret(&mut self, workload: &Workload) -> String {
        let labels = format!(
            r#""app.kubernetes.io/name":"{}","app.kubernetes.io/managed-by":"Helm""#,
            workload.name
        );
        let fields = r#"{"f:data":{".":{},"f:ca.crt":{},"f:password":{},"f:tls.crt":{},"f:tls.key":{},"f:username":{}},"f:metadata":{"f:labels":{".":{},"f:app.kubernetes.io/managed-by":{},"f:app.kubernetes.io/name":{}}},"f:type":{}}"#;
        let name = format!("{}-{}", workload.name, suffix(&mut self.rng, 5));
        let metadata = self.metadata(workload, &name, &labels, None, "cert-manager", fields);
        format!(
            r#"{{"kind":"Secret","apiVersion":"v1","metadata":{metadata},"data":{{"ca.crt":"{}","password":"{}","tls.crt":"{}","tls.key":"{}","username":"YWRtaW4="}},"type":"Opaque"}}"#,
            base64(&mut self.rng, 600),
            base64(&mut self.rng, 32),
            base64(&mut self.rng, 900),
            base64(&mut self.rng, 320),
        )
    }
}

fn pick(rng: &mut Rng, alphabet: &[u8], length: usize) -> String {
    (0..length)
        .map(|_| char::from(alphabet[rng.usize(..alphabet.len())]))
        .collect()
}

fn hex(rng: &mut Rng, length: usize) -> String {
    pick(rng, b"0123456789abcdef", length)
}

fn suffix(rng: &mut Rng, length: usize) -> String {
    pick(rng, b"bcdfghjklmnpqrstvwxz2456789", length)
}

fn suffix_of_template(workload: &Workload) -> String {
    let seed = workload
        .uid
        .bytes()
        .fold(0, |seed, byte| seed * 31 % 1_000_003 + u64::from(byte));
    suffix(&mut Rng::with_seed(seed), 10)
}

fn base64(rng: &mut Rng, length: usize) -> String {
    pick(
        rng,
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
        length,
    )
}

fn uid(rng: &mut Rng) -> String {
    let groups = [8, 4, 4, 4, 12].map(|length| hex(rng, length));
    groups.join("-")
}

fn time(rng: &mut Rng) -> String {
    format!(
        "2026-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        rng.u8(1..13),
        rng.u8(1..29),
        rng.u8(..24),
        rng.u8(..60),
        rng.u8(..60)
    )
}

fn address(rng: &mut Rng) -> String {
    format!("10.{}.{}.{}", rng.u8(..8), rng.u8(..), rng.u8(1..255))
}
