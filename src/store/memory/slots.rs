//! The objects of a memory store, by small numbers.
//!
//! A slot's number stays its object's for as long as the object is stored, and is then given to another.

use super::chunked::Chunked;
use super::name::Name;
use crate::indexer::Keys;
use crate::object::{NamePlaces, Object};

/// The number of a slot. Fewer than 2^31 are ever in use, which leaves the highest bit to others.
pub(super) type Id = u32;

/// What a slot holds: the object, and its keys where they cannot be read from it again.
pub(super) struct Content {
    pub(super) object: Object,
    pub(super) keys: Option<Keys>,
}

/// An object, and where in it to read its name, which is what it is looked up and ordered by.
#[derive(Clone, Debug)]
struct Named {
    object: Object,
    places: NamePlaces,
}

#[derive(Clone, Debug)]
pub(super) struct Slots {
    objects: Chunked<Named>,
    keys: Option<Chunked<Keys>>,
    free: Vec<Id>,
    used: Id,
}

impl Slots {
    /// No slots; `keep_keys` where some keys cannot be read again from objects.
    pub(super) fn new(keep_keys: bool) -> Self {
        Self {
            objects: Chunked::default(),
            keys: keep_keys.then(Chunked::default),
            free: Vec::new(),
            used: 0,
        }
    }

    pub(super) fn object(&self, id: Id) -> Option<&Object> {
        self.objects.get(id).map(|named| &named.object)
    }

    pub(super) fn name(&self, id: Id) -> Option<Name<'_>> {
        let named = self.objects.get(id)?;
        Some(named.object.scoped_name_at(named.places))
    }

    #[inline]
    pub(super) fn is_named(&self, id: Id, name: Name<'_>) -> bool {
        let named = self.objects.get(id);
        named.is_some_and(|named| named.object.is_named_at(named.places, name))
    }

    pub(super) fn keys(&self, id: Id) -> Option<&Keys> {
        self.keys.as_ref()?.get(id)
    }

    pub(super) fn bytes(&self) -> usize {
        let kept = self.keys.as_ref().map_or(0, |keys| {
            keys.bytes() + keys.iter().map(Keys::bytes).sum::<usize>()
        });
        self.objects.bytes() + kept + self.free.capacity() * size_of::<Id>()
    }

    /// The number that [`Slots::take_next`] will give.
    pub(super) fn next(&self) -> Id {
        self.free.last().copied().unwrap_or(self.used)
    }

    /// One past the highest number that was ever given.
    pub(super) fn bound(&self) -> usize {
        self.used as usize
    }

    pub(super) fn len(&self) -> usize {
        self.bound() - self.free.len()
    }

    /// Takes the next number into use; it must be filled by [`Slots::put`].
    pub(super) fn take_next(&mut self) -> Id {
        self.free.pop().unwrap_or_else(|| {
            self.used += 1;
            self.used - 1
        })
    }

    /// Fills a slot and returns what it held. The places are those of the content's object.
    pub(super) fn put(&mut self, id: Id, content: Content, places: NamePlaces) -> Option<Content> {
        let keys = match (&mut self.keys, content.keys) {
            (Some(kept), keys @ Some(_)) => kept.put(id, keys),
            _ => None,
        };
        let object = content.object;
        let old = self.objects.put(id, Some(Named { object, places }))?;
        Some(Content {
            object: old.object,
            keys,
        })
    }

    /// Empties a slot, returns what it held and gives its number back.
    pub(super) fn remove(&mut self, id: Id) -> Option<Content> {
        let object = self.objects.put(id, None)?.object;
        let keys = self.keys.as_mut().and_then(|kept| kept.put(id, None));
        self.free.push(id);
        Some(Content { object, keys })
    }
}
