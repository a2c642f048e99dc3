//! The form of the built-in kinds, as data.
//!
//! One line per type: `Name: field field …`. A field is `name` (a string) or `name:type`. Types: `bool`, `int`, `num`,
//! `any`, `time`, `micro` (time with six digits of fraction), `qty`, `intstr`, `bytes`, another type's name, `{T}` a
//! map, `[T]` a list that is one value, `[T]set`, `[T]a,b` a list whose elements are named by the keys `a` and `b`.
//! `~key` names another key for strategic merge, `~` alone merges plain values, `!` after a map or struct makes it one
//! value for server-side apply, `+` before a field serialises it even when it is empty, `*` as a field keeps what is not
//! named.

pub(super) const KINDS: &str = "
ObjectMeta: name generateName namespace selfLink uid resourceVersion generation:int creationTimestamp:time deletionTimestamp:time deletionGracePeriodSeconds:int labels:{string} annotations:{string} ownerReferences:[OwnerReference]uid finalizers:[string]set~ managedFields:[ManagedFields]
OwnerReference: apiVersion kind name uid controller:bool blockOwnerDeletion:bool
ManagedFields: manager operation apiVersion time:time fieldsType fieldsV1:any subresource
LabelSelector: matchLabels:{string} matchExpressions:[LabelRequirement]
LabelRequirement: key operator values:[string]
ObjectReference: kind namespace name uid apiVersion resourceVersion fieldPath
LocalReference: name
TypedReference: apiGroup +kind +name namespace
Condition: +type +status observedGeneration:int +lastTransitionTime:time +reason +message

ConfigMap: immutable:bool data:{string} binaryData:{bytes}
Secret: immutable:bool data:{bytes} stringData:{string} type
Namespace: +spec:NamespaceSpec +status:NamespaceStatus
NamespaceSpec: finalizers:[string]
NamespaceStatus: phase conditions:[Condition]type
ServiceAccount: secrets:[ObjectReference]name imagePullSecrets:[LocalReference] automountServiceAccountToken:bool

Service: +spec:ServiceSpec +status:ServiceStatus
ServiceSpec: ports:[ServicePort]port,protocol selector:{string}! clusterIP clusterIPs:[string] type externalIPs:[string] sessionAffinity loadBalancerIP loadBalancerSourceRanges:[string] externalName externalTrafficPolicy healthCheckNodePort:int publishNotReadyAddresses:bool sessionAffinityConfig:any ipFamilies:[string] ipFamilyPolicy allocateLoadBalancerNodePorts:bool loadBalancerClass internalTrafficPolicy trafficDistribution
ServicePort: name protocol appProtocol +port:int targetPort:intstr nodePort:int
ServiceStatus: +loadBalancer:LoadBalancer conditions:[Condition]type
LoadBalancer: ingress:[LoadBalancerIngress]
LoadBalancerIngress: ip hostname ipMode ports:[any]

EndpointSlice: +addressType +endpoints:[Endpoint] +ports:[EndpointPort]
Endpoint: +addresses:[string]set +conditions:EndpointConditions hostname targetRef:ObjectReference! deprecatedTopology:{string} nodeName zone hints:EndpointHints
EndpointConditions: ready:bool serving:bool terminating:bool
EndpointHints: forZones:[ZoneHint] forNodes:[ZoneHint]
ZoneHint: +name
EndpointPort: name protocol port:int appProtocol
Endpoints: subsets:[EndpointSubset]
EndpointSubset: addresses:[EndpointAddress] notReadyAddresses:[EndpointAddress] ports:[EndpointPort]
EndpointAddress: +ip hostname nodeName targetRef:ObjectReference!

Lease: +spec:LeaseSpec
LeaseSpec: holderIdentity leaseDurationSeconds:int acquireTime:micro renewTime:micro leaseTransitions:int strategy preferredHolder

Event: +involvedObject:ObjectReference! reason message +source:EventSource +firstTimestamp:time +lastTimestamp:time count:int type +eventTime:micro series:any action related:ObjectReference +reportingComponent +reportingInstance
EventSource: component host

