//! From bytes to indexed objects: field filter, index keys, client-side selection.
//!
//! Everything here is computed from one object alone and kept nowhere: stores keep. Expressions are compiled when the
//! configuration is built; keys and the client-side selector see the object as the server sent it, the ignored fields
//! included, and what is stored lacks them.

mod filter;
mod index_set;
mod key;
mod path;
mod selector;

pub use filter::{FilterError, filter_fields};
pub use index_set::{DEFAULT_INDEX, IndexError, IndexSet, MAX_COMPONENTS};
pub(crate) use key::same_text;
pub use key::{IndexKey, KeyRef, Keys, MAX_KEY_BYTES_PER_OBJECT, MAX_KEYS_PER_OBJECT};
pub use path::{
    Found, FoundIter, FoundValues, MAX_EXPRESSION_BYTES, PathError, PathExpression, ToPath,
    validate_jsonpath,
};
pub use selector::{ClientSelector, ClientSelectorError};

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::object::{DecodeError, DecodeOptions, Mask, Object};

/// What stores keep of one object: the filtered object, and the keys it is found under.
#[derive(Clone, PartialEq)]
pub struct Record {
    object: Object,
    keys: Keys,
    altered: bool,
}

/// One object as it comes out of the indexer.
#[derive(Clone, Debug)]
pub struct Indexed {
    /// What to store.
    pub record: Record,
    /// Whether the client-side selector matches. If not, to consumers the object does not exist.
    pub selected: bool,
}

/// Turns objects as the server sends them into what is stored.
#[derive(Clone, Debug)]
pub struct Indexer {
    indexes: Arc<IndexSet>,
    /// Skipped while reading.
    early: Mask,
    /// Dropped after keys and selector have looked.
    late: Mask,
    selector: Option<ClientSelector>,
    /// Whether it was already said that an object has too many keys.
    told: Arc<AtomicBool>,
}

/// Why an indexer cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexerError {
    /// A field cannot be ignored.
    #[error(transparent)]
    Filter(#[from] FilterError),
}

impl Record {
    /// A record of an object as it is, keyed by these indexes.
    pub fn new(object: Object, indexes: &IndexSet) -> Self {
        let keys = indexes.keys(&object);
        Self::from_parts(object, keys)
    }

    /// A record of what was already indexed. The keys have to be the object's own under the indexes of the store that
    /// takes the record: a store may read them from the object again.
    pub fn from_parts(object: Object, keys: Keys) -> Self {
        Self {
            object,
            keys,
            altered: false,
        }
    }

    /// Says that the content or the keys are not those that are stored, whatever uid and version say: a server that was
    /// restored from a backup gives versions anew.
    #[must_use]
    pub fn altered(self) -> Self {
        self.with_altered(true)
    }

    pub(crate) fn with_altered(mut self, altered: bool) -> Self {
        self.altered = altered;
        self
    }

    /// Whether it was said that this is not what is stored under the same uid and version.
    pub fn is_altered(&self) -> bool {
        self.altered
    }

    /// The object, without ignored fields.
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// The keys, also those over ignored fields.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Takes the record apart.
    pub fn into_parts(self) -> (Object, Keys) {
        (self.object, self.keys)
    }
}

/// Names the object and shows neither content nor keys, which may be secret.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({:?})", self.object)
    }
}

impl Indexer {
    /// An indexer for these indexes that leaves out fields and marks objects that a selector does not match.
    ///
    /// # Errors
    /// When a field is no path, or one that cannot be left out.
    pub fn new<I>(
        mut indexes: IndexSet,
        ignore_fields: I,
        selector: Option<ClientSelector>,
    ) -> Result<Self, IndexerError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let ignored = filter::Ignored::new(ignore_fields)?;
        indexes.set_derivable(|expression| !ignored.affects(expression));
        let looked_at: Vec<_> = indexes
            .all_expressions()
            .chain(selector.iter().flat_map(ClientSelector::paths))
            .collect();
        let (early, late) = ignored.split(&looked_at);
        Ok(Self {
            indexes: Arc::new(indexes),
            early,
            late,
            selector,
            told: Arc::default(),
        })
    }

    /// The indexes, for the store that is to be built.
    pub fn indexes(&self) -> &Arc<IndexSet> {
        &self.indexes
    }

    /// An indexer that leaves nothing out and selects everything.
    pub(crate) fn plain(indexes: Arc<IndexSet>) -> Self {
        Self {
            indexes,
            early: Mask::default(),
            late: Mask::default(),
            selector: None,
            told: Arc::default(),
        }
    }

    /// Whether keys and selector look at nothing but what is in `metadata`, so that they need no whole objects.
    pub fn needs_only_metadata(&self) -> bool {
        self.indexes
            .all_expressions()
            .chain(self.selector.iter().flat_map(ClientSelector::paths))
            .all(PathExpression::is_of_metadata)
    }

    /// Reads one object from JSON text. `type_meta` are `apiVersion` and `kind` for items of a list, which lack them.
    ///
    /// # Errors
    /// When the text is no object.
    pub fn decode(
        &self,
        json: &[u8],
        type_meta: Option<&(Box<str>, Box<str>)>,
    ) -> Result<Indexed, DecodeError> {
        let options = DecodeOptions {
            mask: Some(&self.early),
            type_meta,
        };
        Ok(self.finish(Object::decode(json, options)?))
    }

    /// Filters and indexes an object that was read elsewhere.
    pub fn index(&self, object: Object) -> Indexed {
        if self.early.is_empty() {
            self.finish(object)
        } else {
            self.finish(object.without(&self.early))
        }
    }

    fn finish(&self, object: Object) -> Indexed {
        let selected = self
            .selector
            .as_ref()
            .is_none_or(|selector| selector.matches(&object));
        let keys = self.indexes.keys(&object);
        if keys.is_truncated() && !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                kind = object.kind(),
                object = %object.reference(),
                "the object has more than {MAX_KEYS_PER_OBJECT} keys, or {MAX_KEY_BYTES_PER_OBJECT} bytes of them, in an index \
                 and is not found under the others; the same of further objects is not logged",
            );
        }
        let object = if self.late.is_empty() {
            object
        } else {
            object.without(&self.late)
        };
        Indexed {
            record: Record::from_parts(object, keys),
            selected,
        }
    }
}

