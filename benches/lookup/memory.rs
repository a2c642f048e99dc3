//! What the indexes take beside the objects.

use kubedex::indexer::IndexSet;

use super::objects::Dataset;
use super::support::figures::Figures;

const OBJECTS: usize = 1_000_000;

pub(crate) fn report() {
    let mut figures = Figures::new(
        "indexes",
        &["the store's own memory beside the objects", "per object"],
    );
    for (what, indexes) in [
        ("by namespace and name", IndexSet::default()),
        ("by uid", IndexSet::new(["metadata.uid"]).unwrap()),
        ("by namespace and name, service and uid", Dataset::indexes()),
    ] {
        let data = Dataset::with(OBJECTS, indexes);
        let store = data.store();
        let bytes = store.overhead_bytes();
        figures.row(&[
            format!("indexed {what}, {OBJECTS} objects"),
            format!("{:.1} B", bytes as f64 / OBJECTS as f64),
        ]);
    }
    figures.save();
}
