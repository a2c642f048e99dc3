//! What the fuzzer found worth keeping, read once more, without a fuzzer.

#[path = "../../fuzz/checks.rs"]
mod checks;

use std::path::Path;

/// Gives every file of a target's corpus to its check.
fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let files = std::fs::read_dir(folder.join(target)).unwrap();
    let mut count = 0;
    for file in files {
        let path = file.unwrap().path();
        let data = std::fs::read(&path).unwrap();
        if std::panic::catch_unwind(|| check(&data)).is_err() {
            panic!("{} does not hold", path.display());
        }
        count += 1;
    }
    assert!(count > 10, "{target} has a corpus");
}

#[test]
fn watch_bodies_hold() {
    replay("watch_body", checks::watch_body);
}

#[test]
fn list_bodies_hold() {
    replay("list_body", checks::list_body);
}

#[test]
fn objects_hold() {
    replay("object", checks::object);
}

#[test]
fn paths_hold() {
    replay("path", checks::path);
}
