//! From a text to its documents.

use std::path::Path;

use serde_json::Value;
use serde_saphyr::{Budget, Options, Spanned};

use super::ManifestError;
use super::error::Place;

/// How a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON documents, one after the other.
    Json,
    /// YAML documents, separated by `---`.
    Yaml,
}

/// One document of a text.
pub(super) struct Document {
    pub(super) value: Value,
    pub(super) span: Span,
}

/// Where a document stands in its text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) format: Format,
    /// The document's number, from 1.
    pub(super) document: usize,
    /// The line of its first content, from 1.
    pub(super) line: usize,
    /// The bytes that hold it.
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Format {
    /// By the file's extension, or else by its text.
    pub fn of_file(path: &Path, text: &str) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => Self::Json,
            Some("yaml" | "yml") => Self::Yaml,
            _ => Self::of_text(text),
        }
    }

    /// JSON if it begins like it and has no YAML document marker.
    pub fn of_text(text: &str) -> Self {
        if text.trim_start().starts_with(['{', '[']) && markers(text).next().is_none() {
            Self::Json
        } else {
            Self::Yaml
        }
    }

    /// The documents that could be read, and what is wrong with the text after them. Empty YAML documents are left
    /// out, but count.
    pub(super) fn documents(self, text: &str) -> (Vec<Document>, Option<ManifestError>) {
        match self {
            Self::Json => json(text),
            Self::Yaml => match yaml(text) {
                Ok(documents) => (documents, None),
                Err(error) => (Vec::new(), Some(error)),
            },
        }
    }
}

fn json(text: &str) -> (Vec<Document>, Option<ManifestError>) {
    let mut documents = Vec::new();
    let (mut line, mut counted) = (1, 0);
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    loop {
        let rest = text.get(stream.byte_offset()..).unwrap_or_default();
        let start = text.len() - rest.trim_start().len();
        line += text
            .get(counted..start)
            .unwrap_or_default()
            .matches('\n')
            .count();
        counted = start;
        let document = documents.len() + 1;
        match stream.next() {
            None => return (documents, None),
            Some(Ok(value)) => documents.push(Document {
                value,
                span: Span {
                    format: Format::Json,
                    document,
                    line,
                    start,
                    end: stream.byte_offset(),
                },
            }),
            Some(Err(error)) => return (documents, Some(json_error(&error, document))),
        }
    }
}

pub(super) fn json_error(error: &serde_json::Error, document: usize) -> ManifestError {
    let place = Place {
        document,
        line: error.line(),
        column: Some(error.column()),
    };
    let suffix = format!(" at line {} column {}", error.line(), error.column());
    let message = error.to_string();
    ManifestError::at(place, message.strip_suffix(&suffix).unwrap_or(&message))
}

fn yaml(text: &str) -> Result<Vec<Document>, ManifestError> {
    let parsed: Vec<Spanned<Value>> =
        serde_saphyr::from_multiple_with_options(text, yaml_options())
            .map_err(|error| yaml_error(&error, text, 1))?;
    let starts = starts(text);
    Ok(parsed
        .into_iter()
        .map(
            |Spanned {
                 value, referenced, ..
             }| {
                let line = to_number(referenced.line());
                // The last document that starts on this line or before it.
                let index = starts
                    .partition_point(|(number, _)| *number <= line)
                    .saturating_sub(1);
                let start = starts.get(index).map_or(0, |(_, offset)| *offset);
                let end = starts
                    .get(index + 1)
                    .map_or(text.len(), |(_, offset)| *offset);
                Document {
                    value,
                    span: Span {
                        format: Format::Yaml,
                        document: index + 1,
                        line,
                        start,
                        end,
                    },
                }
            },
        )
        .collect())
}

/// As `kubectl` reads YAML as far as it matters here: what is not `true` or `false` is no boolean.
///
/// The budget guards against anchors that expand without end, and leaves the size of plain manifests free: they are
/// the user's own files, and a dump of a large cluster is large.
pub(super) fn yaml_options() -> Options {
    let mut budget = Budget::default();
    budget.max_events = usize::MAX;
    budget.max_nodes = usize::MAX;
    budget.max_documents = usize::MAX;
    budget.max_total_scalar_bytes = usize::MAX;
    serde_saphyr::options! {
        budget: Some(budget),
        strict_booleans: true,
        with_snippet: false,
    }
}

pub(super) fn yaml_error(
    error: &serde_saphyr::Error,
    text: &str,
    default_line: usize,
) -> ManifestError {
    let location = error.location();
    let line = location.map_or(default_line, |location| to_number(location.line()));
    let place = Place {
        document: starts(text)
            .partition_point(|(number, _)| *number <= line)
            .max(1),
        line,
        column: location.map(|location| to_number(location.column())),
    };
    let message = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
    let message = match location {
        Some(at) => {
            let suffix = format!(" at line {}, column {}", at.line(), at.column());
            message.strip_suffix(&suffix).unwrap_or(&message)
        }
        None => &message,
    };
    ManifestError::at(place, message)
}

/// Where the documents start: line, from 1, and offset. A line that starts with `---` begins a document wherever it
/// stands, also within quotes, so the text need not be parsed for it.
fn starts(text: &str) -> Vec<(usize, usize)> {
    let mut starts: Vec<_> = markers(text).collect();
    // Comments before the first marker are no document of their own.
    let first = starts.first().map_or(text.len(), |(_, offset)| *offset);
    let before = text.get(..first).unwrap_or_default();
    if before.lines().any(is_content) {
        starts.insert(0, (1, 0));
    }
    starts
}

/// Whether a line before a document marker is more than a comment, a directive or nothing.
fn is_content(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with(['#', '%']) && line != "..."
}

/// The lines that begin a YAML document: number, from 1, and offset.
fn markers(text: &str) -> impl Iterator<Item = (usize, usize)> + '_ {
    let mut offset = 0;
    text.split_inclusive('\n')
        .enumerate()
        .filter_map(move |(index, line)| {
            let start = offset;
            offset += line.len();
            let rest = line.strip_prefix("---")?;
            (rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
                .then_some((index + 1, start))
        })
}

fn to_number(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
