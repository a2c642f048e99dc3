//! Names and keys as the store orders and hashes them.

use std::cmp::Ordering;
use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::DefaultHashBuilder;

use crate::indexer::same_text;
use crate::object::Object;
use crate::resource::ObjectRef;

/// Namespace, empty if there is none, and name.
pub(super) type Name<'a> = (&'a str, &'a str);

pub(super) fn name_of(object: &Object) -> Name<'_> {
    object.scoped_name()
}

pub(super) fn name_of_ref(reference: &ObjectRef) -> Name<'_> {
    (reference.namespace().unwrap_or_default(), reference.name())
}

/// By namespace, then by name, bytewise.
pub(super) fn compare_names(a: Name<'_>, b: Name<'_>) -> Ordering {
    if same_text(a.0, b.0) {
        a.1.cmp(b.1)
    } else {
        a.0.cmp(b.0)
    }
}

/// How keys are hashed: seeded at random, so that nobody can choose names that collide.
#[derive(Clone, Debug)]
pub(super) struct Hashing {
    builder: DefaultHashBuilder,
    /// The bits of a hash that count: all, but in tests of what happens when hashes collide.
    mask: u32,
}

impl Default for Hashing {
    fn default() -> Self {
        Self::masked(u32::MAX)
    }
}

impl Hashing {
    pub(super) fn masked(mask: u32) -> Self {
        Self {
            builder: DefaultHashBuilder::default(),
            mask,
        }
    }

    pub(super) fn components<T: AsRef<str>>(&self, components: &[T]) -> u32 {
        let mut hasher = self.builder.build_hasher();
        components
            .iter()
            .for_each(|component| component.as_ref().hash(&mut hasher));
        let hash = hasher.finish();
        let [a, b, c, d, e, f, g, h] = hash.to_le_bytes();
        (u32::from_le_bytes([a, b, c, d]) ^ u32::from_le_bytes([e, f, g, h])) & self.mask
    }

    pub(super) fn name(&self, (namespace, name): Name<'_>) -> u32 {
        self.components(&[namespace, name])
    }
}
