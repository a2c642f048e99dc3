//! The one task of a watcher, held by its owner: shutdown joins it, drop ends it.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;

use super::error::ConfigError;
use crate::resource::Gvr;

/// A running task.
#[derive(Debug)]
pub(super) struct TaskHandle {
    stop: CancellationToken,
    /// Taken by the shutdown that joins it; others wait at the lock.
    task: Mutex<Option<JoinHandle<()>>>,
    abort: AbortHandle,
}

impl TaskHandle {
    /// Starts what is to run until told to stop.
    pub(super) fn spawn<F>(
        gvr: &Gvr,
        work: impl FnOnce(CancellationToken) -> F,
    ) -> Result<Self, ConfigError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let outside = "a watcher is started inside a tokio runtime";
        let runtime =
            Handle::try_current().map_err(|_| ConfigError::new(gvr, "runtime", outside))?;
        let stop = CancellationToken::new();
        let task = runtime.spawn(work(stop.clone()));
        Ok(Self {
            stop,
            abort: task.abort_handle(),
            task: Mutex::new(Some(task)),
        })
    }

    /// Tells the task to stop and waits for its end, however many call.
    pub(super) async fn shutdown(&self, watcher: &str) {
        self.stop.cancel();
        let mut task = self.task.lock().await;
        if let Some(running) = task.as_mut() {
            if let Err(error) = running.await
                && error.is_panic()
            {
                tracing::error!(watcher, "the watcher's task panicked");
            }
            *task = None;
        }
    }
}

impl Drop for TaskHandle {
    fn drop(&mut self) {
        self.abort.abort();
    }
}
