//! What a request of a watcher asks for.

/// A request, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// A list from its beginning; whether in pages.
    List { limit: bool },
    /// One more page.
    Page,
    /// A list at an exact version, which only an audit makes.
    Audit,
    /// A streaming list.
    Stream,
    /// A watch from a version.
    Watch(u64),
    /// One object.
    Get,
    /// What there is to list and watch.
    Discovery,
}

impl Asked {
    /// Reads a request of a watcher with this field selector.
    pub(super) fn read(uri: &http::Uri, fields: Option<&str>) -> Self {
        let query: Vec<_> =
            form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).collect();
        let value = |name: &str| {
            let found = query.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| &**value)
        };
        if !uri.path().contains("/v1/") {
            return Self::Discovery;
        }
        if is_collection(uri.path()) && value("fieldSelector") != fields {
            // One object of those that are selected.
            return Self::Get;
        }
        if value("watch").is_some() {
            let version = value("resourceVersion").unwrap_or_default();
            return match version.parse() {
                Ok(version) => Self::Watch(version),
                Err(_) => Self::Stream,
            };
        }
        if value("continue").is_some() {
            return Self::Page;
        }
        if value("resourceVersionMatch") == Some("Exact") {
            return Self::Audit;
        }
        if is_collection(uri.path()) {
            return Self::List {
                limit: value("limit").is_some(),
            };
        }
        Self::Get
    }

    /// What the request is about: the path of a collection.
    pub(super) fn collection(&self, uri: &http::Uri) -> String {
        let path = uri.path();
        let parent = path.rsplit_once('/').map_or(path, |(parent, _)| parent);
        match self {
            Self::Get if !is_collection(path) => parent.to_owned(),
            _ => path.to_owned(),
        }
    }
}

fn is_collection(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    matches!(last, "configmaps" | "secrets" | "widgets" | "gadgets")
}
