//! How the guard is set: `off`, or `{max_loss: 50%}`.

use std::fmt;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::Percent;

/// How much may go away at once unless told otherwise: more than half is no rollout.
pub const MAX_LOSS: Percent = Percent::new(50);

/// Whether and when a loss is held back.
///
/// In the configuration `off`, or `{max_loss: 50%}`, the latter being the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardConfig {
    /// The share of all endpoints that may go away at once; `None` for all of them, which is no guard.
    pub max_loss: Option<Percent>,
}

impl GuardConfig {
    /// No guard.
    pub const OFF: Self = Self { max_loss: None };
}

impl Default for GuardConfig {
    /// Holds back a loss of more than [`MAX_LOSS`].
    fn default() -> Self {
        Self {
            max_loss: Some(MAX_LOSS),
        }
    }
}

/// The long form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct On {
    max_loss: Percent,
}

impl Default for On {
    fn default() -> Self {
        Self { max_loss: MAX_LOSS }
    }
}

impl Serialize for GuardConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.max_loss {
            Some(max_loss) => On { max_loss }.serialize(serializer),
            None => serializer.serialize_str("off"),
        }
    }
}

impl<'de> Deserialize<'de> for GuardConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = GuardConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`off` or {max_loss: 50%}")
            }

            // YAML's older rules read `off` as a truth value.
            fn visit_bool<E: de::Error>(self, is_on: bool) -> Result<GuardConfig, E> {
                Ok(if is_on {
                    GuardConfig::default()
                } else {
                    GuardConfig::OFF
                })
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<GuardConfig, E> {
                match text {
                    "off" => Ok(GuardConfig::OFF),
                    "on" => Ok(GuardConfig::default()),
                    other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<GuardConfig, A::Error> {
                let On { max_loss } = On::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(GuardConfig {
                    max_loss: Some(max_loss),
                })
            }
        }

        deserializer.deserialize_any(Either)
    }
}
