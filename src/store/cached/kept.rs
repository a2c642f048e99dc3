//! What is kept of an object whose body is not: a small object of its own, so that a [`MemoryStore`] can keep it under all
//! keys of the whole one.
//!
//! [`MemoryStore`]: crate::store::MemoryStore

use std::cmp::Ordering;

use serde_json::{Map, Value};

use crate::indexer::Record;
use crate::object::{Object, ValueRef};
use crate::resource::{ObjectRef, compare_resource_versions};
use crate::store::Stored;

/// Where the hash of the whole object's content stands. No API object has such a field.
const CONTENT_HASH: &str = "kubedex/content-hash";
/// Where the generation stands.
const GENERATION: &str = "kubedex/generation";

/// What is kept of one object.
#[derive(Clone)]
pub(super) struct Kept(Object);

impl Kept {
    /// Reads what is stored.
    pub(super) fn from_stored(object: Object) -> Self {
        Self(object)
    }

    /// What to store of a record, which may be of a whole object or what was kept of one.
    pub(super) fn record(record: Record, generation: u64) -> Record {
        let altered = record.is_altered();
        let (object, keys) = record.into_parts();
        // What was kept has no kind; whatever a server sends has one, and may have any other field.
        let kept_hash = || number(&object, CONTENT_HASH).filter(|_| object.kind().is_empty());
        let hash = kept_hash().unwrap_or_else(|| object.content_hash());
        let mut metadata = Map::new();
        for (key, value) in [
            ("name", Some(object.name())),
            ("namespace", object.namespace()),
            ("uid", object.uid()),
            ("resourceVersion", object.resource_version()),
        ] {
            if let Some(value) = value {
                metadata.insert(key.to_owned(), value.into());
            }
        }
        let mut kept = Map::new();
        kept.insert("metadata".to_owned(), Value::Object(metadata));
        kept.insert(CONTENT_HASH.to_owned(), hash.into());
        kept.insert(GENERATION.to_owned(), generation.into());
        // A part of an object is one, with a name like it.
        let kept = Object::from_value(&Value::Object(kept)).unwrap_or(object);
        Record::from_parts(kept, keys).with_altered(altered)
    }

    pub(super) fn reference(&self) -> ObjectRef {
        self.0.reference()
    }

    pub(super) fn resource_version(&self) -> Option<&str> {
        self.0.resource_version()
    }

    /// Tells this state from every other one of any object.
    pub(super) fn generation(&self) -> u64 {
        number(&self.0, GENERATION).unwrap_or_default()
    }

    /// Whether an object is in just this state.
    pub(super) fn is_version_of(&self, object: &Object) -> bool {
        self.0.resource_version().is_some()
            && self.0.resource_version() == object.resource_version()
            && self.0.uid() == object.uid()
    }

    /// How a body stands to this state: older, the same, newer, or not to be told. Another object of the same name is
    /// older or newer, too.
    pub(super) fn compare(&self, body: &Object) -> Option<Ordering> {
        let (kept, body) = (self.0.resource_version()?, body.resource_version()?);
        if kept == body {
            return Some(Ordering::Equal);
        }
        compare_resource_versions(body, kept)
    }

    /// Whether it is the same object, not one of the same name from before or after.
    pub(super) fn is_same_object(&self, body: &Object) -> bool {
        self.0.uid() == body.uid()
    }

    /// Whether a body is known to be of this object in this state or a later one.
    pub(super) fn is_reached_by(&self, body: &Object) -> bool {
        self.is_same_object(body) && self.compare(body).is_some_and(Ordering::is_ge)
    }
}

fn number(object: &Object, key: &str) -> Option<u64> {
    object.root().get(key).and_then(ValueRef::as_u64)
}

/// What to tell of what is stored.
pub(super) fn absent(stored: &Stored) -> Stored {
    let hash = stored
        .object()
        .and_then(|object| number(object, CONTENT_HASH))
        .unwrap_or_default();
    Stored::absent(
        stored.reference(),
        stored.uid(),
        stored.resource_version(),
        hash,
        stored.keys(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::indexer::IndexSet;
    use serde_json::json;

    #[test]
    fn a_field_that_a_server_sends_is_not_taken_for_ours() {
        let kept = |spec: u32| {
            let value = json!({"apiVersion": "a/v1", "kind": "A", "metadata": {"name": "x", "resourceVersion": "1"},
                CONTENT_HASH: 7, GENERATION: 8, "spec": spec});
            let object = Object::from_value(&value).unwrap();
            let record = Kept::record(Record::new(object, &IndexSet::default()), 3);
            // What a relist gathers is kept twice.
            Kept::record(record, 4)
        };
        let hash = |record: &Record| number(record.object(), CONTENT_HASH);
        assert_ne!(hash(&kept(1)), hash(&kept(2)));
        assert_eq!(hash(&kept(1)), hash(&kept(1)));
        assert_eq!(Kept::from_stored(kept(1).object().clone()).generation(), 4);
    }
}
