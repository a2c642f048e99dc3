//! Cuts a response body, as it arrives, into the pieces that are decoded one by one: the lines of a watch, the items of
//! a list. Holds at most one unfinished piece, bounded; never decodes.

/// The largest piece that is gathered. etcd refuses objects over 1.5 MiB by default; this leaves room for servers that
/// are configured otherwise, and still bounds what a broken one can make us hold.
pub(super) const MOST_PIECE: usize = 32 << 20;

/// The largest envelope of a list (everything but its items) that is gathered.
const MOST_ENVELOPE: usize = 1 << 20;

/// Why a body cannot be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("a line or item is larger than {MOST_PIECE} bytes")]
    TooLarge,
    #[error("the body is no JSON list")]
    NoList,
    #[error("the body ends in the middle")]
    Truncated,
}

/// Cuts a watch body into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
    /// The last piece handed out was `partial`, which is to be cleared.
    handed_out: bool,
}

impl Lines {
    /// The next whole line of what was kept and `chunk`, which is advanced past it; `None` when the chunk is used up.
    /// Blank lines are passed over.
    pub(super) fn next<'a, 'c: 'a>(
        &'a mut self,
        chunk: &mut &'c [u8],
    ) -> Result<Option<&'a [u8]>, FrameError> {
        if std::mem::take(&mut self.handed_out) {
            self.partial.clear();
        }
        loop {
            let Some(end) = memchr(b'\n', chunk) else {
                append(&mut self.partial, chunk, MOST_PIECE)?;
                *chunk = &[];
                return Ok(None);
            };
            let (line, rest) = chunk.split_at(end);
            *chunk = rest.get(1..).unwrap_or_default();
            if self.partial.is_empty() {
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return Ok(Some(line));
            }
            append(&mut self.partial, line, MOST_PIECE)?;
            if self.partial.trim_ascii().is_empty() {
                self.partial.clear();
                continue;
            }
            self.handed_out = true;
            return Ok(Some(&self.partial));
        }
    }

    /// What is left when the body has ended: a line without its newline, which may be whole or truncated.
    pub(super) fn rest(&mut self) -> Option<&[u8]> {
        if std::mem::take(&mut self.handed_out) {
            self.partial.clear();
        }
        Some(self.partial.trim_ascii()).filter(|rest| !rest.is_empty())
    }
}

fn memchr(needle: u8, haystack: &[u8]) -> Option<usize> {
    haystack.iter().position(|byte| *byte == needle)
}

fn append(buffer: &mut Vec<u8>, more: &[u8], most: usize) -> Result<(), FrameError> {
    if buffer.len() + more.len() > most {
        return Err(FrameError::TooLarge);
    }
    buffer.extend_from_slice(more);
    Ok(())
}

