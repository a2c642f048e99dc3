//! What comes near a resource that the server does not have, in one sentence. Pure: the server's answer in, words out.

use serde::Deserialize;

use crate::resource::Gvr;

/// How many names a hint lists at most.
const SHOWN: usize = 5;

/// What a server has, as far as it told: by aggregated discovery with the resources, by the older one without.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Offer {
    /// Aggregated.
    #[serde(default)]
    items: Vec<Group>,
    /// Older.
    #[serde(default)]
    groups: Vec<PlainGroup>,
}

#[derive(Debug, Deserialize)]
struct Group {
    #[serde(default)]
    metadata: GroupName,
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Debug, Default, Deserialize)]
struct GroupName {
    #[serde(default)]
    name: String,
}

#[derive(Debug, Deserialize)]
struct PlainGroup {
    name: String,
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Debug, Deserialize)]
struct Version {
    version: String,
    #[serde(default)]
    resources: Vec<Names>,
}

/// The names of one resource. The older lists use other keys for some of them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Names {
    #[serde(alias = "name")]
    resource: String,
    #[serde(default, alias = "singularName")]
    singular_resource: String,
    #[serde(default)]
    short_names: Vec<String>,
}

impl Offer {
    /// Adds what another document says.
    pub(super) fn extend(&mut self, other: Self) {
        self.items.extend(other.items);
        self.groups.extend(other.groups);
    }

    /// Group, version and the version's resources.
    fn versions(&self) -> impl Iterator<Item = (&str, &Version)> {
        let aggregated = self
            .items
            .iter()
            .map(|group| (group.metadata.name.as_str(), &group.versions));
        let plain = self
            .groups
            .iter()
            .map(|group| (group.name.as_str(), &group.versions));
        aggregated
            .chain(plain)
            .flat_map(|(group, versions)| versions.iter().map(move |version| (group, version)))
    }

    fn resources(&self) -> impl Iterator<Item = (Gvr, &Names)> {
        self.versions().flat_map(|(group, version)| {
            version.resources.iter().map(move |names| {
                let gvr = Gvr::new(group, version.version.as_str(), names.resource.as_str());
                (gvr, names)
            })
        })
    }

    /// What to tell somebody who asked for a resource that is not there.
    pub(super) fn hint(&self, wanted: &Gvr) -> String {
        // The same name elsewhere is the best guess, another of its names next, a slip of the pen last.
        let same = |names: &Names| names.resource == wanted.resource();
        let other = |names: &Names| {
            names.singular_resource == wanted.resource()
                || names
                    .short_names
                    .iter()
                    .any(|name| name == wanted.resource())
        };
        let slip = |names: &Names| {
            let edits = distance(&names.resource, wanted.resource());
            edits <= 2 && edits * 3 <= wanted.resource().len()
        };
        for near in [&same as &dyn Fn(&Names) -> bool, &other, &slip] {
            let mut found: Vec<Gvr> = self
                .resources()
                .filter(|(_, names)| near(names))
                .map(|(gvr, _)| gvr)
                .collect();
            // Those of the group that was meant come first.
            found.sort_by_key(|gvr| gvr.group() != wanted.group());
            if !found.is_empty() {
                return format!("it has {}", list(found.iter().map(Gvr::to_string)));
            }
        }
        let versions: Vec<&str> = self
            .versions()
            .filter(|(group, _)| *group == wanted.group())
            .map(|(_, version)| version.version.as_str())
            .collect();
        if versions.contains(&wanted.version()) {
            return format!(
                "it has {}, but no such resource in it",
                wanted.api_version()
            );
        }
        if !versions.is_empty() {
            return format!(
                "of that group it has {}",
                list(versions.into_iter().map(str::to_owned))
            );
        }
        let mut groups: Vec<&str> = self
            .versions()
            .map(|(group, _)| group)
            .filter(|group| !group.is_empty() && distance(group, wanted.group()) <= 3)
            .collect();
        groups.dedup();
        if groups.is_empty() {
            return "is its CustomResourceDefinition installed? `kubectl api-resources` lists what there is"
                .to_owned();
        }
        format!(
            "it has the group {}",
            list(groups.into_iter().map(str::to_owned))
        )
    }
}

fn list(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    let mut text = names
        .iter()
        .take(SHOWN)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        text.push_str(" and others");
    }
    text
}

/// How many characters must be inserted, deleted or replaced to make one name of the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, from) in left.chars().enumerate() {
        let mut diagonal = line;
        let mut before = line + 1;
        if let Some(first) = row.first_mut() {
            *first = before;
        }
        for (cell, to) in row.iter_mut().skip(1).zip(&right) {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = *cell;
            *cell = replaced.min(*cell + 1).min(before + 1);
            before = *cell;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer() -> Offer {
        serde_json::from_str(
            r#"{"kind":"APIGroupDiscoveryList","items":[
                {"metadata":{"creationTimestamp":null},"versions":[{"version":"v1","resources":[
                    {"resource":"pods","singularResource":"pod","shortNames":["po"]},
                    {"resource":"services","singularResource":"service","shortNames":["svc"]}]}]},
                {"metadata":{"name":"networking.k8s.io"},"versions":[{"version":"v1","resources":[
                    {"resource":"ingresses","singularResource":"ingress","shortNames":["ing"]}]}]},
                {"metadata":{"name":"example.com"},"versions":[
                    {"version":"v1","resources":[{"resource":"widgets"}]},
                    {"version":"v1beta1","resources":[{"resource":"widgets"}, {"resource":"gadgets"}]}]}]}"#,
        )
        .unwrap()
    }

    #[test]
    fn a_hint_names_what_was_probably_meant() {
        for (wanted, hint) in [
            (
                "extensions/v1beta1/ingresses",
                "it has networking.k8s.io/v1/ingresses",
            ),
            (
                "example.com/v1/gadgets",
                "it has example.com/v1beta1/gadgets",
            ),
            (
                "example.com/v2/widgets",
                "it has example.com/v1/widgets, example.com/v1beta1/widgets",
            ),
            ("apps/v1/pods", "it has /v1/pods"),
            ("v1/svc", "it has /v1/services"),
            (
                "networking.k8s.io/v1/ingress",
                "it has networking.k8s.io/v1/ingresses",
            ),
            ("v1/pds", "it has /v1/pods"),
            (
                "example.com/v1/wonders",
                "it has example.com/v1, but no such resource in it",
            ),
            ("example.com/v3/wonders", "of that group it has v1, v1beta1"),
            (
                "network.k8s.io/v1/policies",
                "it has the group networking.k8s.io",
            ),
        ] {
            let gvr: Gvr = wanted.parse().unwrap();
            assert_eq!(offer().hint(&gvr), hint, "{wanted}");
        }
        let nothing = offer().hint(&"other.example.org/v1/things".parse().unwrap());
        assert!(nothing.contains("CustomResourceDefinition"), "{nothing}");
    }

    #[test]
    fn an_older_server_offers_groups_and_versions() {
        let offer: Offer = serde_json::from_str(
            r#"{"kind":"APIGroupList","groups":[{"name":"apps","versions":[{"groupVersion":"apps/v1","version":"v1"}]}]}"#,
        )
        .unwrap();
        let gvr = Gvr::new("apps", "v1beta1", "deployments");
        assert_eq!(offer.hint(&gvr), "of that group it has v1");
    }

    #[test]
    fn the_distance_counts_edits() {
        for (left, right, edits) in [
            ("", "abc", 3),
            ("pods", "pods", 0),
            ("pds", "pods", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(left, right), edits);
            assert_eq!(distance(right, left), edits);
        }
    }
}
