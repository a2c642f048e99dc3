//! Writes documents to tapes.
//!
//! An [`Encoder`] is a scratch buffer that a thread uses again and again; a finished tape is copied out of it at its exact
//! size. It decides which strings become symbols, and makes the last of duplicate keys win, as `serde_json` does.

use std::cell::Cell;
use std::sync::Arc;

use serde_json::Value;

use super::mask::Verdict;
use super::symbols::{self, MAX_SYMBOL_LEN, Role, SYMBOLS, Symbol};
use super::tape::{self, Container, Token};
use super::value_ref::text_of;

/// A value shorter than this takes no more room than a symbol.
const MIN_SYMBOL_LEN: usize = 3;
/// A scratch buffer that has grown past these bytes is not kept: one huge object shall not cost its size in every thread for ever.
const SCRATCH_KEPT: usize = 256 * 1024;

/// Where in a document a value stands, places in arrays left out: what tells `metadata.name` from `ports[*].name`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Path(u64);

impl Path {
    pub(super) const ROOT: Self = Self(0);
    /// Anywhere in the data of a Secret or a ConfigMap. Symbols live as long as the process, and a secret that was deleted
    /// shall not, so nothing there becomes one.
    const DATA: Self = Self(u64::MAX);

    /// Of the value under a key, of which this is the hash and the text.
    #[inline]
    fn under(self, hash: u64, key: &[u8]) -> Self {
        if self == Self::DATA
            || self == Self::ROOT && matches!(key, b"data" | b"stringData" | b"binaryData")
        {
            return Self::DATA;
        }
        Self((self.0.rotate_left(23) ^ hash).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    #[allow(clippy::cast_possible_truncation)]
    fn place(self) -> usize {
        (self.0 >> 40) as usize % PLACES
    }
}

/// Paths that are told apart, most of the time: a cluster's kinds have some hundreds. What is kept for each is a guess or a
/// statistic, so two that fall together do no harm.
const PLACES: usize = 2048;

/// Whether the values at one path tend to recur. Those that do not, such as uids, are soon not looked at.
#[derive(Clone, Copy)]
struct Habit {
    /// Values seen in this window, or left to pass over.
    values: u16,
    /// How many of them were or became symbols, or [`Habit::RESTING`].
    recurred: u16,
    last: Symbol,
}

impl Habit {
    const RESTING: u16 = u16::MAX;
    /// Values to judge by; several hundred names of namespaces must come up twice in it.
    const WINDOW: u16 = 4096;
    /// One in so many must recur.
    const WORTH: u16 = 6;
    /// Values to pass over before looking again.
    const REST: u16 = u16::MAX;
    const NEW: Self = Self {
        values: 0,
        recurred: 0,
        last: Symbol::NONE,
    };

    fn is_worth_a_look(&mut self) -> bool {
        if self.recurred != Self::RESTING {
            return true;
        }
        self.values -= 1;
        if self.values == 0 {
            self.recurred = 0;
        }
        false
    }

    fn note(&mut self, recurred: bool) {
        self.values += 1;
        self.recurred += u16::from(recurred);
        if self.values == Self::WINDOW {
            (self.values, self.recurred) = if self.recurred < Self::WINDOW / Self::WORTH {
                (Self::REST, Self::RESTING)
            } else {
                (0, 0)
            };
        }
    }
}

/// A key that was written.
#[derive(Clone, Copy)]
struct Written {
    hash: u64,
    at: usize,
}

/// A container that is being written.
pub(super) struct Open {
    at: usize,
    /// Where its keys start in [`Encoder::keys`].
    keys: usize,
    /// One bit per key seen, by its hash.
    seen: u64,
    /// Two keys fell on one bit: they may be equal.
    suspect: bool,
}

pub(super) struct Encoder {
    out: Vec<u8>,
    /// The keys of all maps that are open, outermost first.
    keys: Vec<Written>,
    /// By the path of the value.
    habits: Box<[Habit]>,
    /// Which key comes next, by the path of the value before it.
    guesses: Box<[Symbol]>,
    /// Something that is not UTF-8 was written and taken out again.
    broken: bool,
    /// For whoever reads the text, to be used again as well.
    scratch: Vec<u8>,
}

/// Lends this thread's encoder, empty.
pub(super) fn with_encoder<R>(work: impl FnOnce(&mut Encoder) -> R) -> R {
    thread_local! {
        static ENCODER: Cell<Option<Box<Encoder>>> = const { Cell::new(None) };
    }
    let mut encoder = ENCODER
        .try_with(Cell::take)
        .ok()
        .flatten()
        .unwrap_or_else(|| Box::new(Encoder::new()));
    encoder.clear();
    let result = work(&mut encoder);
    encoder.shrink();
    // Fails only while the thread ends; then the encoder goes too.
    let _ = ENCODER.try_with(|cell| cell.set(Some(encoder)));
    result
}

impl Encoder {
    pub(super) fn new() -> Self {
        SYMBOLS.prepare();
        Self {
            out: Vec::with_capacity(4096),
            keys: Vec::with_capacity(64),
            habits: vec![Habit::NEW; PLACES].into_boxed_slice(),
            guesses: vec![Symbol::NONE; PLACES].into_boxed_slice(),
            broken: false,
            scratch: Vec::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.broken = false;
        self.out.clear();
        self.keys.clear();
    }

    fn shrink(&mut self) {
        if self.out.capacity() > SCRATCH_KEPT {
            self.out = Vec::new();
        }
        if self.keys.capacity() > SCRATCH_KEPT / size_of::<Written>() {
            self.keys = Vec::new();
        }
    }

    /// A buffer to use while text is read.
    pub(super) fn take_scratch(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.scratch)
    }

    /// Gives it back.
    pub(super) fn give_scratch(&mut self, scratch: Vec<u8>) {
        if scratch.capacity() <= SCRATCH_KEPT {
            self.scratch = scratch;
        }
    }

    /// The tape, at its exact size.
    ///
    /// # Errors
    /// When a string was written that is not UTF-8.
    pub(super) fn finish(&self) -> Result<Arc<str>, NotUtf8> {
        if self.broken {
            return Err(NotUtf8);
        }
        std::str::from_utf8(&self.out)
            .map(Arc::from)
            .map_err(|_| NotUtf8)
    }

    pub(super) fn null(&mut self) {
        tape::write_null(&mut self.out);
    }

    pub(super) fn bool(&mut self, value: bool) {
        tape::write_bool(&mut self.out, value);
    }

    pub(super) fn uint(&mut self, value: u64) {
        tape::write_uint(&mut self.out, value);
    }

    pub(super) fn int(&mut self, value: i64) {
        tape::write_int(&mut self.out, value);
    }

    pub(super) fn float(&mut self, value: f64) {
        tape::write_float(&mut self.out, value);
    }

    /// Writes a string value. It is plain if it has nothing that JSON escapes.
    #[inline]
    pub(super) fn string(&mut self, path: Path, text: &[u8], plain: bool) {
        match self.recurring(path, text, plain) {
            Some(symbol) => tape::write_symbol(&mut self.out, symbol),
            None => tape::write_text(&mut self.out, text),
        }
    }

    #[inline]
    fn recurring(&mut self, path: Path, text: &[u8], plain: bool) -> Option<Symbol> {
        if !(MIN_SYMBOL_LEN..=MAX_SYMBOL_LEN).contains(&text.len()) || path == Path::DATA {
            return None;
        }
        let habit = self.habits.get_mut(path.place())?;
        if !habit.is_worth_a_look() {
            return None;
        }
        let hash = symbols::hash(text);
        let symbol = SYMBOLS.intern(hash, text, Role::Value);
        habit.note(symbol.is_some());
        if plain && let Some(symbol) = symbol {
            habit.last = symbol;
        }
        symbol
    }

    /// The symbol that stood last at a path.
    #[inline]
    pub(super) fn guess_string(&self, path: Path) -> Symbol {
        self.habits
            .get(path.place())
            .map_or(Symbol::NONE, |habit| habit.last)
    }

    /// Writes a string value that was guessed.
    #[inline]
    pub(super) fn guessed_string(&mut self, guess: Symbol) {
        tape::write_symbol(&mut self.out, guess);
    }

    /// The key that came last after the value at this path, or first in the map at it.
    #[inline]
    pub(super) fn guess_key(&self, before: Path) -> Symbol {
        self.guesses
            .get(before.place())
            .copied()
            .unwrap_or(Symbol::NONE)
    }

    /// Writes a key that was guessed; the path is that of its value.
    #[inline]
    pub(super) fn guessed_key(&mut self, map: &mut Open, path: Path, guess: Symbol) -> Path {
        let hash = guess.hash();
        self.note_key(map, hash);
        tape::write_symbol(&mut self.out, guess);
        path.under(hash, guess.text().as_bytes())
    }

    #[inline]
    fn note_key(&mut self, map: &mut Open, hash: u64) {
        let bit = 1 << (hash >> 58);
        map.suspect |= map.seen & bit != 0;
        map.seen |= bit;
        self.keys.push(Written {
            hash,
            at: self.out.len(),
        });
    }

    #[inline]
    pub(super) fn open(&mut self, container: Container) -> Open {
        Open {
            at: tape::open(&mut self.out, container),
            keys: self.keys.len(),
            seen: 0,
            suspect: false,
        }
    }

    /// Writes a key of the innermost map; the path is that of its value. A key is plain if it has nothing that JSON escapes.
    /// `before` is what to [guess](Self::guess_key) it by.
    #[inline]
    pub(super) fn key(
        &mut self,
        map: &mut Open,
        path: Path,
        before: Path,
        key: &[u8],
        plain: bool,
    ) -> Path {
        let hash = symbols::hash(key);
        self.note_key(map, hash);
        // The keys of managedFields hold whole values, quotes and all; they must recur as values must.
        let role = if plain { Role::Key } else { Role::Value };
        let symbol = if key.len() <= MAX_SYMBOL_LEN {
            SYMBOLS.intern(hash, key, role)
        } else {
            None
        };
        match symbol {
            Some(symbol) => {
                if plain && let Some(guess) = self.guesses.get_mut(before.place()) {
                    *guess = symbol;
                }
                tape::write_symbol(&mut self.out, symbol);
            }
            None => tape::write_text(&mut self.out, key),
        }
        path.under(hash, key)
    }

    /// Whether the innermost map has a key.
    pub(super) fn has_key(&self, map: &Open, key: &[u8]) -> bool {
        let hash = symbols::hash(key);
        self.keys
            .iter()
            .skip(map.keys)
            .any(|written| written.hash == hash && self.key_bytes(*written) == key)
    }

    fn key_bytes(&self, written: Written) -> &[u8] {
        let tape = self.out.get(written.at..).unwrap_or_default();
        tape::read_text(tape).unwrap_or_default()
    }

    #[inline]
    pub(super) fn close(&mut self, container: &Open) {
        if container.suspect {
            self.drop_duplicates(container);
        }
        self.keys.truncate(container.keys);
        tape::close(&mut self.out, container.at);
    }

    /// Takes out every entry whose key comes again later in the map.
    fn drop_duplicates(&mut self, map: &Open) {
        let keys = self.keys.get(map.keys..).unwrap_or_default();
        if !has_equal_hashes(keys) {
            return;
        }
        let mut order: Vec<(usize, Written)> = keys.iter().copied().enumerate().collect();
        order.sort_unstable_by_key(|(place, written)| (written.hash, *place));
        let mut keep = vec![true; keys.len()];
        for (next, (place, written)) in (1..).zip(&order) {
            let comes_again = order
                .iter()
                .skip(next)
                .take_while(|(_, later)| later.hash == written.hash)
                .any(|(_, later)| self.key_bytes(*later) == self.key_bytes(*written));
            if let Some(keep) = keep.get_mut(*place) {
                *keep = !comes_again;
            }
        }
        let end = self.out.len();
        let ends = keys.iter().skip(1).map(|next| next.at).chain([end]);
        let mut kept = map.at + tape::OPEN_WIDTH;
        for ((written, end), keep) in keys.iter().zip(ends).zip(keep) {
            if keep {
                self.out.copy_within(written.at..end, kept);
                kept += end - written.at;
            } else {
                let dropped = self.out.get(written.at..end).unwrap_or_default();
                self.broken |= std::str::from_utf8(dropped).is_err();
            }
        }
        self.out.truncate(kept);
    }

    /// Writes a value of another tape as it stands there.
    fn copy(&mut self, value: &str) {
        self.out.extend_from_slice(value.as_bytes());
    }

    /// Writes the first value of another tape, less the masked fields; gives what follows it there.
    pub(super) fn copy_masked<'t>(
        &mut self,
        tape: &'t str,
        verdict: Verdict<'_>,
    ) -> Option<&'t str> {
        let (token, rest) = tape::read(tape)?;
        let within = matches!(verdict, Verdict::Within(_));
        match token {
            Token::Map(mut body) if within => {
                let open = self.open(Container::Map);
                while let Some((key, value)) = tape::read(body) {
                    body = match verdict.key(text_of(key)?.as_bytes()) {
                        Verdict::Drop => tape::skip(value)?,
                        verdict => {
                            self.copy(body.get(..body.len() - value.len())?);
                            self.copy_masked(value, verdict)?
                        }
                    };
                }
                self.close(&open);
            }
            Token::Array(mut body) if within => {
                let open = self.open(Container::Array);
                let mut index = 0;
                while !body.is_empty() {
                    body = match verdict.index(index) {
                        Verdict::Drop => tape::skip(body)?,
                        verdict => self.copy_masked(body, verdict)?,
                    };
                    index += 1;
                }
                self.close(&open);
            }
            _ => self.copy(tape.get(..tape.len() - rest.len())?),
        }
        Some(rest)
    }

