//! Who is connected, what they accepted and what they rejected.
//!
//! Everything a client says of itself is cut to a bounded length, and so is the number of clients remembered: one that
//! is gone is forgotten when there is no room. What a client rejects is logged once for each content.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::stream::{Answer, Verdict};
use super::subscription::Kind;
use super::wire::Asker;
use crate::model::{ContentHash, Problem};

/// The most nodes that are remembered.
const MAX_NODES: usize = 1024;
/// The longest name of a node, its cluster or its zone, in bytes.
const MAX_NAME: usize = 256;
/// The longest reason for a rejection, in bytes.
const MAX_REASON: usize = 1024;
/// The most types without resources that are named in the log.
const MAX_STRANGE_TYPES: usize = 16;

/// How the server stands.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Status {
    /// Streams that are open.
    pub streams: usize,
    /// The nodes that are connected, and those lately gone, sorted by id.
    pub nodes: Vec<NodeStatus>,
    /// What Envoy cannot say of the newest snapshot, sorted.
    pub problems: Arc<[Problem]>,
    /// Why the certificates could not be read again; what was read last is used meanwhile.
    pub tls_error: Option<Arc<str>>,
}

/// How a node stands. Several streams of one id are one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeStatus {
    /// Its id, as it says; empty if it says none. At most 256 bytes, like the others.
    pub id: Arc<str>,
    /// The cluster it belongs to, as it says.
    pub cluster: Arc<str>,
    /// The zone it is in, as it says.
    pub zone: Arc<str>,
    /// Its open streams.
    pub streams: usize,
    /// How it takes clusters.
    pub clusters: TypeStatus,
    /// How it takes endpoints.
    pub endpoints: TypeStatus,
}

/// How a node takes resources of one type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TypeStatus {
    /// The version of the last answer that was sent; a version stands for all resources of the type.
    pub sent: Option<ContentHash>,
    /// The version that it accepted last.
    pub acked: Option<ContentHash>,
    /// How many answers it accepted.
    pub acks: u64,
    /// How many answers it rejected.
    pub nacks: u64,
    /// Why it rejected the last answer, at most 1 KiB; `None` once it accepted one.
    pub last_error: Option<Arc<str>>,
    /// What was rejected last.
    rejected: Option<ContentHash>,
}

/// Keeps the status.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    streams: usize,
    nodes: BTreeMap<Arc<str>, NodeStatus>,
    strange_types: BTreeSet<Arc<str>>,
    problems: Arc<[Problem]>,
    tls_error: Option<Arc<str>>,
}

/// An open stream; dropping it says that it is closed.
#[derive(Debug)]
pub(super) struct Open {
    nodes: Arc<Nodes>,
    id: Option<Arc<str>>,
}

impl Nodes {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that holds the lock leaves it half changed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn status(&self) -> Status {
        let inner = self.lock();
        Status {
            streams: inner.streams,
            nodes: inner.nodes.values().cloned().collect(),
            problems: Arc::clone(&inner.problems),
            tls_error: inner.tls_error.clone(),
        }
    }

    pub(super) fn set_problems(&self, problems: Arc<[Problem]>) {
        self.lock().problems = problems;
    }

    /// Notes why certificates cannot be read, or that they can. Returns whether that is news.
    pub(super) fn set_tls_error(&self, error: Option<&str>) -> bool {
        let mut inner = self.lock();
        let is_news = inner.tls_error.as_deref() != error;
        inner.tls_error = error.map(Arc::from);
        is_news
    }

    pub(super) fn open(self: &Arc<Self>) -> Open {
        self.lock().streams += 1;
        Open {
            nodes: Arc::clone(self),
            id: None,
        }
    }
}

impl Open {
    /// The node says who it is. It does so in its first request, which is what counts.
    pub(super) fn introduce(&mut self, asker: &Asker) {
        if self.id.is_some() {
            return;
        }
        let id: Arc<str> = cut(&asker.id, MAX_NAME).into();
        let mut inner = self.nodes.lock();
        if inner.nodes.len() >= MAX_NODES && !inner.nodes.contains_key(&id) {
            let gone = inner.nodes.iter().find(|(_, node)| node.streams == 0);
            let Some(gone) = gone.map(|(id, _)| Arc::clone(id)) else {
                return;
            };
            inner.nodes.remove(&gone);
        }
        let node = inner.nodes.entry(Arc::clone(&id)).or_default();
        node.id = Arc::clone(&id);
        node.cluster = cut(&asker.cluster, MAX_NAME).into();
        node.zone = cut(&asker.zone, MAX_NAME).into();
        node.streams += 1;
        self.id = Some(id);
    }

