//! Where an object's namespace and name are to be read.
//!
//! Finding them takes a walk past what the server wrote before them, step after step through memory that is mostly in no
//! cache. Who compares the names of many objects keeps the places: a comparison then reads the text and nothing before it, and
//! nothing of what it reads says where to read next, so that the processor need not wait for it. Of a text that is a symbol,
//! as namespaces are, the object itself is not read at all.

use super::symbols::{Symbol, same_bytes};
use super::tape::{self, Token};
use super::value_ref::{ValueRef, text_of};
use super::{METADATA, NAME, NAMESPACE, Object};

/// The places of an object's namespace and name; they fit this very object and its clones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NamePlaces {
    namespace: Place,
    name: Place,
}

/// Where one text is to be read: at a distance from the tape's beginning, or, with the highest bit set, in the table of
/// symbols. 0 if there is none: a tape begins with its outermost map, not with a text.
#[derive(Clone, Copy, Debug)]
struct Place(u32);

impl Place {
    const NONE: Self = Self(0);
    const SYMBOL: u32 = 1 << 31;

    fn of(value: ValueRef<'_>, root: ValueRef<'_>) -> Option<Self> {
        match value.token() {
            Token::Symbol(symbol) => Some(Self(Self::SYMBOL | u32::from(symbol.id()))),
            Token::Text(_) => {
                let offset = value.start().addr().checked_sub(root.start().addr())?;
                // No tape is so long as to reach the highest bit.
                u32::try_from(offset).ok().map(Self)
            }
            _ => None,
        }
    }

    fn symbol(self) -> Option<Symbol> {
        let low = self.0 & !Self::SYMBOL;
        (low != self.0).then(|| Symbol::new(u16::try_from(low).unwrap_or(u16::MAX)))
    }
}

impl Object {
    /// Finds the places.
    pub(crate) fn name_places(&self) -> NamePlaces {
        let root = self.root();
        let metadata = root.get_key(&METADATA);
        let place = |key| Place::of(metadata?.get_key(key)?, root);
        NamePlaces {
            namespace: place(&NAMESPACE).unwrap_or(Place::NONE),
            name: place(&NAME).unwrap_or(Place::NONE),
        }
    }

    /// Namespace, empty if there is none, and name: what orders objects.
    #[inline]
    pub(crate) fn scoped_name_at(&self, places: NamePlaces) -> (&str, &str) {
        let text = |place: Place| match place.symbol() {
            Some(symbol) => symbol.text(),
            None => {
                let token = self.0.get(place.0 as usize..).and_then(tape::read);
                let text = token.and_then(|(token, _)| text_of(token));
                text.unwrap_or_default()
            }
        };
        (text(places.namespace), text(places.name))
    }

    /// Whether these are namespace, empty if there is none, and name.
    #[inline]
    pub(crate) fn is_named_at(&self, places: NamePlaces, (namespace, name): (&str, &str)) -> bool {
        let is = |place: Place, text: &str| match place.symbol() {
            Some(symbol) => same_bytes(symbol.text().as_bytes(), text.as_bytes()),
            None if place.0 == 0 => text.is_empty(),
            None => tape::is_text_at(&self.0, place.0 as usize, text),
        };
        is(places.name, name) && is(places.namespace, namespace)
    }

    /// Namespace, empty if there is none, and name.
    pub(crate) fn scoped_name(&self) -> (&str, &str) {
        self.scoped_name_at(self.name_places())
    }
}

const _: () = assert!(super::MAX_BYTES * 2 < Place::SYMBOL as usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_wherever_and_however_they_stand() {
        let long = "x".repeat(200);
        for (namespace, name) in [
            ("shop", "web"),
            ("", "node-1"),
            ("a", &*long),
            (&*long, "b"),
            // Symbols: well known, and of what recurs.
            ("metadata", "labels"),
            ("namespace-that-recurs", "name-that-recurs"),
            ("ü", "\u{10348}"),
        ] {
            for before in [
                "",
                r#""annotations":{"a":[1,{"name":"no"}]},"labels":{"name":"no"},"#,
            ] {
                for _ in 0..12 {
                    let json = format!(
                        r#"{{"kind":"K","metadata":{{{before}"name":"{name}","generateName":"no","namespace":"{namespace}"}}}}"#
                    );
                    let object = Object::from_json(json.as_bytes()).unwrap();
                    let places = object.name_places();
                    assert_eq!(object.scoped_name_at(places), (namespace, name));
                    assert!(object.is_named_at(places, (namespace, name)));
                    let other = format!("{name}x");
                    for wrong in [
                        (namespace, ""),
                        (namespace, "x"),
                        (namespace, &*other),
                        (&*other, name),
                        ("x", ""),
                    ] {
                        assert_eq!(
                            object.is_named_at(places, wrong),
                            wrong == (namespace, name),
                            "{wrong:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_text_is_no_name() {
        for json in [
            r#"{"metadata":{"name":"x"}}"#,
            r#"{"metadata":{"name":"x","namespace":null}}"#,
            r#"{"metadata":{"name":"x","namespace":{"x":"y"}}}"#,
            r#"{"metadata":{"name":"x","namespace":7}}"#,
        ] {
            let object = Object::from_json(json.as_bytes()).unwrap();
            let places = object.name_places();
            assert_eq!(object.scoped_name_at(places), ("", "x"));
            assert!(object.is_named_at(places, ("", "x")));
            assert!(!object.is_named_at(places, ("y", "x")));
        }
    }
}
