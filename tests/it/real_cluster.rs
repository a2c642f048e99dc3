//! Watchers on a real control plane: etcd and kube-apiserver from the folder `KUBEBUILDER_ASSETS`, killed and started again.
//!
//! Without that folder the tests say so and pass. What the scenarios themselves do is run in any case, if there is an etcd,
//! against a stand-in for kube-apiserver ([`stand_in`]): a process of the same flags in front of the fake cluster. It shows
//! that processes, certificates, tokens and scenarios work, and nothing about the real server.

mod assets;
mod control_plane;
mod etcd;
mod identity;
mod process;
mod relay;
mod scenarios;
mod stand_in;
mod watched;

use assets::Assets;
use control_plane::ControlPlane;

/// How many objects the large collection has.
const MANY: usize = 5_000;

/// How many it has where nothing is learned from more.
const SOME: usize = 400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_hold_on_a_real_api_server() {
    match Assets::real() {
        Ok(assets) => scenarios::run(ControlPlane::start(assets).await, MANY).await,
        Err(reason) => println!("skipped, the tests on a real API server: {reason}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scenarios_hold_on_a_stand_in_for_the_api_server() {
    let folder = tempfile::tempdir().unwrap();
    match Assets::stand_in(folder.path()) {
        Ok(assets) => scenarios::run(ControlPlane::start(assets).await, SOME).await,
        Err(reason) => println!("skipped, the scenarios on a stand-in: {reason}"),
    }
}
