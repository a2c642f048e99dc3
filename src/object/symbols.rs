//! The strings that recur, each kept once for the whole process.
//!
//! A table that only grows, up to a bound in entries and in bytes ([`MAX_SYMBOLS`], [`MAX_TEXT`]): what does not fit stays in
//! the tape as it is, so no churn of labels can make it leak. Keys of maps enter at once while there is plenty of room, values
//! when they are seen again, and both must recur more often the fuller the table is. Finding takes no lock; only the adding of
//! a symbol does, which happens a bounded number of times in the life of a process.
//!
//! The hash has a seed per process, so that nobody can prepare names that collide.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Once, OnceLock};

use parking_lot::Mutex;

/// The most strings the table takes; it then stays as it is.
pub(super) const MAX_SYMBOLS: usize = 16 * 1024;
/// The most bytes of text the table takes.
pub(super) const MAX_TEXT: usize = 512 * 1024;
/// Of these, what only keys may use: every object has them, and comparing them by number is what makes reading fast.
const SYMBOLS_FOR_KEYS: usize = MAX_SYMBOLS / 4;
const TEXT_FOR_KEYS: usize = MAX_TEXT / 4;
/// The longest string that is made a symbol. Labels have at most 63 bytes; image names are longer.
pub(super) const MAX_SYMBOL_LEN: usize = 128;

const SLOTS: usize = 2 * MAX_SYMBOLS;
const SIGHTINGS: usize = 32 * 1024;
/// The most sightings that are ever asked for, and so the most that are counted.
const MOST_SIGHTINGS: u32 = 8;

/// Symbols known from the start. They take one byte in a tape, so these are the most frequent in Kubernetes objects.
pub(super) const WELL_KNOWN: [&str; 32] = [
    "metadata",
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "labels",
    "annotations",
    "apiVersion",
    "kind",
    "creationTimestamp",
    "ownerReferences",
    "generation",
    "managedFields",
    "spec",
    "status",
    "type",
    "value",
    "key",
    "conditions",
    "lastTransitionTime",
    "reason",
    "message",
    "containers",
    "ports",
    "protocol",
    "port",
    "addresses",
    "ready",
    "mountPath",
    "data",
    "True",
    "targetRef",
];

/// The number of one string in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Symbol(u16);

impl Symbol {
    /// No symbol; its text is empty.
    pub(super) const NONE: Self = Self(u16::MAX);

    pub(super) const fn new(id: u16) -> Self {
        Self(id)
    }

    pub(super) const fn id(self) -> u16 {
        self.0
    }

    /// The text in the process's table.
    #[inline]
    pub(super) fn text(self) -> &'static str {
        SYMBOLS.entry(self).map_or("", |entry| entry.text)
    }

    /// The [`hash`] of the text.
    #[inline]
    pub(super) fn hash(self) -> u64 {
        SYMBOLS.entry(self).map_or(0, |entry| entry.hash)
    }
}

/// What a string is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Key,
    Value,
}

struct Entry {
    text: &'static str,
    hash: u64,
}

/// How much of the bounds is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) symbols: usize,
    pub(super) text: usize,
}

pub(super) struct Symbols {
    /// Open addressing: the upper half is part of the hash, the lower the symbol's number plus one; 0 is free.
    slots: &'static [AtomicU32],
    /// Strings seen lately that are no symbols: part of their hash above, how often below. A guess, and races only make it a
    /// worse one.
    sightings: &'static [AtomicU32],
    /// By the symbols' numbers.
    entries: &'static [OnceLock<Entry>],
    usage: Mutex<Usage>,
    /// A copy of the number of symbols, to read without the lock.
    symbols: AtomicU32,
    well_known: Once,
}

/// The process's table.
pub(super) static SYMBOLS: Symbols = {
    // Each for itself: what is all zero takes no room in the program's file.
    static SLOTS_OF_PROCESS: [AtomicU32; SLOTS] = [const { AtomicU32::new(0) }; SLOTS];
    static SIGHTINGS_OF_PROCESS: [AtomicU32; SIGHTINGS] = [const { AtomicU32::new(0) }; SIGHTINGS];
    static ENTRIES: [OnceLock<Entry>; MAX_SYMBOLS] = [const { OnceLock::new() }; MAX_SYMBOLS];
    Symbols::new(&SLOTS_OF_PROCESS, &ENTRIES, &SIGHTINGS_OF_PROCESS)
};