/// What comes out of the body of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// What stands before the first item, once: an unfinished document.
    Head(&'a [u8]),
    /// One item.
    Item(&'a [u8]),
}

/// Cuts the body of a list into its items and the envelope around them.
#[derive(Debug)]
pub(super) struct Items {
    place: Place,
    /// The head was not handed out yet.
    head: bool,
    /// Inside a string, and inside it right after a backslash.
    string: bool,
    escaped: bool,
    /// Open braces and brackets; inside items counted from the item.
    depth: usize,
    /// The body without its items.
    envelope: Vec<u8>,
    /// Where the last string of the envelope began; `None` while there was none at depth 1.
    key: Option<(usize, usize)>,
    key_start: usize,
    /// Whether a colon followed the key.
    colon: bool,
    item: Vec<u8>,
    handed_out: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Envelope,
    /// Between two items.
    Between,
    Item,
}

impl Items {
    pub(super) fn new() -> Self {
        Self {
            place: Place::Envelope,
            head: true,
            string: false,
            escaped: false,
            depth: 0,
            envelope: Vec::new(),
            key: None,
            key_start: 0,
            colon: false,
            item: Vec::new(),
            handed_out: false,
        }
    }

    /// The next whole piece of what was kept and `chunk`, which is advanced past it; `None` when the chunk is used up.
    pub(super) fn next<'a, 'c: 'a>(
        &'a mut self,
        chunk: &mut &'c [u8],
    ) -> Result<Option<Piece<'a>>, FrameError> {
        if std::mem::take(&mut self.handed_out) {
            self.item.clear();
        }
        loop {
            match self.place {
                Place::Envelope => {
                    let used = self.scan_envelope(chunk)?;
                    *chunk = chunk.get(used..).unwrap_or_default();
                }
                Place::Between if std::mem::take(&mut self.head) => {
                    return Ok(Some(Piece::Head(&self.envelope)));
                }
                Place::Between => {
                    let Some(at) = chunk
                        .iter()
                        .position(|byte| !matches!(byte, b',' | b' ' | b'\t' | b'\r' | b'\n'))
                    else {
                        *chunk = &[];
                        return Ok(None);
                    };
                    *chunk = chunk.get(at..).unwrap_or_default();
                    match chunk.first() {
                        Some(b']') => {
                            self.place = Place::Envelope;
                            self.depth = 1;
                        }
                        Some(b'{') => {
                            self.place = Place::Item;
                            self.depth = 0;
                        }
                        _ => return Err(FrameError::NoList),
                    }
                }
                Place::Item => {
                    let Some(end) = self.scan_item(chunk) else {
                        append(&mut self.item, chunk, MOST_PIECE)?;
                        *chunk = &[];
                        return Ok(None);
                    };
                    self.place = Place::Between;
                    let (item, rest) = chunk.split_at(end);
                    *chunk = rest;
                    if self.item.is_empty() {
                        return Ok(Some(Piece::Item(item)));
                    }
                    append(&mut self.item, item, MOST_PIECE)?;
                    self.handed_out = true;
                    return Ok(Some(Piece::Item(&self.item)));
                }
            }
            if chunk.is_empty() && !(self.head && self.place == Place::Between) {
                return Ok(None);
            }
        }
    }

    /// The envelope, with an empty array for its items, when the body has ended.
    pub(super) fn finish(self) -> Result<Vec<u8>, FrameError> {
        let ended = self.place == Place::Envelope && self.depth == 0 && !self.string;
        match self.envelope.trim_ascii().first() {
            Some(b'{') if ended => Ok(self.envelope),
            Some(b'{') | None => Err(FrameError::Truncated),
            Some(_) => Err(FrameError::NoList),
        }
    }

    /// Copies envelope bytes up to and with the bracket that opens the items; says how many were used.
    fn scan_envelope(&mut self, chunk: &[u8]) -> Result<usize, FrameError> {
        for (at, byte) in chunk.iter().copied().enumerate() {
            if self.envelope.len() >= MOST_ENVELOPE {
                return Err(FrameError::TooLarge);
            }
            let place = self.envelope.len();
            self.envelope.push(byte);
            if self.string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => {
                        self.string = false;
                        self.key = Some((self.key_start, place));
                        self.colon = false;
                    }
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => {
                    self.string = true;
                    self.key_start = place + 1;
                }
                b':' => self.colon = true,
                b'[' if self.depth == 1 && self.colon && self.key_is_items() => {
                    self.place = Place::Between;
                    self.key = None;
                    // The closing bracket is copied when the envelope goes on.
                    return Ok(at + 1);
                }
                b'{' | b'[' => self.depth += 1,
                b'}' => self.depth = self.depth.saturating_sub(1),
                // The bracket that closes the items was never counted.
                b']' if self.depth > 1 => self.depth -= 1,
                b',' => self.key = None,
                b' ' | b'\t' | b'\r' | b'\n' | b']' => {}
                _ if self.depth == 0 => return Err(FrameError::NoList),
                _ => {}
            }
        }
        Ok(chunk.len())
    }

    fn key_is_items(&self) -> bool {
        self.key
            .and_then(|(start, end)| self.envelope.get(start..end))
            == Some(b"items".as_slice())
    }

    /// Scans an item; says where it ends if it does in this chunk.
    fn scan_item(&mut self, chunk: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(byte) = chunk.get(at) {
            at += 1;
            if self.string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(at);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(chunks: &[&[u8]]) -> (Vec<String>, Option<String>) {
        let mut framer = Lines::default();
        let mut found = Vec::new();
        for chunk in chunks {
            let mut chunk = *chunk;
            while let Some(line) = framer.next(&mut chunk).unwrap() {
                found.push(String::from_utf8(line.to_vec()).unwrap());
            }
        }
        let rest = framer
            .rest()
            .map(|rest| String::from_utf8(rest.to_vec()).unwrap());
        (found, rest)
    }

    fn items(chunks: &[&[u8]]) -> Result<(Vec<serde_json::Value>, serde_json::Value), FrameError> {
        let mut framer = Items::new();
        let mut found = Vec::new();
        for chunk in chunks {
            let mut chunk = *chunk;
            while let Some(piece) = framer.next(&mut chunk)? {
                if let Piece::Item(item) = piece {
                    found.push(serde_json::from_slice(item).unwrap());
                }
            }
        }
        Ok((found, serde_json::from_slice(&framer.finish()?).unwrap()))
    }

    #[test]
    fn lines_are_cut_wherever_the_chunks_are() {
        assert_eq!(
            lines(&[b"a\nb", b"c\n\n", b"d"]),
            (vec!["a".into(), "bc".into()], Some("d".into()))
        );
        assert_eq!(lines(&[b"a", b"\n"]), (vec!["a".into()], None));
        assert_eq!(
            lines(&[b" ", b"\r", b"\n\r", b"\na\n"]),
            (vec!["a".into()], None),
            "blank lines are none wherever the chunks are"
        );
        assert_eq!(lines(&[b"a\r\n", b" \n"]), (vec!["a\r".into()], None));
    }

    #[test]
    fn a_list_is_cut_wherever_the_chunks_are() {
        let body = br#" {"kind":"PodList","metadata":{"items":["no"],"resourceVersion":"7","x":"]\"}"},"items":[ {"a":"]}\\\""},
            {"b":[{"items":[1]}]} ],"after":{"items":[{}]}} "#;
        for size in 1..body.len() {
            let chunks: Vec<&[u8]> = body.chunks(size).collect();
            let (found, envelope) = items(&chunks).unwrap();
            assert_eq!(
                found,
                [
                    serde_json::json!({"a": "]}\\\""}),
                    serde_json::json!({"b": [{"items": [1]}]})
                ]
            );
            assert_eq!(envelope["metadata"]["resourceVersion"], "7");
            assert_eq!(envelope["items"], serde_json::json!([]));
            assert_eq!(envelope["after"]["items"], serde_json::json!([{}]));
        }
    }

    #[test]
    fn a_list_without_items_is_a_list() {
        for body in [
            r#"{"items":null,"metadata":{}}"#,
            r#"{"metadata":{}}"#,
            r#"{"items":[],"metadata":{}}"#,
        ] {
            assert_eq!(items(&[body.as_bytes()]).unwrap().0.len(), 0, "{body}");
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for body in ["<html>", "[1]x", r#"{"items":[1]}"#, "null", "\"x\""] {
            assert!(items(&[body.as_bytes()]).is_err(), "{body}");
        }
        for body in [
            "",
            "{",
            r#"{"items":[{"a":1}"#,
            r#"{"items":[{"a":1}]"#,
            r#"{"items":[{"a"#,
        ] {
            assert_eq!(
                items(&[body.as_bytes()]).unwrap_err(),
                FrameError::Truncated,
                "{body}"
            );
        }
    }

    #[test]
    fn a_piece_without_end_is_bounded() {
        let chunk = vec![b'a'; MOST_PIECE / 2 + 1];
        let mut framer = Lines::default();
        assert_eq!(framer.next(&mut &chunk[..]), Ok(None));
        assert_eq!(framer.next(&mut &chunk[..]), Err(FrameError::TooLarge));
    }

    proptest! {
        #[test]
        fn any_bytes_are_cut_or_refused_without_panic(body: Vec<u8>, size in 1usize..64) {
            let mut framer = Items::new();
            for mut chunk in body.chunks(size) {
                loop {
                    match framer.next(&mut chunk) {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => return Ok(()),
                    }
                }
            }
            let _ = framer.finish();
        }

        #[test]
        fn any_list_comes_out_whole(values in proptest::collection::vec(".{0,20}", 0..8), size in 1usize..32) {
            let list: Vec<_> = values.iter().map(|text| serde_json::json!({"k": text, "n": [text]})).collect();
            let body = serde_json::json!({"items": list, "metadata": {"continue": values.first()}}).to_string();
            let chunks: Vec<&[u8]> = body.as_bytes().chunks(size).collect();
            let (found, envelope) = items(&chunks).unwrap();
            prop_assert_eq!(found, list);
            prop_assert_eq!(envelope["metadata"]["continue"].as_str(), values.first().map(String::as_str));
        }
    }
}
