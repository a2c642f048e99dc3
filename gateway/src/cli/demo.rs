//! The demo: a small shop on an embedded cluster, and what happens in it, round and round.
//!
//! The script is data: how long is waited, what is said, and what is then written. It writes what Kubernetes' own
//! controllers would write; nothing here knows what the adapter makes of it.

use std::io::{self, Write};
use std::time::Duration;

use kubedex::fake::{FakeCluster, FakeError};
use serde_json::{Value, json};

use crate::live::endpoint_slices;

const NAMESPACE: &str = "shop";

/// Between two things that a person does: time to read what the last one did.
const PAUSE: Duration = Duration::from_secs(2);

/// How long a Pod of the demo takes to start or to end.
const POD: Duration = Duration::from_millis(700);

/// One step of the script.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// How long nothing happens before.
    wait: Duration,
    /// What a person does, if this step begins something.
    say: Option<&'static str>,
    action: Action,
}

/// A write to the cluster.
#[derive(Clone, Debug)]
enum Action {
    Apply(Value),
    DeleteSlice(String),
}

/// The demo's workloads as they are now, and the script that goes on from there.
#[derive(Debug)]
pub(super) struct Demo {
    api: Workload,
    /// In two slices, as for a Service with more endpoints than one slice holds.
    web: [Workload; 2],
    cart: Workload,
}

/// The Pods behind one slice of a Service.
#[derive(Clone, Debug)]
struct Workload {
    service: &'static str,
    slice: &'static str,
    /// The third number of its Pods' addresses.
    net: u8,
    /// The number of the next Pod; numbers are not used again before long.
    next: u8,
    pods: Vec<Pod>,
}

#[derive(Clone, Debug)]
struct Pod {
    number: u8,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Ready,
    /// Asked to end; finishes what it has.
    Terminating,
}

impl Demo {
    pub(super) fn new() -> Self {
        Self {
            api: Workload::new("api", "api-7xk2p", 1, 2),
            web: [
                Workload::new("web", "web-4c9hd", 2, 2),
                Workload::new("web", "web-q8m5z", 3, 2),
            ],
            cart: Workload::new("cart", "cart-n6t4w", 4, 1),
        }
    }

    /// What exists at the start.
    pub(super) fn objects(&self) -> Vec<Value> {
        let http = json!([{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080,
                           "appProtocol": "http"}]);
        let service = |name: &str, spec: Value| {
            json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": name}},
                "spec": spec,
            })
        };
        let cart =
            json!({"ports": http, "selector": {"app": "cart"}, "sessionAffinity": "ClientIP"});
        let legacy = json!({"type": "ExternalName", "externalName": "shop.example.com"});
        let plain = |name: &str| service(name, json!({"ports": http, "selector": {"app": name}}));
        let mut objects = vec![
            plain("api"),
            plain("web"),
            service("cart", cart),
            service("legacy", legacy),
        ];
        let workloads = [&self.api, &self.web[0], &self.web[1], &self.cart];
        objects.extend(workloads.map(Workload::object));
        objects
    }

    /// One round of the script. In the end there are as many Pods as at the start.
    pub(super) fn round(&mut self) -> Vec<Step> {
        let mut script = Script::default();

        let api = &mut self.api;
        script.begin("kubectl scale deployment/api --replicas=4");
        api.start(2);
        script.write(Duration::ZERO, api);
        api.become_ready();
        script.write(POD, api);

        script.begin("kubectl rollout restart deployment/api");
        for _ in 0..2 {
            api.start(2);
            script.write(POD, api);
            api.become_ready();
            script.write(POD, api);
            api.terminate(2);
            script.write(POD, api);
            api.end();
            script.write(POD, api);
        }

        script.begin("kubectl scale deployment/api --replicas=2");
        api.terminate(2);
        script.write(Duration::ZERO, api);
        api.end();
        script.write(POD, api);

        let slice = &mut self.web[1];
        script.begin("web loses one of its two slices");
        script.push(Duration::ZERO, Action::DeleteSlice(slice.slice.to_owned()));
        script.begin("web gets it back, with Pods of another generation");
        slice.replace();
        script.write(Duration::ZERO, slice);

        let cart = &mut self.cart;
        script.begin("kubectl scale deployment/cart --replicas=0");
        cart.terminate(1);
        script.write(Duration::ZERO, cart);
        cart.end();
        script.write(PAUSE, cart);
        script.begin("kubectl scale deployment/cart --replicas=1");
        cart.start(1);
        script.write(Duration::ZERO, cart);
        cart.become_ready();
        script.write(POD, cart);

        script.steps
    }

    /// Plays the script until it is dropped, telling each thing that a person does.
    pub(super) async fn play(mut self, cluster: &FakeCluster) -> Result<(), FakeError> {
        loop {
            for step in self.round() {
                tokio::time::sleep(step.wait).await;
                if let Some(say) = step.say {
                    let _ = writeln!(io::stderr(), "# {say}");
                }
                step.action.perform(cluster)?;
            }
            // The cluster would remember every round, for watches that want to see them again.
            cluster.compact();
        }
    }
}

impl Action {
    fn perform(self, cluster: &FakeCluster) -> Result<(), FakeError> {
        match self {
            Self::Apply(object) => cluster.apply(object).map(drop),
            Self::DeleteSlice(name) => cluster.delete(&endpoint_slices(), Some(NAMESPACE), &name),
        }
    }
}

/// The steps of a round as they gather.
#[derive(Default)]
struct Script {
    steps: Vec<Step>,
    say: Option<&'static str>,
}

impl Script {
    /// The next write is the first of what a person does.
    fn begin(&mut self, say: &'static str) {
        self.say = Some(say);
    }

