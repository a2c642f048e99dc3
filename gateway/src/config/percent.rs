//! Shares of a whole, written `50%`.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// A share from 0 % to 100 %, with up to two decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent {
    /// Hundredths of a percent.
    hundredths: u16,
}

/// What is said to who writes something else.
const EXPECTED: &str = "a share from 0% to 100%, such as 50% or 12.5%";

impl Percent {
    /// All of it.
    pub const ALL: Self = Self { hundredths: 10_000 };

    /// Whole percents; what is more than 100 is 100.
    pub const fn new(percent: u8) -> Self {
        let percent = if percent > 100 { 100 } else { percent as u16 };
        Self {
            hundredths: percent * 100,
        }
    }

    /// Whether a part is more than this share of a whole. Of nothing, no part is.
    pub fn is_exceeded(self, part: usize, whole: usize) -> bool {
        part as u128 * 10_000 > whole as u128 * u128::from(self.hundredths)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.hundredths / 100, self.hundredths % 100);
        match rest {
            0 => write!(f, "{whole}%"),
            _ if rest.is_multiple_of(10) => write!(f, "{whole}.{}%", rest / 10),
            _ => write!(f, "{whole}.{rest:02}%"),
        }
    }
}

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}`: write {EXPECTED}");
        let number = text.strip_suffix('%').ok_or_else(wrong)?.trim_end();
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let is_number = |digits: &str, most: usize| {
            (1..=most).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !is_number(whole, 3) || !is_number(decimals, 2) {
            return Err(wrong());
        }
        let number: u32 = format!("{whole}{decimals:0<2}")
            .parse()
            .map_err(|_| wrong())?;
        u16::try_from(number)
            .ok()
            .filter(|hundredths| *hundredths <= Self::ALL.hundredths)
            .map(|hundredths| Self { hundredths })
            .ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl Visitor<'_> for Written {
            type Value = Percent;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Percent, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Written)
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_written_with_its_sign() {
        for (text, printed) in [
            ("0%", "0%"),
            ("50%", "50%"),
            ("12.5%", "12.5%"),
            ("12.05 %", "12.05%"),
            ("100%", "100%"),
            ("100.00%", "100%"),
        ] {
            assert_eq!(text.parse::<Percent>().unwrap().to_string(), printed);
        }
        for text in [
            "", "%", "50", "0.5", "101%", "-1%", "+1%", "1e1%", "100.01%", "5.%", "1.234%",
        ] {
            assert!(text.parse::<Percent>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_share_of_a_whole_is_exact() {
        let half = Percent::new(50);
        assert!(!half.is_exceeded(2, 4));
        assert!(half.is_exceeded(3, 4));
        assert!(!half.is_exceeded(0, 0));
        assert!(!Percent::ALL.is_exceeded(usize::MAX, usize::MAX));
        assert!(Percent::new(0).is_exceeded(1, usize::MAX));
    }
}
