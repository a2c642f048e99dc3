//! What a store knows of an object, and what a relist found different.

use std::fmt;
use std::sync::Arc;

use crate::indexer::{IndexSet, Keys, Record};
use crate::object::Object;
use crate::resource::ObjectRef;

/// What a store knew of an object. Cloning is cheap.
#[derive(Clone)]
pub struct Stored {
    body: Body,
    keys: KeySource,
}

#[derive(Clone)]
enum Body {
    Whole(Object),
    Absent(Arc<Identity>),
}

struct Identity {
    reference: ObjectRef,
    uid: Option<Box<str>>,
    resource_version: Option<Box<str>>,
    content_hash: u64,
}

#[derive(Clone)]
enum KeySource {
    Kept(Keys),
    Derived(Arc<IndexSet>),
}

impl Stored {
    /// A whole object and its keys.
    pub fn whole(object: Object, keys: Keys) -> Self {
        Self {
            body: Body::Whole(object),
            keys: KeySource::Kept(keys),
        }
    }

    /// A whole object whose keys are read from it when asked for.
    pub(super) fn derived(object: Object, indexes: Arc<IndexSet>) -> Self {
        Self {
            body: Body::Whole(object),
            keys: KeySource::Derived(indexes),
        }
    }

    /// What is left of an object whose body the store does not keep.
    pub fn absent(
        reference: ObjectRef,
        uid: Option<&str>,
        resource_version: Option<&str>,
        content_hash: u64,
        keys: Keys,
    ) -> Self {
        Self {
            body: Body::Absent(Arc::new(Identity {
                reference,
                uid: uid.map(Into::into),
                resource_version: resource_version.map(Into::into),
                content_hash,
            })),
            keys: KeySource::Kept(keys),
        }
    }

    /// The object, if the store has its body.
    pub fn object(&self) -> Option<&Object> {
        match &self.body {
            Body::Whole(object) => Some(object),
            Body::Absent(_) => None,
        }
    }

    /// Namespace and name.
    pub fn reference(&self) -> ObjectRef {
        match &self.body {
            Body::Whole(object) => object.reference(),
            Body::Absent(identity) => identity.reference.clone(),
        }
    }

    /// `metadata.uid`.
    pub fn uid(&self) -> Option<&str> {
        match &self.body {
            Body::Whole(object) => object.uid(),
            Body::Absent(identity) => identity.uid.as_deref(),
        }
    }

    /// `metadata.resourceVersion`.
    pub fn resource_version(&self) -> Option<&str> {
        match &self.body {
            Body::Whole(object) => object.resource_version(),
            Body::Absent(identity) => identity.resource_version.as_deref(),
        }
    }

    /// [`Object::content_hash`]; computed at each call where the body is kept.
    pub fn content_hash(&self) -> u64 {
        match &self.body {
            Body::Whole(object) => object.content_hash(),
            Body::Absent(identity) => identity.content_hash,
        }
    }

    /// The keys the object was found under.
    pub fn keys(&self) -> Keys {
        match (&self.keys, &self.body) {
            (KeySource::Kept(keys), _) => keys.clone(),
            (KeySource::Derived(indexes), Body::Whole(object)) => indexes.keys(object),
            (KeySource::Derived(_), Body::Absent(_)) => Keys::none(),
        }
    }

    /// Whether another state of the same content is found under the same keys. Keys that are read from the object follow
    /// from its content; those that are kept may come from fields that are not stored.
    pub(crate) fn has_keys_of(&self, other: &Self) -> bool {
        match (&self.keys, &other.keys) {
            (KeySource::Kept(own), KeySource::Kept(other)) => own == other,
            (KeySource::Derived(_), KeySource::Derived(_)) => true,
            _ => self.keys() == other.keys(),
        }
    }

    /// Whether a record of the whole object has this content and these keys.
    pub(crate) fn has_content_of(&self, record: &Record) -> bool {
        let same_content = match self.object() {
            Some(object) => object.same_content(record.object()),
            None => self.content_hash() == record.object().content_hash(),
        };
        same_content && self.keys() == *record.keys()
    }

    /// Whether an object is the same one in the same version: equal uid and resource version, both present.
    pub fn is_version_of(&self, object: &Object) -> bool {
        self.resource_version().is_some()
            && self.resource_version() == object.resource_version()
            && self.uid() == object.uid()
    }
}

/// Names the object and shows neither content nor keys, which may be secret.
impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Stored({} at {})",
            self.reference(),
            self.resource_version().unwrap_or("no version")
        )
    }
}

/// One object that a relist found different.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Difference {
    /// The object.
    pub reference: ObjectRef,
    /// What was stored; `None` if it is new.
    pub previous: Option<Stored>,
    /// What is stored now; `None` if it is gone.
    pub current: Option<Stored>,
}

impl Difference {
    /// A difference between these two, of which one at least should be there.
    pub fn new(reference: ObjectRef, previous: Option<Stored>, current: Option<Stored>) -> Self {
        Self {
            reference,
            previous,
            current,
        }
    }
}
