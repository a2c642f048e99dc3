//! The requests a reflector makes: lists, streaming lists and watches.

use std::time::Duration;

use form_urlencoded::Serializer;
use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderValue};
use http::{Request, Uri};
use kube::client::Body;

use crate::client::collection_path;
use crate::resource::{Gvr, ObjectRef};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const METADATA: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
const METADATA_LIST: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1");

/// What a reflector watches.
#[derive(Clone, Debug)]
pub(in crate::watcher) struct Target {
    /// The resource.
    pub(in crate::watcher) gvr: Gvr,
    /// One namespace, or all of them, or none because the resource has none.
    pub(in crate::watcher) namespace: Option<String>,
    /// Evaluated by the server.
    pub(in crate::watcher) label_selector: Option<String>,
    /// Evaluated by the server.
    pub(in crate::watcher) field_selector: Option<String>,
    /// Ask for metadata only.
    pub(in crate::watcher) metadata_only: bool,
    /// How many objects a page of a list has at the most.
    pub(in crate::watcher) page_size: u32,
    /// The selectors leave one object at the most, by its name.
    pub(in crate::watcher) one_object: bool,
}

impl Target {
    /// One page of a list, consistent (no resource version asked for); `limit`: whether in pages at all.
    pub(super) fn list(&self, token: Option<&str>, limit: bool) -> Request<Body> {
        let mut query = self.selectors();
        if limit {
            query.append_pair("limit", &self.page_size.to_string());
        }
        if let Some(token) = token {
            query.append_pair("continue", token);
        }
        self.list_of(self.namespace.as_deref(), query)
    }

    /// One page of a list as of exactly this version.
    pub(super) fn list_at(&self, version: &str, token: Option<&str>) -> Request<Body> {
        let mut query = self.selectors();
        query.append_pair("limit", &self.page_size.to_string());
        match token {
            Some(token) => query.append_pair("continue", token),
            None => query
                .append_pair("resourceVersion", version)
                .append_pair("resourceVersionMatch", "Exact"),
        };
        self.list_of(self.namespace.as_deref(), query)
    }

    /// A watch from a version, or, without one, a streaming list that goes on as a watch.
    pub(super) fn watch(&self, version: Option<&str>, timeout: Duration) -> Request<Body> {
        let mut query = self.selectors();
        query
            .append_pair("watch", "true")
            .append_pair("allowWatchBookmarks", "true");
        query.append_pair("timeoutSeconds", &timeout.as_secs().max(1).to_string());
        match version {
            Some(version) => query.append_pair("resourceVersion", version),
            None => query
                .append_pair("sendInitialEvents", "true")
                .append_pair("resourceVersionMatch", "NotOlderThan"),
        };
        let accept = if self.metadata_only { METADATA } else { JSON };
        build(
            &collection_path(&self.gvr, self.namespace.as_deref()),
            &query.finish(),
            accept,
            true,
        )
    }

    /// A list of one object by its name, under the same selectors.
    pub(super) fn list_one(&self, reference: &ObjectRef) -> Request<Body> {
        let name = by_name(reference.name());
        let field_selector = match &self.field_selector {
            Some(selector) => format!("{selector},{name}"),
            None => name,
        };
        let one = Self {
            field_selector: Some(field_selector),
            ..self.clone()
        };
        one.list_of(reference.namespace(), one.selectors())
    }

    /// A list in a namespace, with a query.
    fn list_of(&self, namespace: Option<&str>, mut query: Serializer<'_, String>) -> Request<Body> {
        let accept = if self.metadata_only {
            METADATA_LIST
        } else {
            JSON
        };
        let path = collection_path(&self.gvr, namespace);
        build(&path, &query.finish(), accept, false)
    }

    /// The path and query of a list of one object, to see whether there is any.
    pub(in crate::watcher) fn one_object(&self) -> String {
        let mut query = self.selectors();
        query.append_pair("limit", "1");
        format!(
            "{}?{}",
            collection_path(&self.gvr, self.namespace.as_deref()),
            query.finish()
        )
    }

