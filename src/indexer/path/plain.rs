//! Names joined by dots, the most frequent paths, without parsing.

use crate::object::ValueRef;

/// What a path finds if it is nothing but plain names joined by dots; `None` where it takes more to read it, or to say what
/// is wrong with it.
pub(super) fn find<'a>(root: ValueRef<'a>, path: &str) -> Option<Option<ValueRef<'a>>> {
    let path = path.strip_prefix('.').unwrap_or(path);
    let is_plain = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    // Values of these are texts; a path beyond them is an error that is to be told.
    let is_text_map =
        path.starts_with("metadata.labels.") || path.starts_with("metadata.annotations.");
    if !path.split('.').all(is_plain) || is_text_map || path.len() > super::MAX_EXPRESSION_BYTES {
        return None;
    }
    Some(path.split('.').try_fold(root, ValueRef::get))
}
