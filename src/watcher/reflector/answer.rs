//! Reads what the server sends around objects: watch events, list envelopes, and the identity of an object that cannot
//! be read otherwise. Never keeps or prints content.

use std::borrow::Cow;

use kube::core::Status;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::machine::Refusal;
use crate::client::ClientError;
use crate::resource::ObjectRef;

/// The annotation on the bookmark that ends the initial events of a streaming list.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// One line of a watch.
#[derive(Debug)]
pub(super) enum Line<'a> {
    /// ADDED or MODIFIED.
    Changed(&'a [u8]),
    /// DELETED.
    Deleted(&'a [u8]),
    /// BOOKMARK.
    Bookmark {
        version: String,
        ends_initial_events: bool,
    },
    /// ERROR.
    Error { refusal: Refusal, message: String },
}

#[derive(Deserialize)]
struct RawLine<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawMetadata {
    namespace: Option<String>,
    name: Option<String>,
    resource_version: Option<String>,
    #[serde(rename = "continue")]
    token: Option<String>,
}

#[derive(Deserialize)]
struct RawIdentity {
    metadata: RawMetadata,
}

#[derive(Deserialize)]
struct RawBookmark {
    metadata: RawBookmarkMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawBookmarkMetadata {
    resource_version: String,
    #[serde(default)]
    annotations: Option<std::collections::HashMap<String, String>>,
}

/// Reads one line; the reason if it is no event.
pub(super) fn parse_line(line: &[u8]) -> Result<Line<'_>, String> {
    let RawLine { kind, object } = serde_json::from_slice(line).map_err(|error| reason(&error))?;
    let object = object.get();
    match &*kind {
        "ADDED" | "MODIFIED" => Ok(Line::Changed(object.as_bytes())),
        "DELETED" => Ok(Line::Deleted(object.as_bytes())),
        "BOOKMARK" => {
            let RawBookmark { metadata } =
                serde_json::from_str(object).map_err(|error| reason(&error))?;
            if metadata.resource_version.is_empty() {
                return Err("a bookmark without a resource version".to_owned());
            }
            let ends_initial_events = metadata.annotations.is_some_and(|annotations| {
                annotations
                    .get(INITIAL_EVENTS_END)
                    .is_some_and(|value| value == "true")
            });
            Ok(Line::Bookmark {
                version: metadata.resource_version,
                ends_initial_events,
            })
        }
        "ERROR" => {
            let status: Status = serde_json::from_str(object).map_err(|error| reason(&error))?;
            Ok(Line::Error {
                refusal: refusal(&status),
                message: printable(&status.message),
            })
        }
        _ => Err("an event of an unknown type".to_owned()),
    }
}

/// A server's words: one line, of bounded length.
fn printable(text: &str) -> String {
    let words: Vec<&str> = text
        .split(|char: char| char.is_control() || char.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ").chars().take(500).collect()
}

/// What a refusal means to the state machine.
pub(super) fn refusal(status: &Status) -> Refusal {
    let details = status.details.as_ref();
    Refusal {
        code: status.code,
        expired: matches!(status.reason.as_str(), "Expired" | "Gone"),
        too_new: details.is_some_and(|details| {
            details
                .causes
                .iter()
                .any(|cause| cause.reason == "ResourceVersionTooLarge")
        }),
        retry_after: details
            .map(|details| details.retry_after_seconds)
            .filter(|seconds| *seconds > 0)
            .map(|seconds| std::time::Duration::from_secs(seconds.into())),
    }
}

/// As [`refusal`], for an answer that was read as an error.
pub(super) fn refusal_of(error: &ClientError) -> Refusal {
    let base = error.status().map(refusal).unwrap_or_default();
    Refusal {
        code: error.code().unwrap_or(base.code),
        expired: base.expired || error.is_gone(),
        retry_after: error.retry_after().or(base.retry_after),
        ..base
    }
}

/// What a list says of itself.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Envelope {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    metadata: RawMetadata,
}

/// The kind of lists of metadata.
const METADATA_LIST: &str = "PartialObjectMetadataList";

impl Envelope {
    /// Reads the envelope of a list of objects of this `apiVersion` and kind; the reason if it is none.
    pub(super) fn parse(json: &[u8], api_version: &str, kind: &str) -> Result<Self, String> {
        let envelope: Self = serde_json::from_slice(json).map_err(|error| reason(&error))?;
        envelope.check(api_version, kind)?;
        if envelope.version().is_empty() {
            return Err("a list without a resource version".to_owned());
        }
        Ok(envelope)
    }

    /// Checks what stands before the items, so that those of a foreign list are not even read. A list that says what it
    /// is only at its end is checked there.
    pub(super) fn check_head(head: &[u8], api_version: &str, kind: &str) -> Result<(), String> {
        match serde_json::from_slice::<Self>(&[head, b"]}"].concat()) {
            Ok(envelope) if !envelope.kind.is_empty() => envelope.check(api_version, kind),
            _ => Ok(()),
        }
    }

    /// Lists of a kind may be named as they like, but for the ending.
    fn check(&self, api_version: &str, kind: &str) -> Result<(), String> {
        let is_kind = if kind == METADATA_LIST.trim_end_matches("List") {
            self.kind == METADATA_LIST
        } else {
            self.kind.ends_with("List") && self.kind != METADATA_LIST
        };
        if is_kind && self.api_version == api_version {
            return Ok(());
        }
        let found: String = format!("{} {}", self.api_version, self.kind)
            .chars()
            .take(200)
            .collect();
        Err(if self.kind.is_empty() {
            "a document without kind".to_owned()
        } else {
            format!("a {found}")
        })
    }

    /// The resource version of the list.
    pub(super) fn version(&self) -> &str {
        self.metadata
            .resource_version
            .as_deref()
            .unwrap_or_default()
    }

    /// What to continue with, if this is not the last page.
    pub(super) fn token(&self) -> Option<&str> {
        self.metadata
            .token
            .as_deref()
            .filter(|token| !token.is_empty())
    }
}

/// Which object a text is about, however unreadable the rest of it.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) reference: ObjectRef,
    pub(super) version: Option<String>,
}

