//! The form in which a document is kept: one text that holds tags, lengths and strings back to back.
//!
//! Every byte of it is part of valid UTF-8: tags, lengths and numbers are ASCII, symbols are characters above it, and
//! strings are themselves. So the whole is a `str`, and a string inside it is a slice that needs no check. Containers say
//! how long they are, so that walking past a value costs the same whatever is in it.
//!
//! | bytes | meaning |
//! |---|---|
//! | `00..=27` | a string of so many bytes, which follow |
//! | `28..=3f` | one of the next symbols, with the seven bits that follow |
//! | `40..=5f` | one of the [`WELL_KNOWN`] symbols |
//! | `60..=67` | null, false, true, long string, map, array, empty map, empty array |
//! | `68..=6f` | numbers, least significant seven bits first |
//! | `70..=7f` | the numbers 0 to 15 |
//! | `80..` | a character: the other symbols, in order |
//!
//! Nearly all of a tape is ASCII, which is what makes finding out that it is UTF-8 fast.
//!
//! A tape never tells whether a string is a symbol by its meaning: the same text may stand as either, so tapes are compared
//! and hashed by what they say (`content.rs`), never by their bytes. This module trusts nothing: what it cannot read ends the
//! walk.

// A byte is made of bits that were cut out before.
#![allow(clippy::cast_possible_truncation)]

use super::symbols::{Symbol, WELL_KNOWN, same_bytes};

const SHORT_STRING_MAX: usize = 0x27;
const FIRST_PAIR: u8 = 0x28;
const FIRST_WELL_KNOWN: u8 = 0x40;
const NULL: u8 = 0x60;
const FALSE: u8 = 0x61;
const TRUE: u8 = 0x62;
const LONG_STRING: u8 = 0x63;
const MAP: u8 = 0x64;
const ARRAY: u8 = 0x65;
const EMPTY_MAP: u8 = 0x66;
const EMPTY_ARRAY: u8 = 0x67;
const UINT_7: u8 = 0x68;
const UINT_14: u8 = 0x69;
const UINT_21: u8 = 0x6a;
const UINT_35: u8 = 0x6b;
const UINT_64: u8 = 0x6c;
const NEGATIVE_14: u8 = 0x6d;
const NEGATIVE_64: u8 = 0x6e;
const FLOAT: u8 = 0x6f;
const SMALL: u8 = 0x70;
const SMALL_MAX: u64 = 15;