/// Hashes a text; the same in the whole process, another one in each process.
#[inline]
pub(super) fn hash(text: &[u8]) -> u64 {
    static BUILDER: LazyLock<hashbrown::DefaultHashBuilder> = LazyLock::new(Default::default);
    let mut hasher = BUILDER.build_hasher();
    hasher.write(text);
    hasher.finish()
}

/// Whether two texts are equal: `==` for texts that are mostly a few bytes long, in line, where a call would cost more than the
/// comparing. Two words that overlap cover every length between one and two of them.
#[inline]
pub(super) fn same_bytes(one: &[u8], other: &[u8]) -> bool {
    fn ends<const N: usize>(one: &[u8], other: &[u8]) -> bool {
        one.first_chunk::<N>() == other.first_chunk() && one.last_chunk::<N>() == other.last_chunk()
    }
    if one.len() != other.len() {
        return false;
    }
    match one.len() {
        0..4 => one.iter().eq(other),
        4..8 => ends::<4>(one, other),
        8..=16 => ends::<8>(one, other),
        17..=32 => ends::<16>(one, other),
        _ => one == other,
    }
}

impl Symbols {
    const fn new(
        slots: &'static [AtomicU32],
        entries: &'static [OnceLock<Entry>],
        sightings: &'static [AtomicU32],
    ) -> Self {
        Self {
            slots,
            entries,
            sightings,
            usage: Mutex::new(Usage {
                symbols: 0,
                text: 0,
            }),
            symbols: AtomicU32::new(0),
            well_known: Once::new(),
        }
    }

    /// Enters the [`WELL_KNOWN`] symbols, which must be the first. Whoever adds symbols calls this before.
    pub(super) fn prepare(&self) {
        self.well_known.call_once(|| {
            for text in WELL_KNOWN {
                self.add(hash(text.as_bytes()), text, Role::Key);
            }
        });
    }

    #[inline]
    fn entry(&self, symbol: Symbol) -> Option<&Entry> {
        self.entries.get(usize::from(symbol.0))?.get()
    }

    /// The symbol of a text, if it is one.
    #[inline]
    pub(super) fn find(&self, hash: u64, text: &[u8]) -> Option<Symbol> {
        self.probe(hash, text).ok()
    }

    /// The symbol of a text, or the free slot in which it would stand.
    #[inline]
    fn probe(&self, hash: u64, text: &[u8]) -> Result<Symbol, Option<&AtomicU32>> {
        let tag = tag(hash);
        for slot in slots_from(self.slots, hash) {
            let found = slot.load(Ordering::Acquire);
            if found == 0 {
                return Err(Some(slot));
            }
            if found & TAG == tag {
                #[allow(clippy::cast_possible_truncation)]
                let symbol = Symbol((found & !TAG) as u16 - 1);
                if self
                    .entry(symbol)
                    .is_some_and(|entry| same_bytes(entry.text.as_bytes(), text))
                {
                    return Ok(symbol);
                }
            }
        }
        Err(None)
    }

    /// The symbol of a text, which becomes one if it has been seen often enough and there is room.
    pub(super) fn intern(&self, hash: u64, text: &[u8], role: Role) -> Option<Symbol> {
        if let Some(symbol) = self.find(hash, text) {
            return Some(symbol);
        }
        let needed = self.sightings_needed(role)?;
        if needed > 1 && self.sighted(hash) < needed {
            return None;
        }
        self.add(hash, std::str::from_utf8(text).ok()?, role)
    }

