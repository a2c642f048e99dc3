//! Leader election by a Lease, that is never two.
//!
//! Several candidates, one leader: a [`LeaderElector`] campaigns for a `coordination.k8s.io/v1` Lease, as client-go's
//! elector does, and shares one with it. Work that must not run twice is run while the candidate leads:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use kubedex::Client;
//! use kubedex::leader_election::{LeaderElectionConfig, LeaderElector};
//!
//! let client = Client::infer().await?;
//! let config = LeaderElectionConfig::new("my-controller").namespace("my-system");
//! let done = LeaderElector::run(&client, config, |token| async move {
//!     while !token.is_cancelled() {
//!         if token.check().is_err() {
//!             return; // right before each step that must not be done twice
//!         }
//!         // one step, with `token.as_str()` for a resource that compares it
//!         tokio::select! {
//!             () = token.cancelled() => return,
//!             () = tokio::time::sleep(std::time::Duration::from_secs(1)) => {}
//!         }
//!     }
//! })
//! .await?;
//! # let _: Option<()> = done;
//! # Ok(())
//! # }
//! ```
//!
//! [`LeaderElector::start`] gives a handle instead: a state that can be awaited and streamed ([`LeaderElector::states`]),
//! and callbacks. The credentials need the verbs `get`, `create` and `update` on `leases` in the Lease's namespace.
//!
//! # What is guaranteed
//!
//! - **Two tokens are never valid at once**, whatever the API server and the network do: requests that are lost, late,
//!   done twice or answered wrongly, outages, pauses and suspends of processes, clocks that are set. It takes
//!   clocks whose rates differ by no more than [`LeaderElectionConfig::tolerated_clock_ratio`], and a Lease that nobody
//!   deletes or edits by hand. A token counts from before the write that was acknowledged was sent, and others wait from
//!   when they received a record; wall clocks are written into the Lease for people to read and are never compared.
//! - **Work has ended before the lease is given away**: it is told at the renew deadline, or as soon as another holder is
//!   seen, and has the stop timeout to end, which is over before the lease can run out for others. Work that is given up is
//!   waited for while the lease is still renewed; only then is the lease released. While work runs, this
//!   candidate does not campaign.
//! - **Somebody leads**, whenever a candidate can reach the server, within about a lease duration of the last leader's end.
//!
//! # What is not
//!
//! - Between [`FencingToken::check`] and its effect time passes; a process can be stopped right there, and a virtual machine
//!   together with its clock. Against that only a resource helps that compares tokens: see [`Fence`]. Its part is yours.
//!   Tokens are ordered as long as etcd is not restored from a backup.
//! - Work that ignores its cancellation and does not await either (a blocking loop) cannot be ended. It makes the health
//!   check fail; the lease is then not released, and runs out.
//! - If somebody deletes or edits the Lease, a candidate that saw the holder still waits its lease out, but one
//!   that did not takes over at once. The leader learns it with its next renewal. An overlap is thus bounded by a retry
//!   period and a request timeout (half the renew deadline), in which its renewal and the look that follows are answered;
//!   if they are not, by the renew deadline. A Lease that is edited to look like a clean release is taken for one.
//!
//! # How to choose durations
//!
//! The lease duration is how long nobody leads after a crash. The renew deadline is how long the server may be away without
//! leadership being lost; the stop timeout is what work needs to end. The two together have to stay below the lease
//! duration, and their distance is the margin for clocks. The retry period is the load: a leader sends one request each,
//! a waiting candidate one each 1.6 on the average, and it is how long a failover takes after a clean end. All candidates
//! should have the same, but need not: who waits goes by what the Lease says.
//!
//! # Liveness
//!
//! Let the liveness probe of the pod ask [`LeaderElector::health`]. It fails when the elector's loop does not run, or when
//! work still runs after it had to end: then a restart is what helps. It does not fail because another leads or because
//! the server is away. Do not make readiness depend on leading: a rolling update would wait for what it prevents.
//!
//! # Events
//!
//! The elector writes nothing but its Lease. Who wants Kubernetes Events publishes them with `kube::runtime::events::Recorder`
//! whenever [`LeaderElector::states`] shows another leader.