/// What stands at one place of a tape.
#[derive(Clone, Copy)]
pub(super) enum Token<'a> {
    Null,
    Bool(bool),
    /// A number that is not negative.
    Uint(u64),
    /// A negative number.
    Int(i64),
    Float(f64),
    Text(&'a str),
    Symbol(Symbol),
    /// The elements, back to back.
    Array(&'a str),
    /// Keys and values in turn, back to back; a key is a text or a symbol.
    Map(&'a str),
}

/// Reads what stands at the start of `tape`, and gives the rest after it; `None` at the end.
#[inline]
pub(super) fn read(tape: &str) -> Option<(Token<'_>, &str)> {
    let (&tag, after) = tape.as_bytes().split_first()?;
    match tag {
        0..FIRST_PAIR => {
            let end = 1 + usize::from(tag);
            Some((Token::Text(tape.get(1..end)?), tape.get(end..)?))
        }
        FIRST_WELL_KNOWN..NULL => Some((
            Token::Symbol(Symbol::new(u16::from(tag - FIRST_WELL_KNOWN))),
            tape.get(1..)?,
        )),
        FIRST_PAIR..FIRST_WELL_KNOWN | 0x80.. => {
            let (symbol, width) = read_symbol(tag, after)?;
            Some((Token::Symbol(symbol), tape.get(width..)?))
        }
        NULL => Some((Token::Null, tape.get(1..)?)),
        FALSE => Some((Token::Bool(false), tape.get(1..)?)),
        TRUE => Some((Token::Bool(true), tape.get(1..)?)),
        LONG_STRING | MAP | ARRAY => {
            let (length, width) = read_length(after)?;
            let start = 1 + width;
            let end = start.checked_add(length)?;
            let body = tape.get(start..end)?;
            let token = match tag {
                LONG_STRING => Token::Text(body),
                MAP => Token::Map(body),
                _ => Token::Array(body),
            };
            Some((token, tape.get(end..)?))
        }
        EMPTY_MAP => Some((Token::Map(""), tape.get(1..)?)),
        EMPTY_ARRAY => Some((Token::Array(""), tape.get(1..)?)),
        SMALL..0x80 => Some((Token::Uint(u64::from(tag - SMALL)), tape.get(1..)?)),
        UINT_7..SMALL => {
            let width = number_width(tag);
            let bits = read_bits(after.get(..width)?);
            let token = match tag {
                NEGATIVE_14 | NEGATIVE_64 => Token::Int(bits.wrapping_neg().cast_signed()),
                FLOAT => Token::Float(f64::from_bits(bits)),
                _ => Token::Uint(bits),
            };
            Some((token, tape.get(1 + width..)?))
        }
    }
}

/// The text at the start of a tape that is not finished, as bytes; `None` if something else stands there.
pub(super) fn read_text(tape: &[u8]) -> Option<&[u8]> {
    let (&tag, after) = tape.split_first()?;
    match tag {
        0..FIRST_PAIR => after.get(..usize::from(tag)),
        FIRST_WELL_KNOWN..NULL => Some(
            Symbol::new(u16::from(tag - FIRST_WELL_KNOWN))
                .text()
                .as_bytes(),
        ),
        FIRST_PAIR..FIRST_WELL_KNOWN | 0x80.. => Some(read_symbol(tag, after)?.0.text().as_bytes()),
        LONG_STRING => {
            let (length, width) = read_length(after)?;
            after.get(width..)?.get(..length)
        }
        _ => None,
    }
}

/// Whether the text that stands at a place, not as a symbol, is this one. What is read and compared follows from the wanted
/// text alone, not from what stands there.
#[inline]
pub(super) fn is_text_at(tape: &str, place: usize, text: &str) -> bool {
    let text = text.as_bytes();
    let tape = tape.as_bytes().get(place..).unwrap_or_default();
    if text.len() <= SHORT_STRING_MAX {
        let stored = tape.get(1..1 + text.len());
        return tape
            .first()
            .is_some_and(|&tag| usize::from(tag) == text.len())
            && stored.is_some_and(|stored| same_bytes(stored, text));
    }
    read_text(tape).is_some_and(|stored| same_bytes(stored, text))
}

/// What follows the value at the start of `tape`.
#[inline]
pub(super) fn skip(tape: &str) -> Option<&str> {
    tape.get(width(tape.as_bytes())?..)
}

/// What follows a key among the entries of a map: its value first. The key is looked for as the symbol, if it has one, and as
/// text wherever it is not stored as a symbol.
#[inline]
pub(super) fn find<'a>(entries: &'a str, key: &str, symbol: Option<Symbol>) -> Option<&'a str> {
    let mut rest = entries.as_bytes();
    loop {
        let (&tag, after) = rest.split_first()?;
        let (found, value) = match tag {
            0..FIRST_PAIR => {
                let (text, value) = after.split_at_checked(usize::from(tag))?;
                (same_bytes(text, key.as_bytes()), value)
            }
            FIRST_WELL_KNOWN..NULL => {
                let id = u16::from(tag - FIRST_WELL_KNOWN);
                (symbol == Some(Symbol::new(id)), after)
            }
            FIRST_PAIR..FIRST_WELL_KNOWN | 0x80.. => {
                let (name, width) = read_symbol(tag, after)?;
                (symbol == Some(name), after.get(width - 1..)?)
            }
            LONG_STRING => {
                let (length, width) = read_length(after)?;
                let (text, value) = after.get(width..)?.split_at_checked(length)?;
                (same_bytes(text, key.as_bytes()), value)
            }
            _ => return None,
        };
        if found {
            return entries.get(entries.len() - value.len()..);
        }
        rest = value.get(width(value)?..)?;
    }
}

/// The bytes of the value at the start of a tape.
#[inline]
fn width(tape: &[u8]) -> Option<usize> {
    let (&tag, after) = tape.split_first()?;
    match WIDTHS[usize::from(tag)] {
        0 => {
            let (length, width) = read_length(after)?;
            length.checked_add(1 + width)
        }
        width => Some(usize::from(width)),
    }
}

/// The bytes of a value by its tag; 0 where a length follows.
const WIDTHS: [u8; 256] = {
    let mut widths = [1; 256];
    let mut at = 0;
    while at < widths.len() {
        let tag = at as u8;
        widths[at] = match tag {
            0..FIRST_PAIR => 1 + tag,
            FIRST_PAIR..FIRST_WELL_KNOWN => 2,
            LONG_STRING | MAP | ARRAY => 0,
            UINT_7..SMALL => 1 + number_width(tag) as u8,
            0x80..0xe0 => 2,
            0xe0.. => 3,
            _ => 1,
        };
        at += 1;
    }
    widths
};

