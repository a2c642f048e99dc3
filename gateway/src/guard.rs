//! The guard: holds back a sudden loss of most endpoints until a list confirms it.
//!
//! A stale or partial answer of the API server looks like most endpoints going away at once, and a gateway that
//! believes it sends its traffic nowhere. A loss that is true is still true a moment later in a list that was begun
//! after it was seen, which costs one more list and milliseconds. So a loss is held back until such a list says the
//! same.
//!
//! # What counts
//! The endpoints of all discovered clusters that new traffic may go to: the ready ones, and those that serve since a
//! cluster has nothing else left (C5). Static clusters do not count: who edits them means it.
//!
//! # Compared to what
//! The most that was published within [`WINDOW`], what stood at its beginning included. So a loss in many small steps
//! is seen, too. A cluster in which fewer than [`LEAST_ENDPOINTS`] were published is not guarded: there, most of them
//! is what scaling down one Deployment takes away. Neither is the first publication, which has nothing to be compared
//! to.
//!
//! # While it is held
//! Nothing discovered is published, neither what was lost nor what was found: the last state stands as a whole. The level
//! to which it is compared stays as it was when the hold began, however long it takes; without an API server it lasts
//! until there is one. It ends in one of two ways:
//! - it heals: what is there is no such loss any more;
//! - a list that was begun after the loss was seen is complete. What was lost when it began is then confirmed and
//!   becomes the new level; a further loss that came while it ran is judged against that, so that endpoints that go away
//!   one after the other do not put the end off.
//!
//! Pure: levels and times in, verdicts out.

mod config;

pub use config::{GuardConfig, MAX_LOSS};

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

/// How far back a publication counts as what there was: longer than an API server's restart makes lists go astray,
/// shorter than what people do on purpose step by step.
pub const WINDOW: Duration = Duration::from_secs(60);

/// With fewer endpoints published than this there is no guard.
pub const LEAST_ENDPOINTS: usize = 10;

/// Decides whether what was discovered is published.
#[derive(Clone, Debug)]
pub struct Guard {
    config: GuardConfig,
    /// What was published, falling; the last one stands. Those that ended before the window are gone, and those that
    /// a later one surpasses.
    levels: VecDeque<Level>,
    held: Option<Held>,
    /// What there was when the list began that is to confirm the loss.
    at_begin: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    endpoints: usize,
    /// Until when it stood; `None` for what stands.
    until: Option<Instant>,
}

/// What to do with what was discovered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Publish it.
    Publish,
    /// Hold it back, and ask for a list unless one is awaited.
    Hold,
}

/// What is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Since when.
    pub since: Instant,
    /// The endpoints to which it is compared.
    pub before: usize,
    /// The endpoints that are left.
    pub left: usize,
}

impl Guard {
    /// Nothing published yet.
    pub fn new(config: GuardConfig) -> Self {
        Self {
            config,
            levels: VecDeque::new(),
            held: None,
            at_begin: None,
        }
    }

    /// Changes the threshold, which counts from the next judgement.
    pub fn set_config(&mut self, config: GuardConfig) {
        self.config = config;
    }

    /// What is held back, if anything.
    pub fn held(&self) -> Option<Held> {
        self.held
    }

    /// Judges a state with this many endpoints. What may be published is taken for published.
    pub fn judge(&mut self, endpoints: usize, now: Instant) -> Verdict {
        let before = match &self.held {
            Some(held) => held.before,
            None => self.most(now),
        };
        if !self.is_loss(before, endpoints) {
            self.publish(endpoints, now);
            return Verdict::Publish;
        }
        let since = self.held.map_or(now, |held| held.since);
        self.held = Some(Held {
            since,
            before,
            left: endpoints,
        });
        Verdict::Hold
    }

    /// A list begins that is to confirm what is held.
    pub fn list_begins(&mut self) {
        self.at_begin = self.held.map(|held| held.left);
    }

    /// The list that began last is complete, and this many endpoints are known with it.
    pub fn list_ends(&mut self, endpoints: usize, now: Instant) -> Verdict {
        let Some(confirmed) = self.at_begin.take().filter(|_| self.held.is_some()) else {
            return self.judge(endpoints, now);
        };
        self.levels.clear();
        self.levels.push_back(Level {
            endpoints: confirmed,
            until: None,
        });
        if let Some(held) = &mut self.held {
            held.before = confirmed;
        }
        self.judge(endpoints, now)
    }

    /// What is published from now on has this many endpoints, since somebody wants it so.
    pub fn reset(&mut self, endpoints: usize, now: Instant) {
        self.levels.clear();
        self.publish(endpoints, now);
    }

    fn is_loss(&self, before: usize, now: usize) -> bool {
        let Some(max_loss) = self.config.max_loss else {
            return false;
        };
        before >= LEAST_ENDPOINTS && max_loss.is_exceeded(before.saturating_sub(now), before)
    }

    /// The most that was published within the window.
    fn most(&mut self, now: Instant) -> usize {
        while let Some(oldest) = self.levels.front()
            && oldest
                .until
                .is_some_and(|until| now.saturating_duration_since(until) > WINDOW)
        {
            self.levels.pop_front();
        }
        self.levels.front().map_or(0, |level| level.endpoints)
    }

    fn publish(&mut self, endpoints: usize, now: Instant) {
        (self.held, self.at_begin) = (None, None);
        if let Some(stood) = self.levels.back_mut() {
            stood.until = Some(now);
        }
        while self
            .levels
            .back()
            .is_some_and(|level| level.endpoints <= endpoints)
        {
            self.levels.pop_back();
        }
        self.levels.push_back(Level {
            endpoints,
            until: None,
        });
    }
}

/// For status pages: how long is left to whoever shows it.
impl Serialize for Held {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut held = serializer.serialize_struct("Held", 3)?;
        held.serialize_field("seconds", &self.since.elapsed().as_secs())?;
        held.serialize_field("before", &self.before)?;
        held.serialize_field("left", &self.left)?;
        held.end()
    }
}

#[cfg(test)]
mod tests;
