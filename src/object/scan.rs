//! Finds the parts of JSON text: strings, numbers, words and the punctuation between them.
//!
//! It reads exactly what `serde_json` reads, as the property tests hold it to. It does not look whether strings are UTF-8:
//! that is found out once for all of them, when the tape is finished. Floats are left to `serde_json`.

use serde_json::Number;

use super::symbols::same_bytes;

/// Why a text cannot be read on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) flaw: Flaw,
    /// The byte at which it shows.
    pub(super) at: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Flaw {
    Ends,
    TooDeep,
    Syntax(&'static str),
}

/// A place in JSON text.
pub(super) struct Scanner<'j> {
    json: &'j [u8],
    at: usize,
    /// The last string that had escapes.
    unescaped: &'j mut Vec<u8>,
}

/// A string without its quotes and escapes.
pub(super) struct Text<'t> {
    pub(super) bytes: &'t [u8],
    /// Whether there were no escapes: these bytes stand in the text.
    pub(super) plain: bool,
}

pub(super) enum Numeral {
    Uint(u64),
    Int(i64),
    Float(f64),
}

impl<'j> Scanner<'j> {
    pub(super) fn new(json: &'j [u8], scratch: &'j mut Vec<u8>) -> Self {
        Self {
            json,
            at: 0,
            unescaped: scratch,
        }
    }

    fn fault<T>(&self, flaw: Flaw) -> Result<T, Fault> {
        Err(Fault { flaw, at: self.at })
    }

    /// A fault for something that is not there: the text ends, or has something else.
    #[cold]
    fn expected<T>(&self, what: &'static str) -> Result<T, Fault> {
        let flaw = if self.at >= self.json.len() {
            Flaw::Ends
        } else {
            Flaw::Syntax(what)
        };
        self.fault(flaw)
    }

