//! Which paths may stand below a root.

/// The longest path, in bytes.
const PATH_LIMIT: usize = 2_048;

/// The longest part between slashes, in bytes, as file systems have it.
const NAME_LIMIT: usize = 255;

/// What the names of our own files begin with.
const RESERVED: &str = ".kubedex-";

/// Whether a path is relative, goes nowhere but down, and is none of our own.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Err("the path is empty");
    }
    if path.len() > PATH_LIMIT {
        return Err("the path is longer than 2048 bytes");
    }
    if path.chars().any(char::is_control) {
        return Err("the path has a control character");
    }
    for name in path.split('/') {
        match name {
            "" => return Err("the path begins or ends with a slash, or has two in a row"),
            "." | ".." => return Err("the path has a part that is . or .."),
            _ if name.len() > NAME_LIMIT => return Err("the path has a part of over 255 bytes"),
            _ if name.starts_with(RESERVED) => {
                return Err("names that begin with .kubedex- are reserved");
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_leads_down_is_a_path() {
        for path in [
            "a", "a/b.json", ".hidden", "a..b", "...", "k8s%2Fx", "ü/ö", "a\\b",
        ] {
            assert_eq!(check(path), Ok(()), "{path}");
        }
        let long = "x".repeat(256);
        let longer = "x/".repeat(2_000);
        for path in [
            "",
            "/",
            "/etc/passwd",
            "a/",
            "a//b",
            "..",
            "../x",
            "a/../b",
            ".",
            "a/./b",
            "a\0b",
            "a\nb",
            ".kubedex-manifest.json",
            "a/.kubedex-tmp",
            &long,
            &longer,
        ] {
            assert!(check(path).is_err(), "{path:?}");
        }
    }
}
