//! Lists and the checks before a watch: revisions, pages, selectors.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{Answer, Call, Content, ListAnswer};
use crate::fake::query::ListOptions;
use crate::fake::select::Selection;
use crate::fake::status::ApiError;
use crate::fake::store::prefix;

/// In place of a revision in a page token: go on at the present one.
const MAX_PAGE_TOKEN: i64 = -1;

/// A revision as a number; the error is the server's text.
pub(in crate::fake) fn revision_of(text: &str) -> Result<u64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    decimal(text).map_err(|reason| format!("resourceVersion: Invalid value: {text:?}: {reason}"))
}

/// A revision in an object; the error is Go's text.
pub(super) fn decimal(text: &str) -> Result<u64, String> {
    let reason = if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        "invalid syntax"
    } else {
        match text.parse() {
            Ok(number) => return Ok(number),
            Err(_) => "value out of range",
        }
    };
    Err(format!("strconv.ParseUint: parsing {text:?}: {reason}"))
}

struct Page {
    /// `None`: whatever is newest.
    revision: Option<u64>,
    /// The last key that was given out.
    after: String,
}

impl Call<'_> {
    pub(super) fn list(&mut self) -> Result<Answer, ApiError> {
        let options = ListOptions::read(self.query, false)?;
        let selection = Selection::new(&self.resource, self.served(), &options)?;
        Ok(Answer::ok(Content::List(self.page(&options, &selection)?)))
    }

    pub(super) fn watch(&mut self) -> Result<Answer, ApiError> {
        let options = ListOptions::read(self.query, true)?;
        Selection::new(&self.resource, self.served(), &options)?;
        revision_of(&options.resource_version).map_err(ApiError::internal)?;
        Ok(Answer::ok(Content::Watch(Box::new(options))))
    }

    pub(super) fn page(
        &mut self,
        options: &ListOptions,
        selection: &Selection,
    ) -> Result<ListAnswer, ApiError> {
        let current = self.state.store.revision;
        let plural = &self.resource.plural;
        let asked = revision_of(&options.resource_version)
            .map_err(|text| ApiError::bad_request(format!("invalid resource version: {text}")))?;
        let from_cache = options.resource_version == "0";
        let mut limit = options.limit;
        let mut page = Page {
            revision: None,
            after: String::new(),
        };
        if let Some(token) = &options.continue_token {
            if asked > 0 {
                return Err(ApiError::bad_request(
                    "specifying resource version is not allowed when using continue",
                ));
            }
            page = read_token(token)?;
        } else if options.exact || (limit > 0 && asked > 0 && !options.not_older_than) {
            page.revision = Some(asked);
        }
        if asked > current {
            return Err(ApiError::too_large_revision(asked, current));
        }
        if from_cache {
            limit = 0;
        }
        let revision = page
            .revision
            .unwrap_or_else(|| self.state.stale_revision(current));
        if revision > current {
            return Err(ApiError::too_large_revision(revision, current));
        }
        if revision < self.state.store.oldest(plural) {
            if options.continue_token.is_none() {
                return Err(ApiError::expired(
                    "The resourceVersion for the provided list is too old.",
                ));
            }
            let mut error = ApiError::expired(
                "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
            );
            error.continue_token = Some(write_token(MAX_PAGE_TOKEN, &page.after));
            return Err(error);
        }
        let within = prefix(self.namespace());
        let after = (!page.after.is_empty()).then(|| format!("{within}{}", page.after));
        let mut total = 0;
        let mut items = Vec::new();
        let mut last: Option<Arc<str>> = None;
        let mut more = false;
        self.state
            .store
            .visit(plural, &within, after.as_deref(), revision, |key, entry| {
                total += 1;
                if more || !selection.selects(entry) {
                    return;
                }
                if limit > 0 && items.len() == limit {
                    more = true;
                    return;
                }
                items.push(Arc::clone(entry));
                if limit > 0 {
                    last = Some(Arc::clone(key));
                }
            });
        let continue_token = more.then(|| {
            let last = last.as_deref().unwrap_or_default();
            let revision = i64::try_from(revision).unwrap_or(i64::MAX);
            write_token(revision, last.strip_prefix(&*within).unwrap_or(last))
        });
        let remaining = (more && options.selects_all()).then(|| total - items.len());
        Ok(ListAnswer {
            items,
            revision,
            continue_token,
            remaining,
        })
    }
}

fn write_token(revision: i64, after: &str) -> String {
    URL_SAFE_NO_PAD.encode(
        json!({ "v": "meta.k8s.io/v1", "rv": revision, "start": format!("{after}\0") }).to_string(),
    )
}

fn read_token(token: &str) -> Result<Page, ApiError> {
    let bad = |reason: String| {
        ApiError::bad_request(format!(
            "invalid continue token: continue key is not valid: {reason}"
        ))
    };
    let bytes = URL_SAFE_NO_PAD
        .decode(token)
        .or_else(|_| URL_SAFE.decode(token))
        .map_err(|error| bad(error.to_string()))?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    let version = text("v");
    if version != "meta.k8s.io/v1" {
        return Err(bad(format!(
            "server does not recognize this encoded version {version}"
        )));
    }
    let revision = match value.get("rv").and_then(Value::as_i64).unwrap_or_default() {
        0 => {
            return Err(bad(
                "incorrect encoded start resourceVersion (version meta.k8s.io/v1)".to_owned(),
            ));
        }
        negative if negative < 0 => None,
        revision => Some(u64::try_from(revision).unwrap_or(u64::MAX)),
    };
    let start = text("start");
    if start.is_empty() {
        return Err(bad(
            "encoded start key empty (version meta.k8s.io/v1)".to_owned()
        ));
    }
    Ok(Page {
        revision,
        after: start.trim_end_matches('\0').to_owned(),
    })
}
