//! Durations as people write them, such as `50ms` or `1m30s`.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serializer, de};

pub(crate) fn serialize<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match SignedDuration::try_from(*duration) {
        Ok(signed) => serializer.collect_str(&format_args!("{signed:#}")),
        Err(_) => serializer.collect_str(&format_args!("{}s", duration.as_secs())),
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let signed: Option<SignedDuration> = text.parse().ok();
    signed
        .and_then(|signed| Duration::try_from(signed).ok())
        .ok_or_else(|| {
            de::Error::custom(format_args!(
                "{text:?} is no time; write one such as 50ms, 10s or 1m30s"
            ))
        })
}
