//! The verbs of one resource: one generic pipeline for every kind.
//!
//! A request passes: path and method, representation, options, body, admission of the namespace, defaults, validation,
//! store. What differs per kind is data in the [`Resource`] or a hook in [`kinds`](super::kinds).

mod create;
mod delete;
mod list;
mod object;
mod patch;
mod subresource;
mod update;

use std::sync::Arc;

use http::HeaderMap;
use serde_json::{Map, Value};

pub(super) use list::revision_of;
pub(super) use object::{Decoded, Source};

use super::decode::content_type;
use super::negotiate::{self, Output};
use super::query::{ListOptions, Query};
use super::rbac::User;
use super::registry::{Resource, Version};
use super::route::RequestInfo;
use super::state::State;
use super::status::ApiError;
use super::store::Entry;

pub(super) type Object = Map<String, Value>;

/// What a handler answers, before it is written in the wanted representation.
#[derive(Debug)]
pub(super) enum Content {
    Json(Value),
    Object(Arc<Entry>),
    List(ListAnswer),
    /// The options of a watch that passed all checks; the server opens it.
    Watch(Box<ListOptions>),
}

#[derive(Debug)]
pub(super) struct ListAnswer {
    pub(super) items: Vec<Arc<Entry>>,
    pub(super) revision: u64,
    pub(super) continue_token: Option<String>,
    pub(super) remaining: Option<usize>,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) content: Content,
}

impl Answer {
    pub(super) fn ok(content: Content) -> Self {
        Self { code: 200, content }
    }

    pub(super) fn created(content: Content) -> Self {
        Self { code: 201, content }
    }
}

/// One request for a resource, with all that its handler needs.
pub(super) struct Call<'a> {
    pub(super) state: &'a mut State,
    pub(super) info: &'a RequestInfo,
    pub(super) query: &'a Query,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
    pub(super) user: &'a User,
    /// By the cluster's own methods: a status in a written object is stored.
    pub(super) direct: bool,
    pub(super) resource: Arc<Resource>,
    pub(super) version: usize,
    /// Texts of Warning headers, sent with refusals too.
    pub(super) warnings: Vec<String>,
}

/// Patch types of custom resources; built-in kinds know one more.
const PATCH_TYPES: [&str; 3] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
];
const STRATEGIC: &str = "application/strategic-merge-patch+json";

impl Call<'_> {
    /// Answers the request; `Ok((output, answer))` tells how the answer is to be written.
    pub(super) fn run(&mut self) -> Result<(Output, Answer), ApiError> {
        if let Some(warning) = self.served().deprecation.clone() {
            self.warnings.push(warning);
        }
        if self.resource.traits.built_in {
            self.check_built_in_route()?;
        } else {
            self.check_custom_route()?;
        }
        let output = negotiate::negotiate(self.headers)?;
        let answer = if self.info.subresource.is_empty() {
            match self.info.verb.as_str() {
                "get" => self.get(),
                "list" => self.list(),
                "watch" => self.watch(),
                "create" => self.create(),
                "update" => self.update(),
                "patch" => self.patch(),
                "delete" => self.delete(),
                "deletecollection" => self.delete_collection(),
                _ => Err(ApiError::method_not_allowed()),
            }
        } else {
            self.subresource()
        }?;
        Ok((output, answer))
    }

    pub(super) fn served(&self) -> &Version {
        &self.resource.versions[self.version]
    }

    /// The store's key of the object that the path names.
    pub(super) fn key(&self) -> String {
        super::store::key(self.namespace(), &self.info.name)
    }

    /// The namespace of the objects meant; empty for cluster-scoped resources.
    pub(super) fn namespace(&self) -> &str {
        if self.resource.namespaced {
            &self.info.namespace
        } else {
            ""
        }
    }

    pub(in crate::fake) fn existing(&self) -> Result<Arc<Entry>, ApiError> {
        self.state
            .store
            .get(&self.resource.plural, &self.key())
            .cloned()
            .ok_or_else(|| ApiError::not_found(&self.resource.plural, &self.info.name))
    }

    fn get(&mut self) -> Result<Answer, ApiError> {
        if let Some(text) = self.query.text("resourceVersion") {
            let asked = revision_of(text).map_err(ApiError::internal)?;
            if asked > self.state.store.revision {
                return Err(ApiError::too_large_revision(
                    asked,
                    self.state.store.revision,
                ));
            }
        }
        Ok(Answer::ok(Content::Object(self.existing()?)))
    }

    fn check_built_in_route(&self) -> Result<(), ApiError> {
        let info = self.info;
        let all_namespaces = self.resource.namespaced && info.namespace.is_empty();
        let foreign_namespace = !self.resource.namespaced
            && !info.namespace.is_empty()
            && info.resource != "namespaces";
        if foreign_namespace || (all_namespaces && info.names_object) {
            return Err(ApiError::no_such_resource());
        }
        let allowed = if info.subresource.is_empty() {
            let fits = match info.verb.as_str() {
                "create" => !info.names_object,
                "update" | "patch" => info.names_object,
                _ => true,
            };
            fits && self.resource.verbs.contains(&info.verb.as_str())
        } else {
            let subresource = self
                .served()
                .subresources
                .iter()
                .find(|subresource| subresource.name == info.subresource)
                .ok_or_else(ApiError::no_such_resource)?;
            subresource.verbs.contains(&info.verb.as_str())
        };
        if !allowed || (all_namespaces && !matches!(info.verb.as_str(), "list" | "watch")) {
            // Reviews and other create-only kinds of a namespace are an exception nobody needs.
            return Err(ApiError::method_not_allowed());
        }
        if info.verb == "patch" {
            let given = content_type(self.headers);
            if given != STRATEGIC && !PATCH_TYPES.contains(&given) {
                return Err(ApiError::unsupported_media_type_by_route());
            }
        }
        negotiate::by_route(self.headers)
    }

    fn check_custom_route(&self) -> Result<(), ApiError> {
        let info = self.info;
        let collection = matches!(info.verb.as_str(), "list" | "watch");
        let missing_namespace =
            self.resource.namespaced && info.namespace.is_empty() && !collection;
        if missing_namespace || (!self.resource.namespaced && !info.namespace.is_empty()) {
            return Err(ApiError::page_not_found());
        }
        if !info.subresource.is_empty() {
            let Some(subresource) = self
                .served()
                .subresources
                .iter()
                .find(|subresource| subresource.name == info.subresource)
            else {
                return Err(ApiError::not_found(&self.resource.plural, &info.name));
            };
            if !subresource.verbs.contains(&info.verb.as_str()) {
                return Err(ApiError::verb_not_supported(
                    &self.resource.plural,
                    &info.verb,
                ));
            }
        } else if matches!(info.verb.as_str(), "update" | "patch") && !info.names_object {
            return Err(ApiError::bad_request("name must be provided"));
        } else if !self.resource.verbs.contains(&info.verb.as_str()) {
            return Err(ApiError::verb_not_supported(
                &self.resource.plural,
                &info.verb,
            ));
        }
        if info.verb == "patch" && !PATCH_TYPES.contains(&content_type(self.headers)) {
            return Err(ApiError::unsupported_media_type(&PATCH_TYPES.join(", ")));
        }
        Ok(())
    }
}
