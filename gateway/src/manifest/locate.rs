//! Finding the line of a field that does not have its form.
//!
//! Objects are read by way of a `Value`, which has no lines. Only when one turns out malformed, its document is read
//! once more, straight into the type that refused it, and that error has a place.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

use crate::discovery::Kind;
use crate::translate::{EndpointSlice, Service};

use super::ManifestError;
use super::text::{Format, Span, json_error, yaml_error, yaml_options};

impl Span {
    /// Why the object at `path`, through lists' items, cannot be read; `None` if it can be.
    pub(super) fn locate(&self, text: &str, path: &[usize], kind: Kind) -> Option<ManifestError> {
        let before = text.get(..self.start)?;
        let document = text.get(self.start..self.end)?;
        // The document alone, on the lines and columns where it stands.
        let lines = before.matches('\n').count();
        let columns = before.chars().rev().take_while(|it| *it != '\n').count();
        let padded = ["\n".repeat(lines), " ".repeat(columns), document.into()].concat();
        let seed = Locate { path, kind };
        match self.format {
            Format::Json => seed
                .deserialize(&mut serde_json::Deserializer::from_str(&padded))
                .err()
                .map(|error| json_error(&error, self.document)),
            Format::Yaml => {
                // As strict as JSON is: a number is no string.
                let mut options = yaml_options();
                options.no_schema = true;
                serde_saphyr::with_deserializer_from_str_with_options(
                    &padded,
                    options,
                    |deserializer| seed.deserialize(deserializer),
                )
                .err()
                .map(|error| yaml_error(&error, text, self.line))
            }
        }
    }
}

/// Reads the object at a path and nothing else.
#[derive(Clone, Copy)]
struct Locate<'p> {
    path: &'p [usize],
    kind: Kind,
}

impl<'de> DeserializeSeed<'de> for Locate<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if !self.path.is_empty() {
            return deserializer.deserialize_map(self);
        }
        match self.kind {
            Kind::Service => Service::deserialize(deserializer).map(drop),
            Kind::EndpointSlice => EndpointSlice::deserialize(deserializer).map(drop),
        }
    }
}

impl<'de> Visitor<'de> for Locate<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "items" {
                map.next_value_seed(Items(self))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// A list's items, of which one is read.
struct Items<'p>(Locate<'p>);

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list's items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Some((index, path)) = self.0.path.split_first() else {
            return Err(de::Error::custom("the path ends in a list"));
        };
        for _ in 0..*index {
            items.next_element::<IgnoredAny>()?;
        }
        items.next_element_seed(Locate { path, ..self.0 })?;
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}