    /// How often a string must be seen to become a symbol; `None` when the table is full.
    fn sightings_needed(&self, role: Role) -> Option<u32> {
        let symbols = self.symbols.load(Ordering::Relaxed) as usize;
        let (room, first) = match role {
            Role::Key => (MAX_SYMBOLS, 1),
            Role::Value => (MAX_SYMBOLS - SYMBOLS_FOR_KEYS, MOST_SIGHTINGS / 4),
        };
        if symbols < room / 2 {
            Some(first)
        } else if symbols < room / 4 * 3 {
            Some(first * 2)
        } else if symbols < room {
            Some(first * 4)
        } else {
            None
        }
    }

    /// Notes that a string was seen, and tells how often it was lately.
    fn sighted(&self, hash: u64) -> u32 {
        #[allow(clippy::cast_possible_truncation)]
        let (place, mark) = (hash as usize % SIGHTINGS, (hash >> 40) as u32);
        let Some(sighting) = self.sightings.get(place) else {
            return 1;
        };
        let before = sighting.load(Ordering::Relaxed);
        let count = before & 0xff;
        let (now, times) = if count > 0 && before >> 8 == mark {
            let times = (count + 1).min(MOST_SIGHTINGS);
            (mark << 8 | times, times)
        } else if count > 1 {
            (before - 1, 1)
        } else {
            (mark << 8 | 1, 1)
        };
        sighting.store(now, Ordering::Relaxed);
        times
    }

    /// Makes a text a symbol, unless there is no room: for keys, whose refusal is final, or long texts.
    pub(super) fn add(&self, hash: u64, text: &str, role: Role) -> Option<Symbol> {
        let (symbols, bytes) = match role {
            Role::Key => (MAX_SYMBOLS, MAX_TEXT),
            Role::Value => (MAX_SYMBOLS - SYMBOLS_FOR_KEYS, MAX_TEXT - TEXT_FOR_KEYS),
        };
        let mut usage = self.usage.lock();
        let slot = match self.probe(hash, text.as_bytes()) {
            Ok(symbol) => return Some(symbol),
            Err(slot) => slot?,
        };
        if text.len() > MAX_SYMBOL_LEN
            || usage.symbols >= symbols
            || usage.text + text.len() > bytes
        {
            return None;
        }
        let id = u16::try_from(usage.symbols).ok()?;
        // Kept for the life of the process, as a symbol is; bounded by the two limits above.
        let text: &'static str = Box::leak(Box::from(text));
        self.entries
            .get(usize::from(id))?
            .set(Entry { text, hash })
            .ok()?;
        usage.symbols += 1;
        usage.text += text.len();
        self.symbols.store(u32::from(id) + 1, Ordering::Relaxed);
        slot.store(tag(hash) | (u32::from(id) + 1), Ordering::Release);
        Some(Symbol(id))
    }

    #[cfg(test)]
    pub(super) fn usage(&self) -> Usage {
        *self.usage.lock()
    }
}

const TAG: u32 = 0xffff_0000;

#[allow(clippy::cast_possible_truncation)]
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 & TAG
}

/// The slots in the order in which a hash tries them.
#[inline]
fn slots_from(slots: &[AtomicU32], hash: u64) -> impl Iterator<Item = &AtomicU32> {
    #[allow(clippy::cast_possible_truncation)]
    let start = hash as usize % SLOTS;
    let (before, from) = slots.split_at_checked(start).unwrap_or_default();
    from.iter().chain(before)
}

