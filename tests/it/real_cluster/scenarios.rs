//! What happens to a control plane and its watchers, one after the other.

use std::time::Duration;

use futures::StreamExt as _;
use kubedex::watcher::{ChangeKind, ChangesStream, SyncError, WatchError};
use kubedex::{Gvr, Watcher, WatcherConfig};
use serde_json::json;
use tokio::time::Instant;

use super::control_plane::ControlPlane;
use super::relay::Relay;
use super::watched::{
    COLLECTION, PATIENCE, comes_to_equal, config, config_map, create, delete, paged, start, until,
    update,
};

/// Runs all of them; `many` objects are in the large collection.
pub(super) async fn run(mut plane: ControlPlane, many: usize) {
    let begun = Instant::now();
    fill(&plane, many).await;
    said("the collection is filled", begun);
    let plane = &mut plane;
    let steps: [(&str, Step); 10] = [
        ("a sync of all", |plane| Box::pin(syncs(plane))),
        ("live changes", |plane| Box::pin(tells_live_changes(plane))),
        ("the server dies during a watch", |plane| {
            Box::pin(server_dies_in_watch(plane))
        }),
        ("the server dies during a sync", |plane| {
            Box::pin(server_dies_in_sync(plane))
        }),
        ("etcd dies during a watch", |plane| {
            Box::pin(etcd_dies_in_watch(plane))
        }),
        ("etcd dies during a sync", |plane| {
            Box::pin(etcd_dies_in_sync(plane))
        }),
        ("a compaction", |plane| Box::pin(compaction(plane))),
        ("a permission is taken away", |plane| {
            Box::pin(permission(plane))
        }),
        ("a resource comes later", |plane| {
            Box::pin(late_resource(plane))
        }),
        ("a token ends", |plane| Box::pin(token_ends(plane))),
    ];
    for (name, step) in steps {
        let begun = Instant::now();
        step(plane).await;
        said(name, begun);
    }
    plane.server.kill().await;
    plane.etcd.kill().await;
}

type Step = for<'a> fn(&'a mut ControlPlane) -> futures::future::BoxFuture<'a, ()>;

fn said(what: &str, begun: Instant) {
    println!("{what}: {:.1} s", begun.elapsed().as_secs_f64());
}

fn admin(plane: &ControlPlane) -> String {
    format!("{{token: '{}'}}", plane.identity.admin_token)
}

async fn fill(plane: &ControlPlane, many: usize) {
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "watched"}});
    plane
        .done("POST", "/api/v1/namespaces", Some(&namespace))
        .await;
    futures::stream::iter(0..many)
        .for_each_concurrent(16, |number| async move {
            create(plane, &format!("o{number:05}"), "x").await;
        })
        .await;
}

async fn syncs(plane: &mut ControlPlane) {
    for (name, config) in [("streaming", config()), ("paged", paged())] {
        let client = plane.client(name, plane.port, &admin(plane)).await;
        let begun = Instant::now();
        let watcher = start(&client, config);
        watcher.wait_for_sync(PATIENCE).await.unwrap();
        said(
            &format!("  {name}, {} objects", watcher.store().len()),
            begun,
        );
        comes_to_equal(plane, &watcher).await;
        watcher.shutdown().await;
    }
}

/// The next change of these objects: kind and name.
async fn next(changes: &mut ChangesStream) -> Vec<(ChangeKind, String)> {
    let next = tokio::time::timeout(PATIENCE, changes.next()).await;
    let changes = next
        .expect("nothing is told")
        .expect("the watcher has ended");
    let row =
        |change: &kubedex::watcher::Change| (change.kind(), change.reference().name().to_owned());
    changes.iter().map(row).collect()
}

async fn synced(plane: &ControlPlane, relay: &Relay, config: WatcherConfig) -> Watcher {
    let client = plane.client("watcher", relay.port(), &admin(plane)).await;
    let watcher = start(&client, config);
    watcher.wait_for_sync(PATIENCE).await.unwrap();
    watcher
}

async fn tells_live_changes(plane: &mut ControlPlane) {
    let relay = Relay::new(plane.port).await;
    let watcher = synced(plane, &relay, config()).await;
    let mut changes = watcher.changes();
    let told = |kind, name: &str| vec![(kind, name.to_owned())];
    create(plane, "live", "a").await;
    assert_eq!(next(&mut changes).await, told(ChangeKind::Created, "live"));
    update(plane, "live", "b").await;
    assert_eq!(next(&mut changes).await, told(ChangeKind::Modified, "live"));
    delete(plane, "live").await;
    assert_eq!(next(&mut changes).await, told(ChangeKind::Deleted, "live"));
    // A list that is asked for finds nothing else.
    tokio::time::timeout(PATIENCE, watcher.relist())
        .await
        .unwrap()
        .unwrap();
    comes_to_equal(plane, &watcher).await;
    watcher.shutdown().await;
    assert!(changes.next().await.is_none());
}

