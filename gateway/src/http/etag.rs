//! Entity tags in `If-None-Match` (RFC 9110, section 13.1.2).

/// Whether one of the tags that a client knows is this one. A weak tag matches, too: it is asked for a GET or HEAD.
pub(super) fn matches<'a>(fields: impl Iterator<Item = &'a [u8]>, etag: &[u8]) -> bool {
    fields
        .flat_map(|field| field.split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_among_others() {
        let etag = b"\"abc\"";
        for field in ["\"abc\"", "*", "\"x\", \"abc\"", "W/\"abc\"", " \"abc\" "] {
            assert!(matches([field.as_bytes()].into_iter(), etag), "{field}");
        }
        for field in ["", "abc", "\"ab\"", "\"abcd\", \"x\""] {
            assert!(!matches([field.as_bytes()].into_iter(), etag), "{field}");
        }
        assert!(!matches(std::iter::empty(), etag));
    }
}
