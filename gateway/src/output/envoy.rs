//! Envoy's file-based discovery: one file of clusters, and one file of endpoints for each of them.
//!
//! `cds.json` holds all clusters; each names its own file below `eds/`, which is all that is written when only its
//! endpoints change. A file of endpoints is written before the clusters that name it and removed after them, so that
//! Envoy never looks for one that is missing; a cluster without endpoints keeps its file, with none in it. Files must
//! be replaced by renaming, which is what Envoy watches for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::upstream::Upstream;
use super::{File, Output, Rendering};
use crate::model::{Cluster, Problem, Snapshot};

mod file_name;
mod json;
pub(crate) mod upstream;

/// The name of the output, in the configuration and in problems.
const FORMAT: &str = "envoy";
/// The file that holds all clusters.
const CLUSTERS: &str = "cds.json";
/// What Envoy reads, and so the type of all files.
const MEDIA_TYPE: &str = "application/json";

/// How files for Envoy are made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnvoyFilesConfig {
    /// Where the files stand in Envoy's file system, an absolute path: the clusters name their endpoints' files by it.
    /// Default: the directory they are written to.
    pub root: Option<PathBuf>,
    /// A file in Envoy's file system with the certificates of the authorities, in PEM, by which the certificates of
    /// endpoints that speak TLS are checked. By default they are not checked.
    pub upstream_ca: Option<PathBuf>,
}

/// Why files for Envoy cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvoyFilesError {
    /// Nobody says where the files will stand.
    #[error(
        "`root` is missing: clusters name the files of their endpoints by an absolute path, so give the directory in \
         which Envoy finds the files"
    )]
    NoRoot,
    /// A path is not absolute.
    #[error("`{field}` is {path:?}, which is not an absolute path")]
    Relative {
        /// The field.
        field: &'static str,
        /// What stands there.
        path: PathBuf,
    },
    /// A path has no place in JSON.
    #[error("`{field}` is {path:?}, which is not UTF-8 and cannot be written in JSON")]
    NotUnicode {
        /// The field.
        field: &'static str,
        /// What stands there.
        path: PathBuf,
    },
}

/// Renders snapshots as files for Envoy.
#[derive(Debug)]
pub struct EnvoyFiles {
    root: String,
    upstream_ca: Option<String>,
    seen: Seen,
}

impl EnvoyFiles {
    /// Checks the configuration. `directory` is where the files are written, if that is a directory, and stands in for
    /// a `root` that is not given.
    ///
    /// # Errors
    /// When there is no root, or a path is not absolute or not UTF-8.
    pub fn new(
        config: EnvoyFilesConfig,
        directory: Option<&Path>,
    ) -> Result<Self, EnvoyFilesError> {
        let root = config.root.or_else(|| directory.map(Path::to_path_buf));
        let root = absolute("root", root.ok_or(EnvoyFilesError::NoRoot)?)?;
        let upstream_ca = config
            .upstream_ca
            .map(|path| absolute("upstream_ca", path))
            .transpose()?;
        Ok(Self {
            root: root.trim_end_matches('/').to_owned(),
            upstream_ca,
            seen: Seen::default(),
        })
    }

    /// The file of all clusters but those that Envoy cannot have.
    fn clusters(&self, snapshot: &Snapshot) -> File {
        let clusters = snapshot.clusters().filter_map(|cluster| {
            let upstream = Upstream::of(cluster)?;
            let path = format!("{}/{}", self.root, file_name::below("eds", &cluster.name));
            let ca = self.upstream_ca.as_deref();
            Some(json::cluster(&cluster.name, upstream, &path, ca))
        });
        file(CLUSTERS.into(), json::document(clusters))
    }
}

fn absolute(field: &'static str, path: PathBuf) -> Result<String, EnvoyFilesError> {
    if !path.is_absolute() {
        return Err(EnvoyFilesError::Relative { field, path });
    }
    path.into_os_string()
        .into_string()
        .map_err(|path| EnvoyFilesError::NotUnicode {
            field,
            path: path.into(),
        })
}

impl Output for EnvoyFiles {
    fn format(&self) -> &'static str {
        FORMAT
    }

    fn render(&mut self, snapshot: &Snapshot, last: Option<&Snapshot>) -> Rendering {
        let mut files = Vec::new();
        let mut removed = Vec::new();
        let mut clusters_differ = last.is_none();
        let nothing = Snapshot::default();
        for change in snapshot.changes_since(last.unwrap_or(&nothing)) {
            let before = change.before().and_then(shown);
            let after = change.after().and_then(shown);
            clusters_differ |=
                before.map(|(upstream, _)| upstream) != after.map(|(upstream, _)| upstream);
            let path = || file_name::below("eds", change.name()).into();
            match (before, after) {
                (before, Some((_, cluster))) => {
                    let localities = upstream::localities(cluster);
                    let stood = before.map(|(_, cluster)| upstream::localities(cluster));
                    if stood.as_ref() != Some(&localities) {
                        let assignment = json::assignment(&cluster.name, &localities);
                        files.push(file(path(), json::document([assignment].into_iter())));
                    }
                }
                (Some(_), None) => removed.push(path()),
                (None, None) => {}
            }
        }
        if clusters_differ {
            files.push(self.clusters(snapshot));
        }
        Rendering {
            is_whole: last.is_none(),
            files,
            removed,
            problems: self.seen.problems(snapshot, self.upstream_ca.is_some()),
        }
    }
}

/// A cluster as Envoy has it, if it can have it.
fn shown(cluster: &Arc<Cluster>) -> Option<(Upstream, &Arc<Cluster>)> {
    Upstream::of(cluster).map(|upstream| (upstream, cluster))
}

fn file(path: Arc<str>, bytes: bytes::Bytes) -> File {
    File {
        path,
        bytes,
        media_type: MEDIA_TYPE,
    }
}

/// The problems of the snapshot that was seen last, kept so that the next one costs what differs.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    snapshot: Snapshot,
    problems: BTreeMap<Arc<str>, Vec<Problem>>,
    /// All of them, sorted.
    all: Arc<[Problem]>,
}

impl Seen {
    /// All problems that Envoy has with a snapshot, sorted.
    pub(crate) fn problems(
        &mut self,
        snapshot: &Snapshot,
        checks_certificates: bool,
    ) -> Arc<[Problem]> {
        let mut differs = false;
        for change in snapshot.changes_since(&self.snapshot) {
            let problems = change
                .after()
                .map(|cluster| upstream::problems(cluster, checks_certificates))
                .unwrap_or_default();
            let before = self.problems.get(change.name());
            if before.map_or(&[][..], Vec::as_slice) == problems {
                continue;
            }
            differs = true;
            if problems.is_empty() {
                self.problems.remove(change.name());
            } else {
                self.problems.insert(change.name().into(), problems);
            }
        }
        self.snapshot = snapshot.clone();
        if differs {
            let mut all: Vec<Problem> = self.problems.values().flatten().cloned().collect();
            all.sort();
            self.all = all.into();
        }
        Arc::clone(&self.all)
    }
}

#[cfg(test)]
mod tests;
