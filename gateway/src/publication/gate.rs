//! Whether a publication may write: always, or only while this replica leads.

use kubedex::leader_election::Leadership;
use tokio::sync::watch;

use crate::sink::Permit;

/// Tells a publication whether it may write. When the right is lost, a write that goes on is cut off; when it comes
/// back, by another token, everything is written anew.
#[derive(Clone, Debug)]
pub struct Gate(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Open,
    Leader(watch::Receiver<Leadership>),
    Watched(watch::Receiver<Option<Permit>>),
}

impl Gate {
    /// Always open, without a token.
    pub fn open() -> Self {
        Self(Kind::Open)
    }

    /// Open while the elector whose [`states`](kubedex::leader_election::LeaderElector::states) these are leads. What goes
    /// on when leadership is given up is waited for by the elector.
    pub fn leader(states: watch::Receiver<Leadership>) -> Self {
        Self(Kind::Leader(states))
    }

    /// Open while there is a permit, and until the sender is gone.
    pub fn watched(permits: watch::Receiver<Option<Permit>>) -> Self {
        Self(Kind::Watched(permits))
    }

    /// The right to write at this moment; what changes from now on is news to [`Gate::changed`].
    pub(super) fn permit(&mut self) -> Option<Permit> {
        match &mut self.0 {
            Kind::Open => Some(Permit::unfenced()),
            Kind::Leader(states) => {
                let state = states.borrow_and_update();
                state.token().cloned().map(Permit::fenced)
            }
            Kind::Watched(permits) if permits.has_changed().is_err() => None,
            Kind::Watched(permits) => permits.borrow_and_update().clone(),
        }
    }

    /// Waits until the right to write may be another.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn changed(&mut self) {
        let outcome = match &mut self.0 {
            Kind::Open => return std::future::pending().await,
            Kind::Leader(states) => states.changed().await,
            Kind::Watched(permits) => permits.changed().await,
        };
        if outcome.is_err() {
            // Nobody will say anything any more. Once is told; after that the gate stays shut.
            let (_, closed) = watch::channel(None);
            match std::mem::replace(&mut self.0, Kind::Watched(closed)) {
                Kind::Watched(before) if before.borrow().is_none() => std::future::pending().await,
                _ => {}
            }
        }
    }

    /// Waits until the right that was given is no longer there.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn lost(&mut self, permit: &Permit) {
        while self.permit().as_ref() == Some(permit) {
            self.changed().await;
        }
    }
}