Role: +rules:[PolicyRule]
ClusterRole: +rules:[PolicyRule] aggregationRule:any
PolicyRule: +verbs:[string] apiGroups:[string] resources:[string] resourceNames:[string] nonResourceURLs:[string]
RoleBinding: subjects:[Subject] +roleRef:RoleRef!
ClusterRoleBinding: subjects:[Subject] +roleRef:RoleRef!
Subject: +kind apiGroup +name namespace
RoleRef: +apiGroup +kind +name

Pod: +spec:PodSpec +status:PodStatus
PodTemplate: +template:PodTemplateSpec
PodTemplateSpec: +metadata:ObjectMeta +spec:PodSpec
PodSpec: volumes:[Volume]name initContainers:[Container]name +containers:[Container]name ephemeralContainers:[Container]name restartPolicy terminationGracePeriodSeconds:int activeDeadlineSeconds:int dnsPolicy nodeSelector:{string}! serviceAccountName serviceAccount automountServiceAccountToken:bool nodeName hostNetwork:bool hostPID:bool hostIPC:bool shareProcessNamespace:bool securityContext:PodSecurityContext imagePullSecrets:[LocalReference]name hostname subdomain affinity:any schedulerName tolerations:[Toleration] hostAliases:[HostAlias]ip priorityClassName priority:int dnsConfig:any readinessGates:[any] runtimeClassName enableServiceLinks:bool preemptionPolicy overhead:{qty} topologySpreadConstraints:[any]topologyKey,whenUnsatisfiable setHostnameAsFQDN:bool os:any hostUsers:bool schedulingGates:[any]name resourceClaims:[any]name resources:Resources hostnameOverride workloadRef:any
PodSecurityContext: seLinuxOptions:any windowsOptions:any runAsUser:int runAsGroup:int runAsNonRoot:bool supplementalGroups:[int] supplementalGroupsPolicy fsGroup:int sysctls:[any] fsGroupChangePolicy seccompProfile:any appArmorProfile:any seLinuxChangePolicy
Container: +name image command:[string] args:[string] workingDir ports:[ContainerPort]containerPort,protocol envFrom:[EnvFrom] env:[EnvVar]name +resources:Resources resizePolicy:[any] restartPolicy restartPolicyRules:[any] volumeMounts:[VolumeMount]mountPath volumeDevices:[any]devicePath livenessProbe:Probe readinessProbe:Probe startupProbe:Probe lifecycle:any terminationMessagePath terminationMessagePolicy imagePullPolicy securityContext:any stdin:bool stdinOnce:bool tty:bool targetContainerName
ContainerPort: name hostPort:int +containerPort:int protocol hostIP
EnvVar: +name value valueFrom:any
EnvFrom: prefix configMapRef:any secretRef:any
Resources: limits:{qty} requests:{qty} claims:[any]name
VolumeMount: +name readOnly:bool recursiveReadOnly +mountPath subPath mountPropagation subPathExpr
Probe: exec:any httpGet:HTTPGet tcpSocket:any grpc:any initialDelaySeconds:int timeoutSeconds:int periodSeconds:int successThreshold:int failureThreshold:int terminationGracePeriodSeconds:int
HTTPGet: path +port:intstr host scheme httpHeaders:[any]
Volume: +name *
Toleration: key operator value effect tolerationSeconds:int
HostAlias: +ip hostnames:[string]
PodStatus: observedGeneration:int phase conditions:[PodCondition]type message reason nominatedNodeName hostIP hostIPs:[IP] podIP podIPs:[IP]ip startTime:time initContainerStatuses:[any] containerStatuses:[any] qosClass ephemeralContainerStatuses:[any] resize resourceClaimStatuses:[any]name extendedResourceClaimStatus:any allocatedResources:{qty} resources:Resources
PodCondition: +type observedGeneration:int +status +lastProbeTime:time +lastTransitionTime:time reason message
IP: +ip