/// The number of seven-bit bytes that follow a number's tag.
const fn number_width(tag: u8) -> usize {
    match tag {
        UINT_7 => 1,
        UINT_14 | NEGATIVE_14 => 2,
        UINT_21 => 3,
        UINT_35 => 5,
        _ => 10,
    }
}

fn read_bits(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |bits, &byte| bits << 7 | u64::from(byte))
}

#[inline]
fn read_length(bytes: &[u8]) -> Option<(usize, usize)> {
    let first = usize::from(*bytes.first()?);
    if first < 0x40 {
        return Some((first, 1));
    }
    let mut length = 0;
    for (place, &byte) in bytes.iter().take(5).enumerate() {
        length |= usize::from(byte & 0x3f) << (6 * place);
        if byte < 0x40 {
            return Some((length, place + 1));
        }
    }
    None
}

const FIRST_PAIRED: u16 = WELL_KNOWN.len() as u16;
/// Symbols from here on are the characters from U+0080 on; there are too few to reach the surrogates.
const FIRST_CHARACTER: u16 = FIRST_PAIRED + ((FIRST_WELL_KNOWN - FIRST_PAIR) as u16) * 0x80;

/// Reads a symbol that takes more than its tag, and the bytes it takes.
#[inline]
fn read_symbol(tag: u8, after: &[u8]) -> Option<(Symbol, usize)> {
    let low = |place: usize| Some(u16::from(after.get(place)? & 0x3f));
    let (id, width) = match tag {
        0..0x80 => {
            let high = u16::from(tag.checked_sub(FIRST_PAIR)?) << 7;
            (high + u16::from(*after.first()?) + FIRST_PAIRED, 2)
        }
        0x80..0xe0 => (u16::from(tag & 0x1f) << 6 | low(0)?, 2),
        0xe0.. => (u16::from(tag & 0x0f) << 12 | low(0)? << 6 | low(1)?, 3),
    };
    let id = if tag < 0x80 {
        id
    } else {
        (id + FIRST_CHARACTER).checked_sub(0x80)?
    };
    Some((Symbol::new(id), width))
}

pub(super) fn write_null(out: &mut Vec<u8>) {
    out.push(NULL);
}

pub(super) fn write_bool(out: &mut Vec<u8>, value: bool) {
    out.push(if value { TRUE } else { FALSE });
}

pub(super) fn write_uint(out: &mut Vec<u8>, value: u64) {
    let tag = match value {
        0..=SMALL_MAX => {
            out.push(SMALL + value as u8);
            return;
        }
        16..0x80 => UINT_7,
        0x80..0x4000 => UINT_14,
        0x4000..0x20_0000 => UINT_21,
        0x20_0000..0x8_0000_0000 => UINT_35,
        _ => UINT_64,
    };
    write_bits(out, tag, value);
}

/// Writes a signed number; one that is not negative is written as [`write_uint`] does.
pub(super) fn write_int(out: &mut Vec<u8>, value: i64) {
    let magnitude = value.unsigned_abs();
    if value >= 0 {
        write_uint(out, magnitude);
    } else if magnitude < 0x4000 {
        write_bits(out, NEGATIVE_14, magnitude);
    } else {
        write_bits(out, NEGATIVE_64, magnitude);
    }
}

pub(super) fn write_float(out: &mut Vec<u8>, value: f64) {
    write_bits(out, FLOAT, value.to_bits());
}

fn write_bits(out: &mut Vec<u8>, tag: u8, mut bits: u64) {
    out.push(tag);
    for _ in 0..number_width(tag) {
        out.push((bits & 0x7f) as u8);
        bits >>= 7;
    }
}

#[inline]
pub(super) fn write_symbol(out: &mut Vec<u8>, symbol: Symbol) {
    let id = symbol.id();
    if id < FIRST_PAIRED {
        out.push(FIRST_WELL_KNOWN + id as u8);
    } else if id < FIRST_CHARACTER {
        let id = id - FIRST_PAIRED;
        out.push(FIRST_PAIR + (id >> 7) as u8);
        out.push((id & 0x7f) as u8);
    } else {
        let character = id - FIRST_CHARACTER + 0x80;
        let continuation = |bits: u16| 0x80 | (bits & 0x3f) as u8;
        if character < 0x800 {
            out.push(0xc0 | (character >> 6) as u8);
        } else {
            out.push(0xe0 | (character >> 12) as u8);
            out.push(continuation(character >> 6));
        }
        out.push(continuation(character));
    }
}

