//! What is wrong with a manifest, and where.

use std::error::Error;
use std::fmt;
use std::io;

/// One thing wrong with manifests. `Display` is one line: the file, the document and line if known, the object if
/// known, and the reason.
#[derive(Debug)]
pub struct ManifestError {
    file: Box<str>,
    place: Option<Place>,
    object: Option<Box<str>>,
    reason: Box<str>,
    source: Option<io::Error>,
}

/// A place in a text. All numbers start at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) document: usize,
    pub(super) line: usize,
    pub(super) column: Option<usize>,
}

impl ManifestError {
    pub(super) fn io(file: &str, source: io::Error) -> Self {
        Self {
            file: file.into(),
            place: None,
            object: None,
            reason: "cannot be read".into(),
            source: Some(source),
        }
    }

    pub(super) fn file(file: &str, reason: &str) -> Self {
        Self {
            file: file.into(),
            place: None,
            object: None,
            reason: reason.into(),
            source: None,
        }
    }

    pub(super) fn at(place: Place, reason: impl Into<Box<str>>) -> Self {
        Self {
            file: "".into(),
            place: Some(place),
            object: None,
            reason: reason.into(),
            source: None,
        }
    }

    #[must_use]
    pub(super) fn in_file(self, file: &str) -> Self {
        Self {
            file: file.into(),
            ..self
        }
    }

    #[must_use]
    pub(super) fn about(self, object: &str) -> Self {
        Self {
            object: Some(object.into()),
            ..self
        }
    }

    /// The file, as the reader was given it.
    pub fn path(&self) -> &str {
        &self.file
    }

    /// The number of the document in its file, from 1.
    pub fn document(&self) -> Option<usize> {
        self.place.map(|place| place.document)
    }

    /// The line in the file, from 1.
    pub fn line(&self) -> Option<usize> {
        self.place.map(|place| place.line)
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(place) = self.place {
            write!(f, ": document {}, line {}", place.document, place.line)?;
            if let Some(column) = place.column {
                write!(f, ", column {column}")?;
            }
        }
        if let Some(object) = &self.object {
            write!(f, ": {object}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl Error for ManifestError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
