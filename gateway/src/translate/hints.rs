//! Topology hints: which ready endpoints are meant for the gateway's node or zone.
//!
//! Hints are all or nothing over a whole cluster, so that a half-written set of hints never overloads a few endpoints.

use super::Options;
use super::input::{Hint, Hints};

/// The hints of which kind to keep endpoints by, and the place they must name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filter<'a> {
    Node(&'a str),
    Zone(&'a str),
}

impl<'a> Filter<'a> {
    /// Decides from the hints of all ready endpoints of a cluster. Endpoints that are not ready have no say (T1, T4).
    ///
    /// T2: node hints come first, zone hints if those cannot be used. T3: without a place, and with an empty one, hints
    /// are not used.
    pub(super) fn choose<'h>(
        options: &'a Options,
        ready: &(impl Iterator<Item = &'h Hints> + Clone),
    ) -> Option<Self> {
        let node = options.node.as_deref().map(Self::Node);
        let zone = options.zone.as_deref().map(Self::Zone);
        [node, zone]
            .into_iter()
            .flatten()
            .find(|filter| filter.is_usable(ready.clone()))
    }

    /// Whether an endpoint with these hints is kept.
    pub(super) fn keeps(self, hints: &Hints) -> bool {
        named(self.list(hints)).any(|name| name == self.place())
    }

    /// T1: every ready endpoint has a hint, and one of them names the place.
    fn is_usable<'h>(self, mut ready: impl Iterator<Item = &'h Hints> + Clone) -> bool {
        !self.place().is_empty()
            && ready
                .clone()
                .all(|hints| named(self.list(hints)).next().is_some())
            && ready.any(|hints| self.keeps(hints))
    }

    fn place(self) -> &'a str {
        match self {
            Self::Node(place) | Self::Zone(place) => place,
        }
    }

    fn list(self, hints: &Hints) -> &[Hint] {
        match self {
            Self::Node(_) => &hints.for_nodes,
            Self::Zone(_) => &hints.for_zones,
        }
    }
}

/// An empty list, or an entry without a name, is no hint (T1).
fn named(hints: &[Hint]) -> impl Iterator<Item = &str> {
    hints
        .iter()
        .map(|hint| &*hint.name)
        .filter(|name| !name.is_empty())
}