/// Writes a string as it is. Bytes that are not UTF-8 make the whole tape not UTF-8, wherever they stand: what surrounds a
/// string can neither complete a character nor hide that one is broken.
#[inline]
pub(super) fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    if text.len() <= SHORT_STRING_MAX {
        out.push(text.len() as u8);
    } else {
        out.push(LONG_STRING);
        write_length(out, text.len());
    }
    out.extend_from_slice(text);
}

fn write_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x40 {
        out.push(0x40 | (length & 0x3f) as u8);
        length >>= 6;
    }
    out.push(length as u8);
}

/// Which container.
#[derive(Clone, Copy)]
pub(super) enum Container {
    Map,
    Array,
}

/// What [`open`] writes before the content.
pub(super) const OPEN_WIDTH: usize = 2;

/// Starts a container whose length is not known yet; gives the place to pass to [`close`].
#[inline]
pub(super) fn open(out: &mut Vec<u8>, container: Container) -> usize {
    let at = out.len();
    out.push(match container {
        Container::Map => MAP,
        Container::Array => ARRAY,
    });
    out.push(0);
    at
}

/// Ends the container that was opened at `at`: all that was written since is its content.
#[inline]
pub(super) fn close(out: &mut Vec<u8>, at: usize) {
    let start = at + OPEN_WIDTH;
    let end = out.len();
    let length = end - start;
    if length == 0 {
        out.truncate(at + 1);
        if let Some(tag) = out.last_mut() {
            *tag += EMPTY_MAP - MAP;
        }
        return;
    }
    if length < 0x40 {
        if let Some(place) = out.get_mut(at + 1) {
            *place = length as u8;
        }
        return;
    }
    close_long(out, at, length);
}

/// One byte was left for the length; this needs more, and moves the content up.
#[inline(never)]
fn close_long(out: &mut Vec<u8>, at: usize, length: usize) {
    let start = at + OPEN_WIDTH;
    let end = out.len();
    let mut header = [0; 5];
    let mut width = 0;
    let mut rest = length;
    for byte in &mut header {
        width += 1;
        let bits = (rest & 0x3f) as u8;
        rest >>= 6;
        *byte = if rest == 0 { bits } else { 0x40 | bits };
        if rest == 0 {
            break;
        }
    }
    out.resize(end + width - 1, 0);
    out.copy_within(start..end, start + width - 1);
    for (place, byte) in out.iter_mut().skip(at + 1).zip(&header[..width]) {
        *place = *byte;
    }
}

const _: () = assert!(EMPTY_MAP - MAP == EMPTY_ARRAY - ARRAY);
const _: () = assert!(WELL_KNOWN.len() == (NULL - FIRST_WELL_KNOWN) as usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_symbol_reads_back_and_every_byte_is_utf8() {
        let mut out = Vec::new();
        for id in 0..super::super::symbols::MAX_SYMBOLS {
            write_symbol(&mut out, Symbol::new(u16::try_from(id).unwrap()));
        }
        let mut tape = std::str::from_utf8(&out).unwrap();
        for id in 0..super::super::symbols::MAX_SYMBOLS {
            let skipped = skip(tape).unwrap();
            let (Token::Symbol(symbol), rest) = read(tape).unwrap() else {
                panic!("not a symbol");
            };
            assert_eq!(usize::from(symbol.id()), id);
            assert_eq!(rest, skipped);
            tape = rest;
        }
        assert!(tape.is_empty());
    }

    #[test]
    fn containers_of_every_length_read_back() {
        for length in [0, 1, 63, 64, 4095, 4096, 262_143, 262_144, 300_000] {
            let mut out = b"\x70".to_vec();
            let at = open(&mut out, Container::Array);
            out.extend(std::iter::repeat_n(NULL, length));
            close(&mut out, at);
            out.push(TRUE);
            let tape = std::str::from_utf8(&out).unwrap();
            let (Token::Uint(0), rest) = read(tape).unwrap() else {
                panic!("not 0")
            };
            let (Token::Array(body), rest) = read(rest).unwrap() else {
                panic!("not an array")
            };
            assert_eq!(body.len(), length);
            assert!(matches!(read(rest), Some((Token::Bool(true), ""))));
        }
    }

    #[test]
    fn a_broken_tape_ends_the_walk() {
        for tape in [
            "\x05ab",
            "\x64\x05",
            "\x65",
            "\x64\x7f\x7f\x7f\x7f\x7f",
            "\x6c1",
            "\x05abcdé",
        ] {
            assert!(read(tape).is_none());
        }
        assert!(read("").is_none());
    }
}
