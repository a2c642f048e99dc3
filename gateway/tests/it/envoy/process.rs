//! Envoy as a process.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::backend::{PATIENCE, get};

/// Whether there is an Envoy to test with; if not, says so.
pub(super) fn is_there() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&path).any(|folder| folder.join("envoy").is_file());
    if !is_there {
        println!("skipped: no envoy on the PATH");
    }
    is_there
}

/// A running Envoy, which ends with this.
pub(super) struct Envoy {
    child: Child,
    folder: TempDir,
    admin: SocketAddr,
    pub(super) listener: SocketAddr,
}

impl Envoy {
    /// Starts Envoy with a bootstrap, in which its ports have become free ones, and waits until it listens.
    pub(super) async fn start(bootstrap: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let bootstrap = bootstrap
            .replace("port_value: 9901", "port_value: 0")
            .replace("port_value: 5353", "port_value: 0")
            .replace("0.0.0.0, port_value: 10000", "127.0.0.1, port_value: 0");
        fs::write(folder.path().join("bootstrap.yaml"), bootstrap).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let child = Command::new("envoy")
            .args(["-c", "bootstrap.yaml", "--concurrency", "1"])
            .args(["--disable-hot-restart", "--admin-address-path", "admin"])
            .args(["--log-level", "info"])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut envoy = Self {
            child,
            folder,
            admin: nowhere,
            listener: nowhere,
        };
        let admin = envoy.folder.path().join("admin");
        envoy.admin = envoy
            .until("it has an admin address", || async {
                fs::read_to_string(&admin).ok()?.trim().parse().ok()
            })
            .await;
        envoy.listener = envoy
            .until("it listens", || async {
                let listener = envoy.listening("http").await?;
                get(listener, "/", "none").await.ok().map(|_| listener)
            })
            .await;
        envoy
    }

    /// Where a listener listens.
    pub(super) async fn listening(&self, name: &str) -> Option<SocketAddr> {
        let listeners = self.ask("/listeners?format=json").await?;
        let listeners = listeners["listener_statuses"].as_array()?;
        let listener = listeners.iter().find(|it| it["name"] == name)?;
        let socket = &listener["local_address"]["socket_address"];
        let port = u16::try_from(socket["port_value"].as_u64()?).ok()?;
        Some(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// Waits for something, within bounds.
    pub(super) async fn until<T, F: Future<Output = Option<T>>>(
        &self,
        what: &str,
        mut look: impl FnMut() -> F,
    ) -> T {
        let found = timeout(PATIENCE, async {
            loop {
                match look().await {
                    Some(found) => return found,
                    None => sleep(Duration::from_millis(5)).await,
                }
            }
        });
        match found.await {
            Ok(found) => found,
            Err(_) => panic!(
                "{what}: not within {PATIENCE:?}; Envoy says:\n{}",
                self.log()
            ),
        }
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What the admin interface says.
    pub(super) async fn ask(&self, path: &str) -> Option<Value> {
        let (status, body) = get(self.admin, path, "").await.ok()?;
        let json = body.find(['{', '[']).map(|start| &body[start..])?;
        let json = json.rfind(['}', ']']).map(|end| &json[..=end])?;
        (status == 200).then(|| serde_json::from_str(json).ok())?
    }

    /// Endpoints that take new traffic; `None` when there is no such cluster.
    pub(super) async fn endpoints(&self, cluster: &str) -> Option<BTreeSet<SocketAddr>> {
        let clusters = self.ask("/clusters?format=json").await?;
        let clusters = clusters["cluster_statuses"].as_array()?;
        let cluster = clusters.iter().find(|it| it["name"] == cluster)?;
        let Some(hosts) = cluster["host_statuses"].as_array() else {
            return Some(BTreeSet::new());
        };
        let address = |host: &Value| {
            let socket = &host["address"]["socket_address"];
            let ip = socket["address"].as_str()?.parse().ok()?;
            let port = u16::try_from(socket["port_value"].as_u64()?).ok()?;
            let is_healthy = host["health_status"]["eds_health_status"] == "HEALTHY";
            is_healthy.then_some(SocketAddr::new(ip, port))
        };
        Some(hosts.iter().filter_map(address).collect())
    }

    /// The load balancing policy that a cluster has in use; `None` when there is no such cluster.
    pub(super) async fn policy(&self, cluster: &str) -> Option<String> {
        let active = self
            .ask("/config_dump?resource=dynamic_active_clusters")
            .await?;
        let configs = active["configs"].as_array()?;
        let config = configs
            .iter()
            .map(|config| &config["cluster"])
            .find(|config| config["name"] == cluster)?;
        Some(
            config["lb_policy"]
                .as_str()
                .unwrap_or("ROUND_ROBIN")
                .to_owned(),
        )
    }

    /// A folder for whatever a test needs.
    pub(super) fn scratch() -> (TempDir, PathBuf) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().to_path_buf();
        (folder, path)
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // Killing a process that has ended fails, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
