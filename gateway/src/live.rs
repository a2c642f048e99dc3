//! Discovery on a cluster: two watchers feed it, and what changes comes out.
//!
//! ```text
//! Watcher of Services ────────┐
//!                             ├─ streams ─► Inventory ─► Discovery ─► Event
//! Watcher of EndpointSlices ──┘
//! ```
//!
//! Translation reads the inventory, which is fed from what the watchers report, and not the watchers' stores: those may
//! be ahead of what was reported, and a change that is undone before it is reported would leave its trace in the
//! clusters. The documents themselves are shared with the stores, so each is held once.
//!
//! Nothing is told before both watchers are synced. While the server is away the last state stands.
//!
//! The watchers report at once; changes of both gather here, so that one pace holds for what is told of either.

mod pace;

pub(crate) use pace::Pace;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use kubedex::watcher::{
    ChangeKind, Changes, ChangesStream, ConfigError, Connection, Debounce, RelistError, Status,
    SyncError, wait_for_all,
};
use kubedex::{Client, Gvr, ObjectRef, Watcher, WatcherConfig};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::discovery::{Diff, Discovery, Inventory, Kind};
use crate::translate::Options;

/// The first change is told at once, then there is at most one report in this time: short enough that nobody waits for
/// it, long enough to take a rollout's writes together.
pub const COALESCING: Duration = Duration::from_millis(50);

/// What to watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveConfig {
    /// The namespaces; none means all.
    pub namespaces: Vec<String>,
    /// A label selector on Services. Slices are not selected by it, but join only Services that are.
    pub selector: Option<String>,
    /// How clusters are made.
    pub options: Options,
}

/// A running discovery.
pub struct Live {
    watchers: Arc<Watchers>,
    service_changes: ChangesStream,
    slice_changes: ChangesStream,
    service_status: watch::Receiver<Status>,
    slice_status: watch::Receiver<Status>,
    inventory: Inventory,
    discovery: Discovery,
    /// Services to look at.
    touched: BTreeSet<ObjectRef>,
    /// Whether the first state was told.
    begun: bool,
    /// Whether the loss of the connection was told.
    disconnected: bool,
    pace: Pace,
}

/// What is new.
#[derive(Clone, Debug)]
pub enum Event {
    /// Clusters or problems differ. The first one, which says what there is, comes when everything is synced, and
    /// also if there is nothing.
    Changed(Diff),
    /// Changes are no longer heard of, for this reason. Told once, until connected again.
    Disconnected(String),
    /// Changes are heard of again.
    Connected,
}

/// Something to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// There is something for [`Live::refresh`].
    Objects,
    /// A watcher is in another state.
    Status,
}

/// The two watchers, for those who ask something of them beside the one who reads what they report.
pub(crate) struct Watchers {
    services: Watcher,
    slices: Watcher,
}

impl Watchers {
    fn start(client: &Client, config: &LiveConfig) -> Result<Self, ConfigError> {
        let mut services = watcher_config(Kind::Service, &config.namespaces);
        if let Some(selector) = &config.selector {
            services = services.label_selector(selector);
        }
        let slices = watcher_config(Kind::EndpointSlice, &config.namespaces);
        Ok(Self {
            services: Watcher::start(client, services)?,
            slices: Watcher::start(client, slices)?,
        })
    }

    /// As [`Live::wait_for_sync`].
    pub(crate) async fn wait_for_sync(&self, deadline: Duration) -> Result<(), Vec<SyncError>> {
        let handles = [self.services.sync_handle(), self.slices.sync_handle()];
        wait_for_all(handles, deadline).await
    }

    /// Asks both for a list now. The future is ready once both are complete and what they changed is there to be read.
    pub(crate) fn relist(&self) -> impl Future<Output = Result<(), RelistError>> + Send + use<> {
        let (services, slices) = (self.services.relist(), self.slices.relist());
        async move { tokio::try_join!(services, slices).map(|_| ()) }
    }

    /// Stops both and waits for their end. May be called again.
    pub(crate) async fn shutdown(&self) {
        tokio::join!(self.services.shutdown(), self.slices.shutdown());
    }
}

