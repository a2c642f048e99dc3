//! JSON: a state is one document; a live view is one line for each change, each to be taken as a whole.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::discovery::Diff;
use crate::model::{Cluster, Problem};

#[derive(Serialize)]
struct State<'a> {
    clusters: &'a [Arc<Cluster>],
    problems: &'a [&'a Problem],
}

/// A line of a live view.
#[derive(Serialize)]
struct Line<T> {
    event: &'static str,
    time: String,
    #[serde(flatten)]
    content: T,
}

#[derive(Serialize)]
struct Changes<'a> {
    /// New and changed ones, each as a whole.
    clusters: Vec<&'a Cluster>,
    /// Names.
    removed: Vec<&'a str>,
    problems_added: &'a [Problem],
    problems_removed: &'a [Problem],
}

pub(super) fn state(clusters: &[Arc<Cluster>], problems: &[&Problem]) -> String {
    let mut text = serde_json::to_string_pretty(&State { clusters, problems }).unwrap_or_default();
    text.push('\n');
    text
}

pub(super) fn synced(at: Timestamp, clusters: &[Arc<Cluster>], problems: &[&Problem]) -> String {
    line("synced", at, State { clusters, problems })
}

pub(super) fn changed(at: Timestamp, diff: &Diff) -> String {
    let changes = Changes {
        clusters: diff.upserted().map(|cluster| &**cluster).collect(),
        removed: diff.removed().collect(),
        problems_added: &diff.problems_added,
        problems_removed: &diff.problems_removed,
    };
    line("changed", at, changes)
}

/// Serializing these types cannot fail: their maps have string keys.
fn line(event: &'static str, at: Timestamp, content: impl Serialize) -> String {
    let line = Line {
        event,
        time: format!("{at:.3}"),
        content,
    };
    let mut text = serde_json::to_string(&line).unwrap_or_default();
    text.push('\n');
    text
}
