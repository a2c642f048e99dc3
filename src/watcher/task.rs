//! What the one task of a watcher does: finds out what it watches, runs the reflectors, and the callbacks beside them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{join, join_all};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::callback::Callbacks;
use super::config::Checked;
use super::discovery;
use super::pipeline::Pipeline;
use super::reflector::{InitialList, Reflector, Setup, Target};
use super::relist::Relists;
use super::status::StatusCell;
use super::subscription::{Subscribers, Subscription};
use crate::client::Client;
use crate::indexer::Indexer;
use crate::store::{Scope, Store};

/// Everything the task needs.
pub(super) struct Work<S> {
    callbacks: Option<(Callbacks<S>, Subscription)>,
    ending: Ending,
    watch: Watch<S>,
}

/// What is needed to watch.
struct Watch<S> {
    client: Client,
    targets: Vec<Target>,
    indexer: Arc<Indexer>,
    store: Arc<S>,
    status: Arc<StatusCell>,
    subscribers: Arc<Subscribers>,
    relists: Arc<Relists>,
    wait_for_resource: bool,
    watch_timeout: Duration,
    audit: Option<Duration>,
    initial_list: InitialList,
    random: fastrand::Rng,
}

/// Marks the watcher as stopped and ends its readers, however the task ends.
struct Ending {
    status: Arc<StatusCell>,
    subscribers: Arc<Subscribers>,
    relists: Arc<Relists>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.status.stopped();
        self.subscribers.close();
        self.relists.stopped();
    }
}

impl<S: Store> Work<S> {
    pub(super) fn new(
        client: Client,
        config: Checked<S>,
        namespaces: Vec<Option<String>>,
        status: Arc<StatusCell>,
        subscribers: Arc<Subscribers>,
        relists: Arc<Relists>,
    ) -> Self {
        let targets = namespaces
            .into_iter()
            .map(|namespace| Target {
                gvr: config.gvr.clone(),
                namespace,
                label_selector: config.label_selector.clone(),
                field_selector: config.field_selector.clone(),
                metadata_only: config.metadata_only,
                page_size: config.page_size,
                one_object: false,
            })
            .collect();
        let callbacks = (!config.callbacks.is_empty()).then(|| {
            let subscription =
                subscribers.subscribe(config.compare, config.debounce, config.during_sync);
            (config.callbacks, subscription)
        });
        let ending = Ending {
            status: Arc::clone(&status),
            subscribers: Arc::clone(&subscribers),
            relists: Arc::clone(&relists),
        };
        let watch = Watch {
            client,
            targets,
            indexer: config.indexer,
            store: Arc::new(config.store),
            status,
            subscribers,
            relists,
            wait_for_resource: config.wait_for_resource,
            watch_timeout: config.watch_timeout,
            audit: config.audit,
            initial_list: config.initial_list,
            random: config.random,
        };
        Self {
            callbacks,
            ending,
            watch,
        }
    }

    pub(super) fn targets(&self) -> &[Target] {
        &self.watch.targets
    }

    pub(super) fn store(&self) -> &Arc<S> {
        &self.watch.store
    }

    /// Watches until `stop`, then tells what has gathered.
    pub(super) async fn run(self, stop: CancellationToken) {
        let Self {
            callbacks,
            ending,
            watch,
        } = self;
        let (store, status) = (Arc::clone(&watch.store), Arc::clone(&watch.status));
        let watch = async move {
            stop.run_until_cancelled_owned(watch.run()).await;
            // Ends the readers, and with them the callbacks, once they were told everything.
            drop(ending);
        };
        let tell = async move {
            if let Some((callbacks, subscription)) = callbacks {
                callbacks.run(subscription, store, &status).await;
            }
        };
        join(Box::pin(watch), tell).await;
    }
}

impl<S: Store> Watch<S> {
    async fn run(mut self) -> Infallible {
        let kind = discovery::discover(
            &self.client,
            &self.targets,
            self.wait_for_resource,
            &self.status,
            &mut self.random,
        )
        .await;
        let emptied = Arc::new(OnceCell::new());
        let reflectors = std::mem::take(&mut self.targets)
            .into_iter()
            .enumerate()
            .map(|(index, target)| {
                let scope = target
                    .namespace
                    .as_deref()
                    .map_or(Scope::All, |namespace| Scope::Namespace(namespace.into()));
                let sink = Pipeline::new(
                    Arc::clone(&self.store),
                    Arc::clone(&emptied),
                    scope,
                    index,
                    Arc::clone(&self.status),
                    Arc::clone(&self.subscribers),
                );
                let setup = Setup {
                    indexer: Arc::clone(&self.indexer),
                    status: Arc::clone(&self.status),
                    scope: index,
                    asked: self.relists.scope(index),
                    watch_timeout: self.watch_timeout,
                    audit: self.audit,
                    initial_list: self.initial_list,
                    wait_for_resource: self.wait_for_resource,
                    random: self.random.fork(),
                };
                Reflector::new(self.client.clone(), target, &kind, sink, setup).run()
            });
        join_all(reflectors).await;
        // There is at least one reflector, and none ends.
        std::future::pending().await
    }
}
