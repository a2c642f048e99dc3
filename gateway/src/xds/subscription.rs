//! What a client has asked for of one type, and what it was told: from these follows what it is to be told next.
//!
//! A resource is sent when it differs from what the client was told last, or when the client asks for it anew. What a
//! client rejected it was told all the same, and is told again when it changes. But since a client may refuse a whole
//! answer for one thing in it (Envoy does with endpoints), the halves of a rejected answer are sent again by themselves,
//! down to what is wrong. Pure.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::resources::{Resource, Resources};
use super::stream::{Interest, Violation};
use crate::model::ContentHash;

/// The most names that a client may ask for, of each type.
pub(super) const MAX_NAMES: usize = 100_000;
/// The most bytes in those names.
pub(super) const MAX_NAMES_BYTES: usize = 16 << 20;
/// About how many bytes of assignments are sent before the client says that it has them.
const CHUNK: usize = 1 << 20;
/// The most parts of rejected answers that are kept. One answer, however large, makes some twenty.
const MAX_PARTS: usize = 64;
/// Asks for everything.
const WILDCARD: &str = "*";

/// What resources are of, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Endpoints of clusters (EDS).
    Assignments,
    /// Clusters (CDS).
    Clusters,
    /// Listeners (LDS), of which there are none.
    Listeners,
    /// Something else, of which there is nothing.
    Other,
}

/// What the client was told of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// This version.
    At(ContentHash),
    /// This version, in an answer that was rejected and is to be sent again in parts.
    Rejected(ContentHash),
    /// That there is none.
    Absent,
    /// Something that no longer counts: it is to be told again.
    Stale,
}

/// Whether the client wants all there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wildcard {
    #[default]
    No,
    /// Since its first request named nothing.
    Implied,
    /// Since it asked for `*`.
    Asked,
}

/// A client's subscription to one type, on one stream.
#[derive(Debug)]
pub(super) struct Subscription {
    kind: Kind,
    is_delta: bool,
    has_begun: bool,
    wildcard: Wildcard,
    names: HashSet<Arc<str>>,
    names_bytes: usize,
    told: HashMap<Arc<str>, Told>,
    /// Names of which there may be something to tell.
    due: BTreeSet<Arc<str>>,
    /// There may be something to tell of every name.
    all_due: bool,
    /// An answer is due even if it has nothing in it.
    owed: bool,
    /// Whether something was held back when an answer was last drafted.
    holds: bool,
    /// Parts of answers that were rejected.
    parts: VecDeque<Vec<News>>,
    seen: Resources,
}

/// A resource that a client was told of: its name and version.
pub(super) type News = (Arc<str>, ContentHash);

/// What is to be said next.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// New and changed resources; for clusters in state of the world, all of them.
    pub(super) resources: Vec<Resource>,
    /// Names of those that are gone or never were; in deltas only.
    pub(super) removed: Vec<Arc<str>>,
    /// Resources the client had not, or not so.
    pub(super) news: Vec<News>,
    /// Whether this is part of an answer that was rejected.
    pub(super) is_again: bool,
}

impl Subscription {
    pub(super) fn new(kind: Kind, is_delta: bool) -> Self {
        Self {
            kind,
            is_delta,
            has_begun: false,
            wildcard: Wildcard::No,
            names: HashSet::new(),
            names_bytes: 0,
            told: HashMap::new(),
            due: BTreeSet::new(),
            all_due: false,
            owed: false,
            holds: false,
            parts: VecDeque::new(),
            seen: Resources::default(),
        }
    }

    /// Whether the client wants to hear of that name.
    pub(super) fn covers(&self, name: &str) -> bool {
        self.wildcard != Wildcard::No || self.names.contains(name)
    }

    /// Whether the client is yet to be told of that name's present state.
    pub(super) fn is_behind(&self, name: &str, resources: &Resources) -> bool {
        let told = self.told.get(name).copied();
        match (resources.get(name), told) {
            (Some(resource), Some(Told::At(version) | Told::Rejected(version))) => {
                version != resource.version()
            }
            (None, None | Some(Told::Absent)) => false,
            _ => true,
        }
    }

    /// What the client was told of that name no longer counts.
    pub(super) fn forget(&mut self, name: &Arc<str>) {
        if self.covers(name) {
            self.told.insert(Arc::clone(name), Told::Stale);
            self.due.insert(Arc::clone(name));
        }
    }

    /// Takes note that the client rejected an answer with these news.
    pub(super) fn reject(&mut self, mut news: Vec<News>) {
        let is_complete = !self.is_delta && self.kind == Kind::Clusters;
        if is_complete || news.len() < 2 {
            return;
        }
        for (name, version) in &news {
            if let Some(told) = self.told.get_mut(name)
                && *told == Told::At(*version)
            {
                *told = Told::Rejected(*version);
            }
        }
        let half = news.split_off(news.len().div_ceil(2));
        self.parts.extend([half, news]);
        while self.parts.len() > MAX_PARTS {
            self.parts.pop_front();
        }
    }

