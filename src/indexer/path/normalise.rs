//! From what users write to RFC 9535, keeping track of where everything came from.
//!
//! This knows the spellings; it does not decide what is valid JSONPath beyond what it must read. Names come out quoted,
//! so that nothing in them can be taken for syntax.

use std::borrow::Cow;

use super::{MAX_EXPRESSION_BYTES, PathError};

/// How deep brackets and parentheses may nest. Beyond a handful nobody reads them, and the parser's time grows threefold with
/// each level of functions.
const MAX_NESTING: usize = 6;

/// Refused everywhere, with the reason.
pub(super) const NO_DESCENT: &str = "'..' searches the whole object, so what it finds depends on whatever fields an object happens \
     to have; write the path out, with [*] where an array or a map stands";

/// An expression in the normal form, with the way back.
pub(super) struct Normalised {
    /// The expression by RFC 9535.
    pub(super) text: String,
    /// Places in `text` and where they come from, ascending.
    origins: Vec<(usize, usize)>,
    /// Where each segment of the outermost path begins in the source.
    pub(super) segments: Vec<usize>,
}

impl Normalised {
    /// The position in the source for one in the normal form.
    pub(super) fn origin(&self, position: usize) -> usize {
        let after = self
            .origins
            .partition_point(|(place, _)| *place <= position);
        match after.checked_sub(1).and_then(|at| self.origins.get(at)) {
            Some((_, source)) => *source,
            None => 0,
        }
    }
}

pub(super) fn normalise(source: &str) -> Result<Normalised, PathError> {
    let mut parser = Parser {
        source,
        at: 0,
        end: source.len(),
        depth: 0,
        out: Normalised {
            text: String::with_capacity(source.len() + 8),
            origins: Vec::new(),
            segments: Vec::new(),
        },
    };
    parser.whole()?;
    Ok(parser.out)
}

struct Parser<'s> {
    source: &'s str,
    at: usize,
    end: usize,
    depth: usize,
    out: Normalised,
}

