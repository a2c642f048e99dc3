//! From method, path and query to what is asked: the attributes that authorization and the handlers work on.

use http::Method;

use super::query::{Query, decode};
use crate::selector::{FieldOperator, FieldSelector};

/// What a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RequestInfo {
    /// Below `/api/VERSION` or `/apis/GROUP/VERSION`.
    pub(super) is_resource: bool,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; for other paths the method.
    pub(super) verb: String,
    pub(super) path: String,
    pub(super) group: String,
    pub(super) version: String,
    pub(super) resource: String,
    pub(super) subresource: String,
    /// Empty: none, or all of them.
    pub(super) namespace: String,
    /// Empty: the collection. For lists and watches the name that a field selector demands.
    pub(super) name: String,
    /// Whether the path itself names an object.
    pub(super) names_object: bool,
}

impl RequestInfo {
    pub(super) fn parse(method: &Method, path: &str, query: &Query) -> Self {
        let mut info = Self {
            verb: method.as_str().to_lowercase(),
            path: path.to_owned(),
            ..Self::default()
        };
        let segments: Vec<String> = path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(|segment| decode(segment, false))
            .collect();
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        let rest = match parts[..] {
            ["api", version, ref rest @ ..] if !rest.is_empty() => {
                info.version = version.to_owned();
                rest
            }
            ["apis", group, version, ref rest @ ..] if !rest.is_empty() => {
                info.group = group.to_owned();
                info.version = version.to_owned();
                rest
            }
            _ => return info,
        };
        info.is_resource = true;
        let rest = match rest {
            // A namespace itself, or one of its subresources.
            ["namespaces", name, tail @ ..]
                if tail.is_empty() || matches!(tail, ["status" | "finalize"]) =>
            {
                info.namespace = (*name).to_owned();
                rest
            }
            ["namespaces", namespace, tail @ ..] => {
                info.namespace = (*namespace).to_owned();
                tail
            }
            _ => rest,
        };
        let mut rest = rest.iter();
        let mut next = || rest.next().map(|part| (*part).to_owned());
        info.resource = next().unwrap_or_default();
        info.name = next().unwrap_or_default();
        info.subresource = next().unwrap_or_default();
        if let Some(extra) = next() {
            // Deeper paths (proxies) are nobody's here.
            info.subresource = format!("{}/{extra}", info.subresource);
        }
        info.names_object = !info.name.is_empty();
        let watch = query.flag("watch").unwrap_or_default();
        info.verb = match *method {
            Method::GET | Method::HEAD if info.names_object => "get",
            Method::GET | Method::HEAD if watch => "watch",
            Method::GET | Method::HEAD => "list",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if info.names_object => "delete",
            Method::DELETE => "deletecollection",
            _ => "",
        }
        .to_owned();
        if matches!(info.verb.as_str(), "list" | "watch") {
            info.name = named_by_selector(query).unwrap_or_default();
        }
        info
    }

    /// `pods`, or `pods/status`: what rules name.
    pub(super) fn resource_path(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}

fn named_by_selector(query: &Query) -> Option<String> {
    let selector: FieldSelector = query.text("fieldSelector")?.parse().ok()?;
    selector
        .terms()
        .iter()
        .find(|term| term.path() == "metadata.name" && term.operator() == FieldOperator::Equals)
        .map(|term| term.value().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &Method, uri: &str) -> RequestInfo {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        RequestInfo::parse(method, path, &Query::parse(query))
    }

    #[test]
    fn a_namespace_is_both_resource_and_scope() {
        let info = parse(&Method::GET, "/api/v1/namespaces/x");
        assert_eq!(
            (&*info.resource, &*info.name, &*info.namespace),
            ("namespaces", "x", "x")
        );
        let info = parse(&Method::PUT, "/api/v1/namespaces/x/finalize");
        assert_eq!(
            (&*info.resource, &*info.subresource),
            ("namespaces", "finalize")
        );
        let info = parse(&Method::GET, "/api/v1/namespaces/x/pods/p/log");
        assert_eq!(
            (
                &*info.resource,
                &*info.namespace,
                &*info.name,
                &*info.subresource
            ),
            ("pods", "x", "p", "log")
        );
    }

    #[test]
    fn verbs_follow_method_name_and_watch() {
        for (method, uri, verb) in [
            (Method::GET, "/apis/apps/v1/deployments", "list"),
            (Method::GET, "/apis/apps/v1/deployments?watch=1", "watch"),
            (Method::GET, "/apis/apps/v1/deployments?watch=false", "list"),
            (
                Method::GET,
                "/apis/apps/v1/namespaces/a/deployments/b?watch=1",
                "get",
            ),
            (
                Method::DELETE,
                "/apis/apps/v1/namespaces/a/deployments",
                "deletecollection",
            ),
            (Method::GET, "/healthz", "get"),
        ] {
            assert_eq!(parse(&method, uri).verb, verb, "{uri}");
        }
        assert!(!parse(&Method::GET, "/apis/apps/v1").is_resource);
    }
}