    /// Part of a rejected answer, as far as that is still what the client was told.
    fn part(&mut self) -> Option<Draft> {
        while let Some(part) = self.parts.pop_back() {
            let mut draft = Draft {
                is_again: true,
                ..Draft::default()
            };
            for (name, version) in part {
                if let Some(resource) = self.seen.get(&name)
                    && resource.version() == version
                    && let Some(told) = self.told.get_mut(&name)
                    && *told == Told::Rejected(version)
                {
                    *told = Told::At(version);
                    draft.resources.push(resource.clone());
                    draft.news.push((name, version));
                }
            }
            if !draft.news.is_empty() {
                return Some(draft);
            }
        }
        None
    }

    /// Takes in what a request asks for. `settles` says whether the request accepts or rejects an answer, rather than
    /// being one for its own sake.
    pub(super) fn ask(
        &mut self,
        interest: Interest,
        settles: bool,
        resources: &Resources,
    ) -> Result<(), Violation> {
        let begins = !std::mem::replace(&mut self.has_begun, true);
        match interest {
            Interest::All(names) => self.ask_for_all(names, begins, settles, resources)?,
            Interest::Change {
                subscribe,
                unsubscribe,
                versions,
            } if begins => {
                let _ = unsubscribe;
                self.begin_delta(subscribe, versions, resources)?;
            }
            Interest::Change {
                subscribe,
                unsubscribe,
                ..
            } => {
                for name in unsubscribe {
                    self.leave(&name);
                }
                for name in subscribe {
                    self.join(&name, resources)?;
                }
            }
        }
        Ok(())
    }

    fn implied(&self) -> bool {
        matches!(self.kind, Kind::Clusters | Kind::Listeners)
    }

    /// State of the world: the request names all that is wanted from now on.
    fn ask_for_all(
        &mut self,
        names: Vec<String>,
        begins: bool,
        settles: bool,
        resources: &Resources,
    ) -> Result<(), Violation> {
        let wildcard = if names.iter().any(|name| name == WILDCARD) {
            Wildcard::Asked
        } else if names.is_empty()
            && (begins && self.implied() || self.wildcard == Wildcard::Implied)
        {
            Wildcard::Implied
        } else {
            Wildcard::No
        };
        let before = std::mem::take(&mut self.names);
        self.names_bytes = 0;
        let mut is_same = wildcard == self.wildcard;
        let mut is_more = wildcard != Wildcard::No && self.wildcard == Wildcard::No;
        self.all_due |= is_more;
        self.wildcard = wildcard;
        for name in names {
            if name == WILDCARD {
                continue;
            }
            let name = self.name(&name, resources)?;
            if !before.contains(&name) {
                self.told.insert(Arc::clone(&name), Told::Stale);
                self.due.insert(Arc::clone(&name));
                is_more = true;
            }
            self.names.insert(name);
        }
        is_same &= !is_more && self.names.len() == before.len();
        if self.wildcard == Wildcard::No {
            let names = &self.names;
            self.told.retain(|name, _| names.contains(name));
            self.due.retain(|name| names.contains(name));
        }
        if is_same && !begins && !settles {
            // Asked again, word for word: told again.
            self.told.values_mut().for_each(|told| *told = Told::Stale);
            self.all_due = true;
            is_more = true;
        }
        self.owed |= is_more || begins;
        Ok(())
    }

    /// Delta: the first request of a stream, which says what the client has from an earlier one.
    fn begin_delta(
        &mut self,
        subscribe: Vec<String>,
        versions: Vec<(String, String)>,
        resources: &Resources,
    ) -> Result<(), Violation> {
        if subscribe.is_empty() && self.implied() {
            self.wildcard = Wildcard::Implied;
        }
        for name in subscribe {
            if name == WILDCARD {
                self.wildcard = Wildcard::Asked;
            } else {
                let name = self.name(&name, resources)?;
                self.due.insert(Arc::clone(&name));
                self.names.insert(name);
            }
        }
        if self.wildcard != Wildcard::No {
            self.all_due = true;
            self.owed = true;
        }
        if versions.len() > MAX_NAMES {
            return Err(Violation::TooManyNames);
        }
        for (name, version) in versions {
            if self.covers(&name) {
                let name = match self.names.get(name.as_str()) {
                    Some(name) => Arc::clone(name),
                    None => resources
                        .shared_name(&name)
                        .map_or_else(|| name.into(), Arc::clone),
                };
                let told = ContentHash::parse(&version).map_or(Told::Stale, Told::At);
                self.told.insert(name, told);
            }
        }
        Ok(())
    }

