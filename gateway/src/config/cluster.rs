//! `cluster`: which one is watched.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::document::Document;
use super::node::Path;
use super::place;

/// Which cluster is watched. With nothing set it is found as kubectl finds it: `KUBECONFIG`, `~/.kube/config`, or the
/// service account of the pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterConfig {
    /// The kubeconfig to use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig to use, instead of its current one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Use an embedded cluster, in which workloads are scaled and restarted.
    pub demo: bool,
}

impl ClusterConfig {
    pub(super) fn check(&self, path: &Path, document: &mut Document) {
        if self.demo {
            for (field, is_set) in [
                ("kubeconfig", self.kubeconfig.is_some()),
                ("context", self.context.is_some()),
            ] {
                if is_set {
                    let reason = "it has no meaning beside `demo: true`";
                    document.fault(&path.key(field), reason);
                }
            }
        }
        if let Some(file) = self.kubeconfig.as_deref().filter(|_| !self.demo) {
            place::warn_unless_opened(&path.key("kubeconfig"), file, document);
        }
        for (field, text) in [
            (
                "kubeconfig",
                self.kubeconfig.as_deref().and_then(|path| path.to_str()),
            ),
            ("context", self.context.as_deref()),
        ] {
            if text.is_some_and(|text| text.trim().is_empty()) {
                document.fault(&path.key(field), "it is empty; leave it out instead");
            }
        }
    }
}
