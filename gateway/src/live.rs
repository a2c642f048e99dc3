//! Discovery on a cluster: two watchers feed it, and what changes comes out.
//!
//! ```text
//! Watcher of Services ────────┐
//!                             ├─ channel ─► Inventory ─► Discovery ─► Event
//! Watcher of EndpointSlices ──┘
//! ```
//!
//! Translation reads the inventory, which is fed from what the watchers report, and not the watchers' stores: those may
//! be ahead of what was reported, and a change that is undone before it is reported would leave its trace in the
//! clusters. The documents themselves are shared with the stores, so each is held once.
//!
//! Nothing is told before both watchers are synced. While the server is away the last state stands.

use std::fmt;
use std::time::Duration;

use kubedex::watcher::{
    ChangeKind, Changes, ConfigError, Connection, Debounce, Status, SyncError, wait_for_all,
};
use kubedex::{Client, Gvr, Watcher, WatcherConfig};
use tokio::sync::{mpsc, watch};

use crate::discovery::{Diff, Discovery, Inventory, Kind};
use crate::translate::Options;

/// The first change is told at once, then there is at most one report for each kind in this time: short enough that
/// nobody waits for it, long enough to take a rollout's writes together.
pub const COALESCING: Duration = Duration::from_millis(50);

/// Reports that may wait to be taken in; while there are as many, the watchers gather on their side.
const REPORTS: usize = 4;

/// What to watch.
#[derive(Clone, Debug, Default)]
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
    services: Watcher,
    slices: Watcher,
    reports: mpsc::Receiver<Report>,
    service_status: watch::Receiver<Status>,
    slice_status: watch::Receiver<Status>,
    inventory: Inventory,
    discovery: Discovery,
    /// Watchers that have not told the end of their sync.
    unsynced: u8,
    /// Whether the loss of the connection was told.
    disconnected: bool,
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

#[derive(Debug)]
enum Report {
    Changes(Kind, Changes),
    Synced,
}

impl Live {
    /// Starts to watch; what is found comes from [`Live::next`].
    ///
    /// # Errors
    /// When the configuration cannot work, such as a malformed selector.
    pub fn start(client: &Client, config: LiveConfig) -> Result<Self, ConfigError> {
        let (sender, reports) = mpsc::channel(REPORTS);
        let mut services = watcher_config(Kind::Service, &config.namespaces, &sender);
        if let Some(selector) = config.selector {
            services = services.label_selector(selector);
        }
        let slices = watcher_config(Kind::EndpointSlice, &config.namespaces, &sender);
        let services = Watcher::start(client, services)?;
        let slices = Watcher::start(client, slices)?;
        Ok(Self {
            service_status: services.status_changes(),
            slice_status: slices.status_changes(),
            services,
            slices,
            reports,
            inventory: Inventory::default(),
            discovery: Discovery::new(config.options),
            unsynced: 2,
            disconnected: false,
        })
    }

    /// Waits until everything that exists is known. [`Live::next`] need not be called meanwhile.
    ///
    /// # Errors
    /// Why it is not, for each watcher that is not synced within the deadline.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn wait_for_sync(&self, deadline: Duration) -> Result<(), Vec<SyncError>> {
        let handles = [self.services.sync_handle(), self.slices.sync_handle()];
        wait_for_all(handles, deadline).await
    }

    /// What is new; `None` once the watchers have stopped.
    ///
    /// # Cancel safety
    /// Safe: what was not returned comes with the next call.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.connection() {
                return Some(event);
            }
            let report = tokio::select! {
                biased;
                report = self.reports.recv() => Some(report?),
                Ok(()) = self.service_status.changed() => None,
                Ok(()) = self.slice_status.changed() => None,
            };
            if let Some(diff) = report.and_then(|report| self.take_in(report)) {
                return Some(Event::Changed(diff));
            }
        }
    }

    /// Takes in a report and those that are there already. `None` if nothing is to be told.
    fn take_in(&mut self, first: Report) -> Option<Diff> {
        let was_synced = self.unsynced == 0;
        let mut touched = Vec::new();
        let mut next = Some(first);
        while let Some(report) = next {
            match report {
                Report::Synced => self.unsynced = self.unsynced.saturating_sub(1),
                Report::Changes(kind, changes) => {
                    for change in &changes {
                        match (change.kind(), change.object()) {
                            (ChangeKind::Deleted, _) => {
                                touched.extend(self.inventory.delete(kind, change.reference()));
                            }
                            (_, Some(object)) => {
                                touched.extend(self.inventory.apply(object.clone()));
                            }
                            // A store that keeps whole objects always has one.
                            (_, None) => {}
                        }
                    }
                }
            }
            next = self.reports.try_recv().ok();
        }
        match (was_synced, self.unsynced) {
            (true, _) => {
                let diff = self.discovery.refresh(&self.inventory, touched);
                (!diff.is_empty()).then_some(diff)
            }
            (false, 0) => {
                let all: Vec<_> = self.inventory.services().cloned().collect();
                Some(self.discovery.refresh(&self.inventory, all))
            }
            (false, _) => None,
        }
    }

    /// Whether the connection was lost or came back since it was last told.
    fn connection(&mut self) -> Option<Event> {
        let states = [
            self.service_status.borrow_and_update().clone(),
            self.slice_status.borrow_and_update().clone(),
        ];
        let lost = states
            .iter()
            .find(|status| matches!(status.connection, Connection::Disconnected(_)));
        match lost {
            Some(status) if !self.disconnected => {
                self.disconnected = true;
                let reason = status.last_error.as_ref().map(ToString::to_string);
                Some(Event::Disconnected(reason.unwrap_or_default()))
            }
            None if self.disconnected && states.iter().all(Status::is_connected) => {
                self.disconnected = false;
                Some(Event::Connected)
            }
            _ => None,
        }
    }

    /// What was discovered so far.
    pub fn discovery(&self) -> &Discovery {
        &self.discovery
    }

    /// Stops both watchers and waits for their end.
    ///
    /// # Cancel safety
    /// The watchers stop even if the future is dropped.
    pub async fn shutdown(mut self) {
        // A report that waits to be taken in would hold its watcher up.
        self.reports.close();
        tokio::join!(self.services.shutdown(), self.slices.shutdown());
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("services", &self.services)
            .field("slices", &self.slices)
            .finish_non_exhaustive()
    }
}

/// A watcher of one kind, whose reports go to the channel. Fields that no rule reads are not kept, so that their change
/// is none.
fn watcher_config(
    kind: Kind,
    namespaces: &[String],
    sender: &mpsc::Sender<Report>,
) -> WatcherConfig {
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
    let (changes, synced) = (sender.clone(), sender.clone());
    config
        .ignore_fields(ignored.iter().copied())
        .debounce(Debounce::leading(COALESCING))
        .call_on_change_during_sync(true)
        // That nobody listens any more is the end, of which the watcher hears otherwise.
        .on_change(move |_, report| {
            let changes = changes.clone();
            async move {
                let _ = changes.send(Report::Changes(kind, report)).await;
            }
        })
        .on_sync_complete(move |_, _| {
            let synced = synced.clone();
            async move {
                let _ = synced.send(Report::Synced).await;
            }
        })
}

/// What Services are watched as.
pub fn services() -> Gvr {
    Gvr::new("", "v1", "services")
}

/// What EndpointSlices are watched as.
pub fn endpoint_slices() -> Gvr {
    Gvr::new("discovery.k8s.io", "v1", "endpointslices")
}