async fn server_dies_in_watch(plane: &mut ControlPlane) {
    let relay = Relay::new(plane.port).await;
    let watcher = synced(plane, &relay, config()).await;
    let before = watcher.store().len();
    plane.server.kill().await;
    until("a dead server is noticed", || {
        !watcher.status().is_connected()
    })
    .await;
    assert_eq!(watcher.store().len(), before, "the last state stays");
    plane.start_server().await;
    create(plane, "after-server", "x").await;
    update(plane, "o00001", "after server").await;
    comes_to_equal(plane, &watcher).await;
    until("it is connected again", || watcher.status().is_connected()).await;
    watcher.shutdown().await;
}

/// A watcher that has begun to list in small pages, and is not done.
async fn syncing(plane: &ControlPlane) -> Watcher {
    for _ in 0..20 {
        let client = plane.client("syncing", plane.port, &admin(plane)).await;
        let watcher = start(&client, paged().page_size(2));
        until("a list begins", || !watcher.store().is_empty()).await;
        if !watcher.is_synced() {
            return watcher;
        }
        // The test was too slow to look, not the watcher too fast for it: a busy machine.
        watcher.shutdown().await;
    }
    panic!("a list is over whenever it is looked at");
}

async fn server_dies_in_sync(plane: &mut ControlPlane) {
    let watcher = syncing(plane).await;
    plane.server.kill().await;
    plane.start_server().await;
    watcher.wait_for_sync(PATIENCE).await.unwrap();
    comes_to_equal(plane, &watcher).await;
    watcher.shutdown().await;
}

async fn etcd_dies_in_watch(plane: &mut ControlPlane) {
    let relay = Relay::new(plane.port).await;
    let watcher = synced(plane, &relay, config()).await;
    plane.etcd.kill().await;
    let request = plane.request("GET", COLLECTION, None).await;
    println!(
        "  a list without etcd: {:.120}",
        request.map_or_else(|error| error, |_| "answered".to_owned())
    );
    plane.start_etcd().await;
    plane.wait_for_server().await;
    create(plane, "after-etcd", "x").await;
    update(plane, "o00002", "after etcd").await;
    comes_to_equal(plane, &watcher).await;
    watcher.shutdown().await;
}

async fn etcd_dies_in_sync(plane: &mut ControlPlane) {
    let watcher = syncing(plane).await;
    plane.etcd.kill().await;
    plane.start_etcd().await;
    plane.wait_for_server().await;
    watcher.wait_for_sync(PATIENCE).await.unwrap();
    comes_to_equal(plane, &watcher).await;
    watcher.shutdown().await;
}

async fn compaction(plane: &mut ControlPlane) {
    let relay = Relay::new(plane.port).await;
    create(plane, "gone-in-the-gap", "x").await;
    let watcher = synced(plane, &relay, config()).await;
    let mut changes = watcher.changes();
    let lists = watcher.status().lists;
    relay.cut();
    until("the cut is noticed", || !watcher.status().is_connected()).await;
    delete(plane, "gone-in-the-gap").await;
    create(plane, "new-in-the-gap", "x").await;
    update(plane, "o00003", "in the gap").await;
    plane.compact().await;
    // A server that just started knows nothing of what was before.
    plane.server.kill().await;
    plane.start_server().await;
    relay.mend();
    comes_to_equal(plane, &watcher).await;
    assert!(
        watcher.status().lists > lists,
        "the past is gone: it lists anew"
    );
    let expected = [
        (ChangeKind::Deleted, "gone-in-the-gap".to_owned()),
        (ChangeKind::Created, "new-in-the-gap".to_owned()),
        (ChangeKind::Modified, "o00003".to_owned()),
    ];
    assert_eq!(
        next(&mut changes).await,
        expected,
        "exactly what changed is told"
    );
    watcher.shutdown().await;
}