/// Finds out which object a text is about.
pub(super) fn identify(json: &[u8]) -> Option<Identity> {
    let RawIdentity { metadata } = serde_json::from_slice(json).ok()?;
    let name = metadata.name.filter(|name| !name.is_empty())?;
    Some(Identity {
        reference: ObjectRef::new(metadata.namespace.as_deref(), &name),
        version: metadata
            .resource_version
            .filter(|version| !version.is_empty()),
    })
}

/// Why a text cannot be read, without a word of its content, which may be secret.
pub(super) fn reason(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let what = match error.classify() {
        Category::Eof => "it ends in the middle",
        Category::Data => "it has not the expected form",
        Category::Syntax | Category::Io => "it is not JSON",
    };
    format!("{what}, at line {} column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        let changed = parse_line(br#"{"type":"ADDED","object":{"a":1}}"#).unwrap();
        assert!(matches!(changed, Line::Changed(br#"{"a":1}"#)));
        let bookmark = br#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"true"}}}}"#;
        assert!(
            matches!(parse_line(bookmark).unwrap(), Line::Bookmark { version, ends_initial_events: true } if version == "7")
        );
        let error = br#"{"type":"ERROR","object":{"kind":"Status","status":"Failure","reason":"Expired","message":"too old","code":410}}"#;
        assert!(
            matches!(parse_line(error).unwrap(), Line::Error { refusal, .. } if refusal.expired && refusal.code == 410)
        );
    }

    #[test]
    fn what_is_no_event_is_refused_without_its_content() {
        for line in [
            r#"{"type":"ADDED","object":{"a":"secret"}"#,
            r#"{"type":"SECRET","object":{}}"#,
            r#"{"kind":"Status","message":"secret"}"#,
            "<html>secret</html>",
            r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":{"secret":1}}}}"#,
            r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":""}}}"#,
        ] {
            let reason = parse_line(line.as_bytes()).unwrap_err();
            assert!(!reason.to_lowercase().contains("secret"), "{reason}");
        }
    }

    #[test]
    fn an_unreadable_object_is_still_identified() {
        let deep = format!(
            r#"{{"spec":{}{},"metadata":{{"name":"x","namespace":"n","resourceVersion":"5"}}}}"#,
            "[".repeat(9000),
            "]".repeat(9000)
        );
        let identity = identify(deep.as_bytes()).unwrap();
        assert_eq!(identity.reference, ObjectRef::namespaced("n", "x"));
        assert_eq!(identity.version.as_deref(), Some("5"));
        assert!(identify(br#"{"metadata":{}}"#).is_none());
    }
}
