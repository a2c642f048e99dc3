//! What the indexes take beside the objects.

use kubedex::indexer::IndexSet;

use super::objects::Dataset;

const OBJECTS: usize = 1_000_000;

pub(crate) fn report() {
    println!("\nmemory of a store of {OBJECTS} objects, the objects aside:");
    for (what, indexes) in [
        ("by namespace and name", IndexSet::default()),
        ("by uid", IndexSet::new(["metadata.uid"]).unwrap()),
        ("by namespace and name, service and uid", Dataset::indexes()),
    ] {
        let data = Dataset::with(OBJECTS, indexes);
        let store = data.store();
        let bytes = store.overhead_bytes();
        println!(
            "{what:<40} {:>6.1} bytes per object",
            bytes as f64 / OBJECTS as f64
        );
    }
}
