//! Every vector in `tests/data/endpointslice-vectors`, and in the folder that `KUBEDEX_EXTRA_VECTORS` names, in every
//! way worth doing.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};

use kubedex::{Object, ObjectRef};
use kubedex_gateway::discovery::{Diff, Discovery, Inventory, Kind};
use kubedex_gateway::translate::{IpFamily, Options};
use serde::Deserialize;
use serde_json::{Value, json};

/// Vectors of the suite itself; fewer means that files were not found.
const OWN_VECTORS: usize = 51;

/// What the suite reads of a vector; `about`, `source` and `policy` are for people.
#[derive(Deserialize)]
struct Vector {
    name: String,
    #[serde(default)]
    options: VectorOptions,
    objects: Vec<Value>,
    expect: Expect,
    #[serde(default)]
    steps: Vec<Step>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct VectorOptions {
    zone: Option<Box<str>>,
    node: Option<Box<str>>,
    ip_family: Option<String>,
    include_draining: bool,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Expect {
    clusters: Vec<Value>,
    #[serde(default)]
    problems: Vec<String>,
}

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Step {
    Apply {
        object: Value,
        expect: Expect,
        expect_changed: bool,
    },
    Delete {
        r#ref: Reference,
        expect: Expect,
        expect_changed: bool,
    },
}

impl Step {
    fn expected(&self) -> (&Expect, bool) {
        match self {
            Self::Apply {
                expect,
                expect_changed,
                ..
            }
            | Self::Delete {
                expect,
                expect_changed,
                ..
            } => (expect, *expect_changed),
        }
    }
}

#[derive(Clone, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Reference {
    kind: String,
    namespace: String,
    name: String,
}

/// An engine that is fed events, as a watcher would feed it.
struct Engine {
    inventory: Inventory,
    discovery: Discovery,
}

impl Engine {
    fn new(options: &Options) -> Self {
        Self {
            inventory: Inventory::default(),
            discovery: Discovery::new(options.clone()),
        }
    }

    fn started<'a>(options: &Options, objects: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut engine = Self::new(options);
        for object in objects {
            engine.apply(object);
        }
        engine
    }

    fn apply(&mut self, object: &Value) -> Diff {
        let touched = self.inventory.apply(Object::from_value(object).unwrap());
        self.discovery.refresh(&self.inventory, touched)
    }

    fn handle(&mut self, event: &Step) -> Diff {
        match event {
            Step::Apply { object, .. } => self.apply(object),
            Step::Delete { r#ref, .. } => {
                let kind = match &*r#ref.kind {
                    "Service" => Kind::Service,
                    "EndpointSlice" => Kind::EndpointSlice,
                    other => panic!("unknown kind {other}"),
                };
                let reference = ObjectRef::namespaced(&*r#ref.namespace, &*r#ref.name);
                let touched = self.inventory.delete(kind, &reference);
                self.discovery.refresh(&self.inventory, touched)
            }
        }
    }

    fn state(&self) -> Expect {
        Expect {
            clusters: self
                .discovery
                .clusters()
                .iter()
                .map(|cluster| serde_json::to_value(cluster).unwrap())
                .collect(),
            problems: self
                .discovery
                .problems()
                .into_iter()
                .map(ToString::to_string)
                .collect(),
        }
    }
}

fn reference(object: &Value) -> Reference {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Reference {
        kind: text(&object["kind"]),
        namespace: text(&object["metadata"]["namespace"]),
        name: text(&object["metadata"]["name"]),
    }
}

/// Some orders of `len` things: all of them for few things, else rotations, their reverses, and some shuffles.
fn orders(len: usize) -> Vec<Vec<usize>> {
    let mut orders = Vec::new();
    if len <= 4 {
        permute(&mut (0..len).collect(), 0, &mut orders);
        return orders;
    }
    for start in 0..len {
        let rotation: Vec<usize> = (0..len).map(|i| (start + i) % len).collect();
        orders.push(rotation.iter().rev().copied().collect());
        orders.push(rotation);
    }
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..20 {
        let mut order: Vec<usize> = (0..len).collect();
        for i in (1..len).rev() {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            order.swap(i, usize::try_from(seed % (i as u64 + 1)).unwrap());
        }
        orders.push(order);
    }
    orders
}

fn permute(order: &mut Vec<usize>, from: usize, orders: &mut Vec<Vec<usize>>) {
    if from == order.len() {
        orders.push(order.clone());
    }
    for i in from..order.len() {
        order.swap(from, i);
        permute(order, from + 1, orders);
        order.swap(from, i);
    }
}