const _: () = assert!(MAX_SYMBOLS <= 0xd800 - 0x80);

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> &'static Symbols {
        let zeros = |count| {
            let zeros: Vec<AtomicU32> = (0..count).map(|_| AtomicU32::new(0)).collect();
            &*zeros.leak()
        };
        let entries: Vec<OnceLock<Entry>> = (0..MAX_SYMBOLS).map(|_| OnceLock::new()).collect();
        let table = Symbols::new(zeros(SLOTS), entries.leak(), zeros(SIGHTINGS));
        Box::leak(Box::new(table))
    }

    fn intern(symbols: &Symbols, text: &str, role: Role) -> Option<Symbol> {
        symbols.intern(hash(text.as_bytes()), text.as_bytes(), role)
    }

    #[test]
    fn well_known_symbols_have_the_first_numbers() {
        SYMBOLS.prepare();
        for (id, text) in WELL_KNOWN.iter().enumerate() {
            let symbol = SYMBOLS.find(hash(text.as_bytes()), text.as_bytes());
            assert_eq!(symbol, Some(Symbol(u16::try_from(id).unwrap())), "{text}");
            assert_eq!(symbol.unwrap().text(), *text);
        }
    }

    #[test]
    fn texts_of_every_length_are_compared() {
        for length in 0..70 {
            let text = vec![b'a'; length];
            assert!(same_bytes(&text, &text.clone()));
            assert!(!same_bytes(&text, &[&text[..], b"a"].concat()));
            for at in 0..length {
                let mut other = text.clone();
                other[at] = b'b';
                assert!(!same_bytes(&text, &other), "{length} {at}");
            }
        }
    }

    #[test]
    fn a_key_enters_at_once_and_a_value_when_it_recurs() {
        let table = table();
        let key = intern(table, "clusterIP", Role::Key).unwrap();
        assert_eq!(intern(table, "clusterIP", Role::Value), Some(key));
        assert_eq!(intern(table, "ClusterFirst", Role::Value), None);
        let value = intern(table, "ClusterFirst", Role::Value).unwrap();
        assert_ne!(key, value);
        assert_eq!(table.entry(value).unwrap().text, "ClusterFirst");
    }

    #[test]
    fn millions_of_distinct_strings_stay_within_the_bounds() {
        let table = table();
        let mut text = String::new();
        for number in 0..2_000_000 {
            use std::fmt::Write;
            text.clear();
            write!(text, "app.example.com/label-{number}-of-many").unwrap();
            let role = if number % 2 == 0 {
                Role::Key
            } else {
                Role::Value
            };
            for _ in 0..1 + number % 3 {
                intern(table, &text, role);
            }
        }
        let usage = table.usage();
        assert!(
            usage.symbols <= MAX_SYMBOLS && usage.text <= MAX_TEXT,
            "{usage:?}"
        );
        assert!(usage.symbols > MAX_SYMBOLS / 2, "{usage:?}");
        // What is in it is still found, and what is not still does not enter.
        let first = "app.example.com/label-0-of-many";
        assert!(
            table
                .find(hash(first.as_bytes()), first.as_bytes())
                .is_some()
        );
    }

    #[test]
    fn values_leave_room_for_keys() {
        let table = table();
        for number in 0..100_000 {
            let text = format!("value-{number}");
            for _ in 0..20 {
                intern(table, &text, Role::Value);
            }
        }
        assert!(table.usage().symbols <= MAX_SYMBOLS - SYMBOLS_FOR_KEYS);
        let key = "aKeyThatComesLate";
        for _ in 0..2 * MOST_SIGHTINGS {
            intern(table, key, Role::Key);
        }
        assert!(intern(table, key, Role::Key).is_some());
    }

    #[test]
    fn a_full_table_slows_nobody_down_and_long_texts_stay_out() {
        let table = table();
        let long = "x".repeat(MAX_SYMBOL_LEN + 1);
        for _ in 0..10 {
            assert_eq!(intern(table, &long, Role::Key), None);
        }
        assert_eq!(table.usage(), Usage::default());
    }

    #[test]
    fn threads_agree_on_every_symbol() {
        let table = table();
        let texts: Vec<String> = (0..5000).map(|number| format!("text-{number}")).collect();
        let seen: Vec<Vec<Option<Symbol>>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|thread| {
                    let texts = &texts;
                    scope.spawn(move || {
                        let mut symbols = vec![None; texts.len()];
                        for step in 0..texts.len() {
                            let at = (step * 7 + thread * 1250) % texts.len();
                            symbols[at] = intern(table, &texts[at], Role::Key);
                        }
                        symbols
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        for (at, text) in texts.iter().enumerate() {
            let symbol = seen[0][at].unwrap();
            assert!(seen.iter().all(|symbols| symbols[at] == Some(symbol)));
            assert_eq!(table.entry(symbol).unwrap().text, text);
        }
        assert_eq!(table.usage().symbols, texts.len());
    }
}
