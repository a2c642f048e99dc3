//! Writes stored values in any format that serde knows.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::Object;
use super::tape::Token;
use super::value_ref::{Entries, Items, ValueRef};

impl Serialize for ValueRef<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.token() {
            Token::Null => serializer.serialize_unit(),
            Token::Bool(value) => serializer.serialize_bool(value),
            Token::Uint(value) => serializer.serialize_u64(value),
            Token::Int(value) => serializer.serialize_i64(value),
            Token::Float(value) => serializer.serialize_f64(value),
            Token::Text(text) => serializer.serialize_str(text),
            Token::Symbol(symbol) => serializer.serialize_str(symbol.text()),
            Token::Array(body) => {
                let mut items = serializer.serialize_seq(Some(Items(body).count()))?;
                for item in Items(body) {
                    items.serialize_element(&item)?;
                }
                items.end()
            }
            Token::Map(body) => {
                let mut entries = serializer.serialize_map(Some(Entries(body).count()))?;
                for (key, value) in Entries(body) {
                    entries.serialize_entry(key, &value)?;
                }
                entries.end()
            }
        }
    }
}

/// Writes the whole document.
impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.root().serialize(serializer)
    }
}