/// The keys of an object under a list of expressions: one for each combination of what they find.
///
/// ```
/// # let ingress = kubedex::Object::from_json(
/// #     br#"{"metadata":{"name":"x","namespace":"shop"},"spec":{"rules":[{"host":"a"},{"host":"b"}]}}"#).unwrap();
/// let keys = kubedex::indexer::extract_keys(&ingress, ["metadata.namespace", "spec.rules[*].host"])?;
/// assert_eq!(keys, [["shop", "a"], ["shop", "b"]]);
/// # Ok::<(), kubedex::indexer::IndexError>(())
/// ```
///
/// # Errors
/// When there are no expressions, too many, or one is no valid path.
pub fn extract_keys<I>(object: &Object, expressions: I) -> Result<Vec<IndexKey>, IndexError>
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    let keys = IndexSet::once(expressions)?.keys(object);
    Ok(keys.primary().map(KeyRef::to_key).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_and_selector_see_fields_that_are_not_stored() {
        let indexes = IndexSet::new(["data.kind"])
            .unwrap()
            .with("name", ["metadata.name"])
            .unwrap();
        let indexer = Indexer::new(
            indexes,
            ["data", "metadata.managedFields", "status"],
            Some("status.phase=Running".parse().unwrap()),
        )
        .unwrap();
        let value = json!({"metadata": {"name": "x", "managedFields": [1]}, "data": {"kind": "a"}, "status": {"phase": "Running"}});
        let object = Object::from_value(&value).unwrap();
        for indexed in [
            indexer.decode(value.to_string().as_bytes(), None).unwrap(),
            indexer.index(object),
        ] {
            assert!(indexed.selected);
            assert_eq!(
                indexed.record.object().to_value(),
                json!({"metadata": {"name": "x"}})
            );
            assert!(indexed.record.keys().primary().eq([["a"]]));
            assert!(indexed.record.keys().of(1).eq([["x"]]));
        }
        assert!(!indexer.indexes().is_derivable(0));
        assert!(indexer.indexes().is_derivable(1));
    }

    #[test]
    fn an_object_that_the_selector_does_not_match_is_marked() {
        let indexer =
            Indexer::new(IndexSet::default(), [""; 0], Some("a=1".parse().unwrap())).unwrap();
        let indexed = |json: &str| indexer.decode(json.as_bytes(), None).unwrap();
        assert!(indexed(r#"{"metadata":{"name":"x"},"a":1}"#).selected);
        assert!(!indexed(r#"{"metadata":{"name":"x"},"a":2}"#).selected);
    }

    #[test]
    fn what_needs_only_metadata_is_told_from_what_needs_more() {
        let needs_only_metadata = |expression: &str, selector: Option<&str>| {
            let selector = selector.map(|selector| selector.parse().unwrap());
            let indexes = IndexSet::new(["metadata.name", expression]).unwrap();
            Indexer::new(indexes, ["data"], selector)
                .unwrap()
                .needs_only_metadata()
        };
        for (expression, expected) in [
            ("metadata.namespace", true),
            ("metadata.labels['a.b/c']", true),
            ("metadata", true),
            ("metadata.ownerReferences[*].uid", true),
            ("metadata.ownerReferences[?(@.kind==\"Node\")].name", true),
            ("type", false),
            ("kind", false),
            ("data['metadata']", false),
            ("*.name", false),
            ("['metadata','spec'].name", false),
        ] {
            assert_eq!(
                needs_only_metadata(expression, None),
                expected,
                "{expression}"
            );
        }
        assert!(needs_only_metadata(
            "metadata.name",
            Some("metadata.labels.app=x")
        ));
        assert!(!needs_only_metadata("metadata.name", Some("type=x")));
    }

    #[test]
    fn a_record_does_not_show_its_content() {
        let object =
            Object::from_json(br#"{"metadata":{"name":"x"},"data":{"p":"hunter2"}}"#).unwrap();
        let record = Record::new(object, &IndexSet::new(["data.p"]).unwrap());
        assert!(!format!("{record:?}").contains("hunter2"));
    }
}
