//! Durations as people write them: `50ms`, `10s`, `1m30s`. A bare number is refused, since nobody knows its unit.
//!
//! For serde: `#[serde(with = "crate::config::duration")]`, or `duration::optional` for an `Option`.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, fmt::friendly};
use serde::de::{self, Deserializer, Visitor};
use serde::ser::Serializer;

/// What is said to who writes something else.
const EXPECTED: &str = "a time such as 10s, 500ms or 1m30s";

/// Reads a duration; 0 is one, written `0s`.
///
/// # Errors
/// In words for the user, when it is none or negative.
pub fn parse(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text.parse().map_err(|_| format!("write {EXPECTED}"))?;
    Duration::try_from(duration).map_err(|_| "it must not be negative".to_owned())
}

/// Reads a duration that must be more than 0.
///
/// # Errors
/// As [`parse`], and for 0.
pub fn parse_positive(text: &str) -> Result<Duration, String> {
    parse(text).and_then(|duration| {
        if duration.is_zero() {
            Err("it must be more than 0".to_owned())
        } else {
            Ok(duration)
        }
    })
}

/// As [`parse`] reads it.
pub fn print(duration: Duration) -> String {
    let Ok(duration) = SignedDuration::try_from(duration) else {
        // Longer than anything that can be read.
        return format!("{}s", duration.as_secs());
    };
    friendly::SpanPrinter::new()
        .spacing(friendly::Spacing::None)
        .designator(friendly::Designator::Compact)
        .duration_to_string(&duration)
}

/// For serde.
///
/// # Errors
/// When there is something else than a duration.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_str(Written { positive: false })
}

/// For serde.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&print(*duration))
}

struct Written {
    positive: bool,
}

impl Visitor<'_> for Written {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        let parse = if self.positive { parse_positive } else { parse };
        parse(text).map_err(|what| E::custom(format!("`{text}`: {what}")))
    }
}

/// Durations that must be more than 0.
pub mod positive {
    use super::{Deserializer, Duration, Serializer, Written};

    /// For serde.
    ///
    /// # Errors
    /// When there is something else than a duration of more than 0.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        deserializer.deserialize_str(Written { positive: true })
    }

    /// For serde.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        super::serialize(duration, serializer)
    }
}

/// Durations that may be absent; add `#[serde(default)]` to the field.
pub mod optional {
    use super::{Deserializer, Duration, Serializer, Written};

    /// For serde.
    ///
    /// # Errors
    /// When there is something else than a duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        deserializer
            .deserialize_str(Written { positive: false })
            .map(Some)
    }

    /// For serde.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    #[test]
    fn durations_are_written_as_people_do() {
        assert_eq!(parse("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("0s"), Ok(Duration::ZERO));
        assert_eq!(parse_positive("1h"), Ok(Duration::from_secs(3_600)));
        for text in ["", "10", "-1s", "soon"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert!(parse_positive("0s").is_err());
    }

    #[test]
    fn what_is_printed_reads_the_same() {
        for millis in [0, 1, 50, 999, 1_000, 1_500, 90_000, 3_600_000, 86_400_001] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse(&print(duration)), Ok(duration), "{}", print(duration));
        }
        assert_eq!(print(Duration::from_millis(50)), "50ms");
        assert_eq!(print(Duration::from_secs(90)), "1m30s");
    }

    #[test]
    fn serde_reads_strings_alone_and_says_what_to_write() {
        #[derive(Debug, Deserialize, Serialize, PartialEq)]
        struct Times {
            #[serde(with = "super")]
            a: Duration,
            #[serde(with = "super::optional", default)]
            b: Option<Duration>,
            #[serde(with = "super::positive")]
            c: Duration,
        }
        let times: Times = serde_json::from_str(r#"{"a": "50ms", "b": "2s", "c": "1s"}"#).unwrap();
        assert_eq!(times.a, Duration::from_millis(50));
        let text = serde_json::to_string(&times).unwrap();
        assert_eq!(serde_json::from_str::<Times>(&text).unwrap(), times);
        let times: Times = serde_json::from_str(r#"{"a": "50ms", "c": "1s"}"#).unwrap();
        assert_eq!(times.b, None);
        for text in [
            r#"{"a": 50, "c": "1s"}"#,
            r#"{"a": "soon", "c": "1s"}"#,
            r#"{"a": "1s", "c": "0s"}"#,
        ] {
            let error = serde_json::from_str::<Times>(text).unwrap_err().to_string();
            assert!(
                error.contains("a time such as 10s") || error.contains("more than 0"),
                "{error}"
            );
        }
    }
}
