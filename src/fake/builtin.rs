//! The built-in kinds, as a table.
//!
//! One line per resource: `group/version plural Kind scope`, then options: `short=`, `cat=`, `sub=` (subresources),
//! `sel=` (fields a selector may name besides name and namespace), `verbs=`, and single words for [`Traits`]:
//! `gen`, `upsert`, `rv`, `object`, `labels`.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use super::registry::{GroupResource, Resource, ScalePaths, Subresource, Traits, Version};
use super::{schema, table};

const TABLE: &str = "
/v1 bindings Binding N verbs=create
/v1 componentstatuses ComponentStatus C short=cs verbs=get,list
/v1 configmaps ConfigMap N short=cm
/v1 endpoints Endpoints N short=ep upsert singular=endpoints
/v1 events Event N short=ev upsert labels sel=involvedObject.kind,involvedObject.namespace,involvedObject.name,involvedObject.uid,involvedObject.apiVersion,involvedObject.resourceVersion,involvedObject.fieldPath,reason,reportingComponent,source,type
/v1 limitranges LimitRange N short=limits upsert
/v1 namespaces Namespace C short=ns sub=finalize:update,status sel=status.phase labels nocollection
/v1 nodes Node C short=no sub=status sel=spec.unschedulable labels
/v1 persistentvolumeclaims PersistentVolumeClaim N short=pvc sub=status object
/v1 persistentvolumes PersistentVolume C short=pv sub=status object
/v1 pods Pod N short=po cat=all sub=attach:PodAttachOptions:create+get,binding:Binding:create,ephemeralcontainers:Pod:get+patch+update,eviction:policy/v1/Eviction:create,exec:PodExecOptions:create+get,log:Pod:get,portforward:PodPortForwardOptions:create+get,proxy:PodProxyOptions:create+delete+get+patch+update,resize:Pod:get+patch+update,status gen object labels sel=spec.nodeName,spec.restartPolicy,spec.schedulerName,spec.serviceAccountName,spec.hostNetwork,status.phase,status.podIP,status.podIPs,status.nominatedNodeName
/v1 podtemplates PodTemplate N gen object
/v1 replicationcontrollers ReplicationController N short=rc cat=all sub=scale,status gen labels sel=status.replicas
/v1 resourcequotas ResourceQuota N short=quota sub=status object
/v1 secrets Secret N sel=type labels
/v1 serviceaccounts ServiceAccount N short=sa sub=token:authentication.k8s.io/v1/TokenRequest:create object
/v1 services Service N short=svc cat=all sub=proxy:ServiceProxyOptions:create+delete+get+patch+update,status upsert object labels sel=spec.clusterIP,spec.type
admissionregistration.k8s.io/v1 mutatingwebhookconfigurations MutatingWebhookConfiguration C cat=api-extensions gen rv
admissionregistration.k8s.io/v1 validatingwebhookconfigurations ValidatingWebhookConfiguration C cat=api-extensions gen rv
apiextensions.k8s.io/v1 customresourcedefinitions CustomResourceDefinition C short=crd,crds cat=api-extensions sub=status gen rv
apiregistration.k8s.io/v1 apiservices APIService C cat=api-extensions sub=status rv
apps/v1 controllerrevisions ControllerRevision N
apps/v1 daemonsets DaemonSet N short=ds cat=all sub=status gen
apps/v1 deployments Deployment N short=deploy cat=all sub=scale,status gen
apps/v1 replicasets ReplicaSet N short=rs cat=all sub=scale,status gen
apps/v1 statefulsets StatefulSet N short=sts cat=all sub=scale,status gen
authentication.k8s.io/v1 selfsubjectreviews SelfSubjectReview C verbs=create
authentication.k8s.io/v1 tokenreviews TokenReview C verbs=create
authorization.k8s.io/v1 localsubjectaccessreviews LocalSubjectAccessReview N verbs=create
authorization.k8s.io/v1 selfsubjectaccessreviews SelfSubjectAccessReview C verbs=create
authorization.k8s.io/v1 selfsubjectrulesreviews SelfSubjectRulesReview C verbs=create
authorization.k8s.io/v1 subjectaccessreviews SubjectAccessReview C verbs=create
autoscaling/v2 horizontalpodautoscalers HorizontalPodAutoscaler N short=hpa cat=all sub=status
batch/v1 cronjobs CronJob N short=cj cat=all sub=status gen
batch/v1 jobs Job N cat=all sub=status gen sel=status.successful
certificates.k8s.io/v1 certificatesigningrequests CertificateSigningRequest C short=csr sub=approval:CertificateSigningRequest:get+patch+update,status labels sel=spec.signerName
coordination.k8s.io/v1 leases Lease N upsert rv
discovery.k8s.io/v1 endpointslices EndpointSlice N gen
events.k8s.io/v1 events Event N short=ev upsert labels sel=reason,regarding.kind,regarding.namespace,regarding.name,regarding.uid,regarding.apiVersion,regarding.resourceVersion,regarding.fieldPath,reportingController,type
flowcontrol.apiserver.k8s.io/v1 flowschemas FlowSchema C sub=status gen
flowcontrol.apiserver.k8s.io/v1 prioritylevelconfigurations PriorityLevelConfiguration C sub=status gen
networking.k8s.io/v1 ingressclasses IngressClass C gen
networking.k8s.io/v1 ingresses Ingress N short=ing sub=status gen
networking.k8s.io/v1 networkpolicies NetworkPolicy N short=netpol gen
node.k8s.io/v1 runtimeclasses RuntimeClass C rv
policy/v1 poddisruptionbudgets PodDisruptionBudget N short=pdb sub=status gen rv
rbac.authorization.k8s.io/v1 clusterrolebindings ClusterRoleBinding C upsert
rbac.authorization.k8s.io/v1 clusterroles ClusterRole C upsert
rbac.authorization.k8s.io/v1 rolebindings RoleBinding N upsert
rbac.authorization.k8s.io/v1 roles Role N upsert
scheduling.k8s.io/v1 priorityclasses PriorityClass C short=pc gen upsert
storage.k8s.io/v1 csidrivers CSIDriver C gen
storage.k8s.io/v1 csinodes CSINode C
storage.k8s.io/v1 storageclasses StorageClass C short=sc
storage.k8s.io/v1 volumeattachments VolumeAttachment C sub=status
";