    /// The same without selectors.
    pub(in crate::watcher) fn without_selectors(&self) -> Self {
        Self {
            label_selector: None,
            field_selector: None,
            ..self.clone()
        }
    }

    /// The selectors, for people; `None` if there are none.
    pub(in crate::watcher) fn selectors_text(&self) -> Option<String> {
        let named = |name: &str, selector: &Option<String>| {
            selector.as_ref().map(|text| format!("the {name} {text:?}"))
        };
        let both = [
            named("label selector", &self.label_selector),
            named("field selector", &self.field_selector),
        ];
        let texts: Vec<String> = both.into_iter().flatten().collect();
        (!texts.is_empty()).then(|| texts.join(" with "))
    }

    fn selectors(&self) -> Serializer<'static, String> {
        let mut query = Serializer::new(String::new());
        if let Some(selector) = &self.label_selector {
            query.append_pair("labelSelector", selector);
        }
        if let Some(selector) = &self.field_selector {
            query.append_pair("fieldSelector", selector);
        }
        query
    }
}

fn build(path: &str, query: &str, accept: HeaderValue, streaming: bool) -> Request<Body> {
    let uri = if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    };
    let mut request = Request::new(Body::empty());
    // Paths are of checked names and queries are encoded, so that this cannot fail; if it did, the request would go to
    // "/" and be refused as no list.
    *request.uri_mut() = uri.parse().unwrap_or_else(|_| Uri::from_static("/"));
    request.headers_mut().insert(ACCEPT, accept);
    if streaming {
        // Servers from 1.37 compress a watch event by event, which costs more than it saves.
        request
            .headers_mut()
            .insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    request
}

/// The field selector of one name.
pub(in crate::watcher) fn by_name(name: &str) -> String {
    let mut selector = String::from("metadata.name=");
    for c in name.chars() {
        if matches!(c, '\\' | ',' | '=') {
            selector.push('\\');
        }
        selector.push(c);
    }
    selector
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::FieldSelector;

    fn target() -> Target {
        Target {
            gvr: Gvr::new("apps", "v1", "deployments"),
            namespace: Some("shop".into()),
            label_selector: Some("a in (b,c)".into()),
            field_selector: Some("metadata.name=x".into()),
            metadata_only: false,
            page_size: 500,
            one_object: false,
        }
    }

    #[test]
    fn the_selector_of_a_name_selects_just_it() {
        for name in ["web-0", "system:node", "a,b=c\\d"] {
            let selector: FieldSelector = by_name(name).parse().unwrap();
            assert_eq!(selector.terms().len(), 1);
            assert_eq!(selector.terms()[0].value(), name);
        }
    }

    #[test]
    fn a_list_asks_for_a_consistent_page() {
        let request = target().list(Some("t/="), true);
        assert_eq!(
            request.uri().to_string(),
            "/apis/apps/v1/namespaces/shop/deployments?labelSelector=a+in+%28b%2Cc%29&fieldSelector=metadata.name%3Dx&limit=500&continue=t%2F%3D"
        );
        assert!(request.headers().get(ACCEPT_ENCODING).is_none());
    }

    #[test]
    fn a_watch_resumes_and_a_streaming_list_starts_anew() {
        let watch = target().watch(Some("7"), Duration::from_secs(300));
        assert!(
            watch
                .uri()
                .query()
                .unwrap()
                .ends_with("timeoutSeconds=300&resourceVersion=7")
        );
        assert_eq!(watch.headers().get(ACCEPT_ENCODING).unwrap(), "identity");
        let stream = target().watch(None, Duration::from_secs(300));
        let query = stream.uri().query().unwrap();
        assert!(
            query.contains("sendInitialEvents=true&resourceVersionMatch=NotOlderThan"),
            "{query}"
        );
    }
}
