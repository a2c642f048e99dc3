//! What a Lease says, as plain data: who holds it, for how long, since when. Knows no HTTP and no clock.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde_json::{Map, Value};

/// The spec of a Lease. Two are equal when nothing in the spec differs, fields that are unknown here included.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Record {
    /// Who holds the lease; empty when nobody does.
    pub(super) holder: Arc<str>,
    /// For how many seconds after a renewal; `None` when it does not say, or makes no sense.
    pub(super) seconds: Option<i64>,
    /// When the holder became it, by its wall clock. For people only.
    pub(super) acquired: Option<MicroTime>,
    /// When the holder last renewed, by its wall clock. For people only.
    pub(super) renewed: Option<MicroTime>,
    /// How often the lease was acquired after the first time.
    pub(super) transitions: i64,
    /// Fields that are unknown here, or that have another form than they should: kept as they are.
    pub(super) other: Option<Arc<Map<String, Value>>>,
}

impl Record {
    /// Whether this is what a clean release leaves behind: client-go writes no holder and a duration of one second. A
    /// holder that was removed by hand leaves the duration as it was.
    pub(super) fn is_released(&self) -> bool {
        self.holder.is_empty() && self.seconds.is_none_or(|seconds| seconds <= 1)
    }

    /// Reads a spec. What is not understood is kept in `other`.
    pub(super) fn from_spec(spec: Option<&Value>) -> Self {
        let mut record = Self::default();
        let Some(Value::Object(spec)) = spec else {
            if let Some(odd) = spec.filter(|spec| !spec.is_null()) {
                let odd = Map::from_iter([("spec".to_owned(), odd.clone())]);
                record.other = Some(Arc::new(odd));
            }
            return record;
        };
        let mut other = Map::new();
        for (key, value) in spec {
            let understood = match key.as_str() {
                _ if value.is_null() => true,
                "holderIdentity" => value
                    .as_str()
                    .map(|text| record.holder = text.into())
                    .is_some(),
                "leaseDurationSeconds" => {
                    record.seconds = value.as_i64().filter(|&seconds| seconds > 0);
                    record.seconds.is_some()
                }
                "acquireTime" => {
                    record.acquired = value.as_str().and_then(|text| text.parse().ok());
                    record.acquired.is_some()
                }
                "renewTime" => {
                    record.renewed = value.as_str().and_then(|text| text.parse().ok());
                    record.renewed.is_some()
                }
                "leaseTransitions" => value
                    .as_i64()
                    .map(|transitions| record.transitions = transitions)
                    .is_some(),
                _ => false,
            };
            if !understood {
                other.insert(key.clone(), value.clone());
            }
        }
        record.other = (!other.is_empty()).then(|| Arc::new(other));
        record
    }

    /// Writes a spec, field for field as client-go does.
    pub(super) fn to_spec(&self) -> Value {
        let mut spec = self.other.as_deref().cloned().unwrap_or_default();
        spec.insert("holderIdentity".to_owned(), Value::from(&*self.holder));
        let fields = [
            ("leaseDurationSeconds", self.seconds.map(Value::from)),
            (
                "acquireTime",
                self.acquired.map(|time| time.to_string().into()),
            ),
            (
                "renewTime",
                self.renewed.map(|time| time.to_string().into()),
            ),
            ("leaseTransitions", Some(self.transitions.into())),
        ];
        for (key, value) in fields {
            match value {
                Some(value) => spec.insert(key.to_owned(), value),
                None => spec.remove(key),
            };
        }
        Value::Object(spec)
    }

