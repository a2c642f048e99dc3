//! The manifest: which files in a directory, or objects under a prefix, are a sink's.
//!
//! It has names and no content, so that it is written when files come or go, not each time that one changes: what a
//! change costs does not grow with the number of files. What stands in a file is read from the file.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::path;

/// The name of the manifest.
pub(crate) const NAME: &str = ".kubedex-manifest.json";

/// The largest manifest that is read: enough for hundreds of thousands of files.
pub(crate) const LIMIT: u64 = 64 << 20;

/// The form that is written.
const FORM: u32 = 1;

/// The files that are a sink's.
pub(crate) type Names = BTreeSet<Arc<str>>;

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    #[error("it is no manifest")]
    Malformed(#[source] serde_json::Error),
    #[error("it is of form {0}, which a newer version wrote")]
    Newer(u32),
    #[error("it names {name:?}: {reason}")]
    Path { name: String, reason: &'static str },
    #[error("it is larger than 64 MiB")]
    TooLarge,
}

#[derive(Serialize, Deserialize)]
struct Document {
    form: u32,
    /// For people who wonder what this is.
    #[serde(default)]
    about: String,
    /// Whose it is, if only a leader may write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    files: Names,
}

const ABOUT: &str = "files that kubedex-gateway wrote here; no others are changed or removed";

/// Reads a manifest.
///
/// # Errors
/// When it is none, or names what is outside: then nothing in it is to be trusted.
pub(crate) fn parse(bytes: &[u8]) -> Result<Names, ManifestError> {
    let document: Document = serde_json::from_slice(bytes).map_err(ManifestError::Malformed)?;
    if document.form != FORM {
        return Err(ManifestError::Newer(document.form));
    }
    for name in &document.files {
        path::check(name).map_err(|reason| ManifestError::Path {
            name: name.to_string(),
            reason,
        })?;
    }
    Ok(document.files)
}

/// Writes a manifest, one name a line.
pub(crate) fn to_bytes(names: &Names) -> Vec<u8> {
    to_bytes_with(names, None)
}

/// Writes a manifest that differs from that of any other leader.
pub(crate) fn to_bytes_with(names: &Names, token: Option<&str>) -> Vec<u8> {
    let document = Document {
        form: FORM,
        about: ABOUT.to_owned(),
        token: token.map(str::to_owned),
        files: names.clone(),
    };
    // Only strings and a number: that cannot fail.
    let mut bytes = serde_json::to_vec_pretty(&document).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let names = Names::from(["a.json".into(), "b/c \"d\".json".into()]);
        assert_eq!(parse(&to_bytes(&names)).unwrap(), names);
        assert_eq!(parse(&to_bytes(&Names::new())).unwrap(), Names::new());
    }

    #[test]
    fn a_manifest_that_cannot_be_trusted_is_refused() {
        for (text, said) in [
            ("", "no manifest"),
            ("{}", "no manifest"),
            (r#"{"form": 2, "files": []}"#, "newer"),
            (r#"{"form": 1, "files": ["a", "../b"]}"#, "../b"),
            (r#"{"form": 1, "files": ["/etc/passwd"]}"#, "/etc/passwd"),
            (r#"{"form": 1, "files": [".kubedex-lock"]}"#, "reserved"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
