//! Names in the alphabets of consumers, such that different names stay different.
//!
//! A byte that the alphabet keeps stands for itself; some that it lacks have a letter in place of them, so that common
//! names stay readable; any other is written `__` and two hexadecimal digits. A lone `_` is never followed by another
//! one, which makes every escaped name readable in one way only.
//!
//! | | `k8s/shop/api:http` | `Old_App@1` |
//! | --- | --- | --- |
//! | [`TRAEFIK`] | `k8s/shop/api:http` | `Old_App__401` |
//! | [`HAPROXY`] | `k8s.shop.api:http` | `Old_App__401` |
//! | [`NGINX`] | `k8s.shop.api_http` | `__4fld__5f__41pp__401` |

/// What may stand in a consumer's names.
#[derive(Clone, Copy, Debug)]
pub struct Alphabet {
    /// Bytes that stand for themselves, besides lower case letters, digits and `-`.
    kept: &'static [u8],
    /// Bytes with what is written in place of them; nothing else is written so.
    replaced: &'static [(u8, u8)],
    /// Whether upper case is another letter than lower case.
    has_case: bool,
}

/// Names of Traefik's services. `@` would begin the name of a provider.
pub const TRAEFIK: Alphabet = Alphabet {
    kept: b"_.:/",
    replaced: &[],
    has_case: true,
};

/// Names of HAProxy's proxies: letters, digits, `-`, `_`, `.` and `:`.
pub const HAPROXY: Alphabet = Alphabet {
    kept: b"_:",
    replaced: &[(b'/', b'.')],
    has_case: true,
};

/// Names of NGINX's upstreams. They stand for a host in addresses, where `:` begins the port and `/` the path, and
/// NGINX takes names that differ only in case for the same.
pub const NGINX: Alphabet = Alphabet {
    kept: b"",
    replaced: &[(b'/', b'.'), (b':', b'_')],
    has_case: false,
};

/// Stands for the empty name.
const EMPTY: &str = "__";

impl Alphabet {
    /// The name in this alphabet: never empty, and never the same for different names.
    pub fn escape(&self, name: &str) -> String {
        if name.is_empty() {
            return EMPTY.to_owned();
        }
        let mut escaped = String::with_capacity(name.len() + 8);
        let mut bytes = name.bytes().peekable();
        while let Some(byte) = bytes.next() {
            let next = bytes.peek().copied();
            let before_underscore =
                || next.is_some_and(|next| matches!(self.letter(next), None | Some(b'_')));
            match self.letter(byte) {
                Some(letter) if letter != b'_' || !before_underscore() => {
                    escaped.push(char::from(letter));
                }
                _ => {
                    escaped.push_str("__");
                    escaped.push(hex_digit(byte >> 4));
                    escaped.push(hex_digit(byte & 15));
                }
            }
        }
        escaped
    }

    /// The name that is escaped so; `None` if none is.
    pub fn unescape(&self, escaped: &str) -> Option<String> {
        if escaped == EMPTY {
            return Some(String::new());
        }
        let mut name = Vec::with_capacity(escaped.len());
        let mut rest = escaped.as_bytes();
        loop {
            rest = match rest {
                [] => break,
                [b'_', b'_', high, low, rest @ ..] => {
                    let digit = |digit: u8| char::from(digit).to_digit(16);
                    name.push(u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?);
                    rest
                }
                [letter, rest @ ..] => {
                    let replaced = self.replaced.iter().find(|(_, by)| by == letter);
                    name.push(replaced.map_or(*letter, |(byte, _)| *byte));
                    rest
                }
            };
        }
        let name = String::from_utf8(name).ok()?;
        (!name.is_empty() && self.escape(&name) == escaped).then_some(name)
    }