    fn write(&mut self, wait: Duration, workload: &Workload) {
        self.push(wait, Action::Apply(workload.object()));
    }

    fn push(&mut self, wait: Duration, action: Action) {
        let say = self.say.take();
        let wait = if say.is_some() { PAUSE } else { wait };
        self.steps.push(Step { wait, say, action });
    }
}

impl Workload {
    fn new(service: &'static str, slice: &'static str, net: u8, pods: usize) -> Self {
        let mut workload = Self {
            service,
            slice,
            net,
            next: 10,
            pods: Vec::new(),
        };
        workload.start(pods);
        workload.become_ready();
        workload
    }

    fn start(&mut self, pods: usize) {
        for _ in 0..pods {
            let number = self.next;
            self.next = if number == 250 { 10 } else { number + 1 };
            let phase = Phase::Starting;
            self.pods.push(Pod { number, phase });
        }
    }

    fn become_ready(&mut self) {
        for pod in &mut self.pods {
            if pod.phase == Phase::Starting {
                pod.phase = Phase::Ready;
            }
        }
    }

    /// Asks the oldest Pods to end.
    fn terminate(&mut self, pods: usize) {
        let ready = |pod: &&mut Pod| pod.phase == Phase::Ready;
        for pod in self.pods.iter_mut().filter(ready).take(pods) {
            pod.phase = Phase::Terminating;
        }
    }

    fn end(&mut self) {
        self.pods.retain(|pod| pod.phase != Phase::Terminating);
    }

    fn replace(&mut self) {
        let pods = self.pods.len();
        self.pods.clear();
        self.start(pods);
        self.become_ready();
    }

    /// The slice as the EndpointSlice controller would write it.
    fn object(&self) -> Value {
        let endpoints: Vec<Value> = self.pods.iter().map(|pod| self.endpoint(pod)).collect();
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": self.slice,
                "namespace": NAMESPACE,
                "labels": {
                    "kubernetes.io/service-name": self.service,
                    "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                },
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
            "endpoints": endpoints,
        })
    }

    fn endpoint(&self, pod: &Pod) -> Value {
        let zone = ["a", "b"][usize::from(pod.number % 2)];
        json!({
            "addresses": [format!("10.1.{}.{}", self.net, pod.number)],
            "conditions": {
                "ready": pod.phase == Phase::Ready,
                "serving": pod.phase != Phase::Starting,
                "terminating": pod.phase == Phase::Terminating,
            },
            "zone": format!("zone-{zone}"),
            "nodeName": format!("node-{zone}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kubedex::{Object, ObjectRef};

    use super::*;
    use crate::discovery::{Discovery, Inventory, Kind};
    use crate::model::State;
    use crate::translate::Options;

    fn counts(discovery: &Discovery) -> BTreeMap<String, (usize, usize)> {
        let of = |name: &str, endpoints: &[crate::model::Endpoint]| {
            let ready = endpoints.iter().filter(|it| it.state == State::Ready);
            let ready = ready.count();
            (name.to_owned(), (ready, endpoints.len() - ready))
        };
        discovery
            .clusters()
            .iter()
            .map(|cluster| of(&cluster.name, &cluster.endpoints))
            .collect()
    }

    #[test]
    fn a_round_shows_scaling_a_restart_and_a_lost_slice_and_ends_where_it_began() {
        let mut demo = Demo::new();
        let mut inventory = Inventory::default();
        let mut discovery = Discovery::new(Options::default());
        for object in demo.objects() {
            inventory.apply(Object::from_value(&object).unwrap());
        }
        let all: Vec<_> = inventory.services().cloned().collect();
        discovery.refresh(&inventory, all);
        let start = counts(&discovery);
        assert_eq!(start["k8s/shop/api:http"], (2, 0));
        assert_eq!(start["k8s/shop/web:http"], (4, 0));
        assert_eq!(discovery.problems().len(), 1);

        for _ in 0..100 {
            let mut seen: BTreeMap<String, Vec<(usize, usize)>> = BTreeMap::new();
            for step in demo.round() {
                let touched = match step.action {
                    Action::Apply(object) => inventory.apply(Object::from_value(&object).unwrap()),
                    Action::DeleteSlice(name) => {
                        let reference = ObjectRef::namespaced(NAMESPACE, name);
                        let touched = inventory.delete(Kind::EndpointSlice, &reference);
                        touched.into_iter().collect()
                    }
                };
                let diff = discovery.refresh(&inventory, touched);
                for cluster in diff.upserted() {
                    let now = counts(&discovery)[&*cluster.name];
                    seen.entry(cluster.name.to_string()).or_default().push(now);
                }
                assert_eq!(diff.removed().count(), 0);
            }
            assert_eq!(
                seen["k8s/shop/api:http"],
                [(4, 0), (6, 0), (4, 0), (6, 0), (4, 0), (2, 0)],
                "scaled up, restarted two by two without losing capacity, scaled down"
            );
            assert_eq!(seen["k8s/shop/web:http"], [(2, 0), (4, 0)]);
            assert_eq!(
                seen["k8s/shop/cart:http"],
                [(0, 1), (0, 0), (1, 0)],
                "the last Pod drains before it is gone"
            );
            assert_eq!(counts(&discovery), start);
        }
    }

    #[test]
    fn something_changes_within_seconds() {
        let round = Demo::new().round();
        let first: Duration = round.iter().take(2).map(|step| step.wait).sum();
        assert!(first <= Duration::from_secs(3));
        let all: Duration = round.iter().map(|step| step.wait).sum();
        assert!(all <= Duration::from_secs(30), "{all:?}");
    }
}
