//! Which resources the cluster serves: built-in kinds from a table, custom ones from CRDs and registrations.
//!
//! A resource is one collection, whatever its versions: `apps/v1` and a later `apps/v2` of the same plural share their
//! objects. What differs per version stands in [`Version`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

use super::builtin;
use super::schema::Schema;

/// A resource or kind with its group: how errors name things.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct GroupResource {
    pub(super) group: Arc<str>,
    pub(super) name: Arc<str>,
}

impl GroupResource {
    pub(super) fn new(group: &str, name: &str) -> Self {
        Self {
            group: group.into(),
            name: name.into(),
        }
    }

    /// The `details` of a Status about this.
    pub(super) fn details(&self, name: Option<&str>) -> Value {
        let mut details = json!({});
        if let Value::Object(map) = &mut details {
            if let Some(name) = name {
                map.insert("name".to_owned(), Value::from(name));
            }
            if !self.group.is_empty() {
                map.insert("group".to_owned(), Value::from(&*self.group));
            }
            if !self.name.is_empty() {
                map.insert("kind".to_owned(), Value::from(&*self.name));
            }
        }
        details
    }
}

impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        Ok(())
    }
}

/// One served collection.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    /// Group and plural: what 404 and 409 name.
    pub(super) plural: GroupResource,
    /// Group and kind: what 422 names.
    pub(super) kind: GroupResource,
    pub(super) list_kind: String,
    pub(super) singular: String,
    pub(super) namespaced: bool,
    pub(super) short_names: Vec<String>,
    pub(super) categories: Vec<String>,
    pub(super) versions: Vec<Version>,
    /// `None` for built-in kinds without verbs of their own (reviews).
    pub(super) verbs: Vec<&'static str>,
    pub(super) traits: Traits,
}

/// One served version of a resource.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) name: String,
    pub(super) schema: Arc<Schema>,
    /// What a use of this version warns of.
    pub(super) deprecation: Option<String>,
    pub(super) subresources: Vec<Subresource>,
    /// Fields beyond name and namespace that a field selector may name.
    pub(super) selectable: Vec<String>,
    pub(super) columns: Arc<[Column]>,
}

#[derive(Clone, Debug)]
pub(super) struct Subresource {
    pub(super) name: String,
    /// Group and version, when they are another's.
    pub(super) group_version: Option<(String, String)>,
    pub(super) kind: String,
    pub(super) verbs: Vec<&'static str>,
    /// Where a `Scale` reads and writes: spec, status and selector paths.
    pub(super) scale: Option<ScalePaths>,
}

#[derive(Clone, Debug)]
pub(super) struct ScalePaths {
    pub(super) spec: Vec<String>,
    pub(super) status: Vec<String>,
    pub(super) selector: Option<Vec<String>>,
}

/// One column of a Table.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) format: String,
    pub(super) description: String,
    pub(super) priority: i64,
    /// JSONPath, or a name of the table module's own for built-in kinds.
    pub(super) source: String,
}

/// How resources differ beyond their schema.
#[derive(Clone, Debug, Default)]
pub(super) struct Traits {
    /// A built-in kind: typed, so that null and empty maps vanish and unknown fields are dropped.
    pub(super) built_in: bool,
    /// `metadata.generation` counts changes of what is desired.
    pub(super) generation: bool,
    /// PUT of a missing name creates it.
    pub(super) create_on_update: bool,
    /// PUT without a resourceVersion is refused.
    pub(super) needs_resource_version: bool,
    /// DELETE answers the object instead of a Status.
    pub(super) returns_deleted: bool,
    /// An unknown field selector is refused with the short words.
    pub(super) own_field_labels: bool,
}

pub(super) const CUSTOM_VERBS: [&str; 8] = [
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "create",
    "update",
    "watch",
];

impl Resource {
    pub(super) fn group(&self) -> &str {
        &self.plural.group
    }

    pub(super) fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.name == name)
    }

    /// A custom resource without a schema: anything goes.
    pub(super) fn schemaless(
        group: &str,
        version: &str,
        plural: &str,
        kind: &str,
        namespaced: bool,
    ) -> Self {
        Self {
            plural: GroupResource::new(group, plural),
            kind: GroupResource::new(group, kind),
            list_kind: format!("{kind}List"),
            singular: kind.to_lowercase(),
            namespaced,
            short_names: Vec::new(),
            categories: Vec::new(),
            versions: vec![Version {
                name: version.to_owned(),
                schema: Schema::anything(),
                deprecation: None,
                subresources: Vec::new(),
                selectable: Vec::new(),
                columns: default_columns(),
            }],
            verbs: CUSTOM_VERBS.to_vec(),
            traits: Traits {
                generation: true,
                needs_resource_version: true,
                own_field_labels: true,
                ..Traits::default()
            },
        }
    }
}

