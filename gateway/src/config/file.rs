//! Reading the file: bounded, and text.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The largest configuration that is read: 8 MiB, more than a ConfigMap holds many times over.
pub const MAX_SIZE: u64 = 8 << 20;

/// The text of a configuration file.
///
/// # Errors
/// When it cannot be read, is larger than [`MAX_SIZE`] or is not UTF-8.
pub fn read(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            "it is a directory",
        ));
    }
    let mut bytes = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    if bytes.len() as u64 > MAX_SIZE {
        return Err(invalid("it is larger than 8 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| invalid("it is not UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_no_small_text_is_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.yaml");
        let refused = || read(&file).unwrap_err().to_string();
        assert!(refused().contains("No such file"), "{}", refused());
        fs::write(&file, b"\xff\xfe").unwrap();
        assert_eq!(refused(), "it is not UTF-8 text");
        File::create(&file).unwrap().set_len(MAX_SIZE + 1).unwrap();
        assert_eq!(refused(), "it is larger than 8 MiB");
        assert!(read(folder.path()).is_err());
    }
}