fn check(vector: &Vector) {
    let name = &vector.name;
    let options = Options {
        zone: vector.options.zone.clone(),
        node: vector.options.node.clone(),
        ip_family: vector.options.ip_family.as_deref().map(|family| {
            IpFamily::from_name(family).unwrap_or_else(|| panic!("{name}: family {family}"))
        }),
        include_draining: vector.options.include_draining,
        ..Options::default()
    };

    for order in orders(vector.objects.len()) {
        let objects = order.iter().map(|&i| &vector.objects[i]);
        let state = Engine::started(&options, objects).state();
        assert_eq!(state, vector.expect, "{name}: objects in order {order:?}");
    }

    let mut engine = Engine::started(&options, &vector.objects);
    let mut exists: BTreeMap<Reference, Value> = vector
        .objects
        .iter()
        .map(|object| (reference(object), object.clone()))
        .collect();
    for (number, step) in vector.steps.iter().enumerate() {
        let at = format!("{name}: step {}", number + 1);
        let (expect, expect_changed) = step.expected();
        let before = engine.state();
        let diff = engine.handle(step);
        let state = engine.state();
        assert_eq!(state, *expect, "{at}");
        assert_eq!(
            state.clusters != before.clusters,
            expect_changed,
            "{at}: the vector itself"
        );
        assert_eq!(diff.is_change(), expect_changed, "{at}: the diff");
        assert_eq!(patched(&before, &diff), state, "{at}: the diff, applied");

        // The same event again changes nothing.
        let again = engine.handle(step);
        assert!(again.is_empty(), "{at}: a second time");
        assert_eq!(engine.state(), state, "{at}: a second time");

        match step {
            Step::Apply { object, .. } => exists.insert(reference(object), object.clone()),
            Step::Delete { r#ref, .. } => exists.remove(r#ref),
        };
        let fresh = Engine::started(&options, exists.values()).state();
        assert_eq!(fresh, state, "{at}: a fresh start");
    }
    // Every object once more, as after a relist.
    let state = engine.state();
    for object in exists.values() {
        assert!(engine.apply(object).is_empty(), "{name}: relist");
    }
    assert_eq!(engine.state(), state, "{name}: relist");
}

/// A state with a diff applied to it by someone who has nothing else.
fn patched(before: &Expect, diff: &Diff) -> Expect {
    let mut clusters: BTreeMap<String, Value> = before
        .clusters
        .iter()
        .map(|cluster| {
            (
                cluster["name"].as_str().unwrap().to_owned(),
                cluster.clone(),
            )
        })
        .collect();
    for name in diff.removed() {
        assert!(clusters.remove(name).is_some(), "removed twice: {name}");
    }
    for cluster in diff.upserted() {
        clusters.insert(cluster.name.to_string(), json!(cluster));
    }
    let mut problems = before.problems.clone();
    problems.retain(|text| {
        !diff
            .problems_removed
            .iter()
            .any(|it| it.to_string() == *text)
    });
    problems.extend(diff.problems_added.iter().map(ToString::to_string));
    problems.sort();
    Expect {
        clusters: clusters.into_values().collect(),
        problems,
    }
}

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{folder:?}: {e}"));
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(json_files(&path));
        } else if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn run(folder: &Path) -> usize {
    let files = json_files(folder);
    let mut failed = Vec::new();
    for file in &files {
        let outcome = std::panic::catch_unwind(|| {
            let text = std::fs::read_to_string(file).unwrap();
            let vector: Vector =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file:?}: {error}"));
            assert_eq!(Some(&*vector.name), file.file_stem().unwrap().to_str());
            check(&vector);
        });
        if outcome.is_err() {
            failed.push(file);
        }
    }
    assert!(
        failed.is_empty(),
        "{} of {} failed: {failed:#?}",
        failed.len(),
        files.len()
    );
    files.len()
}

#[test]
fn all_vectors_hold_in_every_order_step_by_step_and_from_a_fresh_start() {
    let folder = "tests/data/endpointslice-vectors";
    let own = run(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
    println!("{own} vectors in {folder}");
    assert!(own >= OWN_VECTORS, "only {own} vectors in {folder}");
    if let Some(folder) = env::var_os("KUBEDEX_EXTRA_VECTORS").filter(|it| !it.is_empty()) {
        let extra = run(Path::new(&folder));
        println!("{extra} vectors in {}", folder.display());
        assert!(extra > 0, "no vectors in {}", folder.display());
    }
}
