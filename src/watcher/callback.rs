//! Calls the user's code: one call at a time, beside the pipeline, panics caught.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::changes::Changes;
use super::status::StatusCell;
use super::subscription::{Notice, Subscription};

pub(super) type OnChange<S> = Box<dyn Fn(Arc<S>, Changes) -> BoxFuture<'static, ()> + Send + Sync>;
pub(super) type OnSyncComplete<S> =
    Box<dyn Fn(Arc<S>, usize) -> BoxFuture<'static, ()> + Send + Sync>;

/// The callbacks of one watcher.
pub(super) struct Callbacks<S> {
    pub(super) on_change: Option<OnChange<S>>,
    pub(super) on_sync_complete: Option<OnSyncComplete<S>>,
}

impl<S> Callbacks<S> {
    pub(super) fn is_empty(&self) -> bool {
        self.on_change.is_none() && self.on_sync_complete.is_none()
    }

    /// Calls for each notice, one after the other, until the watcher has ended and everything was told.
    pub(super) async fn run(
        self,
        mut subscription: Subscription,
        store: Arc<S>,
        status: &StatusCell,
    ) {
        while let Some(notice) = subscription.next().await {
            let store = Arc::clone(&store);
            match notice {
                Notice::Changes(changes) => {
                    if let Some(on_change) = &self.on_change {
                        guard("on_change", || on_change(store, changes), status).await;
                    }
                }
                Notice::Synced(count) => {
                    if let Some(on_sync_complete) = &self.on_sync_complete {
                        guard(
                            "on_sync_complete",
                            || on_sync_complete(store, count),
                            status,
                        )
                        .await;
                    }
                }
            }
        }
    }
}

/// Makes one call, and sees to it that a panic in it does no harm.
pub(super) async fn guard(
    name: &'static str,
    call: impl FnOnce() -> BoxFuture<'static, ()>,
    status: &StatusCell,
) {
    if AssertUnwindSafe(async { call().await })
        .catch_unwind()
        .await
        .is_err()
    {
        status.callback_panicked();
        tracing::error!(
            watcher = status.watcher(),
            callback = name,
            "a callback panicked; the watch goes on"
        );
    }
}
