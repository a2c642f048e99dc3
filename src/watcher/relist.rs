//! Lists that somebody asked for: what was asked, and which list answers it.
//!
//! Askings are numbered. A list answers those that were there when its first request was made, so that many who ask at
//! once are answered by one list, and nobody by a list that had begun before. When lists are made, the reflectors decide.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;

/// Why a list that was asked for is not there.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelistError {
    /// The watcher was stopped.
    #[error("watcher of {watcher} was stopped before the list that was asked for was complete")]
    Stopped {
        /// Which watcher.
        watcher: String,
    },
}

/// What was asked of one watcher, and what of it was answered.
pub(super) struct Relists {
    watcher: String,
    /// The number of the last asking.
    asked: watch::Sender<u64>,
    answered: watch::Sender<Answered>,
}

struct Answered {
    /// Up to which asking each of the watcher's reflectors has answered.
    scopes: Vec<u64>,
    stopped: bool,
}

/// One reflector's side.
pub(super) struct Asked {
    relists: Arc<Relists>,
    asked: watch::Receiver<u64>,
    scope: usize,
    /// Up to which asking the list answers that began last.
    begun: u64,
}

impl Relists {
    pub(super) fn new(watcher: &str, scopes: usize) -> Self {
        Self {
            watcher: watcher.to_owned(),
            asked: watch::Sender::new(0),
            answered: watch::Sender::new(Answered {
                scopes: vec![0; scopes],
                stopped: false,
            }),
        }
    }

    /// Asks for a list now; the future waits for it.
    pub(super) fn ask(
        self: &Arc<Self>,
    ) -> impl Future<Output = Result<(), RelistError>> + Send + use<> {
        let mut number = 0;
        self.asked.send_modify(|asked| {
            *asked += 1;
            number = *asked;
        });
        let relists = Arc::clone(self);
        async move {
            let mut answered = relists.answered.subscribe();
            let is_answered =
                |answered: &Answered| answered.scopes.iter().all(|&scope| scope >= number);
            let settled = answered
                .wait_for(|answered| answered.stopped || is_answered(answered))
                .await;
            match settled {
                Ok(answered) if is_answered(&answered) => Ok(()),
                _ => Err(RelistError::Stopped {
                    watcher: relists.watcher.clone(),
                }),
            }
        }
    }

    /// The side of one reflector.
    pub(super) fn scope(self: &Arc<Self>, scope: usize) -> Asked {
        Asked {
            relists: Arc::clone(self),
            asked: self.asked.subscribe(),
            scope,
            begun: 0,
        }
    }

    /// No list comes any more.
    pub(super) fn stopped(&self) {
        self.answered
            .send_modify(|answered| answered.stopped = true);
    }
}

impl Asked {
    /// A list is about to be requested: it answers what was asked so far.
    pub(super) fn begin(&mut self) {
        self.begun = *self.asked.borrow();
    }

    /// The list that began last was handed on as a whole, and what could not be read in it was read by itself or reported.
    pub(super) fn answer(&self) {
        self.relists.answered.send_modify(|answered| {
            if let Some(scope) = answered.scopes.get_mut(self.scope) {
                *scope = self.begun;
            }
        });
    }

    /// Whether something was asked since the last list began.
    pub(super) fn is_open(&self) -> bool {
        *self.asked.borrow() > self.begun
    }

    /// Waits until something is asked that the last list does not answer.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn opened(&mut self) {
        let begun = self.begun;
        if self.asked.wait_for(|asked| *asked > begun).await.is_err() {
            // Nobody is left who could ask.
            std::future::pending::<()>().await;
        }
    }
}

impl fmt::Debug for Relists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Relists({})", self.watcher)
    }
}