mod clock;
mod config;
mod decision;
mod error;
mod fence;
mod lease;
mod record;
#[cfg(test)]
mod simulation;
mod state;
mod task;
mod timing;
mod token;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinHandle};

use self::decision::Machine;
use self::lease::LeaseClient;
use self::task::{Shared, Task};
use crate::client::{Client, ClientError};
use crate::resource::ObjectRef;

pub use clock::{BootClock, Clock, TokioClock};
pub use config::LeaderElectionConfig;
pub use decision::Loss;
pub use error::{ConfigError, Ended, RunError};
pub use fence::{Fence, FenceError};
pub use state::{HEALTH_TOLERANCE, Health, Leadership, Role, Unhealthy};
pub use timing::{
    DEFAULT_LEASE_DURATION, DEFAULT_RENEW_DEADLINE, DEFAULT_RETRY_PERIOD, DEFAULT_STOP_TIMEOUT,
};
pub use token::{FencingToken, TokenError, WorkGuard};

/// One candidate of an election.
///
/// # Shutdown
/// [`LeaderElector::shutdown`] ends the work, releases the lease and joins the task. Dropping the elector ends everything at
/// once, as a crash does: the token is invalid, work is aborted, and others wait until the lease has run out.
pub struct LeaderElector {
    shared: Arc<Shared>,
    /// Taken by the shutdown that joins it; others wait at the lock.
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
    abort: AbortHandle,
}

impl LeaderElector {
    /// Starts to campaign. Returns at once.
    ///
    /// Requests go over a connection of their own and past the client's rate limit, if the client is one that was built
    /// here.
    ///
    /// # Errors
    /// When the configuration cannot work, naming the setting. What only a server can tell, such as a missing
    /// permission, shows in [`LeaderElector::last_error`].
    pub fn start(client: &Client, config: LeaderElectionConfig) -> Result<Self, ConfigError> {
        Self::start_with(client, config, false)
    }

