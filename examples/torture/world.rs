//! The server's side: what is written, and what a watcher should come to hold of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use kubedex::fake::{FakeCluster, ResourceDefinition};
use kubedex::{Gvr, Object, ObjectRef};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::trace::Trace;

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    ConfigMap,
    Secret,
    /// A namespaced custom resource.
    Widget,
    /// A cluster-scoped custom resource.
    Gadget,
}

pub(super) const NAMESPACES: [&str; 3] = ["default", "b", "c"];
const NAMES: [&str; 6] = ["n0", "n1", "n2", "n3", "n4", "n5"];

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::ConfigMap, Self::Secret, Self::Widget, Self::Gadget];

    pub(super) fn gvr(self) -> Gvr {
        match self {
            Self::ConfigMap => Gvr::new("", "v1", "configmaps"),
            Self::Secret => Gvr::new("", "v1", "secrets"),
            Self::Widget => Gvr::new("example.com", "v1", "widgets"),
            Self::Gadget => Gvr::new("example.com", "v1", "gadgets"),
        }
    }

    pub(super) fn is_namespaced(self) -> bool {
        self != Self::Gadget
    }

    pub(super) fn register(self, cluster: &FakeCluster) {
        let definition = ResourceDefinition::new(self.gvr(), self.name());
        match self {
            Self::ConfigMap | Self::Secret => {}
            Self::Widget => cluster.register(&definition),
            Self::Gadget => cluster.register(&definition.cluster_scoped()),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::Widget => "Widget",
            Self::Gadget => "Gadget",
        }
    }
}

/// Every version of every object that ever was: version to object and uid.
pub(super) type History = Arc<Mutex<HashMap<u64, (Kind, ObjectRef, Box<str>)>>>;

/// The writers.
pub(super) struct World {
    pub(super) cluster: FakeCluster,
    pub(super) history: History,
    pub(super) writes: u64,
    trace: Arc<Trace>,
    random: fastrand::Rng,
    kinds: Vec<Kind>,
    there: BTreeSet<(Kind, Option<&'static str>, &'static str)>,
}

impl World {
    pub(super) fn new(
        cluster: FakeCluster,
        trace: Arc<Trace>,
        random: fastrand::Rng,
        kinds: Vec<Kind>,
    ) -> Self {
        Self {
            cluster,
            history: History::default(),
            writes: 0,
            trace,
            random,
            kinds,
            there: BTreeSet::new(),
        }
    }

    /// From now on objects of this kind are written, too.
    pub(super) fn add_kind(&mut self, kind: Kind) {
        kind.register(&self.cluster);
        self.trace
            .note(None, format!("{} are served", kind.gvr().resource()));
        self.kinds.push(kind);
    }

    /// One random write.
    pub(super) fn write(&mut self) {
        let Some(&kind) = self.kinds.get(self.random.usize(..self.kinds.len().max(1))) else {
            return;
        };
        let namespace = kind
            .is_namespaced()
            .then(|| NAMESPACES[self.random.usize(..NAMESPACES.len())]);
        let name = NAMES[self.random.usize(..NAMES.len())];
        let key = (kind, namespace, name);
        if !self.there.contains(&key) {
            return self.put("create", key);
        }
        match self.random.u8(..20) {
            0..5 => self.delete(key),
            5..8 => {
                self.delete(key);
                self.put("recreate", key);
            }
            _ => self.put("update", key),
        }
    }

    fn put(&mut self, what: &str, key: (Kind, Option<&'static str>, &'static str)) {
        let (kind, namespace, name) = key;
        let object = self.draw(key);
        let written = if self.there.contains(&key) {
            self.cluster.update(object)
        } else {
            self.cluster.create(object)
        };
        match written {
            Ok(object) => {
                self.there.insert(key);
                self.writes += 1;
                let version = version_of(&object);
                let reference = ObjectRef::new(namespace, name);
                self.trace.note(
                    None,
                    format!("{what} {} {reference} @{version}", kind.name()),
                );
                let uid = object.uid().unwrap_or_default().into();
                self.history.lock().insert(version, (kind, reference, uid));
            }
            Err(error) => self.trace.fail(None, format!("{what} failed: {error}")),
        }
    }

    fn delete(&mut self, key: (Kind, Option<&'static str>, &'static str)) {
        let (kind, namespace, name) = key;
        match self.cluster.delete(&kind.gvr(), namespace, name) {
            Ok(()) => {
                self.there.remove(&key);
                self.writes += 1;
                let (reference, version) = (
                    ObjectRef::new(namespace, name),
                    self.cluster.resource_version(),
                );
                self.trace.note(
                    None,
                    format!("delete {} {reference} @{version}", kind.name()),
                );
            }
            Err(error) => self.trace.fail(None, format!("delete failed: {error}")),
        }
    }

    fn draw(&mut self, (kind, namespace, name): (Kind, Option<&str>, &str)) -> Value {
        let random = &mut self.random;
        let mut labels = serde_json::Map::new();
        if let Some(tier) = [None, Some("x"), Some("y")][random.usize(..3)] {
            labels.insert("tier".to_owned(), json!(tier));
        }
        if random.bool() {
            labels.insert("app".to_owned(), json!("shop"));
        }
        let value = match kind {
            Kind::Secret => ["MA==", "MQ==", "Mg=="][random.usize(..3)],
            _ => ["0", "1", "2"][random.usize(..3)],
        };
        let pad = ["eA==", "eXl5eXk="][random.usize(..2)];
        let mut object = json!({
            "apiVersion": kind.gvr().api_version(),
            "kind": kind.name(),
            "metadata": {
                "name": name,
                "labels": labels,
                "annotations": {"note": format!("\"{}\" \\ \u{1f30d}\n", random.u8(..4))},
            },
            "data": {"k": value, "pad": pad},
        });
        if let Some(namespace) = namespace {
            object["metadata"]["namespace"] = json!(namespace);
        }
        object
    }

    /// Everything of one kind, as the server has it now.
    pub(super) fn all(&self, kind: Kind) -> BTreeMap<ObjectRef, Value> {
        self.cluster
            .list(&kind.gvr())
            .into_iter()
            .map(|object| (object.reference(), object.to_value()))
            .collect()
    }
}

/// The resource version of an object; those of the fake cluster are numbers.
pub(super) fn version_of(object: &Object) -> u64 {
    object
        .resource_version()
        .and_then(|version| version.parse().ok())
        .unwrap_or_default()
}
