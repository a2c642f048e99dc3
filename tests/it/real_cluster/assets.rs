//! Where the programs of a control plane are.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::stand_in;

const VARIABLE: &str = "KUBEBUILDER_ASSETS";

/// The programs of a control plane.
#[derive(Clone, Debug)]
pub(super) struct Assets {
    pub(super) etcd: PathBuf,
    pub(super) server: PathBuf,
    /// The server is a stand-in.
    pub(super) stand_in: bool,
}

impl Assets {
    /// A real one, or why there is none. A folder that is named but lacks a program is an error: nobody names it to have the
    /// tests skipped.
    pub(super) fn real() -> Result<Self, String> {
        let folder = std::env::var_os(VARIABLE)
            .filter(|folder| !folder.is_empty())
            .ok_or_else(|| format!("{VARIABLE} names no folder with etcd and kube-apiserver"))?;
        let program = |name: &str| {
            let path = Path::new(&folder).join(name);
            assert!(path.is_file(), "{VARIABLE}: there is no {}", path.display());
            path
        };
        Ok(Self {
            etcd: program("etcd"),
            server: program("kube-apiserver"),
            stand_in: false,
        })
    }

    /// A stand-in for the server, laid into `folder`, with a real etcd; or why there is none.
    pub(super) fn stand_in(folder: &Path) -> Result<Self, String> {
        let of_assets = std::env::var_os(VARIABLE).map(PathBuf::from);
        let of_path = std::env::var_os("PATH").unwrap_or_default();
        let etcd = of_assets
            .into_iter()
            .chain(std::env::split_paths(&of_path))
            .map(|folder| folder.join("etcd"))
            .find(|path| path.is_file())
            .ok_or_else(|| format!("there is no etcd in {VARIABLE} or on the PATH"))?;
        let server = folder.join("kube-apiserver");
        std::fs::write(&server, stand_in::script()).map_err(|error| error.to_string())?;
        std::fs::set_permissions(&server, std::fs::Permissions::from_mode(0o755))
            .map_err(|error| error.to_string())?;
        Ok(Self {
            etcd,
            server,
            stand_in: true,
        })
    }
}
