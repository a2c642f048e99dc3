//! Who may do what.

use super::registry::GroupResource;
use super::route::RequestInfo;
use super::state::State;
use super::status::ApiError;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) groups: Vec<String>,
}

const MASTERS: &str = "system:masters";

impl User {
    pub(super) fn admin() -> Self {
        Self {
            name: "admin".to_owned(),
            groups: vec![MASTERS.to_owned(), "system:authenticated".to_owned()],
        }
    }

    pub(super) fn anonymous() -> Self {
        Self {
            name: "system:anonymous".to_owned(),
            groups: vec!["system:unauthenticated".to_owned()],
        }
    }

    pub(super) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            groups: vec!["system:authenticated".to_owned()],
        }
    }

    pub(super) fn is_admin(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }
}

/// What everybody may read.
const PUBLIC: [&str; 4] = ["/healthz", "/livez", "/readyz", "/version"];

/// Refuses what the user may not do.
pub(super) fn authorize(_state: &State, user: &User, info: &RequestInfo) -> Result<(), ApiError> {
    if user.is_admin() {
        return Ok(());
    }
    if info.is_resource {
        let scope = if info.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace \"{}\"", info.namespace)
        };
        let name = Some(info.name.as_str()).filter(|name| !name.is_empty());
        return Err(ApiError::forbidden(
            &GroupResource::new(&info.group, &info.resource),
            name,
            &format!(
                "User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {scope}",
                user.name,
                info.verb,
                info.resource_path(),
                info.group
            ),
        ));
    }
    let path = info.path.trim_end_matches('/');
    if PUBLIC.contains(&path) {
        return Ok(());
    }
    Err(ApiError::forbidden_path(&user.name, &info.verb, &info.path))
}