pub(super) fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

pub(super) fn status_subresource(kind: &str) -> Subresource {
    Subresource {
        name: "status".to_owned(),
        group_version: None,
        kind: kind.to_owned(),
        verbs: vec!["get", "patch", "update"],
        scale: None,
    }
}

/// What a Table of a resource shows when nothing else is said.
pub(super) fn default_columns() -> Arc<[Column]> {
    Arc::new([Column {
        name: "Age".to_owned(),
        kind: "date".to_owned(),
        format: String::new(),
        description: "how long ago the object was created".to_owned(),
        priority: 0,
        source: ".metadata.creationTimestamp".to_owned(),
    }])
}

/// The built-in resources and the cluster's own.
#[derive(Debug, Default)]
pub(super) struct Registry {
    custom: BTreeMap<GroupResource, Arc<Resource>>,
}

impl Registry {
    pub(super) fn find(&self, group: &str, resource: &str) -> Option<Arc<Resource>> {
        let key = GroupResource::new(group, resource);
        self.find_key(&key)
    }

    pub(super) fn find_key(&self, key: &GroupResource) -> Option<Arc<Resource>> {
        builtin::resources()
            .get(key)
            .or_else(|| self.custom.get(key))
            .cloned()
    }

    pub(super) fn find_kind(&self, group: &str, kind: &str) -> Option<Arc<Resource>> {
        self.all()
            .find(|resource| resource.group() == group && &*resource.kind.name == kind)
            .cloned()
    }

    pub(super) fn insert(&mut self, resource: Resource) -> Arc<Resource> {
        let resource = Arc::new(resource);
        self.custom
            .insert(resource.plural.clone(), Arc::clone(&resource));
        resource
    }

    pub(super) fn remove(&mut self, key: &GroupResource) {
        self.custom.remove(key);
    }

    /// Everything served, by group and plural.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Resource>> {
        let mut all: Vec<_> = builtin::resources()
            .values()
            .chain(self.custom.values())
            .collect();
        all.sort_by(|a, b| a.plural.cmp(&b.plural));
        all.into_iter()
    }

    pub(super) fn is_built_in_group(group: &str) -> bool {
        builtin::resources().keys().any(|key| &*key.group == group)
    }

    /// The versions a group serves, the preferred one first; empty for an unknown group.
    pub(super) fn versions_of(&self, group: &str) -> Vec<String> {
        let mut versions: Vec<String> = self
            .all()
            .filter(|resource| resource.group() == group)
            .flat_map(|resource| resource.versions.iter().map(|version| version.name.clone()))
            .collect();
        versions.sort_by_key(|version| std::cmp::Reverse(version_rank(version)));
        versions.dedup();
        versions
    }
}

/// Orders versions as Kubernetes prefers them: stable before beta before alpha, then by number; others last, by name.
pub(super) fn version_rank(version: &str) -> (u8, u64, u64, std::cmp::Reverse<String>) {
    let parse = || -> Option<(u8, u64, u64)> {
        let rest = version.strip_prefix('v')?;
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let major = rest[..digits].parse().ok()?;
        match &rest[digits..] {
            "" => Some((3, major, 0)),
            tail => {
                let (stage, number) = match tail.strip_prefix("beta") {
                    Some(number) => (2, number),
                    None => (1, tail.strip_prefix("alpha")?),
                };
                Some((stage, major, number.parse().ok()?))
            }
        }
    };
    let (stage, major, minor) = parse().unwrap_or((0, 0, 0));
    let name = if stage == 0 { version } else { "" };
    (stage, major, minor, std::cmp::Reverse(name.to_owned()))
}

/// The plural that a kind most likely has.
pub(super) fn guess_plural(kind: &str) -> String {
    let lower = kind.to_lowercase();
    if lower.ends_with('s')
        || lower.ends_with('x')
        || lower.ends_with("ch")
        || lower.ends_with("sh")
    {
        format!("{lower}es")
    } else if let Some(stem) = lower.strip_suffix('y')
        && !stem.ends_with(['a', 'e', 'i', 'o', 'u'])
    {
        format!("{stem}ies")
    } else {
        format!("{lower}s")
    }
}
