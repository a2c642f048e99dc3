//! The reflector's rules (R), against a server that misbehaves as told: what their tests share.

mod lists;
mod order;
mod states;
mod unreadable;
mod watches;

use std::time::Duration;

use futures::StreamExt as _;
use kubedex::watcher::{Change, ChangeKind, ChangesStream, InitialList};
use kubedex::{Client, Debounce, Gvr, Watcher, WatcherConfig};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::scripted::{Scripted, Stream, scripted};

pub(super) const SOON: Duration = Duration::from_secs(5);

fn config() -> WatcherConfig {
    WatcherConfig::new(Gvr::new("", "v1", "configmaps"))
        .debounce(Debounce::none())
        .seed(7)
}

pub(super) fn paged() -> WatcherConfig {
    config().initial_list(InitialList::Paged)
}

/// A watcher that has listed these objects as of version 10, and its open watch.
pub(super) async fn watching(items: &[Value]) -> (Scripted, Client, Watcher, Stream) {
    let (mut server, client) = scripted();
    let watcher = Watcher::start(&client, paged()).unwrap();
    server.list().await.items("10", items);
    let stream = server.watch("10").await.stream();
    watcher.wait_for_sync(SOON).await.unwrap();
    (server, client, watcher, stream)
}

/// What the store holds: name, version and content of each object.
pub(super) fn content(watcher: &Watcher) -> Vec<(String, String, String)> {
    let objects = watcher.store().list();
    let text = |object: &kubedex::Object| {
        object
            .get("data.k")
            .unwrap()
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    objects
        .iter()
        .map(|object| {
            (
                object.name().into(),
                object.resource_version().unwrap().into(),
                text(object),
            )
        })
        .collect()
}

pub(super) fn rows(rows: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    rows.iter()
        .map(|(name, version, text)| ((*name).into(), (*version).into(), (*text).into()))
        .collect()
}

/// The next changes: kind, name and uid.
async fn told(changes: &mut ChangesStream) -> Vec<(ChangeKind, String, String)> {
    let changes = changes.next().await.expect("the watcher has ended");
    let row = |change: &Change| {
        (
            change.kind(),
            change.reference().name().to_owned(),
            change.uid().unwrap_or_default().to_owned(),
        )
    };
    changes.iter().map(row).collect()
}

/// Waits until the store holds these objects; panics with what it holds instead when a minute has passed.
pub(super) async fn settles(watcher: &Watcher, expected: &[(&str, &str, &str)]) {
    let expected = rows(expected);
    let deadline = Instant::now() + Duration::from_secs(60);
    while content(watcher) != expected {
        assert!(
            Instant::now() < deadline,
            "the store holds {:?}",
            content(watcher)
        );
        tokio::time::advance(Duration::from_millis(1)).await;
    }
}

pub(super) fn nested(depth: usize) -> Value {
    (0..depth).fold(json!(1), |inner, _| json!([inner]))
}