    /// Writes a `serde_json` value, which has at most `depth` levels.
    ///
    /// # Errors
    /// When it has more.
    pub(super) fn value(&mut self, path: Path, value: &Value, depth: usize) -> Result<(), TooDeep> {
        match value {
            Value::Null => self.null(),
            Value::Bool(value) => self.bool(*value),
            Value::Number(number) => {
                if let Some(value) = number.as_u64() {
                    self.uint(value);
                } else if let Some(value) = number.as_i64() {
                    self.int(value);
                } else {
                    self.float(number.as_f64().unwrap_or_default());
                }
            }
            Value::String(text) => self.string(path, text.as_bytes(), false),
            Value::Array(items) => {
                let depth = depth.checked_sub(1).ok_or(TooDeep)?;
                let open = self.open(Container::Array);
                for item in items {
                    self.value(path, item, depth)?;
                }
                self.close(&open);
            }
            Value::Object(map) => {
                let depth = depth.checked_sub(1).ok_or(TooDeep)?;
                let mut open = self.open(Container::Map);
                for (key, value) in map {
                    let plain = !key.contains(['"', '\\']) && !key.contains(char::is_control);
                    let path = self.key(&mut open, path, path, key.as_bytes(), plain);
                    self.value(path, value, depth)?;
                }
                self.close(&open);
            }
        }
        Ok(())
    }
}

/// A string that was written is not UTF-8.
pub(super) struct NotUtf8;

/// A value has more levels than an object may.
pub(super) struct TooDeep;

fn has_equal_hashes(keys: &[Written]) -> bool {
    if keys.len() <= 32 {
        return (1..)
            .zip(keys)
            .any(|(next, key)| keys.iter().skip(next).any(|other| other.hash == key.hash));
    }
    let mut hashes: Vec<u64> = keys.iter().map(|key| key.hash).collect();
    hashes.sort_unstable();
    hashes.array_windows().any(|[one, next]| one == next)
}
