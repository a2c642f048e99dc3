//! How an engine is doing, for its user to read and await.

use std::sync::Arc;

use tokio::time::Instant;

use crate::guard::Held;

/// How an engine is doing.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// Whether it hears of changes.
    pub connection: Connection,
    /// Whether everything that existed at the start is known and was published.
    pub synced: bool,
    /// What is held back until a list confirms it; `None` when nothing is.
    pub held: Option<Held>,
    /// Whether another configuration's watchers are being synced, while those of the last one go on.
    pub switching: bool,
    /// What keeps those watchers from being synced, for people, if anything is known to.
    pub switching_waits_for: Option<Arc<str>>,
    /// How many snapshots were published.
    pub publications: u64,
    /// How many Services were translated, one each time something of it changed.
    pub translations: u64,
    /// How many clusters were put into snapshots, replaced in them or taken out.
    pub edits: u64,
}

/// Whether an engine hears of changes, from both of its watchers.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Connection {
    /// Not yet, since the start; nothing has failed so far.
    #[default]
    Connecting,
    /// It does.
    Connected,
    /// It does not. What was published stands.
    Disconnected {
        /// Since when.
        since: Instant,
        /// Why, for people.
        reason: Arc<str>,
    },
    /// It was stopped.
    Stopped,
}

impl Status {
    /// Whether it hears of changes.
    pub fn is_connected(&self) -> bool {
        self.connection == Connection::Connected
    }
}