    /// The unknown fields, without those that are known and had a wrong form: what a record that is written over this one
    /// keeps of it.
    pub(super) fn kept(&self) -> Option<Arc<Map<String, Value>>> {
        const KNOWN: [&str; 6] = [
            "holderIdentity",
            "leaseDurationSeconds",
            "acquireTime",
            "renewTime",
            "leaseTransitions",
            "spec",
        ];
        let other = self.other.as_ref()?;
        if !other.keys().any(|key| KNOWN.contains(&key.as_str())) {
            return Some(Arc::clone(other));
        }
        let kept: Map<_, _> = other
            .iter()
            .filter(|(key, _)| !KNOWN.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        (!kept.is_empty()).then(|| Arc::new(kept))
    }
}

/// A point in time as a Lease has it, in microseconds since 1970: `2006-01-02T15:04:05.000000Z`, with exactly six digits of
/// fraction, as the API server demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MicroTime(i64);

impl MicroTime {
    pub(super) fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    pub(super) fn micros(self) -> i64 {
        self.0
    }

    /// The time of the day, by the wall clock.
    pub(super) fn now() -> Self {
        Self(jiff::Timestamp::now().as_microsecond())
    }
}

impl fmt::Display for MicroTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Out of range only beyond the year 9999, which no clock shows; still no reason to panic.
        let time = jiff::Timestamp::from_microsecond(self.0).unwrap_or_default();
        write!(f, "{time:.6}")
    }
}

impl FromStr for MicroTime {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<jiff::Timestamp>()
            .map(|time| Self(time.as_microsecond()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_time_has_exactly_six_digits_whatever_it_is() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1_704_164_645_000_006, "2024-01-02T03:04:05.000006Z"),
            (1_704_164_647_500_000, "2024-01-02T03:04:07.500000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
        ] {
            let time = MicroTime::from_micros(micros);
            assert_eq!(time.to_string(), text);
            assert_eq!(text.parse::<MicroTime>().unwrap(), time);
        }
    }

    #[test]
    fn l15_a_record_survives_its_wire_form_with_what_is_unknown_in_it() {
        let spec = json!({
            "holderIdentity": "a",
            "leaseDurationSeconds": 15,
            "acquireTime": "2024-01-02T03:04:05.000006Z",
            "renewTime": "2024-01-02T03:04:07.500000Z",
            "leaseTransitions": 3,
            "strategy": "OldestEmulationVersion",
            "preferredHolder": "b"
        });
        let record = Record::from_spec(Some(&spec));
        assert_eq!(
            (&*record.holder, record.seconds, record.transitions),
            ("a", Some(15), 3)
        );
        assert_eq!(record.to_spec(), spec);
        assert_eq!(record.kept(), record.other);
    }

    #[test]
    fn l15_what_others_leave_behind_is_read() {
        // No spec at all, nulls, and an empty holder: nobody.
        for spec in [
            None,
            Some(Value::Null),
            Some(json!({})),
            Some(json!({"holderIdentity": null, "renewTime": null})),
        ] {
            assert_eq!(Record::from_spec(spec.as_ref()), Record::default());
        }
        // A clean release of client-go.
        let released = Record::from_spec(Some(&json!({
            "holderIdentity": "", "leaseDurationSeconds": 1, "leaseTransitions": 4,
            "acquireTime": "2024-01-02T03:04:05.000006Z", "renewTime": "2024-01-02T03:04:05.000006Z"
        })));
        assert!(released.is_released());
        // A holder that was removed by hand.
        let edited = Record::from_spec(Some(
            &json!({"holderIdentity": "", "leaseDurationSeconds": 15}),
        ));
        assert!(!edited.is_released());
    }

    #[test]
    fn l15_a_field_of_the_wrong_form_is_seen_as_a_difference_and_not_written_back() {
        let odd = Record::from_spec(Some(&json!({
            "holderIdentity": "a", "leaseDurationSeconds": -1, "renewTime": "yesterday", "x": 1
        })));
        assert_eq!((odd.seconds, odd.renewed), (None, None));
        let plain = Record::from_spec(Some(&json!({"holderIdentity": "a", "x": 1})));
        assert_ne!(odd, plain);
        assert_eq!(odd.kept(), plain.other);
        let list = Record::from_spec(Some(&json!([1])));
        assert_ne!(list, Record::default());
        assert_eq!(list.kept(), None);
    }
}
