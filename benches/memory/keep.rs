//! Stores so many objects and says what that took; the work of a child process.

use std::fmt;
use std::hint::black_box;
use std::sync::Arc;

use kube::api::{ApiResource, GroupVersionKind};
use kube::core::DynamicObject;
use kube::runtime::{reflector, watcher};
use kubedex::Gvr;
use kubedex::indexer::{IndexSet, Indexer};
use kubedex::store::{MemoryStore, StoreSchema};

use super::support::data::{Objects, Shape};
use super::support::process::resident_bytes;

/// What to store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    EndpointSlices,
    Pods,
    Services,
    Secrets,
    Mixed,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mixed => f.write_str("mixed"),
            kind => write!(f, "{kind:?}"),
        }
    }
}

impl Kind {
    fn named(name: &str) -> Self {
        [
            Self::EndpointSlices,
            Self::Pods,
            Self::Services,
            Self::Secrets,
            Self::Mixed,
        ]
        .into_iter()
        .find(|kind| kind.to_string() == name)
        .unwrap()
    }

    fn one(self, objects: &mut Objects) -> String {
        match self {
            Self::EndpointSlices => objects.one(Shape::EndpointSlice),
            Self::Pods => objects.one(Shape::Pod),
            Self::Services => objects.one(Shape::Service),
            Self::Secrets => objects.one(Shape::Secret),
            Self::Mixed => objects.mixed(1).remove(0),
        }
    }
}

/// Does what `whose kind count` says, prints the numbers, and ends the process with everything still stored.
pub(crate) fn run(task: &[String]) {
    let [whose, kind, count] = task else {
        panic!("three words are expected: {task:?}");
    };
    let (kind, count) = (Kind::named(kind), count.parse().unwrap());
    if whose == "kubedex" {
        kubedex(kind, count);
    } else {
        kube(kind, count);
    }
}

fn ours() -> (Indexer, MemoryStore) {
    let indexes = IndexSet::new(["metadata.namespace", "metadata.name"]).unwrap();
    let indexer = Indexer::new(indexes, ["metadata.managedFields"], None).unwrap();
    let gvr = Gvr::new("", "v1", "objects");
    let store = MemoryStore::new(&StoreSchema::new(gvr, Arc::clone(indexer.indexes())));
    (indexer, store)
}

fn kubedex(kind: Kind, count: usize) {
    let mut objects = Objects::new(3);
    // What every process has, objects or not, such as scratch buffers, is not counted.
    let (indexer, store) = ours();
    for _ in 0..100 {
        let json = kind.one(&mut objects);
        black_box(store.insert(indexer.decode(json.as_bytes(), None).unwrap().record));
    }
    drop(store);
    let (_, store) = ours();
    let before = resident_bytes();
    let mut size = 0;
    // Of two objects with one name the later replaces the first.
    while store.len() < count {
        let json = kind.one(&mut objects);
        let record = indexer.decode(json.as_bytes(), None).unwrap().record;
        let length = record.object().to_json().len();
        if store.insert(record).is_none() {
            size += length;
        }
    }
    let resident = resident_bytes().saturating_sub(before);
    println!(
        "resident={resident}\njson={size}\noverhead={}",
        store.overhead_bytes()
    );
    end(&store)
}

fn kube(kind: Kind, count: usize) {
    let mut objects = Objects::new(3);
    let writer = || {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Object"));
        reflector::store::Writer::<DynamicObject>::new(resource)
    };
    let read = |json: &str| {
        let mut object: DynamicObject = serde_json::from_str(json).unwrap();
        object.metadata.managed_fields = None;
        watcher::Event::Apply(object)
    };
    let mut warm = writer();
    for _ in 0..100 {
        warm.apply_watcher_event(&read(&kind.one(&mut objects)));
    }
    drop(warm);
    let mut writer = writer();
    let store = writer.as_reader();
    let before = resident_bytes();
    while store.len() < count {
        writer.apply_watcher_event(&read(&kind.one(&mut objects)));
    }
    println!("resident={}", resident_bytes().saturating_sub(before));
    end(&(writer, store))
}

/// Ends the process with this kept, so that an allocator that tells at the end still counts it.
fn end<T>(kept: &T) -> ! {
    black_box(kept);
    std::process::exit(0)
}
