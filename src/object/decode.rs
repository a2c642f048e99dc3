//! Reads JSON text into the encoder as it goes, without building what is left out or anything in between.

use super::encode::{Encoder, Open, Path};
use super::error::{DecodeError, Reason};
use super::mask::{Mask, Verdict};
use super::scan::{Fault, Flaw, Numeral, Scanner};
use super::tape::Container;
use super::{DecodeOptions, MAX_BYTES, MAX_DEPTH};

/// Writes the document in `json` to the encoder.
pub(super) fn decode(
    json: &[u8],
    options: DecodeOptions<'_>,
    encoder: &mut Encoder,
) -> Result<(), DecodeError> {
    if json.len() > MAX_BYTES {
        return Err(DecodeError::new(Reason::TooLarge(json.len())));
    }
    let mut scratch = encoder.take_scratch();
    let mut reader = Reader {
        scanner: Scanner::new(json, &mut scratch),
        encoder,
    };
    let result = reader.document(options);
    encoder.give_scratch(scratch);
    result.map_err(|Fault { flaw, at }| {
        let reason = match flaw {
            Flaw::Ends => Reason::Truncated,
            Flaw::TooDeep => Reason::TooDeep,
            Flaw::Syntax(reason) => Reason::Syntax(reason),
        };
        DecodeError::at(reason, json, at)
    })
}

struct Reader<'j, 'e> {
    scanner: Scanner<'j>,
    encoder: &'e mut Encoder,
}

impl Reader<'_, '_> {
    fn document(&mut self, options: DecodeOptions<'_>) -> Result<(), Fault> {
        let verdict = options.mask.map_or(Verdict::Keep, Mask::root);
        if self.scanner.peek() == Some(b'{') {
            self.map(Path::ROOT, verdict, MAX_DEPTH, options.type_meta)?;
        } else {
            self.value(Path::ROOT, verdict, MAX_DEPTH)?;
        }
        self.scanner.end()
    }

    /// Reads a value of at most `depth` levels.
    #[inline(always)]
    fn value(&mut self, path: Path, verdict: Verdict<'_>, depth: usize) -> Result<(), Fault> {
        match self.scanner.peek() {
            Some(b'"') => {
                self.scanner.bump();
                let guess = self.encoder.guess_string(path);
                if self.scanner.take_string(guess.text()) {
                    self.encoder.guessed_string(guess);
                } else {
                    let text = self.scanner.string()?;
                    self.encoder.string(path, text.bytes, text.plain);
                }
            }
            Some(b'{') => self.map(path, verdict, depth, None)?,
            Some(b'[') => self.array(path, verdict, depth)?,
            Some(b't') => {
                self.scanner.word(b"true")?;
                self.encoder.bool(true);
            }
            Some(b'f') => {
                self.scanner.word(b"false")?;
                self.encoder.bool(false);
            }
            Some(b'n') => {
                self.scanner.word(b"null")?;
                self.encoder.null();
            }
            Some(b'-' | b'0'..=b'9') => match self.scanner.number()? {
                Numeral::Uint(value) => self.encoder.uint(value),
                Numeral::Int(value) => self.encoder.int(value),
                Numeral::Float(value) => self.encoder.float(value),
            },
            _ => return self.scanner.no_value(),
        }
        Ok(())
    }

    fn array(&mut self, path: Path, verdict: Verdict<'_>, depth: usize) -> Result<(), Fault> {
        let Some(depth) = depth.checked_sub(1) else {
            return self.scanner.too_deep();
        };
        self.scanner.bump();
        let open = self.encoder.open(Container::Array);
        if !self.scanner.take(b']') {
            for index in 0.. {
                match verdict.index(index) {
                    Verdict::Drop => self.scanner.skip()?,
                    verdict => self.value(path, verdict, depth)?,
                }
                if !self.scanner.another(b']')? {
                    break;
                }
            }
        }
        self.encoder.close(&open);
        Ok(())
    }

    /// Reads a map; adds `apiVersion` and `kind` if they are given and it has none.
    fn map(
        &mut self,
        path: Path,
        verdict: Verdict<'_>,
        depth: usize,
        type_meta: Option<&(Box<str>, Box<str>)>,
    ) -> Result<(), Fault> {
        let Some(depth) = depth.checked_sub(1) else {
            return self.scanner.too_deep();
        };
        self.scanner.bump();
        let mut open = self.encoder.open(Container::Map);
        if !self.scanner.take(b'}') {
            let mut before = path;
            loop {
                self.scanner.require(b'"', "expected a key in quotes")?;
                let kept = self.key(&mut open, path, before, verdict)?;
                self.scanner.require(b':', "expected `:`")?;
                match kept {
                    Some((path, verdict)) => {
                        self.value(path, verdict, depth)?;
                        before = path;
                    }
                    None => self.scanner.skip()?,
                }
                if !self.scanner.another(b'}')? {
                    break;
                }
            }
        }
        if let Some((api_version, kind)) = type_meta {
            for (key, text) in [("apiVersion", api_version), ("kind", kind)] {
                let key = key.as_bytes();
                let masked = matches!(verdict.key(key), Verdict::Drop);
                if !masked && !self.encoder.has_key(&open, key) {
                    let path = self.encoder.key(&mut open, path, path, key, true);
                    self.encoder.string(path, text.as_bytes(), false);
                }
            }
        }
        self.encoder.close(&open);
        Ok(())
    }

    /// Reads a key, after its opening quote; gives what to do with its value, or `None` to leave it out.
    #[inline]
    fn key<'m>(
        &mut self,
        map: &mut Open,
        path: Path,
        before: Path,
        verdict: Verdict<'m>,
    ) -> Result<Option<(Path, Verdict<'m>)>, Fault> {
        let guess = self.encoder.guess_key(before);
        if self.scanner.take_string(guess.text()) {
            return Ok(match verdict.key(guess.text().as_bytes()) {
                Verdict::Drop => None,
                verdict => Some((self.encoder.guessed_key(map, path, guess), verdict)),
            });
        }
        let key = self.scanner.string()?;
        Ok(match verdict.key(key.bytes) {
            Verdict::Drop => None,
            verdict => {
                let path = self.encoder.key(map, path, before, key.bytes, key.plain);
                Some((path, verdict))
            }
        })
    }
}