impl Parser<'_> {
    fn whole(&mut self) -> Result<(), PathError> {
        if self.source.len() > MAX_EXPRESSION_BYTES {
            return self.fail(
                MAX_EXPRESSION_BYTES,
                format!("it is longer than {MAX_EXPRESSION_BYTES} bytes"),
            );
        }
        self.trim();
        if self.peek() == Some('{') {
            let inner = &self.source[self.at..self.end];
            if !inner.ends_with('}') {
                return self.fail(self.at, "this brace is never closed");
            }
            self.at += 1;
            self.end -= 1;
            self.trim();
        }
        if self.at == self.end {
            return self.fail(self.at, "it is empty; write a path such as metadata.name");
        }
        self.emit("$");
        if matches!(self.peek(), Some('$' | '@')) {
            self.at += 1;
        } else if !matches!(self.peek(), Some('.' | '[')) {
            self.out.segments.push(self.at);
            self.name_or_wildcard(false)?;
        }
        while let Some(next) = self.peek() {
            self.out.segments.push(self.at);
            match next {
                '.' | '[' => self.segment(false)?,
                '{' | '}' => {
                    return self.fail(
                        self.at,
                        "a template of several expressions is not a path; one {…} at most may enclose it all",
                    );
                }
                other => {
                    return self.fail(
                        self.at,
                        format!("expected '.', '[' or the end, found {other:?}"),
                    );
                }
            }
        }
        Ok(())
    }

    /// `.name`, `.*`, `[…]`. `embedded` is inside a filter, where operators end a name.
    fn segment(&mut self, embedded: bool) -> Result<(), PathError> {
        if self.peek() == Some('[') {
            return self.brackets();
        }
        let dot = self.at;
        self.at += 1;
        match self.peek() {
            Some('.') => self.fail(dot, NO_DESCENT),
            Some('[') => self.brackets(),
            None => self.fail(dot, "a name is missing after this dot"),
            Some(_) => self.name_or_wildcard(embedded),
        }
    }

    fn name_or_wildcard(&mut self, embedded: bool) -> Result<(), PathError> {
        if self.peek() != Some('*') {
            return self.name(embedded);
        }
        self.origin(self.at);
        self.at += 1;
        self.emit("[*]");
        Ok(())
    }

    /// An unquoted name; a backslash makes the next character part of it.
    fn name(&mut self, embedded: bool) -> Result<(), PathError> {
        let start = self.at;
        let mut name = String::new();
        while let Some(next) = self.peek() {
            match next {
                '.' | '[' => break,
                '{' | '}' if !name.is_empty() => break,
                '\\' => {
                    let escape = self.at;
                    self.at += 1;
                    let Some(escaped) = self.peek() else {
                        return self.fail(escape, "nothing follows this backslash");
                    };
                    name.push(escaped);
                    self.at += escaped.len_utf8();
                }
                _ if embedded && ends_embedded_name(next) => break,
                _ if is_syntax(next) => {
                    return self.fail(
                        self.at,
                        if name.is_empty() {
                            format!("expected a name, found {next:?}")
                        } else {
                            format!(
                                "{next:?} cannot stand in a plain name; quote the name: ['{name}{next}…']"
                            )
                        },
                    );
                }
                _ => {
                    name.push(next);
                    self.at += next.len_utf8();
                }
            }
        }
        if name.is_empty() {
            return self.fail(start, "a name is missing here");
        }
        self.origin(start);
        self.emit("[");
        self.quoted(&name);
        self.emit("]");
        Ok(())
    }

    fn brackets(&mut self) -> Result<(), PathError> {
        let open = self.at;
        self.deeper(open)?;
        self.at += 1;
        self.origin(open);
        self.emit("[");
        loop {
            self.space();
            self.origin(self.at);
            match self.peek() {
                None => return self.fail(open, "this bracket is never closed"),
                Some(quote @ ('\'' | '"')) => {
                    let name = self.string(quote)?;
                    self.quoted(&name);
                }
                Some('*') => {
                    self.at += 1;
                    self.emit("*");
                }
                Some('?') => self.filter(open)?,
                Some('0'..='9' | '-' | ':') => self.numbers(),
                Some(']') => return self.fail(self.at, "these brackets are empty"),
                Some(',') => return self.fail(self.at, "nothing stands before this comma"),
                Some(_) => {
                    return self.fail(
                        self.at,
                        "in brackets stands a quoted name, a number, a slice, * or a filter ?(…)",
                    );
                }
            }
            self.space();
            self.origin(self.at);
            match self.peek() {
                Some(',') => {
                    self.at += 1;
                    self.emit(",");
                }
                Some(']') => {
                    self.at += 1;
                    self.emit("]");
                    self.depth -= 1;
                    return Ok(());
                }
                Some(other) => {
                    return self.fail(self.at, format!("expected ']' or ',', found {other:?}"));
                }
                None => return self.fail(open, "this bracket is never closed"),
            }
        }
    }

    /// An index or a slice, checked later.
    fn numbers(&mut self) {
        while let Some(next @ ('0'..='9' | '-' | ':' | ' ')) = self.peek() {
            self.origin(self.at);
            self.out.text.push(next);
            self.at += 1;
        }
    }

    /// A filter up to the comma or bracket that ends it; only its paths and strings are rewritten.
    fn filter(&mut self, open: usize) -> Result<(), PathError> {
        self.at += 1;
        self.emit("?");
        let mut parentheses = Vec::new();
        loop {
            self.origin(self.at);
            match self.peek() {
                None => {
                    let (at, what) = match parentheses.last() {
                        Some(at) => (*at, "this parenthesis is never closed"),
                        None => (open, "this bracket is never closed"),
                    };
                    return self.fail(at, what);
                }
                Some(quote @ ('\'' | '"')) => {
                    let text = self.string(quote)?;
                    self.quoted(&text);
                }
                Some('$') => {
                    return self.fail(
                        self.at,
                        "a filter sees one element, written @, and not the whole object",
                    );
                }
                Some('@') => {
                    self.at += 1;
                    self.emit("@");
                    while matches!(self.peek(), Some('.' | '[')) {
                        self.segment(true)?;
                    }
                }
                Some('(') => {
                    self.deeper(self.at)?;
                    parentheses.push(self.at);
                    self.at += 1;
                    self.emit("(");
                }
                Some(')') => {
                    if parentheses.pop().is_none() {
                        return self.fail(self.at, "this parenthesis was never opened");
                    }
                    self.depth -= 1;
                    self.at += 1;
                    self.emit(")");
                }
                Some(']' | ',') if parentheses.is_empty() => return Ok(()),
                Some(other) => {
                    self.at += other.len_utf8();
                    self.out.text.push(other);
                }
            }
        }
    }

    /// A quoted text in either quote, with the escapes of RFC 9535 and, as kubectl has it, `\.`.
    fn string(&mut self, quote: char) -> Result<String, PathError> {
        let open = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            let here = self.at;
            match self.next() {
                None => return self.fail(open, "this quote is never closed"),
                Some(c) if c == quote => return Ok(text),
                Some('\\') => match self.next() {
                    Some(c @ ('\'' | '"' | '\\' | '/' | '.')) => text.push(c),
                    Some('b') => text.push('\u{8}'),
                    Some('f') => text.push('\u{c}'),
                    Some('n') => text.push('\n'),
                    Some('r') => text.push('\r'),
                    Some('t') => text.push('\t'),
                    Some('u') => match self.unicode() {
                        Some(c) => text.push(c),
                        None => return self.fail(here, "this is no \\uXXXX escape"),
                    },
                    _ => return self.fail(here, "this is no known escape"),
                },
                Some(c) => text.push(c),
            }
        }
    }

    fn unicode(&mut self) -> Option<char> {
        let high = self.hex4()?;
        if !(0xD800..0xDC00).contains(&high) {
            return char::from_u32(high);
        }
        (self.next()? == '\\' && self.next()? == 'u').then_some(())?;
        let low = self.hex4()?;
        (0xDC00..0xE000).contains(&low).then_some(())?;
        char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    }

    fn hex4(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |code, _| Some(code * 16 + self.next()?.to_digit(16)?))
    }

    /// Writes a text as a string literal of RFC 9535.
    fn quoted(&mut self, text: &str) {
        let out = &mut self.out.text;
        out.push('\'');
        for c in text.chars() {
            match c {
                '\'' | '\\' => out.extend(['\\', c]),
                c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
                c => out.push(c),
            }
        }
        out.push('\'');
    }

    fn deeper(&mut self, at: usize) -> Result<(), PathError> {
        self.depth += 1;
        if self.depth > MAX_NESTING {
            return self.fail(
                at,
                format!("brackets and parentheses nest deeper than {MAX_NESTING}"),
            );
        }
        Ok(())
    }

    fn emit(&mut self, text: &str) {
        self.out.text.push_str(text);
    }

    /// What is emitted next comes from `source`.
    fn origin(&mut self, source: usize) {
        self.out.origins.push((self.out.text.len(), source));
    }

    fn peek(&self) -> Option<char> {
        self.source.get(self.at..self.end)?.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.next();
        }
    }

    fn trim(&mut self) {
        self.space();
        if let Some(rest) = self.source.get(self.at..self.end) {
            let kept = rest.trim_end();
            let escapes = kept.len() - kept.trim_end_matches('\\').len();
            self.end = self.at + kept.len();
            if escapes % 2 == 1 {
                // The first of the spaces is part of a name.
                let space = rest
                    .get(kept.len()..)
                    .and_then(|spaces| spaces.chars().next());
                self.end += space.map_or(0, char::len_utf8);
            }
        }
    }

    fn fail<T>(&self, at: usize, reason: impl Into<Cow<'static, str>>) -> Result<T, PathError> {
        Err(PathError::new(self.source, at, reason))
    }
}

/// Characters that mean something in a path and so cannot stand unquoted in a name.
fn is_syntax(c: char) -> bool {
    c.is_whitespace() || c.is_control() || "]{}()*?@$,'\"=<>!&|".contains(c)
}

fn ends_embedded_name(c: char) -> bool {
    c.is_whitespace() || ")],=<>!&|".contains(c)
}