/// Kinds whose every use warns.
const DEPRECATED: [(&str, &str); 2] = [
    (
        "Endpoints",
        "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    ),
    (
        "ComponentStatus",
        "v1 ComponentStatus is deprecated in v1.19+",
    ),
];

const VERBS: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// Every built-in resource, made once per process.
pub(super) fn resources() -> &'static BTreeMap<GroupResource, Arc<Resource>> {
    static RESOURCES: LazyLock<BTreeMap<GroupResource, Arc<Resource>>> = LazyLock::new(|| {
        TABLE
            .lines()
            .filter_map(read)
            .map(|resource| (resource.plural.clone(), Arc::new(resource)))
            .collect()
    });
    &RESOURCES
}

fn known_verb(verb: &str) -> Option<&'static str> {
    VERBS.into_iter().find(|known| *known == verb)
}

fn read(line: &'static str) -> Option<Resource> {
    let mut words = line.split(' ');
    let (group, version) = words.next()?.split_once('/')?;
    let plural = words.next()?;
    let kind = words.next()?;
    let namespaced = words.next()? == "N";
    let mut resource = Resource {
        plural: GroupResource::new(group, plural),
        kind: GroupResource::new(group, kind),
        list_kind: format!("{kind}List"),
        singular: kind.to_lowercase(),
        namespaced,
        short_names: Vec::new(),
        categories: Vec::new(),
        versions: Vec::new(),
        verbs: VERBS.to_vec(),
        traits: Traits {
            built_in: true,
            ..Traits::default()
        },
    };
    let mut subresources = Vec::new();
    let mut selectable = Vec::new();
    for word in words {
        let list = |values: &str| values.split(',').map(str::to_owned).collect::<Vec<_>>();
        match word.split_once('=') {
            Some(("short", values)) => resource.short_names = list(values),
            Some(("cat", values)) => resource.categories = list(values),
            Some(("sel", values)) => selectable = list(values),
            Some(("singular", value)) => resource.singular = value.to_owned(),
            Some(("verbs", values)) => {
                resource.verbs = values.split(',').filter_map(known_verb).collect();
            }
            Some(("sub", values)) => {
                subresources = values
                    .split(',')
                    .map(|text| subresource(text, kind))
                    .collect();
            }
            _ => match word {
                "gen" => resource.traits.generation = true,
                "upsert" => resource.traits.create_on_update = true,
                "rv" => resource.traits.needs_resource_version = true,
                "object" => resource.traits.returns_deleted = true,
                "labels" => resource.traits.own_field_labels = true,
                "nocollection" => resource.verbs.retain(|verb| *verb != "deletecollection"),
                _ => {}
            },
        }
    }
    resource.versions.push(Version {
        name: version.to_owned(),
        schema: schema::built_in(kind),
        deprecation: DEPRECATED
            .iter()
            .find(|(known, _)| *known == kind)
            .map(|(_, warning)| (*warning).to_owned()),
        subresources,
        selectable,
        columns: table::built_in_columns(kind).into(),
    });
    Some(resource)
}

/// `name`, `name:verbs`, `name:Kind:verbs` or `name:group/version/Kind:verbs`; verbs joined by `+`.
fn subresource(text: &str, kind: &str) -> Subresource {
    let verbs = |text: &str| text.split('+').filter_map(known_verb).collect();
    let mut made = Subresource {
        name: text.to_owned(),
        group_version: None,
        kind: kind.to_owned(),
        verbs: vec!["get", "patch", "update"],
        scale: None,
    };
    let parts: Vec<&str> = text.split(':').collect();
    match parts[..] {
        [name, allowed] => {
            name.clone_into(&mut made.name);
            made.verbs = verbs(allowed);
        }
        [name, target, allowed] => {
            name.clone_into(&mut made.name);
            made.verbs = verbs(allowed);
            match target.rsplit_once('/') {
                Some((group_version, kind)) => {
                    kind.clone_into(&mut made.kind);
                    made.group_version = group_version
                        .split_once('/')
                        .map(|(group, version)| (group.to_owned(), version.to_owned()));
                }
                None => target.clone_into(&mut made.kind),
            }
        }
        _ => {}
    }
    if made.name == "scale" {
        made.kind = "Scale".to_owned();
        made.group_version = Some(("autoscaling".to_owned(), "v1".to_owned()));
        let path = |text: &str| text.split('.').map(str::to_owned).collect();
        made.scale = Some(ScalePaths {
            spec: path("spec.replicas"),
            status: path("status.replicas"),
            selector: Some(path("spec.selector")),
        });
    }
    made
}
