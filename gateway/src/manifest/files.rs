//! Which files a path stands for.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::ManifestError;

/// The path that stands for standard input.
pub const STDIN: &str = "-";

const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// The files that a path stands for, in the order of their names, and what could not be looked at. A file that is
/// named itself may have any name. Links to directories are not followed, so that there is no way in a circle.
pub(super) fn expand(path: &Path) -> (Vec<PathBuf>, Vec<ManifestError>) {
    let mut files = Vec::new();
    let mut errors = Vec::new();
    let name = path.display().to_string();
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            walk(path, &mut files, &mut errors);
            if files.is_empty() && errors.is_empty() {
                let reason = "the directory has no .yaml, .yml or .json file";
                errors.push(ManifestError::file(&name, reason));
            }
        }
        Ok(_) => files.push(path.to_owned()),
        Err(error) => errors.push(ManifestError::io(&name, error)),
    }
    (files, errors)
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>, errors: &mut Vec<ManifestError>) {
    let entries = fs::read_dir(directory)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| {
            errors.push(ManifestError::io(&directory.display().to_string(), error));
        });
    let mut entries = entries.unwrap_or_default();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let is_manifest = path
            .extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|extension| EXTENSIONS.contains(&extension));
        // `file_type` does not follow links, `is_file` does.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&path, files, errors);
        } else if is_manifest && !path.is_dir() {
            files.push(path);
        }
    }
}

pub(super) fn read_to_string(mut reader: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes)?;
    let mut text = String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))?;
    // A byte order mark is no content.
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(text)
}
