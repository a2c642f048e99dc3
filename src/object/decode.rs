//! Reads JSON text into the encoder as it goes, without building what is left out or anything in between.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

use super::encode::{Encoder, Open, Path};
use super::error::{DecodeError, Reason};
use super::mask::Verdict;
use super::tape::Container;
use super::{DecodeOptions, MAX_BYTES};
use crate::resource::ObjectRef;

/// Writes the document in `json` to the encoder.
pub(super) fn decode(
    json: &[u8],
    options: &DecodeOptions,
    encoder: &mut Encoder,
) -> Result<(), DecodeError> {
    if json.len() > MAX_BYTES {
        return Err(DecodeError::new(Reason::TooLarge(json.len())));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let document = Element {
        encoder,
        verdict: options.mask.root(),
        path: Path::ROOT,
        type_meta: options.type_meta.as_ref(),
    };
    document
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(|error| describe(&error, json))
}

fn describe(error: &serde_json::Error, json: &[u8]) -> DecodeError {
    let start_of_line = json
        .split_inclusive(|&byte| byte == b'\n')
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum::<usize>();
    let offset = start_of_line + error.column().saturating_sub(1);
    // Its messages about syntax are constants and repeat nothing of the text.
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    let reason = match error.classify() {
        Category::Eof => Reason::Truncated,
        _ if message == "recursion limit exceeded" => Reason::TooDeep,
        _ => Reason::Syntax(message.into()),
    };
    DecodeError::at(reason, json, offset)
}

/// See [`Object::peek_reference`](super::Object::peek_reference): reads no more than it needs, and so fails on less.
pub(super) fn peek_reference(json: &[u8]) -> Option<ObjectRef> {
    #[derive(Deserialize)]
    struct Peek {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        namespace: Option<String>,
        name: String,
    }
    let peek: Peek = serde_json::from_slice(json).ok()?;
    let Metadata { namespace, name } = peek.metadata;
    (!name.is_empty()).then(|| ObjectRef::new(namespace.as_deref(), &name))
}

/// A value to be read.
struct Element<'e, 'm> {
    encoder: &'e mut Encoder,
    verdict: Verdict<'m>,
    path: Path,
    /// What to add to the document's own map.
    type_meta: Option<&'m (Box<str>, Box<str>)>,
}

impl<'de> DeserializeSeed<'de> for Element<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.encoder.null();
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.encoder.bool(value);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.encoder.uint(value);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.encoder.int(value);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.encoder.float(value);
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.encoder.string(self.path, text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let open = self.encoder.open(Container::Array);
        for index in 0.. {
            let more = match self.verdict.index(index) {
                Verdict::Drop => items.next_element::<IgnoredAny>()?.is_some(),
                verdict => items
                    .next_element_seed(Element {
                        encoder: &mut *self.encoder,
                        verdict,
                        path: self.path,
                        type_meta: None,
                    })?
                    .is_some(),
            };
            if !more {
                break;
            }
        }
        self.encoder.close(&open);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut open = self.encoder.open(Container::Map);
        loop {
            let key = Name {
                encoder: &mut *self.encoder,
                map: &mut open,
                verdict: self.verdict,
                path: self.path,
            };
            match entries.next_key_seed(key)? {
                None => break,
                Some(None) => {
                    entries.next_value::<IgnoredAny>()?;
                }
                Some(Some((verdict, path))) => entries.next_value_seed(Element {
                    encoder: &mut *self.encoder,
                    verdict,
                    path,
                    type_meta: None,
                })?,
            }
        }
        if let Some((api_version, kind)) = self.type_meta {
            for (key, text) in [("apiVersion", api_version), ("kind", kind)] {
                let masked = matches!(self.verdict.key(key), Verdict::Drop);
                if !masked && !self.encoder.has_key(&open, key) {
                    let path = self.encoder.key(&mut open, self.path, key);
                    self.encoder.string(path, text);
                }
            }
        }
        self.encoder.close(&open);
        Ok(())
    }
}

/// A key to be read; gives what to do with its value, or `None` to leave it out.
struct Name<'e, 'o, 'm> {
    encoder: &'e mut Encoder,
    map: &'o mut Open,
    verdict: Verdict<'m>,
    path: Path,
}

impl<'de, 'm> DeserializeSeed<'de> for Name<'_, '_, 'm> {
    type Value = Option<(Verdict<'m>, Path)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'m> Visitor<'_> for Name<'_, '_, 'm> {
    type Value = Option<(Verdict<'m>, Path)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(match self.verdict.key(key) {
            Verdict::Drop => None,
            verdict => Some((verdict, self.encoder.key(self.map, self.path, key))),
        })
    }
}