impl Live {
    /// Starts to watch; what is found comes from [`Live::next`].
    ///
    /// # Errors
    /// When the configuration cannot work, such as a malformed selector.
    pub fn start(client: &Client, config: LiveConfig) -> Result<Self, ConfigError> {
        let watchers = Watchers::start(client, &config)?;
        let mut live = Self {
            service_changes: watchers.services.changes(),
            slice_changes: watchers.slices.changes(),
            service_status: watchers.services.status_changes(),
            slice_status: watchers.slices.status_changes(),
            inventory: Inventory::default(),
            discovery: Discovery::new(config.options),
            touched: BTreeSet::new(),
            begun: false,
            disconnected: false,
            pace: Pace::new(COALESCING),
            watchers: Arc::new(watchers),
        };
        // What the watchers found before the streams began is told by nobody.
        for watcher in [&live.watchers.services, &live.watchers.slices] {
            for object in watcher.store().iter() {
                live.inventory.apply(object);
            }
        }
        Ok(live)
    }

    /// Waits until everything that exists is known. [`Live::next`] need not be called meanwhile.
    ///
    /// # Errors
    /// Why it is not, for each watcher that is not synced within the deadline.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn wait_for_sync(&self, deadline: Duration) -> Result<(), Vec<SyncError>> {
        self.watchers.wait_for_sync(deadline).await
    }

    /// What is new, at most one change in [`COALESCING`]; `None` once the watchers have stopped.
    ///
    /// # Cancel safety
    /// Safe: what was not returned comes with the next call.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.connection_event() {
                return Some(event);
            }
            let due = if self.has_news() {
                let now = Instant::now();
                match self.pace.waits_until(now) {
                    Some(due) => Some(due),
                    None => match self.refresh() {
                        Some(diff) => {
                            self.pace.made(now);
                            return Some(Event::Changed(diff));
                        }
                        None => None,
                    },
                }
            } else {
                None
            };
            tokio::select! {
                biased;
                () = until(due) => {}
                news = self.news() => {
                    news?;
                }
            }
        }
    }

    /// Waits for something to look at, and takes it in; `None` once the watchers have stopped.
    ///
    /// # Cancel safety
    /// Safe: what was taken in stays.
    pub(crate) async fn news(&mut self) -> Option<News> {
        tokio::select! {
            biased;
            changes = self.service_changes.next() => {
                self.take_in(Kind::Service, &changes?);
                Some(News::Objects)
            }
            changes = self.slice_changes.next() => {
                self.take_in(Kind::EndpointSlice, &changes?);
                Some(News::Objects)
            }
            Ok(()) = self.service_status.changed() => Some(News::Status),
            Ok(()) = self.slice_status.changed() => Some(News::Status),
        }
    }

    /// Whether [`Live::refresh`] has something to do.
    pub(crate) fn has_news(&self) -> bool {
        if self.begun {
            !self.touched.is_empty()
        } else {
            self.is_synced()
        }
    }

    /// Whether the first state was told.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether everything that existed at the start is known.
    fn is_synced(&self) -> bool {
        self.service_status.borrow().synced && self.slice_status.borrow().synced
    }

    /// Brings the clusters up to what the watchers have reported by now, and says what differs. `None` if nothing is to
    /// be told: nothing differs, or not everything is known yet.
    pub(crate) fn refresh(&mut self) -> Option<Diff> {
        // Asked before the streams are read, so that what was found until the sync is among what is read.
        let is_synced = self.is_synced();
        while let Some(Some(changes)) = self.service_changes.next().now_or_never() {
            self.take_in(Kind::Service, &changes);
        }
        while let Some(Some(changes)) = self.slice_changes.next().now_or_never() {
            self.take_in(Kind::EndpointSlice, &changes);
        }
        if !is_synced {
            return None;
        }
        let touched = std::mem::take(&mut self.touched);
        if self.begun {
            let diff = self.discovery.refresh(&self.inventory, touched);
            return (!diff.is_empty()).then_some(diff);
        }
        self.begun = true;
        let all: Vec<_> = self.inventory.services().cloned().collect();
        Some(self.discovery.refresh(&self.inventory, all))
    }

    /// Makes clusters another way from now on; everything is to be looked at.
    pub(crate) fn set_options(&mut self, options: Options) {
        self.discovery.set_options(options);
        self.touched.extend(self.inventory.services().cloned());
    }

    fn take_in(&mut self, kind: Kind, changes: &Changes) {
        for change in changes {
            match (change.kind(), change.object()) {
                (ChangeKind::Deleted, _) => {
                    let touched = self.inventory.delete(kind, change.reference());
                    self.touched.extend(touched);
                }
                (_, Some(object)) => self.touched.extend(self.inventory.apply(object.clone())),
                // A store that keeps whole objects always has one.
                (_, None) => {}
            }
        }
        if !self.begun {
            // Everything is looked at when it is synced.
            self.touched.clear();
        }
    }

    /// Whether the connection was lost or came back since it was last told.
    fn connection_event(&mut self) -> Option<Event> {
        // Their news is being looked at.
        self.service_status.mark_unchanged();
        self.slice_status.mark_unchanged();
        match self.connection() {
            Link::Lost { reason, .. } if !self.disconnected => {
                self.disconnected = true;
                Some(Event::Disconnected(reason))
            }
            Link::Up if self.disconnected => {
                self.disconnected = false;
                Some(Event::Connected)
            }
            _ => None,
        }
    }

    /// Whether changes are heard of.
    pub(crate) fn connection(&self) -> Link {
        let states = [self.service_status.borrow(), self.slice_status.borrow()];
        let lost = states.iter().find_map(|status| match status.connection {
            Connection::Disconnected(since) => Some((since, status.last_error.as_ref())),
            _ => None,
        });
        match lost {
            Some((since, error)) => Link::Lost {
                since,
                reason: error.map(ToString::to_string).unwrap_or_default(),
            },
            None if states.iter().all(|status| status.is_connected()) => Link::Up,
            None => Link::Pending,
        }
    }

    /// What was discovered so far.
    pub fn discovery(&self) -> &Discovery {
        &self.discovery
    }

    /// The watchers, to ask something of them.
    pub(crate) fn watchers(&self) -> &Arc<Watchers> {
        &self.watchers
    }

    /// Stops both watchers and waits for their end.
    ///
    /// # Cancel safety
    /// The watchers stop even if the future is dropped.
    pub async fn shutdown(self) {
        self.watchers.shutdown().await;
    }
}