    /// An answer is on its way.
    pub(super) fn sent(&self, answer: &Answer) {
        let mut inner = self.nodes.lock();
        if matches!(answer.kind, Kind::Listeners | Kind::Other)
            && inner.strange_types.len() < MAX_STRANGE_TYPES
            && inner.strange_types.insert(Arc::clone(&answer.type_url))
        {
            tracing::info!(
                node = self.id.as_deref(),
                type_url = &*answer.type_url,
                "a client asks for resources of a type of which there are none here; it is told so"
            );
        }
        self.with(&mut inner, answer.kind, |status| {
            status.sent = Some(answer.version);
        });
    }

    /// The client accepted or rejected an answer.
    pub(super) fn said(&self, verdict: &Verdict) {
        let mut inner = self.nodes.lock();
        let version = verdict.version;
        self.with(&mut inner, verdict.kind, |status| {
            let Some(reason) = &verdict.error else {
                status.acks += 1;
                status.acked = Some(version);
                status.last_error = None;
                return;
            };
            status.nacks += 1;
            status.last_error = Some(cut(reason, MAX_REASON).into());
            if status.rejected.replace(version) != Some(version) {
                tracing::warn!(
                    node = self.id.as_deref(),
                    kind = ?verdict.kind,
                    %version,
                    reason = ?status.last_error,
                    "a client rejects what it was sent; that is sent again only when it changes"
                );
            }
        });
    }

    fn with(&self, inner: &mut Inner, kind: Kind, change: impl FnOnce(&mut TypeStatus)) {
        let node = self.id.as_ref().and_then(|id| inner.nodes.get_mut(id));
        match (node, kind) {
            (Some(node), Kind::Clusters) => change(&mut node.clusters),
            (Some(node), Kind::Assignments) => change(&mut node.endpoints),
            _ => {}
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut inner = self.nodes.lock();
        inner.streams -= 1;
        if let Some(node) = self.id.as_ref().and_then(|id| inner.nodes.get_mut(id)) {
            node.streams -= 1;
        }
    }
}

/// The text, or as many of its characters as fit.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(id: &str) -> Asker {
        Asker {
            id: id.to_owned(),
            ..Asker::default()
        }
    }

    #[test]
    fn a_node_that_is_gone_makes_room_and_one_that_is_there_does_not() {
        let nodes = Arc::new(Nodes::default());
        let mut open: Vec<Open> = (0..MAX_NODES).map(|_| nodes.open()).collect();
        for (at, stream) in open.iter_mut().enumerate() {
            stream.introduce(&asker(&format!("{at:04}")));
        }
        let mut late = nodes.open();
        late.introduce(&asker("late"));
        assert_eq!(late.id, None);
        open.pop();
        late.introduce(&asker("late"));
        let status = nodes.status();
        assert_eq!((status.streams, status.nodes.len()), (MAX_NODES, MAX_NODES));
        assert!(status.nodes.iter().any(|node| &*node.id == "late"));
    }

    #[test]
    fn what_a_node_says_is_cut_between_characters() {
        let nodes = Arc::new(Nodes::default());
        let mut stream = nodes.open();
        stream.introduce(&asker(&"\u{e9}".repeat(1000)));
        assert_eq!(nodes.status().nodes[0].id.len(), 256);
        stream.introduce(&asker("\u{20ac}"));
        let odd = "\u{20ac}".repeat(100);
        assert_eq!(cut(&odd, MAX_NAME).len(), 255);
    }

    #[test]
    fn rejections_are_counted_and_forgotten_when_something_is_accepted() {
        let nodes = Arc::new(Nodes::default());
        let mut stream = nodes.open();
        stream.introduce(&asker("a"));
        let mut verdict = Verdict {
            kind: Kind::Clusters,
            version: ContentHash::of_bytes(b"1"),
            error: Some("bad".to_owned()),
        };
        stream.said(&verdict);
        stream.said(&verdict);
        let clusters = || nodes.status().nodes[0].clusters.clone();
        assert_eq!(clusters().nacks, 2);
        assert_eq!(clusters().last_error.as_deref(), Some("bad"));
        verdict.error = None;
        stream.said(&verdict);
        assert_eq!(clusters().acked, Some(verdict.version));
        assert_eq!(clusters().last_error, None);
        drop(stream);
        let status = nodes.status();
        assert_eq!((status.streams, status.nodes[0].streams), (0, 0));
    }
}
