//! Renewing credentials that the server no longer accepts, by reading the configuration again.
//!
//! However many ask at once, one attempt is made, and not more often than [`RENEWAL_INTERVAL`]. An attempt that fails
//! leaves the client as it was. What is renewed is the transport beneath all clones, the kube client's included.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

use super::builder::Recipe;
use super::error::ClientError;
use super::transport::Lanes;

/// How much time lies at least between two attempts to renew credentials: 10 seconds. An exec plugin may take seconds and
/// calls an identity provider, and a server that accepts nobody is not helped by asking faster.
pub const RENEWAL_INTERVAL: Duration = Duration::from_secs(10);

/// What [`Client::renew`](super::Client::renew) did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Renewal {
    /// The configuration was read again; what is sent from now on uses it.
    Renewed,
    /// It was read so recently that another attempt makes no sense before this time has passed. If somebody else's
    /// attempt succeeded meanwhile, a request now may.
    TooSoon(Duration),
    /// The client was made by the caller, who alone can renew it.
    NotOurs,
}

type Attempt = BoxFuture<'static, Result<(), ClientError>>;

/// Where a client came from.
pub(super) struct Origin {
    recipe: Recipe,
    cluster_url: Box<str>,
    lanes: Arc<RwLock<Arc<Lanes>>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: Option<Instant>,
    /// Kept alive by those who wait for it: when all are gone, so is the attempt.
    running: Option<WeakShared<Attempt>>,
}

impl Origin {
    pub(super) fn new(
        recipe: Recipe,
        cluster_url: Box<str>,
        lanes: Arc<RwLock<Arc<Lanes>>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            recipe,
            cluster_url,
            lanes,
            state: Mutex::default(),
        })
    }

    pub(super) async fn renew(self: &Arc<Self>) -> Result<Renewal, ClientError> {
        let attempt = match self.join() {
            Ok(attempt) => attempt,
            Err(wait) => return Ok(Renewal::TooSoon(wait)),
        };
        attempt.await.map(|()| Renewal::Renewed)
    }

    /// The attempt that is being made, or a new one, or how long to wait for the next.
    fn join(self: &Arc<Self>) -> Result<Shared<Attempt>, Duration> {
        let mut state = self.state.lock();
        if let Some(running) = state.running.as_ref().and_then(WeakShared::upgrade) {
            return Ok(running);
        }
        if let Some(last) = state.last
            && let Some(wait) = RENEWAL_INTERVAL.checked_sub(last.elapsed())
            && !wait.is_zero()
        {
            return Err(wait);
        }
        state.last = Some(Instant::now());
        let origin = Arc::clone(self);
        let attempt: Shared<Attempt> = async move { origin.attempt().await }.boxed().shared();
        state.running = attempt.downgrade();
        Ok(attempt)
    }

    async fn attempt(&self) -> Result<(), ClientError> {
        let outcome = self.recipe.build().await;
        let mut state = self.state.lock();
        state.last = Some(Instant::now());
        state.running = None;
        let built = outcome?;
        if built.cluster_url != self.cluster_url {
            tracing::warn!(
                before = &*self.cluster_url,
                now = &*built.cluster_url,
                "the cluster's address has changed in the configuration"
            );
        }
        *self.lanes.write() = Arc::new(built.lanes);
        Ok(())
    }
}