/// Whether changes are heard of, from both watchers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Pending,
    Up,
    Lost { since: Instant, reason: String },
}

/// Ends at that time, or never.
pub(crate) async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("watchers", &self.watchers)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Watchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchers")
            .field("services", &self.services)
            .field("slices", &self.slices)
            .finish()
    }
}

/// A watcher of one kind, which reports at once. Fields that no rule reads are not kept, so that their change is none.
fn watcher_config(kind: Kind, namespaces: &[String]) -> WatcherConfig {
    let (gvr, ignored): (_, &[&str]) = match kind {
        Kind::Service => (services(), &["metadata.managedFields", "status"]),
        Kind::EndpointSlice => (
            endpoint_slices(),
            &[
                "metadata.managedFields",
                "metadata.annotations",
                "metadata.ownerReferences",
                "endpoints[*].targetRef",
            ],
        ),
    };
    let mut config = WatcherConfig::new(gvr);
    if !namespaces.is_empty() {
        config = config.namespaces(namespaces);
    }
    config
        .ignore_fields(ignored.iter().copied())
        .debounce(Debounce::none())
        .call_on_change_during_sync(true)
}

/// What Services are watched as.
pub fn services() -> Gvr {
    Gvr::new("", "v1", "services")
}

/// What EndpointSlices are watched as.
pub fn endpoint_slices() -> Gvr {
    Gvr::new("discovery.k8s.io", "v1", "endpointslices")
}
