//! What is to be fetched and what is to go: decided from a listing and from what stands.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::sink::directory::{check_path, manifest};
use crate::sink::s3::Listed;

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// What is to be fetched, in the order in which it is to be written: what is deeper first, since what is above may
    /// name it, and then in the order in which it was put.
    pub(super) fetch: Vec<Arc<str>>,
    /// What is to go, the other way round.
    pub(super) removed: Vec<Arc<str>>,
    /// How many bytes more there could be.
    pub(super) spare: u64,
    /// How many folders the deepest file is below.
    deepest: usize,
}

impl Plan {
    /// Whether a file may be newer than the listing: nothing that was listed is deeper, so that it can name nothing that
    /// is not brought yet.
    pub(super) fn may_be_newer(&self, path: &str) -> bool {
        depth(path) >= self.deepest
    }
}

/// Why nothing is done.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PlanError {
    #[error("the key {key:?} cannot be a file: {reason}; nothing is brought")]
    Key { key: String, reason: &'static str },
    #[error("there are {bytes} bytes, and at most {limit} are brought (--max-bytes)")]
    TooLarge { bytes: u64, limit: u64 },
    #[error("there is nothing, not even a manifest; what was brought before stays")]
    Nothing,
}

/// Decides. `standing` has the files that were brought, with the tag of each one that stands as it was brought.
pub(super) fn plan(
    listed: &BTreeMap<Arc<str>, Listed>,
    standing: &BTreeMap<Arc<str>, Option<String>>,
    limit: u64,
) -> Result<Plan, PlanError> {
    if listed.is_empty() && !standing.is_empty() {
        return Err(PlanError::Nothing);
    }
    let mut fetch = Vec::new();
    let (mut bytes, mut deepest) = (0u64, 0);
    for (path, object) in listed {
        if is_manifest(path) || is_folder(path, object, listed) {
            continue;
        }
        let check = check_path(path).and_then(|()| match has_files_below(path, listed) {
            true => Err("others stand below it, so that it would have to be a folder, too"),
            false => Ok(()),
        });
        check.map_err(|reason| PlanError::Key {
            key: path.to_string(),
            reason,
        })?;
        bytes = bytes.saturating_add(object.size);
        deepest = deepest.max(depth(path));
        let stands = standing.get(path).and_then(Option::as_deref);
        if object.etag.is_empty() || stands != Some(&object.etag) {
            fetch.push((Reverse(depth(path)), object.modified, Arc::clone(path)));
        }
    }
    if bytes > limit {
        return Err(PlanError::TooLarge { bytes, limit });
    }
    fetch.sort();
    let is_gone = |path: &&Arc<str>| match listed.get(*path) {
        Some(object) => is_folder(path, object, listed),
        None => true,
    };
    let mut removed: Vec<_> = standing.keys().filter(is_gone).cloned().collect();
    removed.sort_by_key(|path| depth(path));
    Ok(Plan {
        fetch: fetch.into_iter().map(|(_, _, path)| path).collect(),
        removed,
        spare: limit - bytes,
        deepest,
    })
}

/// How many folders a path is below.
fn depth(path: &str) -> usize {
    path.matches('/').count()
}

/// A writer's own file, at any depth.
fn is_manifest(path: &str) -> bool {
    path.rsplit('/').next() == Some(manifest::NAME)
}

/// Whether an object only stands for a folder, as some tools make them: it is empty, and others are below it.
fn is_folder(path: &str, object: &Listed, listed: &BTreeMap<Arc<str>, Listed>) -> bool {
    object.size == 0 && below(path, listed).next().is_some()
}

/// Whether something is to be brought into a folder of this name.
fn has_files_below(path: &str, listed: &BTreeMap<Arc<str>, Listed>) -> bool {
    below(path, listed).any(|path| !is_manifest(path))
}

