//! An ordered set of slot numbers.
//!
//! The order is that of the objects' namespaces and names, which the set does not know: callers compare. A small set is
//! one vector; a large one is cut into chunks, so that one change moves a few hundred numbers however many there are.
//! Finding a place and changing the set are two calls, so that the first can run while others read.

use std::cmp::Ordering;

use super::slots::Id;

/// The most numbers in one chunk: two kilobytes move in a fraction of a microsecond.
const CHUNK: usize = 512;

#[derive(Clone, Debug)]
pub(super) enum Bucket {
    Small(Vec<Id>),
    Large { chunks: Vec<Vec<Id>>, len: usize },
}

/// A place in a bucket; valid until the bucket changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    chunk: usize,
    offset: usize,
}

impl Default for Bucket {
    fn default() -> Self {
        Self::Small(Vec::new())
    }
}

impl Bucket {
    pub(super) fn pair(ids: [Id; 2]) -> Self {
        Self::Small(ids.into())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Small(ids) => ids.len(),
            Self::Large { len, .. } => *len,
        }
    }

    /// The memory of the numbers.
    pub(super) fn bytes(&self) -> usize {
        let ids: usize = self.chunks().iter().map(Vec::capacity).sum();
        let chunks = match self {
            Self::Small(_) => 0,
            Self::Large { chunks, .. } => chunks.capacity() * size_of::<Vec<Id>>(),
        };
        ids * size_of::<Id>() + chunks
    }

    fn chunks(&self) -> &[Vec<Id>] {
        match self {
            Self::Small(ids) => std::slice::from_ref(ids),
            Self::Large { chunks, .. } => chunks,
        }
    }

    pub(super) fn first(&self) -> Option<Id> {
        self.chunks().first()?.first().copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Id> {
        self.chunks().iter().flatten().copied()
    }

    /// All from a place on.
    pub(super) fn iter_from(&self, place: Place) -> impl Iterator<Item = Id> {
        let chunks = self.chunks().get(place.chunk..).unwrap_or_default();
        chunks.iter().flatten().skip(place.offset).copied()
    }

    /// Where the number is for which `compare` says `Equal`, or else where it would stand. `compare` says how a member
    /// stands to what is looked for.
    pub(super) fn locate(&self, mut compare: impl FnMut(Id) -> Ordering) -> Result<Place, Place> {
        let chunks = self.chunks();
        let last = chunks.last().and_then(|chunk| chunk.last());
        if last.is_none_or(|last| compare(*last).is_lt()) {
            // Objects come in order when a list is taken in.
            let chunk = chunks.len().saturating_sub(1);
            let offset = chunks.last().map_or(0, Vec::len);
            return Err(Place { chunk, offset });
        }
        let chunk =
            chunks.partition_point(|chunk| chunk.last().is_some_and(|last| compare(*last).is_lt()));
        let ids = chunks.get(chunk).map(Vec::as_slice).unwrap_or_default();
        let place = |offset| Place { chunk, offset };
        ids.binary_search_by(|id| compare(*id))
            .map(place)
            .map_err(place)
    }

    pub(super) fn insert(&mut self, place: Place, id: Id) {
        match self {
            Self::Small(ids) => {
                ids.insert(place.offset.min(ids.len()), id);
                if ids.len() > CHUNK {
                    let tail = ids.split_off(CHUNK / 2);
                    let len = ids.len() + tail.len();
                    *self = Self::Large {
                        chunks: vec![std::mem::take(ids), tail],
                        len,
                    };
                }
            }
            Self::Large { chunks, len } => {
                let Some(ids) = chunks.get_mut(place.chunk) else {
                    return;
                };
                *len += 1;
                if ids.len() < CHUNK {
                    ids.insert(place.offset.min(ids.len()), id);
                } else if place.offset >= ids.len() {
                    // Appending leaves full chunks behind, not half ones.
                    chunks.insert(place.chunk + 1, Vec::from([id]));
                } else {
                    ids.insert(place.offset, id);
                    let tail = ids.split_off(CHUNK / 2);
                    chunks.insert(place.chunk + 1, tail);
                }
            }
        }
    }

    pub(super) fn remove(&mut self, place: Place) {
        match self {
            Self::Small(ids) => {
                if place.offset < ids.len() {
                    ids.remove(place.offset);
                }
            }
            Self::Large { chunks, len } => {
                let Some(ids) = chunks
                    .get_mut(place.chunk)
                    .filter(|ids| place.offset < ids.len())
                else {
                    return;
                };
                ids.remove(place.offset);
                *len -= 1;
                let room = CHUNK / 2 - ids.len().min(CHUNK / 2);
                if ids.is_empty() {
                    chunks.remove(place.chunk);
                } else if chunks
                    .get(place.chunk + 1)
                    .is_some_and(|next| next.len() <= room)
                {
                    let next = chunks.remove(place.chunk + 1);
                    if let Some(ids) = chunks.get_mut(place.chunk) {
                        ids.extend(next);
                    }
                }
                if *len <= CHUNK / 2 {
                    *self = Self::Small(chunks.concat());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn put(bucket: &mut Bucket, id: Id) {
        if let Err(place) = bucket.locate(|member| member.cmp(&id)) {
            bucket.insert(place, id);
        }
    }

    fn take(bucket: &mut Bucket, id: Id) {
        if let Ok(place) = bucket.locate(|member| member.cmp(&id)) {
            bucket.remove(place);
        }
    }

    fn check(bucket: &Bucket, expected: &std::collections::BTreeSet<Id>) {
        assert!(bucket.iter().eq(expected.iter().copied()));
        assert_eq!(bucket.len(), expected.len());
        assert_eq!(bucket.first(), expected.first().copied());
        assert!(bucket.chunks().iter().all(|chunk| chunk.len() <= CHUNK));
        assert!(
            matches!(bucket, Bucket::Small(_))
                || bucket.chunks().iter().all(|chunk| !chunk.is_empty())
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_bucket_is_an_ordered_set(runs in prop::collection::vec((any::<bool>(), 0_u32..3000, 1_u32..600, 1_u32..7), 1..24)) {
            let (mut bucket, mut expected) = (Bucket::default(), std::collections::BTreeSet::new());
            for (insert, start, count, step) in runs {
                for id in (0..count).map(|n| start + n * step) {
                    if insert {
                        put(&mut bucket, id);
                        expected.insert(id);
                    } else {
                        take(&mut bucket, id);
                        expected.remove(&id);
                    }
                }
                check(&bucket, &expected);
                let place = match bucket.locate(|member| member.cmp(&start)) { Ok(place) | Err(place) => place };
                prop_assert!(bucket.iter_from(place).eq(expected.range(start..).copied()));
            }
        }
    }

    #[test]
    fn taking_in_a_sorted_list_fills_the_chunks() {
        let mut bucket = Bucket::default();
        (0..100_000).for_each(|id| put(&mut bucket, id));
        assert!(bucket.chunks().len() <= 100_000 / CHUNK + 2);
    }
}
