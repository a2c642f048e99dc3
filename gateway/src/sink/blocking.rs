//! Blocking work on some state, one piece at a time, also when a future that waited for it is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// State that is worked on by blocking threads.
#[derive(Debug)]
pub(crate) struct Blocking<S> {
    /// `None` while work goes on, and after work that panicked.
    state: Option<S>,
    running: Option<JoinHandle<S>>,
}

/// Tells work that its outcome is no longer wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cancelled(Arc<AtomicBool>);

/// The work panicked, and its state is lost.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the work panicked")]
pub(crate) struct Panicked;

impl Cancelled {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Sets it when the waiting future is dropped.
struct OnDrop(Cancelled);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}

impl<S: Send + 'static> Blocking<S> {
    pub(crate) fn new(state: S) -> Self {
        Self {
            state: Some(state),
            running: None,
        }
    }

    /// Does a piece of work, after the one before it has ended.
    ///
    /// # Cancel safety
    /// The work goes on, and is told by `Cancelled` that it is in vain; the next one waits for its end.
    pub(crate) async fn run<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut S, &Cancelled) -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        self.settle().await;
        let mut state = self.state.take().ok_or(Panicked)?;
        let cancelled = Cancelled::default();
        let _on_drop = OnDrop(cancelled.clone());
        let (sender, outcome) = oneshot::channel();
        self.running = Some(tokio::task::spawn_blocking(move || {
            let outcome = work(&mut state, &cancelled);
            // Nobody waits for it if the future was dropped.
            let _ = sender.send(outcome);
            state
        }));
        let outcome = outcome.await;
        self.settle().await;
        outcome.map_err(|_| Panicked)
    }

    /// Waits for the work that goes on.
    async fn settle(&mut self) {
        if let Some(running) = &mut self.running {
            self.state = running.await.ok();
            self.running = None;
        }
    }

    /// Puts state in place of one that was lost.
    pub(crate) fn replace(&mut self, state: S) {
        if self.running.is_none() {
            self.state = Some(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn work_waits_for_what_was_given_up_and_that_is_told() {
        let mut blocking = Blocking::new(Vec::new());
        let (go, wait) = mpsc::channel::<()>();
        let first = blocking.run(move |log: &mut Vec<bool>, cancelled| {
            let _ = wait.recv();
            log.push(cancelled.is_set());
        });
        assert!(
            tokio::time::timeout(Duration::from_millis(1), first)
                .await
                .is_err()
        );
        go.send(()).unwrap();
        let log = blocking.run(|log, cancelled| {
            log.push(cancelled.is_set());
            log.clone()
        });
        assert_eq!(log.await.unwrap(), [true, false]);
    }

    #[tokio::test]
    async fn a_panic_loses_the_state_and_nothing_else() {
        let mut blocking = Blocking::new(1);
        let lost = blocking.run(|_, _| panic!("a test")).await;
        assert!(lost.is_err());
        assert!(blocking.run(|_, _| ()).await.is_err());
        blocking.replace(2);
        assert_eq!(blocking.run(|state, _| *state).await.unwrap(), 2);
    }
}
