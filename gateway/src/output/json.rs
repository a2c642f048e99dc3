//! JSON: all clusters and problems in one document, `clusters.json`.
//!
//! It is `{hash, clusters, problems}`; clusters and problems as their serde forms are. It says everything there is and
//! has nothing that depends on when or where it was written.

use serde::Serialize;

use super::{File, Output, Rendering};
use crate::model::{Cluster, ContentHash, Problem, Snapshot};

/// Renders a snapshot as JSON.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

#[derive(Serialize)]
struct Document<'a> {
    hash: ContentHash,
    clusters: Vec<&'a Cluster>,
    problems: Vec<&'a Problem>,
}

impl Output for Json {
    fn format(&self) -> &'static str {
        "json"
    }

    fn render(&mut self, snapshot: &Snapshot, _last: Option<&Snapshot>) -> Rendering {
        let document = Document {
            hash: snapshot.hash(),
            clusters: snapshot.clusters().map(|cluster| &**cluster).collect(),
            problems: snapshot.problems().collect(),
        };
        let text = super::json(&document);
        let file = File::text("clusters.json", "application/json", text);
        Rendering::whole(vec![file], Vec::new())
    }
}