    fn start_with(
        client: &Client,
        config: LeaderElectionConfig,
        ends_with_work: bool,
    ) -> Result<Self, ConfigError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| {
            config.invalid("runtime", "an elector is started inside a tokio runtime")
        })?;
        let config = config.check(client)?;
        let reference = ObjectRef::namespaced(config.namespace, config.name);
        let lease: Arc<str> = reference.to_string().into();
        let health = Health::new(Arc::clone(&lease), Arc::clone(&config.clock));
        let shared = Arc::new(Shared {
            lease,
            identity: Arc::clone(&config.settings.identity),
            clock: config.clock,
            states: watch::Sender::new(Leadership {
                role: Role::Following,
                leader: None,
            }),
            health,
            last_error: Mutex::new(None),
            stop: config.stop.child_token(),
            resign: Notify::new(),
            work_panicked: Mutex::new(false),
        });
        let stop_timeout = config.settings.timing.stop;
        let task = Task::new(
            Arc::clone(&shared),
            Machine::new(config.settings, config.seed),
            LeaseClient::new(client.separate(), reference, config.labels),
            config.callbacks,
            ends_with_work,
            stop_timeout,
        );
        let task = runtime.spawn(task.run());
        let abort = task.abort_handle();
        Ok(Self {
            shared,
            task: tokio::sync::Mutex::new(Some(task)),
            abort,
        })
    }

    /// Campaigns, and runs the work while this candidate leads; again, if leadership was lost and regained.
    ///
    /// When the work returns by itself, the lease is released and its output is returned. When leadership is lost, the work's
    /// token is cancelled; it is aborted if it has not ended within the stop timeout, and what it returns is dropped.
    /// `None` means that the campaign ended without the work having come to its end:
    /// [`LeaderElectionConfig::stop_on`], or a loss without campaigning again.
    ///
    /// # Errors
    /// When the configuration cannot work ([`LeaderElectionConfig::on_started_leading`] must not be set), or the work
    /// panicked; the lease is released then too.
    ///
    /// # Cancel safety
    /// Dropping the future is as dropping a [`LeaderElector`]. To end in order, use [`LeaderElectionConfig::stop_on`].
    pub async fn run<W, F, T>(
        client: &Client,
        config: LeaderElectionConfig,
        work: W,
    ) -> Result<Option<T>, RunError>
    where
        W: Fn(FencingToken) -> F + Send + Sync + 'static,
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        if config.has_work() {
            let reason = "the work is what is run, there cannot be other";
            return Err(config.invalid("on_started_leading", reason).into());
        }
        let output = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&output);
        let config = config.on_started_leading(move |token| {
            let slot = Arc::clone(&slot);
            let work = work(token.clone());
            async move {
                let output = work.await;
                if !token.is_lost() {
                    *slot.lock() = Some(output);
                }
            }
        });
        let elector = Self::start_with(client, config, true)?;
        elector.join().await;
        let output = output.lock().take();
        if output.is_none() && *elector.shared.work_panicked.lock() {
            return Err(RunError::Panicked);
        }
        Ok(output)
    }

    /// Who this candidate is in the Lease.
    pub fn identity(&self) -> &str {
        &self.shared.identity
    }

    /// The state at this moment.
    pub fn state(&self) -> Leadership {
        self.shared.states.borrow().clone()
    }

    /// The state, each time it changes. The last one is [`Role::Stopped`].
    ///
    /// # Cancel safety
    /// The receiver's methods are cancel safe, as tokio documents them.
    pub fn states(&self) -> watch::Receiver<Leadership> {
        self.shared.states.subscribe()
    }

    /// Whether this candidate is certain to be the leader at this moment.
    pub fn is_leading(&self) -> bool {
        self.shared.states.borrow().is_leading()
    }

    /// Who holds the Lease, as far as is known.
    pub fn leader(&self) -> Option<Arc<str>> {
        self.shared.states.borrow().leader.clone()
    }

    /// Waits until this candidate leads.
    ///
    /// # Errors
    /// When it does not campaign any more.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn wait_until_leading(&self) -> Result<FencingToken, Ended> {
        let mut states = self.states();
        let state = states
            .wait_for(|state| state.is_leading() || state.is_stopped())
            .await
            .map_err(|_| Ended)?;
        state.token().cloned().ok_or(Ended)
    }

    /// What a liveness probe should ask.
    pub fn health(&self) -> Health {
        self.shared.health.clone()
    }

    /// What the last request met that failed, until one succeeds.
    pub fn last_error(&self) -> Option<ClientError> {
        self.shared.last_error.lock().clone()
    }

    /// Gives leadership up, in order, and campaigns again. Does nothing if this candidate does not lead.
    pub fn resign(&self) {
        self.shared.resign.notify_one();
    }

    /// Ends in order: the work is told to end, and has the stop timeout; then the lease is released, and the task is joined.
    /// A release that the server does not answer takes up to a renew deadline. Calling it again, or at once from
    /// several places, is allowed.
    ///
    /// # Cancel safety
    /// The shutdown goes on if the future is dropped; it is just not waited for.
    pub async fn shutdown(&self) {
        self.shared.stop.cancel();
        self.join().await;
    }

    async fn join(&self) {
        let mut task = self.task.lock().await;
        if let Some(running) = task.as_mut() {
            if let Err(error) = running.await
                && error.is_panic()
            {
                tracing::error!(lease = &*self.shared.lease, "the elector's task panicked");
            }
            *task = None;
        }
    }
}

impl Drop for LeaderElector {
    fn drop(&mut self) {
        // It is asked to, so that the health check does not call it an accident.
        self.shared.stop.cancel();
        self.abort.abort();
    }
}

impl fmt::Debug for LeaderElector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaderElector")
            .field("lease", &self.shared.lease)
            .field("identity", &self.shared.identity)
            .field("state", &self.state())
            .finish()
    }
}
