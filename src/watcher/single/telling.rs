//! Tells the callbacks: one call at a time, the newest state each time, beside the watch.

use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::object::Object;
use crate::watcher::callback::guard;
use crate::watcher::status::{Connection, StatusCell};

pub(super) type Callback = Box<dyn Fn(Option<Object>) -> BoxFuture<'static, ()> + Send + Sync>;

/// The callbacks of one watcher.
#[derive(Default)]
pub(super) struct Callbacks {
    pub(super) on_change: Option<Callback>,
    pub(super) on_sync_complete: Option<Callback>,
}

impl Callbacks {
    pub(super) fn is_empty(&self) -> bool {
        self.on_change.is_none() && self.on_sync_complete.is_none()
    }

    /// Calls for each change, until the sender of states is gone and everything was told.
    pub(super) async fn run(
        self,
        mut current: watch::Receiver<Option<Object>>,
        status: &StatusCell,
    ) {
        let mut statuses = status.subscribe();
        let settled =
            |status: &super::Status| status.synced || status.connection == Connection::Stopped;
        let synced = match statuses.wait_for(settled).await {
            Ok(status) => status.synced,
            Err(_) => false,
        };
        if !synced {
            return;
        }
        let first = current.borrow_and_update().clone();
        let mut told = Told(first.clone());
        if let Some(on_sync_complete) = &self.on_sync_complete {
            guard("on_sync_complete", || on_sync_complete(first), status).await;
        }
        let Some(on_change) = &self.on_change else {
            return;
        };
        loop {
            let newest = current.borrow_and_update().clone();
            match told.next(newest) {
                Some(state) => guard("on_change", || on_change(state), status).await,
                None if current.changed().await.is_err() => return,
                None => {}
            }
        }
    }
}

/// What was told last.
struct Told(Option<Object>);

impl Told {
    /// What to tell next when this is the newest state; `None` if there is nothing to tell.
    fn next(&mut self, newest: Option<Object>) -> Option<Option<Object>> {
        let next = match (&self.0, newest) {
            (None, None) => return None,
            (Some(told), Some(newest)) if told.uid() != newest.uid() => None,
            (Some(told), Some(newest)) if told.same_content(&newest) => return None,
            (_, newest) => newest,
        };
        self.0.clone_from(&next);
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn state(uid: &str, version: u32, content: &str) -> Option<Object> {
        let object = json!({"metadata": {"name": "x", "uid": uid, "resourceVersion": version.to_string()}, "data": content});
        Some(Object::from_value(&object).unwrap())
    }

    /// All that is told when `newest` follows `told`.
    fn told(told: Option<Object>, newest: &Option<Object>) -> Vec<Option<String>> {
        let mut told = Told(told);
        std::iter::from_fn(|| told.next(newest.clone()))
            .map(|state| state.map(|object| object.resource_version().unwrap().to_owned()))
            .collect()
    }

    #[test]
    fn the_newest_state_is_told_once() {
        assert_eq!(told(None, &state("1", 1, "a")), [Some("1".into())]);
        assert_eq!(
            told(state("1", 1, "a"), &state("1", 3, "b")),
            [Some("3".into())]
        );
        assert_eq!(told(state("1", 1, "a"), &None), [None]);
    }

    #[test]
    fn the_same_content_is_not_told_again() {
        assert!(told(state("1", 1, "a"), &state("1", 3, "a")).is_empty());
        assert!(told(None, &None).is_empty());
    }

    #[test]
    fn another_object_of_the_same_name_is_told_as_a_deletion_and_a_creation() {
        assert_eq!(
            told(state("1", 1, "a"), &state("2", 3, "a")),
            [None, Some("3".into())]
        );
    }
}
