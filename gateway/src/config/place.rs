//! Paths of a configuration: where they lead, and whether what stands there can be opened here.

use std::fs::File;
use std::path::{Component, Path as FilePath, PathBuf};

use super::document::Document;
use super::node::Path;

/// Where a path leads, the same for every spelling: links are followed as far as something is there, and the rest is taken as
/// it is written.
pub(super) fn resolved(path: &FilePath) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut place = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::ParentDir => {
                place.pop();
            }
            component => place.push(component),
        }
        if let Ok(real) = place.canonicalize() {
            place = real;
        }
    }
    place
}

/// Warns of a file that cannot be opened. It need not be checked where it runs, and the file may be there.
pub(super) fn warn_unless_opened(path: &Path, file: &FilePath, document: &mut Document) {
    // What is no file, such as a pipe, is not opened twice.
    let opened = file
        .metadata()
        .and_then(|metadata| match metadata.is_file() {
            true => File::open(file).map(drop),
            false => Ok(()),
        });
    if let Err(error) = opened {
        let reason = format!("{}: {error}; it does not run here", file.display());
        document.warn(path, reason);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_spelling_of_a_path_leads_to_the_same_place() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        symlink(root.join("a/b"), root.join("link")).unwrap();
        for (spelled, place) in [
            ("a/./b", "a/b"),
            ("a/b/../b/", "a/b"),
            ("link", "a/b"),
            ("link/../b/new", "a/b/new"),
            ("new/../a", "a"),
            ("new/deep/../x", "new/x"),
            ("new/../link/x", "a/b/x"),
        ] {
            assert_eq!(resolved(&root.join(spelled)), root.join(place), "{spelled}");
        }
    }
}