Deployment: +spec:DeploymentSpec +status:DeploymentStatus
DeploymentSpec: replicas:int +selector:LabelSelector! +template:PodTemplateSpec +strategy:any minReadySeconds:int revisionHistoryLimit:int paused:bool progressDeadlineSeconds:int
DeploymentStatus: observedGeneration:int replicas:int updatedReplicas:int readyReplicas:int availableReplicas:int unavailableReplicas:int terminatingReplicas:int conditions:[any]type collisionCount:int
ReplicaSet: +spec:ReplicaSetSpec +status:ReplicaSetStatus
ReplicaSetSpec: replicas:int minReadySeconds:int +selector:LabelSelector! template:PodTemplateSpec
ReplicaSetStatus: +replicas:int fullyLabeledReplicas:int readyReplicas:int availableReplicas:int terminatingReplicas:int observedGeneration:int conditions:[any]type
StatefulSet: +spec:StatefulSetSpec +status:StatefulSetStatus
StatefulSetSpec: replicas:int +selector:LabelSelector! +template:PodTemplateSpec volumeClaimTemplates:[any] serviceName podManagementPolicy +updateStrategy:any revisionHistoryLimit:int minReadySeconds:int persistentVolumeClaimRetentionPolicy:any ordinals:any
StatefulSetStatus: observedGeneration:int +replicas:int readyReplicas:int currentReplicas:int updatedReplicas:int currentRevision updateRevision collisionCount:int conditions:[any]type availableReplicas:int
DaemonSet: +spec:DaemonSetSpec +status:DaemonSetStatus
DaemonSetSpec: +selector:LabelSelector! +template:PodTemplateSpec +updateStrategy:any minReadySeconds:int revisionHistoryLimit:int
DaemonSetStatus: +currentNumberScheduled:int +numberMisscheduled:int +desiredNumberScheduled:int +numberReady:int observedGeneration:int updatedNumberScheduled:int numberAvailable:int numberUnavailable:int collisionCount:int conditions:[any]type
Job: +spec:JobSpec +status:JobStatus
JobSpec: parallelism:int completions:int activeDeadlineSeconds:int podFailurePolicy:any successPolicy:any backoffLimit:int backoffLimitPerIndex:int maxFailedIndexes:int selector:LabelSelector! manualSelector:bool +template:PodTemplateSpec ttlSecondsAfterFinished:int completionMode suspend:bool podReplacementPolicy managedBy
JobStatus: conditions:[any] startTime:time completionTime:time active:int succeeded:int failed:int terminating:int completedIndexes failedIndexes uncountedTerminatedPods:any ready:int

Ingress: +spec:IngressSpec +status:IngressStatus
IngressSpec: ingressClassName defaultBackend:IngressBackend tls:[IngressTLS] rules:[IngressRule]
IngressTLS: hosts:[string] secretName
IngressRule: host http:IngressHTTP
IngressHTTP: +paths:[IngressPath]
IngressPath: path pathType +backend:IngressBackend
IngressBackend: service:IngressService resource:TypedReference!
IngressService: +name port:IngressPort
IngressPort: name number:int
IngressStatus: +loadBalancer:LoadBalancer
IngressClass: +spec:IngressClassSpec
IngressClassSpec: controller parameters:any
NetworkPolicy: +spec:NetworkPolicySpec
NetworkPolicySpec: podSelector:LabelSelector! ingress:[any] egress:[any] policyTypes:[string]

Node: +spec:NodeSpec +status:any
NodeSpec: podCIDR podCIDRs:[string]set~ providerID unschedulable:bool taints:[any] configSource:any externalID
PersistentVolumeClaim: +spec:any +status:any
PodDisruptionBudget: +spec:PodDisruptionBudgetSpec +status:any
PodDisruptionBudgetSpec: minAvailable:intstr selector:LabelSelector! maxUnavailable:intstr unhealthyPodEvictionPolicy
";
