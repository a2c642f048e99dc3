//! Content hashes: the same content has the same hash, in every process and at any time.
//!
//! The hash of a set is the sum of its members' hashes, so that a member comes and goes in constant time, whatever the
//! size of the set and the order of changes. It tells versions apart; it is no defence against somebody who may choose
//! the content.

use std::fmt;
use std::io;

use serde::{Serialize, Serializer};

/// 128 bits that stand for some content; printed as 32 hexadecimal digits. The default is that of no content.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash(u128);

impl ContentHash {
    /// The hash of a value's JSON. Values of different domains never have the same one.
    pub(crate) fn of(domain: &'static str, value: &impl Serialize) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(domain);
        // Writing to a hasher cannot fail, and what is hashed here has string keys only.
        let _ = serde_json::to_writer(io::BufWriter::new(&mut hasher), value);
        Self::from_bytes(hasher.finalize().as_bytes())
    }

    /// The hash of bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self::from_bytes(blake3::hash(bytes).as_bytes())
    }

    /// Reads what `Display` prints; `None` for all else.
    #[cfg_attr(not(feature = "xds"), allow(dead_code))]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let hash = u128::from_str_radix(text, 16).map(Self).ok()?;
        (hash.to_string() == text).then_some(hash)
    }

    fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut head = [0; 16];
        head.copy_from_slice(&bytes[..16]);
        Self(u128::from_be_bytes(head))
    }

    /// The set with one more member.
    #[must_use]
    pub(crate) fn with(self, member: Self) -> Self {
        Self(self.0.wrapping_add(member.0))
    }

    /// The set without one of its members.
    #[must_use]
    pub(crate) fn without(self, member: Self) -> Self {
        Self(self.0.wrapping_sub(member.0))
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ContentHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_forgets_what_left_it() {
        let [a, b] = ["a", "b"].map(|text| ContentHash::of("test", &text));
        let empty = ContentHash::default();
        assert_eq!(empty.with(a).with(b).without(a), empty.with(b));
        assert_eq!(empty.with(a).with(b), empty.with(b).with(a));
        assert_ne!(empty.with(a), empty.with(b));
    }

    #[test]
    fn a_hash_is_the_same_in_every_process() {
        assert_eq!(
            ContentHash::of_bytes(b"kubedex").to_string(),
            blake3::hash(b"kubedex").to_hex()[..32]
        );
        assert_ne!(ContentHash::of("one", &1), ContentHash::of("two", &1));
    }

    #[test]
    fn a_hash_reads_as_it_prints() {
        let hash = ContentHash(7);
        assert_eq!(ContentHash::parse(&hash.to_string()), Some(hash));
        for other in ["", "7", "+0000000000000000000000000000007", "x", "v1"] {
            assert_eq!(ContentHash::parse(other), None);
        }
    }
}
