//! How a watcher is doing, for its user to read and await. Logs each state once, when it begins.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::error::{SyncError, WatchError};
use crate::resource::compare_resource_versions;
use crate::store::Difference;

/// Whether a watcher hears of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Connection {
    /// Not yet, since the start; nothing has failed so far.
    Connecting,
    /// It does; since when.
    Connected(Instant),
    /// It does not; since when. What the store holds is the last known state.
    Disconnected(Instant),
    /// It was stopped.
    Stopped,
}

/// How a watcher is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// Whether it hears of changes. For several namespaces: only if it does in all.
    pub connection: Connection,
    /// Whether the initial sync is complete.
    pub synced: bool,
    /// The resource version that the store has reached; `None` before the first list is complete, and for a watch of
    /// several namespaces, which have one each.
    pub resource_version: Option<String>,
    /// When the last event or list was applied.
    pub last_event: Option<Instant>,
    /// The last error, until what it stood in the way of succeeds.
    pub last_error: Option<WatchError>,
    /// How many lists were completed; after the initial sync one for each namespace watched.
    pub lists: u64,
    /// How many calls of callbacks panicked.
    pub callback_panics: u64,
    /// How many times an object could not be read, and was passed over or kept its old state.
    pub unreadable: u64,
    /// How many audits compared the store with the server.
    pub audits: u64,
    /// How many differences they found in all; anything but 0 is a fault, in the server, on the way, or here.
    pub audit_differences: u64,
}

impl Status {
    /// Whether the watcher hears of changes.
    pub fn is_connected(&self) -> bool {
        matches!(self.connection, Connection::Connected(_))
    }
}

/// What one reflector knows of itself.
#[derive(Clone, Debug, Default)]
struct Scope {
    connected: bool,
    synced: bool,
    version: Option<String>,
    last_event: Option<Instant>,
    error: Option<WatchError>,
    /// Whether its list is complete, but for what it is about, which cannot be read.
    unread: bool,
    /// The last error about an object that cannot be read.
    unreadable: Option<WatchError>,
}

impl Scope {
    /// What stands in its way.
    fn obstacle(&self) -> Option<&WatchError> {
        let unread = || self.unreadable.as_ref().filter(|_| self.unread);
        self.error.as_ref().or_else(unread)
    }
}

/// Fills in what follows from the scopes. Of several errors one that waiting does not mend comes first.
fn overlay(status: &mut Status, scopes: &[Scope]) {
    let errors = || scopes.iter().filter_map(Scope::obstacle);
    status.last_error = errors()
        .find(|error| error.is_refusal())
        .or_else(|| errors().next())
        .cloned();
    status.last_event = scopes.iter().filter_map(|scope| scope.last_event).max();
    if let [only] = scopes {
        status.resource_version.clone_from(&only.version);
    }
    let connected = scopes.iter().all(|scope| scope.connected);
    status.connection = match status.connection {
        Connection::Stopped => Connection::Stopped,
        Connection::Connected(since) if connected => Connection::Connected(since),
        _ if connected => Connection::Connected(Instant::now()),
        Connection::Connected(_) => Connection::Disconnected(Instant::now()),
        Connection::Connecting if status.last_error.is_some() => {
            Connection::Disconnected(Instant::now())
        }
        other => other,
    };
}

/// The older one of two versions.
fn older<'a>(one: &'a str, other: &'a str) -> Option<&'a str> {
    match compare_resource_versions(one, other) {
        Some(Ordering::Greater) => Some(other),
        Some(_) => Some(one),
        None => (one == other).then_some(one),
    }
}

/// The status of one watcher, written by its task.
#[derive(Debug)]
pub(super) struct StatusCell {
    watcher: String,
    status: watch::Sender<Status>,
    scopes: parking_lot::Mutex<Vec<Scope>>,
    /// The objects that were logged as unreadable.
    told_unreadable: parking_lot::Mutex<HashSet<String>>,
}

