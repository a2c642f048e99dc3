//! Writes objects, lists and events: whole, as metadata only, or as tables.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::negotiate::Form;
use super::registry::{Resource, Version, api_version};
use super::rest::ListAnswer;
use super::status::ApiError;
use super::store::{Entry, set_revision};
use super::table;

/// Chunks of a long body are about this long.
const CHUNK: usize = 64 * 1024;

const PARTIAL: &str =
    r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":"#;

/// A resource in one of its versions, in one representation.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) resource: Arc<Resource>,
    pub(super) version: usize,
    pub(super) form: Form,
    pub(super) include: table::Include,
    /// The clock of ages in tables, in seconds since 1970.
    pub(super) now: i64,
}

impl View {
    pub(super) fn served(&self) -> &Version {
        &self.resource.versions[self.version]
    }

    fn api_version(&self) -> String {
        api_version(self.resource.group(), &self.served().name)
    }

    /// `{"kind":…,"apiVersion":…,` ready to be followed by the fields of an object.
    fn opening(&self) -> String {
        format!(
            "{{\"kind\":\"{}\",\"apiVersion\":\"{}\",",
            self.resource.kind.name,
            self.api_version()
        )
    }

    /// An object with its kind, whatever the representation.
    pub(super) fn whole(&self, entry: &Entry, into: &mut Vec<u8>) {
        into.extend_from_slice(self.opening().as_bytes());
        into.extend_from_slice(entry.json().get(1..).unwrap_or_default());
    }

    pub(super) fn partial(entry: &Entry, into: &mut Vec<u8>) {
        into.extend_from_slice(PARTIAL.as_bytes());
        match entry.value.get("metadata") {
            Some(metadata) => {
                let _ = serde_json::to_writer(&mut *into, metadata);
            }
            None => into.extend_from_slice(b"{}"),
        }
        into.push(b'}');
    }

    /// One object as an answer.
    pub(super) fn object(&self, entry: &Entry) -> Result<Vec<u8>, ApiError> {
        let mut body = Vec::new();
        match self.form {
            Form::Plain => self.whole(entry, &mut body),
            Form::Partial => Self::partial(entry, &mut body),
            Form::PartialList if self.resource.traits.built_in => {
                return Err(ApiError::not_acceptable(format!(
                    "you requested PartialObjectMetadataList, but the requested object is not a list ({})",
                    self.go_type("")
                )));
            }
            Form::PartialList => return Err(ApiError::internal("content is not a list")),
            Form::Table => {
                let revision = entry.revision.to_string();
                let table = table::table(
                    self,
                    [entry].into_iter(),
                    &json!({"resourceVersion": revision}),
                    true,
                );
                return Ok(table.to_string().into_bytes());
            }
        }
        Ok(body)
    }

    /// A list as an answer.
    pub(super) fn list(&self, list: &ListAnswer) -> Result<VecDeque<Bytes>, ApiError> {
        let mut metadata = json!({"resourceVersion": list.revision.to_string()});
        if let Value::Object(map) = &mut metadata {
            match &list.continue_token {
                Some(token) => {
                    map.insert("continue".to_owned(), json!(token));
                }
                None if !self.resource.traits.built_in && self.form == Form::Plain => {
                    map.insert("continue".to_owned(), json!(""));
                }
                None => {}
            }
            if let Some(remaining) = list.remaining {
                map.insert("remainingItemCount".to_owned(), json!(remaining));
            }
        }
        let items = list.items.iter().map(|entry| &**entry);
        let (kind, api) = match self.form {
            Form::Plain => (self.resource.list_kind.clone(), self.api_version()),
            Form::PartialList => (
                "PartialObjectMetadataList".to_owned(),
                "meta.k8s.io/v1".to_owned(),
            ),
            Form::Partial => {
                return Err(ApiError::not_acceptable(format!(
                    "you requested PartialObjectMetadata, but the requested object is a list ({})",
                    self.go_type("List")
                )));
            }
            Form::Table => {
                let table = table::table(self, items, &metadata, true);
                return Ok(VecDeque::from([table.to_string().into_bytes().into()]));
            }
        };
        let mut chunks = VecDeque::new();
        let mut chunk = format!(
            "{{\"kind\":\"{kind}\",\"apiVersion\":\"{api}\",\"metadata\":{metadata},\"items\":"
        )
        .into_bytes();
        if list.items.is_empty() && self.form == Form::PartialList {
            chunk.extend_from_slice(b"null}");
            chunks.push_back(chunk.into());
            return Ok(chunks);
        }
        chunk.push(b'[');
        let bare = self.resource.traits.built_in;
        let opening = self.opening();
        for (index, entry) in items.enumerate() {
            if index > 0 {
                chunk.push(b',');
            }
            match self.form {
                Form::PartialList => Self::partial(entry, &mut chunk),
                _ if bare => chunk.extend_from_slice(entry.json()),
                _ => {
                    chunk.extend_from_slice(opening.as_bytes());
                    chunk.extend_from_slice(entry.json().get(1..).unwrap_or_default());
                }
            }
            if chunk.len() >= CHUNK {
                chunks.push_back(std::mem::take(&mut chunk).into());
            }
        }
        chunk.extend_from_slice(b"]}\n");
        chunks.push_back(chunk.into());
        Ok(chunks)
    }

    /// The type's name in the server's code, which some of its errors show.
    fn go_type(&self, suffix: &str) -> String {
        if self.resource.traits.built_in {
            let group = self.resource.group().split('.').next().unwrap_or_default();
            let package = if group.is_empty() { "core" } else { group };
            format!("*{package}.{}{suffix}", self.resource.kind.name)
        } else {
            format!("*unstructured.Unstructured{suffix}")
        }
    }

    /// One watch event as a line. `revision` replaces the object's own (deletions).
    pub(super) fn event(
        &self,
        kind: &str,
        entry: &Entry,
        revision: Option<u64>,
        first: bool,
    ) -> Vec<u8> {
        let changed;
        let entry = match revision {
            Some(revision) if revision != entry.revision => {
                let mut value = entry.value.clone();
                set_revision(&mut value, revision);
                changed = Entry::new(value, revision);
                &changed
            }
            _ => entry,
        };
        let mut line = format!("{{\"type\":\"{kind}\",\"object\":").into_bytes();
        match self.form {
            Form::Plain => self.whole(entry, &mut line),
            Form::Partial | Form::PartialList => Self::partial(entry, &mut line),
            Form::Table => {
                let metadata = json!({"resourceVersion": entry.revision.to_string()});
                let table = table::table(self, [entry].into_iter(), &metadata, first);
                line.extend_from_slice(table.to_string().as_bytes());
            }
        }
        line.extend_from_slice(b"}\n");
        line
    }

    /// A bookmark: an object of the kind with nothing but a revision.
    pub(super) fn bookmark(&self, revision: u64, initial_events_end: bool) -> Vec<u8> {
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if initial_events_end && let Value::Object(map) = &mut metadata {
            map.insert(
                "annotations".to_owned(),
                json!({"k8s.io/initial-events-end": "true"}),
            );
        }
        let mut object = serde_json::Map::new();
        object.insert("metadata".to_owned(), metadata);
        super::schema::fill_empty(&self.served().schema, &mut object);
        self.event("BOOKMARK", &Entry::new(object, revision), None, false)
    }
}

/// An ERROR event as a line.
pub(super) fn error_event(error: &ApiError) -> Vec<u8> {
    let mut line = json!({"type": "ERROR", "object": error.to_value()})
        .to_string()
        .into_bytes();
    line.push(b'\n');
    line
}
