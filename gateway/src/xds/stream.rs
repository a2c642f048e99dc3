//! One client's stream, of either variant: requests in, answers out. Pure; it does no I/O and knows no time.
//!
//! Of each type at most one answer is on its way; the next is made when the client has said yes or no to it, from what
//! is the newest by then. So a slow client costs a bounded amount of memory and is told the newest only. But clusters do
//! not wait while endpoints wait for them: Envoy says nothing to clusters before it has the endpoints of all that are new.
//!
//! Order: endpoints of clusters that stand as the client knows them come before clusters; endpoints of clusters that
//! are new or changed come after them, for Envoy asks for endpoints once it has the cluster, and has the changed
//! cluster wait, while the old one serves, until it is told of its endpoints again. What goes leaves the clusters first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::resources::{Resource, Resources, World};
use super::subscription::{Kind, News, Subscription};
use crate::model::ContentHash;

/// The type of clusters.
pub(super) const CLUSTERS: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
/// The type of their endpoints.
pub(super) const ASSIGNMENTS: &str =
    "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
/// The type of listeners.
const LISTENERS: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
/// The most types that a client may ask for.
const MAX_TYPES: usize = 16;
/// How many answers that were not waited for are remembered.
const MAX_BEFORE: usize = 64;
/// The longest name of a type, in bytes.
const MAX_TYPE_BYTES: usize = 256;

/// What a client says.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// The type it is about.
    pub(super) type_url: String,
    /// The answer that it accepts or rejects; empty if none.
    pub(super) nonce: String,
    /// Why it rejects the answer.
    pub(super) error: Option<String>,
    /// What it wants.
    pub(super) interest: Interest,
}

/// What a client wants of a type.
#[derive(Clone, Debug)]
pub(super) enum Interest {
    /// These names, and no others.
    All(Vec<String>),
    /// Some names more, and some less.
    Change {
        subscribe: Vec<String>,
        unsubscribe: Vec<String>,
        /// What it has from an earlier stream: names with versions.
        versions: Vec<(String, String)>,
    },
}

/// What a client is told.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) type_url: Arc<str>,
    pub(super) kind: Kind,
    /// Stands for all resources of the type.
    pub(super) version: ContentHash,
    pub(super) nonce: String,
    pub(super) resources: Vec<Resource>,
    pub(super) removed: Vec<Arc<str>>,
}

/// What a client said to an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) kind: Kind,
    /// The answer's version.
    pub(super) version: ContentHash,
    /// Why it was rejected; `None` if it was accepted.
    pub(super) error: Option<String>,
}

/// Why a stream must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Violation {
    #[error("a request names no type, or one of more than {MAX_TYPE_BYTES} bytes")]
    NoType,
    #[error("more than {MAX_TYPES} types are asked for on one stream")]
    TooManyTypes,
    #[error(
        "more than {} names, or more than {} bytes of names, of one type are asked for on one stream",
        super::subscription::MAX_NAMES,
        super::subscription::MAX_NAMES_BYTES
    )]
    TooManyNames,
}

/// A client's stream.
#[derive(Debug)]
pub(super) struct Stream {
    is_delta: bool,
    answers: u64,
    /// By kind first, in the order in which answers are made.
    types: BTreeMap<(Kind, Arc<str>), Typed>,
    /// Clusters that were news to the client before it asked for any endpoints on this stream. What it has of their
    /// endpoints from an earlier one does not count.
    early: BTreeSet<Arc<str>>,
}

#[derive(Debug)]
struct Typed {
    subscription: Subscription,
    last_nonce: Option<String>,
    /// The answer that is on its way: its version, and what in it was news.
    outstanding: Option<(ContentHash, Vec<News>)>,
    /// Answers before it that were not waited for, in deltas, where each is answered by itself: their nonces and versions.
    /// What is said to them is heard, but nothing of them is sent again: later answers may have said it anew.
    before: VecDeque<(String, ContentHash)>,
}

impl Typed {
    /// The answer with this nonce that was not waited for, if it is one.
    fn settled_before(&mut self, nonce: &str) -> Option<(ContentHash, Vec<News>)> {
        let index = self.before.iter().position(|(of, _)| of == nonce)?;
        let (_, version) = self.before.remove(index)?;
        Some((version, Vec::new()))
    }

    /// Notes that an answer is on its way, perhaps beside others.
    fn is_sent(&mut self, nonce: String, version: ContentHash, news: Vec<News>, is_delta: bool) {
        let nonce = self.last_nonce.replace(nonce);
        let outstanding = self.outstanding.replace((version, news));
        if let (true, Some(nonce), Some((version, _news))) = (is_delta, nonce, outstanding) {
            if self.before.len() >= MAX_BEFORE {
                self.before.pop_front();
            }
            self.before.push_back((nonce, version));
        }
    }
}

fn kind(type_url: &str) -> Kind {
    match type_url {
        CLUSTERS => Kind::Clusters,
        ASSIGNMENTS => Kind::Assignments,
        LISTENERS => Kind::Listeners,
        _ => Kind::Other,
    }
}

