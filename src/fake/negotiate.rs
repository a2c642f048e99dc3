//! Which representation a request accepts.

use http::HeaderMap;
use http::header::ACCEPT;

use super::status::ApiError;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Output {
    /// JSON is YAML too; only the Content-Type differs.
    pub(super) yaml: bool,
    pub(super) form: Form,
}

/// What an answer is turned into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    Partial,
    PartialList,
    Table,
}

/// One type of an Accept header, with its parameters.
pub(super) struct Clause<'a> {
    pub(super) media: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    quality: f32,
}

impl Clause<'_> {
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| *value)
    }

    pub(super) fn is_json(&self) -> bool {
        matches!(self.media, "application/json" | "*/*" | "application/*")
    }

    fn is_yaml(&self) -> bool {
        self.media == "application/yaml"
    }
}

/// The types a request accepts, the most wanted first.
pub(super) fn accepted(headers: &HeaderMap) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|clause| {
            let mut parts = clause.split(';').map(str::trim);
            let media = parts.next().filter(|media| !media.is_empty())?;
            let parameters: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
            let quality = parameters
                .iter()
                .find(|(key, _)| *key == "q")
                .and_then(|(_, value)| value.parse().ok())
                .unwrap_or(1.0);
            Some(Clause {
                media,
                parameters,
                quality,
            })
        })
        .collect();
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    if clauses.is_empty() {
        clauses.push(Clause {
            media: "*/*",
            parameters: Vec::new(),
            quality: 1.0,
        });
    }
    clauses
}

/// Refuses what the router of built-in groups would: no known media type at all.
pub(super) fn by_route(headers: &HeaderMap) -> Result<(), ApiError> {
    let known = accepted(headers).iter().any(|clause| {
        clause.is_json()
            || clause.is_yaml()
            || clause.media == "application/vnd.kubernetes.protobuf"
    });
    if known {
        Ok(())
    } else {
        Err(ApiError::not_acceptable_by_route())
    }
}

/// The first accepted type that a handler can write.
pub(super) fn negotiate(headers: &HeaderMap) -> Result<Output, ApiError> {
    for clause in accepted(headers) {
        if !clause.is_json() && !clause.is_yaml() {
            continue;
        }
        let meta = clause.parameter("g") == Some("meta.k8s.io")
            && matches!(clause.parameter("v"), Some("v1" | "v1beta1"));
        let form = match clause.parameter("as") {
            None => Form::Plain,
            Some("PartialObjectMetadata") if meta => Form::Partial,
            Some("PartialObjectMetadataList") if meta => Form::PartialList,
            Some("Table") if meta => Form::Table,
            Some(_) => continue,
        };
        return Ok(Output {
            yaml: clause.is_yaml(),
            form,
        });
    }
    Err(ApiError::not_acceptable(
        "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf",
    ))
}
