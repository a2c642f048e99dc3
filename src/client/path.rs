//! URL paths of collections and objects. Names are percent-encoded, so that none can reach outside its segment.

use std::fmt::Write as _;

use crate::resource::Gvr;

/// The path of all objects of a resource, or of those in one namespace.
///
/// ```
/// use kubedex::Gvr;
/// use kubedex::client::collection_path;
/// assert_eq!(collection_path(&Gvr::new("", "v1", "pods"), None), "/api/v1/pods");
/// assert_eq!(
///     collection_path(&Gvr::new("apps", "v1", "deployments"), Some("default")),
///     "/apis/apps/v1/namespaces/default/deployments"
/// );
/// ```
pub fn collection_path(gvr: &Gvr, namespace: Option<&str>) -> String {
    let mut path = group_version_path(gvr);
    if let Some(namespace) = namespace {
        path.push_str("/namespaces/");
        push_segment(&mut path, namespace);
    }
    path.push('/');
    push_segment(&mut path, gvr.resource());
    path
}

/// The path of one object; the namespace is `None` for a cluster-scoped resource.
///
/// ```
/// use kubedex::Gvr;
/// use kubedex::client::object_path;
/// assert_eq!(
///     object_path(&Gvr::new("", "v1", "pods"), Some("default"), "web-0"),
///     "/api/v1/namespaces/default/pods/web-0"
/// );
/// ```
pub fn object_path(gvr: &Gvr, namespace: Option<&str>, name: &str) -> String {
    let mut path = collection_path(gvr, namespace);
    path.push('/');
    push_segment(&mut path, name);
    path
}

/// The path of a group's version, where its list of resources is.
pub(super) fn group_version_path(gvr: &Gvr) -> String {
    let mut path = String::with_capacity(96);
    if gvr.group().is_empty() {
        path.push_str("/api/");
    } else {
        path.push_str("/apis/");
        push_segment(&mut path, gvr.group());
        path.push('/');
    }
    push_segment(&mut path, gvr.version());
    path
}

/// Appends a name as one segment. `:` stays as it is: it is allowed in a segment, and RBAC's names have it.
fn push_segment(path: &mut String, name: &str) {
    // A segment of dots would be read as a step upwards by proxies in between.
    let dots = !name.is_empty() && name.bytes().all(|byte| byte == b'.');
    for byte in name.bytes() {
        match byte {
            b'.' if dots => path.push_str("%2E"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'@' => {
                path.push(char::from(byte));
            }
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(path, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_segment() {
        let roles = Gvr::new("rbac.authorization.k8s.io", "v1", "clusterroles");
        assert_eq!(
            object_path(&roles, None, "system:node"),
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node"
        );
        for (name, encoded) in [
            ("a/b", "a%2Fb"),
            ("a?b#c", "a%3Fb%23c"),
            ("..", "%2E%2E"),
            ("100%", "100%25"),
            ("é", "%C3%A9"),
        ] {
            assert_eq!(
                object_path(&roles, None, name),
                format!("/apis/rbac.authorization.k8s.io/v1/clusterroles/{encoded}")
            );
        }
    }
}
