//! File names for clusters: two clusters never share one.

use std::fmt::Write;

use crate::model::ContentHash;

/// The longest a name may become; file systems end at 255 bytes, and writers append to it while they write.
const LONGEST: usize = 200;

/// The path of a cluster's file below a folder. Letters, digits, `-`, `_` and `.` stand for themselves, all else, and a
/// leading `.`, is `%` and two digits; a name that would be too long ends in `~` and the hash of the whole.
pub(super) fn below(folder: &str, name: &str) -> String {
    let mut escaped = String::with_capacity(name.len() + 8);
    for (at, byte) in name.bytes().enumerate() {
        let is_plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if is_plain && (at, byte) != (0, b'.') {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    if escaped.is_empty() {
        escaped.push('%');
    }
    if escaped.len() > LONGEST {
        // All of it is ASCII.
        escaped.truncate(LONGEST - 33);
        let hash = ContentHash::of_bytes(name.as_bytes());
        let _ = write!(escaped, "~{hash}");
    }
    format!("{folder}/{escaped}.json")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_that_differ_have_files_that_differ() {
        let long = "x".repeat(400);
        let names = [
            "k8s/a/b:http",
            "k8s/a/b%3Ahttp",
            "k8s%2Fa/b:http",
            "k8s-a-b-http",
            "K8s/a/b:http",
            "..",
            ".",
            "%2E",
            "",
            "é",
            "~",
            &long,
            &long[1..],
            &format!("{long}y"),
            &format!("{long}z"),
        ];
        let files: HashSet<_> = names.iter().map(|name| below("eds", name)).collect();
        assert_eq!(files.len(), names.len());
        assert!(files.contains("eds/k8s%2Fa%2Fb%3Ahttp.json"));
        assert!(files.contains("eds/%2E..json"));
        for file in files {
            let name = file.strip_prefix("eds/").unwrap();
            assert!(name.len() < 220 && !name.contains('/') && !name.starts_with('.'));
        }
    }
}