/// What stands below a path.
fn below<'a>(
    path: &str,
    listed: &'a BTreeMap<Arc<str>, Listed>,
) -> impl Iterator<Item = &'a Arc<str>> + use<'a> {
    let below = format!("{path}/");
    let bounds = (Bound::Included(Arc::from(&*below)), Bound::Unbounded);
    listed
        .range::<Arc<str>, _>(bounds)
        .map(|(path, _)| path)
        .take_while(move |path| path.starts_with(&below))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(objects: &[(&str, &str, u64, i64)]) -> BTreeMap<Arc<str>, Listed> {
        let listed = |&(path, etag, size, modified): &(&str, &str, u64, i64)| {
            let etag = etag.to_owned();
            (
                path.into(),
                Listed {
                    etag,
                    size,
                    modified,
                },
            )
        };
        objects.iter().map(listed).collect()
    }

    fn standing(files: &[(&str, Option<&str>)]) -> BTreeMap<Arc<str>, Option<String>> {
        let file = |&(path, etag): &(&str, Option<&str>)| (path.into(), etag.map(str::to_owned));
        files.iter().map(file).collect()
    }

    fn names(paths: &[Arc<str>]) -> Vec<&str> {
        paths.iter().map(|path| &**path).collect()
    }

    #[test]
    fn what_differs_is_fetched_and_what_is_gone_goes() {
        let listed = listed(&[
            ("cds.json", "c2", 9, 30),
            ("eds/a.json", "a1", 9, 10),
            ("eds/b.json", "b2", 9, 20),
            ("eds/new.json", "n1", 9, 20),
            ("lost.json", "l1", 9, 5),
            (".kubedex-manifest.json", "m9", 9, 40),
            ("eu/.kubedex-manifest.json", "m9", 9, 40),
        ]);
        let standing = standing(&[
            ("cds.json", Some("c1")),
            ("eds/a.json", Some("a1")),
            ("eds/b.json", Some("b1")),
            ("eds/gone.json", Some("g1")),
            ("lost.json", None),
        ]);
        let plan = plan(&listed, &standing, 1_000).unwrap();
        let fetched = ["eds/b.json", "eds/new.json", "lost.json", "cds.json"];
        assert_eq!(names(&plan.fetch), fetched);
        assert_eq!(names(&plan.removed), ["eds/gone.json"]);
    }

    #[test]
    fn what_is_deeper_comes_first_and_goes_last_since_what_is_above_may_name_it() {
        let fetched = |objects: &[(&str, &str, u64, i64)]| {
            let plan = plan(&listed(objects), &BTreeMap::new(), 1_000).unwrap();
            names(&plan.fetch).join(" ")
        };
        // An endpoint file that was put again after the cluster file that names it.
        let newer = [
            ("cds.json", "c", 9, 10),
            ("eds/a.json", "a", 9, 20),
            ("eds/b.json", "b", 9, 5),
        ];
        assert_eq!(fetched(&newer), "eds/b.json eds/a.json cds.json");
        // Stores tell times in whole seconds.
        let equal = [
            ("cds.json", "c", 9, 10),
            ("eds/a.json", "a", 9, 10),
            ("x.json", "x", 9, 10),
        ];
        assert_eq!(fetched(&equal), "eds/a.json cds.json x.json");
        let gone = standing(&[
            ("a/eds/x.json", Some("1")),
            ("cds.json", Some("1")),
            ("eds/a.json", Some("1")),
        ]);
        let stays = listed(&[(".kubedex-manifest.json", "m", 9, 1)]);
        let plan = plan(&stays, &gone, 1_000).unwrap();
        let removed = ["cds.json", "eds/a.json", "a/eds/x.json"];
        assert_eq!(names(&plan.removed), removed);
    }

    #[test]
    fn what_may_name_others_may_not_be_newer_than_the_listing() {
        let listed = listed(&[("cds.json", "c", 9, 10), ("eds/a.json", "a", 9, 20)]);
        let plan = plan(&listed, &BTreeMap::new(), 1_000).unwrap();
        assert!(plan.may_be_newer("eds/a.json"));
        assert!(!plan.may_be_newer("cds.json"));
        let alone = super::plan(&self::listed(&[("a", "1", 9, 1)]), &BTreeMap::new(), 9);
        assert!(alone.unwrap().may_be_newer("a"));
    }

    #[test]
    fn what_would_leave_the_directory_stops_everything() {
        for key in [
            "../x",
            "a/../../x",
            "/etc/passwd",
            "a//b",
            ".kubedex-lock",
            "a\nb",
        ] {
            let listed = listed(&[("fine", "1", 1, 1), (key, "1", 1, 1)]);
            let error = plan(&listed, &BTreeMap::new(), 1_000).unwrap_err();
            assert!(matches!(error, PlanError::Key { .. }), "{key}: {error}");
        }
    }

    #[test]
    fn a_file_with_others_below_it_stops_everything() {
        let both = listed(&[("x", "1", 1, 1), ("x-y", "1", 1, 1), ("x/y", "1", 1, 1)]);
        let error = plan(&both, &BTreeMap::new(), 9).unwrap_err();
        assert!(
            matches!(&error, PlanError::Key { key, .. } if key == "x"),
            "{error}"
        );
        let manifest = [("x", "1", 1, 1), ("x/.kubedex-manifest.json", "m", 9, 1)];
        let plan = plan(&listed(&manifest), &BTreeMap::new(), 9).unwrap();
        assert_eq!(names(&plan.fetch), ["x"]);
    }

    #[test]
    fn an_empty_listing_removes_nothing_unless_a_manifest_says_so() {
        let before = standing(&[("a", Some("1"))]);
        assert_eq!(plan(&listed(&[]), &before, 9), Err(PlanError::Nothing));
        let nothing = Plan {
            spare: 9,
            ..Plan::default()
        };
        assert_eq!(plan(&listed(&[]), &standing(&[]), 9), Ok(nothing));
        let manifest = listed(&[(".kubedex-manifest.json", "m", 9, 1)]);
        assert_eq!(names(&plan(&manifest, &before, 9).unwrap().removed), ["a"]);
    }

    #[test]
    fn the_size_is_bounded_and_folders_are_no_files() {
        let large = listed(&[("a", "1", 6, 1), ("b", "1", 5, 1)]);
        let error = plan(&large, &BTreeMap::new(), 10).unwrap_err();
        assert_eq!(
            error,
            PlanError::TooLarge {
                bytes: 11,
                limit: 10
            }
        );
        let folder = listed(&[
            ("eds", "1", 0, 1),
            ("eds-x", "1", 0, 1),
            ("eds/a", "1", 1, 1),
        ]);
        let plan = plan(&folder, &standing(&[("eds", Some("1"))]), 10).unwrap();
        assert_eq!(names(&plan.fetch), ["eds/a", "eds-x"]);
        assert_eq!(names(&plan.removed), ["eds"]);
    }
}
