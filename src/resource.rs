//! What is watched and how one object is named.
//!
//! [`Gvr`] names a resource as every Kubernetes client does; [`ObjectRef`] names one object of it. Both are plain data:
//! nothing here talks to a server, and nothing here joins names into one string that could be ambiguous.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A resource by API group, version and plural name: `networking.k8s.io/v1/ingresses`.
///
/// The core group is the empty string. Its text form is `group/version/resource`; the core group's is `/v1/pods`, and
/// `v1/pods` is read as the same.
///
/// ```
/// use kubedex::Gvr;
/// let ingresses = Gvr::new("networking.k8s.io", "v1", "ingresses");
/// assert_eq!(ingresses, "networking.k8s.io/v1/ingresses".parse().unwrap());
/// assert_eq!(Gvr::new("", "v1", "pods"), "v1/pods".parse().unwrap());
/// assert_eq!(Gvr::new("", "v1", "pods").to_string(), "/v1/pods");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gvr {
    group: Box<str>,
    version: Box<str>,
    resource: Box<str>,
}

/// Why a text is no [`Gvr`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error(
    "invalid resource {input:?}: {reason}; write group/version/resource, such as apps/v1/deployments or v1/pods"
)]
pub struct GvrError {
    input: String,
    reason: &'static str,
}

impl Gvr {
    /// Names a resource. The names are checked where the value is used ([`Gvr::validate`]), so that this can stand in
    /// a constant-like expression.
    pub fn new(
        group: impl Into<String>,
        version: impl Into<String>,
        resource: impl Into<String>,
    ) -> Self {
        Self {
            group: group.into().into_boxed_str(),
            version: version.into().into_boxed_str(),
            resource: resource.into().into_boxed_str(),
        }
    }

    /// The API group; empty for the core group.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The API version within the group, such as `v1`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The plural name in lower case, as it stands in URLs.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// `group/version`, or only `version` for the core group: what `apiVersion` holds in an object.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Checks that the three names can stand in a URL path: group a DNS subdomain or empty, version and resource
    /// DNS labels.
    ///
    /// # Errors
    /// Names the first part that is wrong.
    pub fn validate(&self) -> Result<(), GvrError> {
        let reason = if self.version.is_empty() {
            "the version is empty"
        } else if self.resource.is_empty() {
            "the resource is empty"
        } else if !self.group.is_empty() && !is_dns_subdomain(&self.group) {
            "the group is not a DNS subdomain in lower case"
        } else if !is_dns_label(&self.version) {
            "the version is not a DNS label in lower case"
        } else if !is_dns_label(&self.resource) {
            "the resource is not a plural name in lower case"
        } else {
            return Ok(());
        };
        Err(GvrError {
            input: self.to_string(),
            reason,
        })
    }
}

impl fmt::Display for Gvr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.group, self.version, self.resource)
    }
}

impl FromStr for Gvr {
    type Err = GvrError;

    fn from_str(input: &str) -> Result<Self, GvrError> {
        let parts: Vec<&str> = input.split('/').collect();
        let gvr = match parts[..] {
            [version, resource] => Self::new("", version, resource),
            [group, version, resource] => Self::new(group, version, resource),
            _ => {
                return Err(GvrError {
                    input: input.to_owned(),
                    reason: "it has not two or three parts",
                });
            }
        };
        gvr.validate().map_err(|error| GvrError {
            input: input.to_owned(),
            ..error
        })?;
        Ok(gvr)
    }
}

/// One object of a resource: its namespace, if it has one, and its name.
///
/// Ordered by namespace, then name, bytewise, as the API server lists; objects without a namespace come first.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    namespace: Option<Box<str>>,
    name: Box<str>,
}

impl ObjectRef {
    /// An object in a namespace.
    pub fn namespaced(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: Some(namespace.into().into_boxed_str()),
            name: name.into().into_boxed_str(),
        }
    }

    /// An object of a cluster-scoped resource.
    pub fn cluster(name: impl Into<String>) -> Self {
        Self {
            namespace: None,
            name: name.into().into_boxed_str(),
        }
    }

    /// From parts as an object's metadata has them; an empty namespace is none.
    pub fn new(namespace: Option<&str>, name: &str) -> Self {
        Self {
            namespace: namespace
                .filter(|namespace| !namespace.is_empty())
                .map(Into::into),
            name: name.into(),
        }
    }

    /// The namespace; `None` for a cluster-scoped object.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// Orders two resource versions of one resource as the Kubernetes API allows since 1.35: decimal numbers, compared by
/// length, then bytewise. `None` when one of them is no such number, so that nothing can be said.
pub fn compare_resource_versions(a: &str, b: &str) -> Option<Ordering> {
    let is_version = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'))
    };
    (is_version(a) && is_version(b)).then(|| a.len().cmp(&b.len()).then_with(|| a.cmp(b)))
}

/// Whether a text is a DNS label (RFC 1123): at most 63 of `[a-z0-9-]`, no dash at either end. Namespaces are labels.
pub fn is_dns_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether a text is a DNS subdomain (RFC 1123) as Kubernetes checks names: at most 253 bytes of labels' characters
/// joined by dots, no label empty or with a dash at either end.
pub fn is_dns_subdomain(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text.split('.').all(|label| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gvr_survives_its_text_form() {
        for gvr in [
            Gvr::new("", "v1", "pods"),
            Gvr::new("a.example.com", "v1beta1", "widgets"),
        ] {
            assert_eq!(gvr.to_string().parse::<Gvr>().unwrap(), gvr);
        }
    }

    #[test]
    fn a_malformed_gvr_is_refused_with_the_reason() {
        for (input, word) in [
            ("pods", "parts"),
            ("a/b/c/d", "parts"),
            ("apps/v1/", "resource is empty"),
            ("apps//x", "version is empty"),
            ("apps/v1/Pods", "plural"),
            ("Apps/v1/pods", "group"),
            ("apps/v1/pods?x", "plural"),
        ] {
            let error = input.parse::<Gvr>().unwrap_err().to_string();
            assert!(error.contains(word) && error.contains(input), "{error}");
        }
    }

    #[test]
    fn references_sort_by_namespace_then_name() {
        let mut refs = [
            ObjectRef::namespaced("b", "a"),
            ObjectRef::namespaced("a", "b"),
            ObjectRef::namespaced("a", "a"),
            ObjectRef::cluster("z"),
        ];
        refs.sort();
        assert_eq!(refs.map(|r| r.to_string()), ["z", "a/a", "a/b", "b/a"]);
    }

    #[test]
    fn resource_versions_compare_as_numbers_of_any_length() {
        assert_eq!(compare_resource_versions("9", "10"), Some(Ordering::Less));
        assert_eq!(
            compare_resource_versions("99999999999999999999999", "100000000000000000000000"),
            Some(Ordering::Less)
        );
        assert_eq!(compare_resource_versions("7", "7"), Some(Ordering::Equal));
        for odd in ["", "abc", "007", "-1", "1.5"] {
            assert_eq!(compare_resource_versions(odd, "1"), None, "{odd}");
        }
    }

    #[test]
    fn an_empty_namespace_is_none() {
        assert_eq!(ObjectRef::new(Some(""), "x"), ObjectRef::cluster("x"));
    }
}