    /// What is written for a byte, if it is one letter.
    fn letter(&self, byte: u8) -> Option<u8> {
        let stands = match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' => true,
            b'A'..=b'Z' => self.has_case,
            _ => self.kept.contains(&byte),
        };
        if stands {
            return Some(byte);
        }
        let replaced = self.replaced.iter().find(|(from, _)| *from == byte);
        replaced.map(|(_, by)| *by)
    }
}

fn hex_digit(value: u8) -> char {
    char::from_digit(value.into(), 16).unwrap_or('0')
}

/// A name for a comment: on one line, and in printable ASCII.
pub(super) fn comment(name: &str) -> String {
    let printable = |letter: char| match letter {
        ' '..='~' if letter != '\\' => letter,
        _ => '?',
    };
    name.chars().map(printable).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const ALL: [(&str, Alphabet); 3] = [("_.:/-", TRAEFIK), ("_.:-", HAPROXY), ("_.-", NGINX)];

    #[test]
    fn common_names_stay_readable() {
        let name = "k8s/shop/api:http";
        assert_eq!(TRAEFIK.escape(name), name);
        assert_eq!(HAPROXY.escape(name), "k8s.shop.api:http");
        assert_eq!(NGINX.escape(name), "k8s.shop.api_http");
        assert_eq!(TRAEFIK.escape("Old_App@1"), "Old_App__401");
        assert_eq!(HAPROXY.escape("Old_App@1"), "Old_App__401");
        assert_eq!(NGINX.escape("Old_App@1"), "__4fld__5f__41pp__401");
    }

    #[test]
    fn an_underscore_never_runs_into_what_follows() {
        assert_eq!(HAPROXY.escape("a__b"), "a__5f_b");
        assert_eq!(HAPROXY.escape("a_@"), "a__5f__40");
        assert_eq!(NGINX.escape("a::b"), "a__3a_b");
        assert_eq!(NGINX.escape("a:_"), "a__3a__5f");
        assert_eq!(HAPROXY.escape(""), "__");
        assert_eq!(HAPROXY.unescape("__"), Some(String::new()));
        assert_eq!(HAPROXY.unescape(""), None);
        assert_eq!(HAPROXY.unescape("a__61"), None, "`a` needs no escape");
    }

    #[test]
    fn a_comment_cannot_end_before_its_line() {
        assert_eq!(comment("a b\nc\\\u{e9}"), "a b?c??");
    }

    fn name() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-zA-B0-9/:_.@-]{0,6}",
            "[_:/.]{0,5}",
            ".{0,8}",
            "k8s/[a-z-]{1,5}/[a-z-]{1,5}:[a-z0-9-]{1,4}",
        ]
    }

    proptest! {
        #[test]
        fn an_escaped_name_is_in_the_alphabet_and_can_be_read_back(name in name()) {
            for (others, alphabet) in ALL {
                let escaped = alphabet.escape(&name);
                prop_assert!(!escaped.is_empty());
                for letter in escaped.chars() {
                    let fits = letter.is_ascii_lowercase()
                        || letter.is_ascii_digit()
                        || (alphabet.has_case && letter.is_ascii_uppercase())
                        || others.contains(letter);
                    prop_assert!(fits, "{escaped}");
                }
                prop_assert_eq!(alphabet.unescape(&escaped), Some(name.clone()));
            }
        }

        #[test]
        fn different_names_stay_different(names in prop::collection::vec(name(), 2..200)) {
            for (_, alphabet) in ALL {
                let mut seen = HashMap::new();
                for name in &names {
                    let escaped = alphabet.escape(name);
                    let other = seen.entry(escaped.to_ascii_lowercase()).or_insert((escaped.clone(), name));
                    prop_assert!(other.1 == name || (alphabet.has_case && other.0 != escaped));
                }
            }
        }

        #[test]
        fn what_no_name_gives_is_not_read(text in "[a-c_0-9.:/]{0,8}") {
            for (_, alphabet) in ALL {
                if let Some(name) = alphabet.unescape(&text) {
                    prop_assert_eq!(alphabet.escape(&name), text.clone());
                }
            }
        }
    }
}