impl World {
    fn of(&self, kind: Kind) -> &Resources {
        match kind {
            Kind::Clusters => &self.clusters,
            Kind::Assignments => &self.assignments,
            Kind::Listeners | Kind::Other => &self.others,
        }
    }
}

impl Stream {
    pub(super) fn new(is_delta: bool) -> Self {
        Self {
            is_delta,
            answers: 0,
            types: BTreeMap::new(),
            early: BTreeSet::new(),
        }
    }

    /// Takes in a request. Returns what it says to an answer, if it does. Before the first publication `world` is
    /// empty, which does no harm: nothing is answered yet.
    pub(super) fn receive(
        &mut self,
        request: Request,
        world: &World,
    ) -> Result<Option<Verdict>, Violation> {
        let Request {
            type_url,
            nonce,
            error,
            interest,
        } = request;
        if type_url.is_empty() || type_url.len() > MAX_TYPE_BYTES {
            return Err(Violation::NoType);
        }
        let kind = kind(&type_url);
        let key = (kind, Arc::from(type_url));
        if !self.types.contains_key(&key) && self.types.len() >= MAX_TYPES {
            return Err(Violation::TooManyTypes);
        }
        let is_delta = self.is_delta;
        let typed = self.types.entry(key).or_insert_with(|| Typed {
            subscription: Subscription::new(kind, is_delta),
            last_nonce: None,
            outstanding: None,
            before: VecDeque::new(),
        });
        let is_current = typed.last_nonce.as_ref() == Some(&nonce);
        // In state of the world a request that does not answer the newest answer knows nothing of it, and the one that
        // will says all there is to say. In delta each says what no other says.
        let is_stale = typed.last_nonce.is_some()
            && !is_current
            && (typed.outstanding.is_some() || !nonce.is_empty());
        if is_stale && !is_delta {
            return Ok(None);
        }
        let settled = match is_current {
            true => typed.outstanding.take(),
            false => typed.settled_before(&nonce),
        };
        typed
            .subscription
            .ask(interest, settled.is_some(), world.of(kind))?;
        if kind == Kind::Assignments {
            for name in std::mem::take(&mut self.early) {
                typed.subscription.forget(&name);
            }
        }
        Ok(settled.map(|(version, news)| {
            if error.is_some() {
                typed.subscription.reject(news);
            }
            Verdict {
                kind,
                version,
                error,
            }
        }))
    }

    /// The next answer, if there is one to be sent now.
    pub(super) fn next(&mut self, world: &World) -> Option<Answer> {
        for ((kind, _), typed) in &mut self.types {
            typed.subscription.see(world.of(*kind));
        }
        let keys: Vec<_> = self.types.keys().cloned().collect();
        keys.into_iter().find_map(|key| self.answer(key, world))
    }

    fn answer(&mut self, key: (Kind, Arc<str>), world: &World) -> Option<Answer> {
        // Taken out, so that it can look at the subscription to clusters.
        let mut typed = self.types.remove(&key)?;
        let answer = self.make(&key, &mut typed, world);
        self.types.insert(key, typed);
        answer
    }

    fn make(
        &mut self,
        (kind, type_url): &(Kind, Arc<str>),
        typed: &mut Typed,
        world: &World,
    ) -> Option<Answer> {
        let is_waited_for = *kind == Kind::Clusters
            && self
                .of_kind(Kind::Assignments)
                .is_some_and(Subscription::holds);
        if typed.outstanding.is_some() && !is_waited_for {
            return None;
        }
        let clusters = self.of_kind(Kind::Clusters);
        let draft = typed.subscription.draft(|name| {
            *kind == Kind::Assignments
                && clusters.is_some_and(|clusters| {
                    clusters.covers(name) && clusters.is_behind(name, &world.clusters)
                })
        })?;
        if *kind == Kind::Clusters && !draft.is_again {
            let names = draft.news.iter().map(|(name, _)| name);
            match self.of_kind_mut(Kind::Assignments) {
                Some(assignments) => names.for_each(|name| assignments.forget(name)),
                None => {
                    // What is gone since needs no endpoints: these are never more than there are clusters.
                    if self.early.len() > world.clusters.len() {
                        self.early.retain(|name| world.clusters.get(name).is_some());
                    }
                    self.early.extend(names.cloned());
                }
            }
        }
        self.answers += 1;
        let nonce = format!("{:x}", self.answers);
        let version = world.of(*kind).version();
        typed.is_sent(nonce.clone(), version, draft.news, self.is_delta);
        Some(Answer {
            type_url: Arc::clone(type_url),
            kind: *kind,
            version,
            nonce,
            resources: draft.resources,
            removed: draft.removed,
        })
    }

    fn of_kind(&self, kind: Kind) -> Option<&Subscription> {
        self.types
            .iter()
            .find_map(|((of, _), typed)| (*of == kind).then_some(&typed.subscription))
    }

    fn of_kind_mut(&mut self, kind: Kind) -> Option<&mut Subscription> {
        self.types
            .iter_mut()
            .find_map(|((of, _), typed)| (*of == kind).then_some(&mut typed.subscription))
    }
}

#[cfg(test)]
mod tests;