/// How many unreadable objects are logged at the most; more than that are counted only.
const MOST_TOLD: usize = 100;

impl StatusCell {
    pub(super) fn new(watcher: String, scopes: usize) -> Self {
        let status = Status {
            connection: Connection::Connecting,
            synced: false,
            resource_version: None,
            last_event: None,
            last_error: None,
            lists: 0,
            callback_panics: 0,
            unreadable: 0,
            audits: 0,
            audit_differences: 0,
        };
        Self {
            watcher,
            status: watch::Sender::new(status),
            scopes: parking_lot::Mutex::new(vec![Scope::default(); scopes]),
            told_unreadable: parking_lot::Mutex::default(),
        }
    }

    /// Names the watcher in messages.
    pub(super) fn watcher(&self) -> &str {
        &self.watcher
    }

    pub(super) fn get(&self) -> Status {
        let mut status = self.status.borrow().clone();
        overlay(&mut status, &self.scopes.lock());
        status
    }

    /// Changes what readers see, with what the scopes know by now.
    fn publish(&self, change: impl FnOnce(&mut Status)) {
        let scopes = self.scopes.lock().clone();
        self.status.send_modify(|status| {
            change(status);
            overlay(status, &scopes);
        });
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    fn scope(&self, index: usize, change: impl FnOnce(&mut Scope)) {
        if let Some(scope) = self.scopes.lock().get_mut(index) {
            change(scope);
        }
        self.publish(|_| {});
    }

    /// The stream of one scope is open and in step.
    pub(super) fn connected(&self, index: usize) {
        let mut recovered = None;
        self.scope(index, |scope| {
            scope.connected = true;
            recovered = scope.error.take();
        });
        if let Some(error) = recovered {
            tracing::info!(watcher = self.watcher, after = %error, "watch is connected again");
        }
    }

    /// Something stands in the way in one scope. Logged when it is another state than before.
    pub(super) fn failed(&self, index: usize, error: &WatchError) {
        let mut is_new = true;
        self.scope(index, |scope| {
            is_new = !scope
                .error
                .as_ref()
                .is_some_and(|old| old.is_same_state(error));
            scope.connected = false;
            scope.error = Some(error.clone());
        });
        if is_new {
            tracing::warn!(watcher = self.watcher, %error, "watch is disturbed; the last known state stays");
        }
    }

    /// An object cannot be read; the watch goes on without it. Logged once for each object.
    pub(super) fn unreadable(&self, object: &str, error: &WatchError) {
        for scope in &mut *self.scopes.lock() {
            scope.unreadable = Some(error.clone());
        }
        self.publish(|status| status.unreadable += 1);
        let mut told = self.told_unreadable.lock();
        if told.len() < MOST_TOLD && told.insert(object.to_owned()) {
            tracing::warn!(watcher = self.watcher, %error, "an object is passed over; the watch goes on");
        }
    }

    /// Whether the last thing known of a scope is an error.
    pub(super) fn is_disturbed(&self, index: usize) -> bool {
        self.scopes
            .lock()
            .get(index)
            .is_some_and(|scope| scope.error.is_some())
    }

    /// An event was applied, or a bookmark read: the scope has reached this version.
    pub(super) fn progressed(&self, index: usize, version: &str) {
        let disturbed = {
            let mut scopes = self.scopes.lock();
            let Some(scope) = scopes.get_mut(index) else {
                return;
            };
            let reached = scope.version.get_or_insert_default();
            reached.clear();
            reached.push_str(version);
            scope.last_event = Some(Instant::now());
            scope.error.is_some() || !scope.connected
        };
        if disturbed {
            self.connected(index);
        }
    }

    /// A list of one scope is complete; says whether with it the initial sync of the whole watcher is.
    pub(super) fn listed(&self, index: usize, version: &str) -> bool {
        self.list_ended(index, version, true)
    }

    /// A list of one scope is complete, but for the one object that it is about, which cannot be read.
    pub(super) fn listed_unread(&self, index: usize, version: &str) {
        self.list_ended(index, version, false);
    }

    fn list_ended(&self, index: usize, version: &str, read: bool) -> bool {
        if let Some(scope) = self.scopes.lock().get_mut(index) {
            scope.synced |= read;
            scope.unread = !scope.synced;
            scope.version = Some(version.to_owned());
            scope.last_event = Some(Instant::now());
        }
        self.publish(|status| status.lists += 1);
        self.is_first_sync()
    }

    /// What could not be read in a list is known by now; says whether with it the initial sync of the whole watcher is
    /// complete.
    pub(super) fn read_after_list(&self, index: usize) -> bool {
        let was_unread = match self.scopes.lock().get_mut(index) {
            Some(scope) if scope.unread => {
                (scope.unread, scope.synced) = (false, true);
                true
            }
            _ => false,
        };
        was_unread && self.is_first_sync()
    }

    /// Whether all scopes are synced and nobody was told yet.
    fn is_first_sync(&self) -> bool {
        let all = self.scopes.lock().iter().all(|scope| scope.synced);
        all && !self.status.borrow().synced
    }

    /// Whether the initial sync of the whole watcher is complete.
    pub(super) fn is_synced(&self) -> bool {
        self.status.borrow().synced
    }

    /// The version that all scopes have reached; `None` before each has a complete list, and of versions that cannot be
    /// compared.
    pub(super) fn reached_by_all(&self) -> Option<String> {
        let scopes = self.scopes.lock();
        let mut versions = scopes
            .iter()
            .map(|scope| scope.version.as_deref().filter(|_| scope.synced));
        let first = versions.next()??;
        let least = versions.try_fold(first, |least, version| older(least, version?));
        least.map(str::to_owned)
    }

    /// Whether one reflector is all there is.
    pub(super) fn has_one_scope(&self) -> bool {
        self.scopes.lock().len() == 1
    }

    /// The initial sync of the whole watcher is complete.
    pub(super) fn synced(&self) {
        self.publish(|status| status.synced = true);
    }

    pub(super) fn callback_panicked(&self) {
        self.publish(|status| status.callback_panics += 1);
    }

    /// An audit was made, and what differed was repaired.
    pub(super) fn audited(&self, differences: &[Difference]) {
        if let [first, ..] = differences {
            let (count, first) = (differences.len(), &first.reference);
            tracing::error!(watcher = self.watcher, count, %first, "the store differed from the server; it is repaired");
        }
        self.publish(|status| {
            status.audits += 1;
            status.audit_differences += differences.len() as u64;
        });
    }

    pub(super) fn stopped(&self) {
        self.publish(|status| status.connection = Connection::Stopped);
    }

    /// Waits until the watcher is synced.
    pub(super) async fn wait_for_sync(&self, deadline: Duration) -> Result<(), SyncError> {
        let mut status = self.subscribe();
        let settled = status.wait_for(|status| {
            status.synced
                || status.connection == Connection::Stopped
                || status
                    .last_error
                    .as_ref()
                    .is_some_and(WatchError::is_refusal)
        });
        let settled = match tokio::time::timeout(deadline, settled).await {
            Ok(Ok(status)) => status.clone(),
            Ok(Err(_)) => {
                return Err(SyncError::Stopped {
                    watcher: self.watcher.clone(),
                });
            }
            Err(_) => self.get(),
        };
        match settled {
            Status { synced: true, .. } => Ok(()),
            Status {
                connection: Connection::Stopped,
                ..
            } => Err(SyncError::Stopped {
                watcher: self.watcher.clone(),
            }),
            Status {
                last_error: Some(error),
                ..
            } if error.is_refusal() => Err(SyncError::Refused(error)),
            Status { last_error, .. } => Err(SyncError::Deadline {
                watcher: self.watcher.clone(),
                deadline,
                last_error,
            }),
        }
    }
}
