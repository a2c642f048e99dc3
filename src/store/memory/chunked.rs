//! A sparse vector in chunks that never move, so that growing copies nothing and holds up no reader.

/// Places to a chunk, as a power of two: large enough to keep the list of chunks short, small enough to waste little.
const CHUNK_BITS: u32 = 10;
const CHUNK: usize = 1 << CHUNK_BITS;

#[derive(Clone, Debug)]
pub(super) struct Chunked<T>(Vec<Vec<Option<T>>>);

impl<T> Default for Chunked<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Chunked<T> {
    pub(super) fn get(&self, number: u32) -> Option<&T> {
        let (chunk, place) = split(number);
        self.0.get(chunk)?.get(place)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let (chunk, place) = split(number);
        self.0.get_mut(chunk)?.get_mut(place)?.as_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten().flatten()
    }

    /// The memory of all places, whatever the values own aside.
    pub(super) fn bytes(&self) -> usize {
        let places: usize = self.0.iter().map(Vec::capacity).sum();
        places * size_of::<Option<T>>() + self.0.capacity() * size_of::<Vec<Option<T>>>()
    }

    /// Sets a place and returns what it held.
    pub(super) fn put(&mut self, number: u32, value: Option<T>) -> Option<T> {
        let (chunk, place) = split(number);
        while self.0.len() <= chunk {
            self.0.push(Vec::with_capacity(CHUNK));
        }
        let chunk = self.0.get_mut(chunk)?;
        while chunk.len() <= place {
            chunk.push(None);
        }
        std::mem::replace(chunk.get_mut(place)?, value)
    }
}

fn split(number: u32) -> (usize, usize) {
    let number = number as usize;
    (number >> CHUNK_BITS, number & (CHUNK - 1))
}
