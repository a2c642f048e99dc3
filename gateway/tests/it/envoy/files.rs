//! Envoy by files.

use std::fs;
use std::path::Path;

use kubedex_gateway::model::Snapshot;
use kubedex_gateway::output::Output;
use kubedex_gateway::output::envoy::{EnvoyFiles, EnvoyFilesConfig};

use super::process::{Envoy, is_there};
use super::scenario::{self, Told};

pub(super) const BOOTSTRAP: &str = include_str!("../../../docs/envoy/files.yaml");

/// Writes by renaming, as the directory sink does.
pub(super) fn write(
    root: &Path,
    output: &mut EnvoyFiles,
    snapshot: &Snapshot,
    last: Option<&Snapshot>,
) {
    let rendering = output.render(snapshot, last);
    for file in &rendering.files {
        let path = root.join(&*file.path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let fresh = root.join("fresh");
        fs::write(&fresh, &file.bytes).unwrap();
        fs::rename(&fresh, &path).unwrap();
    }
    for path in &rendering.removed {
        fs::remove_file(root.join(&**path)).unwrap();
    }
}

#[tokio::test]
async fn envoy_told_by_files_loses_no_request_while_endpoints_come_and_go() {
    if !is_there() {
        return;
    }
    let (_folder, root) = Envoy::scratch();
    let mut output = EnvoyFiles::new(EnvoyFilesConfig::default(), Some(&root)).unwrap();
    let mut last: Option<Snapshot> = None;
    let mut told = Told::new(|snapshot: &Snapshot| {
        write(&root, &mut output, snapshot, last.as_ref());
        last = Some(snapshot.clone());
    });
    let bootstrap = BOOTSTRAP.replace("/etc/envoy/xds", root.to_str().unwrap());
    scenario::run(&mut told, async || Envoy::start(&bootstrap).await).await;
}