    #[cold]
    pub(super) fn too_deep<T>(&self) -> Result<T, Fault> {
        self.fault(Flaw::TooDeep)
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    /// The next byte that is not space, which stays; `None` at the end.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        match self.byte() {
            Some(0..=b' ') => self.past_space(),
            byte => byte,
        }
    }

    #[cold]
    fn past_space(&mut self) -> Option<u8> {
        loop {
            match self.byte() {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                byte => return byte,
            }
        }
    }

    /// Goes past the byte that [`peek`](Self::peek) gave.
    #[inline]
    pub(super) fn bump(&mut self) {
        self.at += 1;
    }

    /// Goes past one byte, if it comes next.
    #[inline]
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let taken = self.peek() == Some(byte);
        self.at += usize::from(taken);
        taken
    }

    /// Goes past one byte.
    #[inline]
    pub(super) fn require(&mut self, byte: u8, what: &'static str) -> Result<(), Fault> {
        if self.take(byte) {
            Ok(())
        } else {
            self.expected(what)
        }
    }

    /// After a value in an array or a map: whether another follows.
    #[inline]
    pub(super) fn another(&mut self, close: u8) -> Result<bool, Fault> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ if close == b'}' => self.expected("expected `,` or `}`"),
            _ => self.expected("expected `,` or `]`"),
        }
    }

    /// The end of the text.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.fault(Flaw::Syntax("something follows the object")),
        }
    }

    #[cold]
    pub(super) fn no_value<T>(&self) -> Result<T, Fault> {
        self.expected("expected a value")
    }

    /// Goes past a word.
    #[inline]
    pub(super) fn word(&mut self, word: &[u8]) -> Result<(), Fault> {
        if self.rest().starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        for byte in word {
            if self.byte() != Some(*byte) {
                break;
            }
            self.at += 1;
        }
        self.no_value()
    }

    #[inline]
    fn rest(&self) -> &'j [u8] {
        self.json.get(self.at..).unwrap_or_default()
    }

    /// Goes past a string, after its opening quote, if it is this one. The text must have nothing that is escaped.
    #[inline]
    pub(super) fn take_string(&mut self, text: &str) -> bool {
        let rest = self.rest();
        let taken = rest.get(text.len()) == Some(&b'"')
            && !text.is_empty()
            && rest
                .get(..text.len())
                .is_some_and(|next| same_bytes(next, text.as_bytes()));
        if taken {
            self.at += text.len() + 1;
        }
        taken
    }

    /// Reads a string, after its opening quote.
    #[inline]
    pub(super) fn string(&mut self) -> Result<Text<'_>, Fault> {
        let start = self.at;
        self.at = special(self.json, start);
        if self.byte() == Some(b'"') {
            let bytes = self.json.get(start..self.at).unwrap_or_default();
            self.at += 1;
            return Ok(Text { bytes, plain: true });
        }
        self.unescape(start)?;
        Ok(Text {
            bytes: self.unescaped,
            plain: false,
        })
    }

    /// Reads the rest of a string that has an escape at this place.
    #[cold]
    fn unescape(&mut self, start: usize) -> Result<(), Fault> {
        self.unescaped.clear();
        let mut plain = start;
        loop {
            let before = self.json.get(plain..self.at).unwrap_or_default();
            self.unescaped.extend_from_slice(before);
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    let character = self.escape()?;
                    let mut utf8 = [0; 4];
                    self.unescaped
                        .extend_from_slice(character.encode_utf8(&mut utf8).as_bytes());
                }
                _ => return self.expected("a control character stands in a string"),
            }
            plain = self.at;
            self.at = special(self.json, plain);
        }
    }

    /// The character of an escape, after its backslash.
    fn escape(&mut self) -> Result<char, Fault> {
        let character = match self.byte() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\x08',
            Some(b'f') => '\x0c',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return self.expected("invalid escape"),
        };
        self.at += 1;
        Ok(character)
    }

    /// The character of an escape, after `\u`; one outside the basic plane takes two.
    fn unicode(&mut self) -> Result<char, Fault> {
        const LONE: &str = "a lone surrogate in an escape";
        let unit = self.hex()?;
        let code = match unit {
            0xdc00..0xe000 => return self.fault(Flaw::Syntax(LONE)),
            0xd800..0xdc00 => {
                for byte in *b"\\u" {
                    if self.byte() != Some(byte) {
                        return self.expected(LONE);
                    }
                    self.at += 1;
                }
                let low = self.hex()?;
                if !(0xdc00..0xe000).contains(&low) {
                    return self.fault(Flaw::Syntax(LONE));
                }
                0x1_0000 + ((unit - 0xd800) << 10 | (low - 0xdc00))
            }
            unit => unit,
        };
        match char::from_u32(code) {
            Some(character) => Ok(character),
            None => self.fault(Flaw::Syntax(LONE)),
        }
    }

    fn hex(&mut self) -> Result<u32, Fault> {
        let mut code = 0;
        for _ in 0..4 {
            match self.byte().and_then(|byte| char::from(byte).to_digit(16)) {
                Some(digit) => code = code << 4 | digit,
                None => return self.expected("invalid escape"),
            }
            self.at += 1;
        }
        Ok(code)
    }

    /// Reads a number.
    #[inline]
    pub(super) fn number(&mut self) -> Result<Numeral, Fault> {
        let start = self.at;
        let negative = self.byte() == Some(b'-');
        self.at += usize::from(negative);
        let first = self.at;
        let mut value: Option<u64> = Some(0);
        while let Some(digit @ b'0'..=b'9') = self.byte() {
            value = value
                .and_then(|value| value.checked_mul(10))
                .and_then(|value| value.checked_add(u64::from(digit - b'0')));
            self.at += 1;
        }
        let digits = self.json.get(first..self.at).unwrap_or_default();
        match digits {
            [] => return self.expected("invalid number"),
            [b'0', _, ..] => {
                self.at = first + 1;
                return self.expected("invalid number");
            }
            _ => {}
        }
        if !matches!(self.byte(), Some(b'.' | b'e' | b'E')) {
            match value {
                Some(value) if !negative => return Ok(Numeral::Uint(value)),
                Some(value @ 1..) => {
                    if let Some(value) = 0_i64.checked_sub_unsigned(value) {
                        return Ok(Numeral::Int(value));
                    }
                }
                _ => {}
            }
        }
        self.float(start)
    }

    /// The rest of a number that is no 64-bit integer.
    #[cold]
    fn float(&mut self, start: usize) -> Result<Numeral, Fault> {
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.at += 1;
            }
            self.digits()?;
        }
        let numeral = self.json.get(start..self.at).unwrap_or_default();
        let number: Option<Number> = serde_json::from_slice(numeral).ok();
        match number.and_then(|number| number.as_f64()) {
            Some(value) => Ok(Numeral::Float(value)),
            None => self.fault(Flaw::Syntax("number out of range")),
        }
    }

    fn digits(&mut self) -> Result<(), Fault> {
        if !self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            return self.expected("invalid number");
        }
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    /// Goes past a value of any depth.
    pub(super) fn skip(&mut self) -> Result<(), Fault> {
        // The closing brackets that are due.
        let mut open: Vec<u8> = Vec::new();
        loop {
            let opened = match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    self.skip_string()?;
                    None
                }
                Some(b'{') => Some(b'}'),
                Some(b'[') => Some(b']'),
                Some(b't') => {
                    self.word(b"true")?;
                    None
                }
                Some(b'f') => {
                    self.word(b"false")?;
                    None
                }
                Some(b'n') => {
                    self.word(b"null")?;
                    None
                }
                Some(b'-' | b'0'..=b'9') => {
                    self.number()?;
                    None
                }
                _ => return self.no_value(),
            };
            if let Some(close) = opened {
                self.at += 1;
                if !self.take(close) {
                    open.push(close);
                    if close == b'}' {
                        self.skip_key()?;
                    }
                    continue;
                }
            }
            loop {
                let Some(&close) = open.last() else {
                    return Ok(());
                };
                if self.another(close)? {
                    if close == b'}' {
                        self.skip_key()?;
                    }
                    break;
                }
                open.pop();
            }
        }
    }

    fn skip_key(&mut self) -> Result<(), Fault> {
        self.require(b'"', "expected a key in quotes")?;
        self.skip_string()?;
        self.require(b':', "expected `:`")
    }

    fn skip_string(&mut self) -> Result<(), Fault> {
        loop {
            self.at = special(self.json, self.at);
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    if self.byte() == Some(b'u') {
                        self.at += 1;
                        self.hex()?;
                    } else {
                        self.escape()?;
                    }
                }
                _ => return self.expected("a control character stands in a string"),
            }
        }
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The first quote, backslash or control character from a place on, or the end.
#[inline]
fn special(json: &[u8], from: usize) -> usize {
    let rest = json.get(from..).unwrap_or_default();
    let (words, tail) = rest.as_chunks::<8>();
    let mut at = from;
    for word in words {
        let word = u64::from_le_bytes(*word);
        // Marks the highest bit of bytes that are zero; what a borrow marks wrongly stands above a true mark.
        let zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let marks = (zero(word ^ (ONES * u64::from(b'"')))
            | zero(word ^ (ONES * u64::from(b'\\')))
            | control)
            & HIGHS;
        if marks != 0 {
            return at + marks.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let found = tail
        .iter()
        .position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\');
    at + found.unwrap_or(tail.len())
}