    /// Delta: one more name. It is answered even if the client was told before.
    fn join(&mut self, name: &str, resources: &Resources) -> Result<(), Violation> {
        if name == WILDCARD {
            self.wildcard = Wildcard::Asked;
            self.told.values_mut().for_each(|told| *told = Told::Stale);
            self.all_due = true;
            self.owed = true;
            return Ok(());
        }
        let name = match self.names.get(name) {
            Some(name) => Arc::clone(name),
            None => self.name(name, resources)?,
        };
        self.told.insert(Arc::clone(&name), Told::Stale);
        self.due.insert(Arc::clone(&name));
        self.names.insert(name);
        Ok(())
    }

    /// Delta: one name less. What `*` covers still is told again, since the client forgot it.
    fn leave(&mut self, name: &str) {
        if name == WILDCARD {
            self.wildcard = Wildcard::No;
            let names = &self.names;
            self.told.retain(|name, _| names.contains(name));
            self.due.retain(|name| names.contains(name));
        } else if let Some(name) = self.names.take(name) {
            self.names_bytes -= name.len();
            if self.wildcard == Wildcard::No {
                self.told.remove(&name);
                self.due.remove(&name);
            } else {
                self.told.insert(Arc::clone(&name), Told::Stale);
                self.due.insert(name);
            }
        }
    }

    /// Takes in a name, within bounds.
    fn name(&mut self, name: &str, resources: &Resources) -> Result<Arc<str>, Violation> {
        self.names_bytes += name.len();
        if self.names.len() >= MAX_NAMES || self.names_bytes > MAX_NAMES_BYTES {
            return Err(Violation::TooManyNames);
        }
        Ok(resources
            .shared_name(name)
            .map_or_else(|| name.into(), Arc::clone))
    }

    /// Takes note of what differs from the state it saw last. Costs about what differs.
    pub(super) fn see(&mut self, resources: &Resources) {
        if self.seen.is_same(resources) {
            return;
        }
        if !self.all_due {
            let seen = std::mem::take(&mut self.seen);
            for name in resources.changed_since(&seen) {
                if self.covers(name) {
                    self.due.insert(Arc::clone(name));
                }
            }
        }
        self.seen = resources.clone();
    }

    /// Whether something was held back when an answer was last drafted.
    pub(super) fn holds(&self) -> bool {
        self.holds
    }

    /// What is to be said next, if anything. Names that are `held` stay due.
    pub(super) fn draft(&mut self, held: impl Fn(&str) -> bool) -> Option<Draft> {
        if std::mem::take(&mut self.all_due) {
            self.due.extend(self.told.keys().cloned());
            self.due.extend(self.names.iter().cloned());
            if self.wildcard != Wildcard::No {
                self.due
                    .extend(self.seen.iter().map(|(name, _)| Arc::clone(name)));
            }
        }
        let mut draft = Draft::default();
        let mut waiting = Vec::new();
        let mut size = 0;
        while let Some(name) = self.due.pop_first() {
            if !self.covers(&name) {
                continue;
            }
            if held(&name) {
                waiting.push(name);
                continue;
            }
            match (self.seen.get(&name), self.told.get(&name)) {
                (Some(now), Some(Told::At(version) | Told::Rejected(version)))
                    if *version == now.version() => {}
                (Some(now), _) => {
                    size += now.size();
                    self.told.insert(Arc::clone(&name), Told::At(now.version()));
                    draft.resources.push(now.clone());
                    draft.news.push((name, now.version()));
                }
                (None, Some(Told::Absent)) => {}
                (None, None) if !self.names.contains(&name) => {}
                (None, _) => {
                    if self.names.contains(&name) {
                        self.told.insert(Arc::clone(&name), Told::Absent);
                    } else {
                        self.told.remove(&name);
                    }
                    draft.removed.push(name);
                }
            }
            if self.kind == Kind::Assignments && size >= CHUNK {
                break;
            }
        }
        let says_removals = self.is_delta || self.kind == Kind::Clusters;
        let is_empty = draft.resources.is_empty() && (draft.removed.is_empty() || !says_removals);
        let is_due = !is_empty || (self.owed && waiting.is_empty());
        self.holds = !waiting.is_empty();
        self.due.extend(waiting);
        if !is_due {
            return self.part();
        }
        self.owed = false;
        if !self.is_delta {
            // There it has no word for it: what is gone is not in an answer that is complete.
            draft.removed.clear();
        }
        if !self.is_delta && self.kind == Kind::Clusters {
            draft.resources = self
                .seen
                .iter()
                .filter(|(name, _)| self.covers(name))
                .map(|(_, resource)| resource.clone())
                .collect();
        }
        Some(draft)
    }
}