async fn permission(plane: &mut ControlPlane) {
    const BINDING: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/watched/rolebindings";
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "watch"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]}]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "watch"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "watch"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "viewer"}]});
    let roles = BINDING.replace("rolebindings", "roles");
    plane.done("POST", &roles, Some(&role)).await;
    let relay = Relay::new(plane.port).await;
    let user = format!("{{token: '{}'}}", plane.identity.viewer_token);
    let client = plane.client("viewer", relay.port(), &user).await;
    let watcher = start(&client, config());
    let refused = watcher.wait_for_sync(PATIENCE).await.unwrap_err();
    assert!(
        matches!(&refused, SyncError::Refused(error) if error.is_forbidden()),
        "{refused}"
    );
    plane.done("POST", BINDING, Some(&binding)).await;
    until("it syncs once it may", || watcher.is_synced()).await;
    comes_to_equal(plane, &watcher).await;
    let before = watcher.store().len();
    plane
        .done("DELETE", &format!("{BINDING}/watch"), None)
        .await;
    // A watch that is open goes on; the next request is refused.
    until_refused(&watcher, &relay).await;
    create(plane, "while-forbidden", "x").await;
    assert_eq!(watcher.store().len(), before, "the last state stays");
    plane.done("POST", BINDING, Some(&binding)).await;
    comes_to_equal(plane, &watcher).await;
    watcher.shutdown().await;
}

/// Interrupts a watch until its next request is refused: what is forbidden now, a server may still allow for a moment.
async fn until_refused(watcher: &Watcher, relay: &Relay) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        relay.interrupt().await;
        let refused = async {
            let mut status = watcher.status_changes();
            let is_forbidden = |status: &kubedex::watcher::Status| {
                status
                    .last_error
                    .as_ref()
                    .is_some_and(WatchError::is_forbidden)
            };
            status.wait_for(is_forbidden).await.map(|_| ())
        };
        if tokio::time::timeout(Duration::from_secs(10), refused)
            .await
            .is_ok()
        {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "a permission cannot be taken away"
        );
    }
}

async fn late_resource(plane: &mut ControlPlane) {
    let client = plane.client("late", plane.port, &admin(plane)).await;
    let gvr = Gvr::new("kubedex.test", "v1", "gadgets");
    let watcher = start(&client, WatcherConfig::new(gvr).wait_for_resource());
    let error = watcher
        .wait_for_sync(Duration::from_secs(3))
        .await
        .unwrap_err();
    assert!(matches!(&error, SyncError::Deadline { .. }), "{error}");
    let schema = json!({"openAPIV3Schema": {"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}});
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.kubedex.test"},
        "spec": {"group": "kubedex.test", "scope": "Namespaced",
            "names": {"plural": "gadgets", "singular": "gadget", "kind": "Gadget", "listKind": "GadgetList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}]}});
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    plane.done("POST", definitions, Some(&definition)).await;
    let gadget = json!({"apiVersion": "kubedex.test/v1", "kind": "Gadget", "metadata": {"name": "one"}, "spec": {"size": 7}});
    let path = "/apis/kubedex.test/v1/namespaces/watched/gadgets";
    // Until it is served this is not found, which is tried again.
    plane.done("POST", path, Some(&gadget)).await;
    until("what is served now is there", || watcher.store().len() == 1).await;
    let found = watcher.store().list();
    assert_eq!(found[0].to_value()["spec"]["size"], 7);
    assert_eq!(found[0].kind(), "Gadget");
    watcher.shutdown().await;
}

async fn token_ends(plane: &mut ControlPlane) {
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "watcher"}});
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    plane.done("POST", accounts, Some(&account)).await;
    let account = plane
        .done("GET", &format!("{accounts}/watcher"), None)
        .await;
    let uid = account["metadata"]["uid"].as_str().unwrap().to_owned();
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "account"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "watch"},
        "subjects": [{"kind": "ServiceAccount", "name": "watcher", "namespace": "default"}]});
    let bindings = "/apis/rbac.authorization.k8s.io/v1/namespaces/watched/rolebindings";
    plane.done("POST", bindings, Some(&binding)).await;
    let (token, within) = plane.short_token("watcher", &uid, Duration::from_secs(5));
    let file = plane.identity.write("token", &token);
    let relay = Relay::new(plane.port).await;
    let user = format!("{{tokenFile: '{}'}}", file.display());
    let client = plane.client("account", relay.port(), &user).await;
    let watcher = start(&client, config());
    until("it syncs by its token", || watcher.is_synced()).await;
    plane.wait_for_end_of(&token, within).await;
    relay.interrupt().await;
    until("that the token has ended is noticed", || {
        watcher.status().last_error.is_some()
    })
    .await;
    // Whoever gave it out lays a new one into the file.
    let (next, _) = plane.short_token("watcher", &uid, Duration::from_secs(3600));
    plane.identity.write("token", &next);
    let object = config_map("after-the-token", "x");
    plane.done("POST", COLLECTION, Some(&object)).await;
    comes_to_equal(plane, &watcher).await;
    until("it is connected again", || watcher.status().is_connected()).await;
    watcher.shutdown().await;
}
