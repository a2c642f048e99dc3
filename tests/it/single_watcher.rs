//! One object, watched by its name (W8), and many watchers over one client (W10).

mod configuration;
mod many;
mod states;
mod telling;

use std::time::Duration;

use kubedex::watcher::{InitialList, SingleWatcherConfig};
use kubedex::{Gvr, Object};
use tokio::sync::mpsc;

const SOON: Duration = Duration::from_secs(5);

fn config_of(gvr: Gvr) -> SingleWatcherConfig {
    SingleWatcherConfig::new(gvr, "n", "a").seed(7)
}

/// A watch of the ConfigMap `a` in the namespace `n`, in pages.
fn config() -> SingleWatcherConfig {
    config_of(Gvr::new("", "v1", "configmaps")).initial_list(InitialList::Paged)
}

/// What was told, as the resource version and the content of `data.k`; `None` for a deletion.
type Row = Option<(String, String)>;

fn row(object: Option<&Object>) -> Row {
    let object = object?;
    let content = object.get("data.k").unwrap();
    Some((
        object.resource_version().unwrap().to_owned(),
        content.as_str().unwrap_or_default().to_owned(),
    ))
}

fn some(version: &str, content: &str) -> Row {
    Some((version.to_owned(), content.to_owned()))
}

/// Tells each call: `true` for the end of the sync, and what came with it.
fn recording(
    config: SingleWatcherConfig,
) -> (SingleWatcherConfig, mpsc::UnboundedReceiver<(bool, Row)>) {
    let (sender, calls) = mpsc::unbounded_channel();
    let on_sync = sender.clone();
    let config = config
        .on_sync_complete_fn(move |object| {
            let _ = on_sync.send((true, row(object.as_ref())));
        })
        .on_change_fn(move |object| {
            let _ = sender.send((false, row(object.as_ref())));
        });
    (config, calls)
}
