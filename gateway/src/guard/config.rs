//! How the guard is set: `off`, or `{max_loss: 50%}`.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Whether and when a loss is held back.
///
/// In the configuration `off`, or `{max_loss: 50%}`, the latter being the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardConfig {
    /// How much may go away at once; `None` for as much as there is, which is no guard.
    pub max_loss: Option<MaxLoss>,
}

impl GuardConfig {
    /// No guard.
    pub const OFF: Self = Self { max_loss: None };
}

impl Default for GuardConfig {
    /// Holds back a loss of more than half.
    fn default() -> Self {
        Self {
            max_loss: Some(MaxLoss::default()),
        }
    }
}

/// The part of all endpoints that may go away at once, from 1 % to 99 %, in steps of a hundredth of a percent.
///
/// Written as `50%` or as a fraction such as `0.5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MaxLoss {
    /// Of 10,000.
    parts: u16,
}

const WHOLE: u16 = 10_000;

impl MaxLoss {
    /// From a fraction; `None` unless it is from 0.01 to 0.99.
    pub fn from_fraction(fraction: f64) -> Option<Self> {
        if !(0.01..=0.99).contains(&fraction) {
            return None;
        }
        // In range by the check above.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let parts = (fraction * f64::from(WHOLE)).round() as u16;
        Some(Self { parts })
    }

    /// As a fraction of 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.parts) / f64::from(WHOLE)
    }

    /// Whether more went away between two counts.
    pub(super) fn is_exceeded(self, before: usize, now: usize) -> bool {
        let lost = before.saturating_sub(now) as u128;
        lost * u128::from(WHOLE) > before as u128 * u128::from(self.parts)
    }
}

impl Default for MaxLoss {
    /// Half.
    fn default() -> Self {
        Self { parts: WHOLE / 2 }
    }
}

const FORM: &str = "write a part from 1% to 99%, such as 50% or 0.5";

impl FromStr for MaxLoss {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let fraction = match text.strip_suffix('%') {
            Some(percent) => percent
                .trim_end()
                .parse::<f64>()
                .map(|percent| percent / 100.0),
            None => text.parse(),
        };
        fraction.ok().and_then(Self::from_fraction).ok_or(FORM)
    }
}

impl fmt::Display for MaxLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.parts) / 100.0)
    }
}

impl Serialize for MaxLoss {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MaxLoss {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Part;

        impl Visitor<'_> for Part {
            type Value = MaxLoss;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a part such as 50% or 0.5")
            }

            fn visit_f64<E: de::Error>(self, fraction: f64) -> Result<MaxLoss, E> {
                MaxLoss::from_fraction(fraction).ok_or_else(|| E::custom(FORM))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<MaxLoss, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Part)
    }
}

/// The long form.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct On {
    max_loss: MaxLoss,
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
