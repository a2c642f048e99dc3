//! With which tags files were brought, kept beside them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::ContentHash;

/// The name of the file.
pub(super) const NAME: &str = ".kubedex-pull.json";

/// The form that is written.
const FORM: u32 = 1;

/// What was brought from where.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Memory {
    form: u32,
    source: String,
    files: BTreeMap<Arc<str>, Brought>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Brought {
    etag: String,
    /// Of the content, as text.
    hash: String,
}

impl Memory {
    pub(super) fn new(source: String) -> Self {
        Self {
            form: FORM,
            source,
            files: BTreeMap::new(),
        }
    }

    /// Reads a memory of that source. What is none, or is of another source, is nothing: it costs fetches, not more.
    pub(super) fn parse(bytes: &[u8], source: &str) -> Option<Self> {
        serde_json::from_slice(bytes)
            .ok()
            .filter(|memory: &Self| memory.form == FORM && memory.source == source)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Strings and a number: that cannot fail.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// The tag of a file that stands with this content.
    pub(super) fn etag(&self, path: &str, hash: ContentHash) -> Option<&str> {
        let brought = self.files.get(path)?;
        (brought.hash == hash.to_string()).then_some(&*brought.etag)
    }

    pub(super) fn insert(&mut self, path: Arc<str>, etag: String, hash: ContentHash) {
        let hash = hash.to_string();
        self.files.insert(path, Brought { etag, hash });
    }

    pub(super) fn remove(&mut self, path: &str) {
        self.files.remove(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_counts_for_its_source_and_its_content_only() {
        let hash = ContentHash::of_bytes(b"1");
        let mut memory = Memory::new("s3://b/p".to_owned());
        memory.insert("a".into(), "\"e\"".to_owned(), hash);
        let bytes = memory.to_bytes();
        let read = Memory::parse(&bytes, "s3://b/p").unwrap();
        assert_eq!(read.etag("a", hash), Some("\"e\""));
        assert_eq!(read.etag("a", ContentHash::of_bytes(b"2")), None);
        assert_eq!(read.etag("b", hash), None);
        assert!(Memory::parse(&bytes, "s3://b/q").is_none());
        assert!(Memory::parse(b"{", "s3://b/p").is_none());
    }
}
