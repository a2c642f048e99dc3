//! A running service: its configuration in a folder, its log, its addresses, and questions to it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::binary::command;

/// How long anything may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// How often is looked whether something has come true.
const LOOK: Duration = Duration::from_millis(20);

/// Free ports, so that tests run side by side.
pub(super) const LISTEN: &str = "health: {listen: '127.0.0.1:0'}\nadmin: {listen: '127.0.0.1:0'}\n";

/// A folder with a configuration, and the program that runs by it.
pub(super) struct Service {
    pub(super) folder: TempDir,
    pub(super) health: SocketAddr,
    pub(super) admin: SocketAddr,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

/// What a question was answered with.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// A folder and the path of the configuration in it, which may name the folder as `{folder}`.
pub(super) fn folder(config: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.yaml");
    write(&path, folder.path(), config);
    (folder, path)
}

fn write(path: &Path, folder: &Path, config: &str) {
    let config = config.replace("{folder}", folder.to_str().unwrap());
    fs::write(path, format!("{LISTEN}{config}")).unwrap();
}

impl Service {
    /// Starts with a configuration, and waits until it listens.
    pub(super) async fn start(config: &str) -> Self {
        let (folder, path) = folder(config);
        Self::start_in(folder, &path).await
    }

    /// Starts with the configuration at a path.
    pub(super) async fn start_in(folder: TempDir, config: &Path) -> Self {
        let mut command = tokio::process::Command::from(command(["run", "--config"]));
        command.arg(config).env("RUST_BACKTRACE", "1");
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(Vec::new()));
        let copy = Arc::clone(&log);
        let reader = tokio::spawn(async move {
            while let Ok(Some(line)) = stderr.next_line().await {
                copy.lock().unwrap().push(line);
            }
        });
        let listens = |name: &str| {
            let log = log.lock().unwrap();
            let marker = format!("{name} is served address=");
            let address = log
                .iter()
                .find_map(|line| Some(line.split_once(&marker)?.1));
            address.map(|address| address.trim().parse::<SocketAddr>().unwrap())
        };
        let addresses = until("it listens", async || {
            Some((listens("health")?, listens("admin")?))
        });
        let Ok((health, admin)) = timeout(PATIENCE, addresses).await else {
            panic!("{:#?}", log.lock().unwrap());
        };
        Self {
            folder,
            health,
            admin,
            child,
            log,
            reader,
        }
    }

    /// Writes another configuration in place of the one it was started with.
    pub(super) fn configure(&self, config: &str) {
        let path = self.folder.path().join("gateway.yaml");
        write(&path, self.folder.path(), config);
    }

    /// What stands in a file of the folder, as far as it is there.
    pub(super) fn file(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.folder.path().join(path)).ok()
    }

    pub(super) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    pub(super) async fn health(&self, path: &str) -> Answer {
        ask(self.health, "GET", path, "localhost").await
    }

    pub(super) async fn admin(&self, path: &str) -> Answer {
        ask(self.admin, "GET", path, "localhost").await
    }

    pub(super) async fn post(&self, path: &str) -> Answer {
        ask(self.admin, "POST", path, "localhost").await
    }

    /// Waits until everything is known.
    pub(super) async fn ready(&self) {
        until("it is ready", async || {
            (self.health("/readyz").await.status == 200).then_some(())
        })
        .await;
    }

    pub(super) fn signal(&self, signal: &str) {
        let pid = self.child.id().unwrap().to_string();
        let kill = std::process::Command::new("kill")
            .args([signal, &pid])
            .status();
        assert!(kill.unwrap().success());
    }

    /// Waits for its end; what it said comes along.
    pub(super) async fn end(mut self) -> (ExitStatus, String, TempDir) {
        let status = timeout(PATIENCE, self.child.wait())
            .await
            .expect("an end in time");
        timeout(PATIENCE, self.reader).await.unwrap().unwrap();
        let log = self.log.lock().unwrap().join("\n");
        (status.unwrap(), log, self.folder)
    }
}

/// Waits until a condition holds, bounded.
pub(super) async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            sleep(LOOK).await;
        }
    };
    let Ok(value) = timeout(PATIENCE, wait).await else {
        panic!("not in time: {what}");
    };
    value
}

/// One request over a connection of its own.
pub(super) async fn ask(address: SocketAddr, method: &str, path: &str, host: &str) -> Answer {
    ask_with(address, method, path, host, "").await
}

/// One request with further header lines, each with its line break.
pub(super) async fn ask_with(
    address: SocketAddr,
    method: &str,
    path: &str,
    host: &str,
    headers: &str,
) -> Answer {
    let exchange = async {
        let mut connection = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n{headers}\r\n"
        );
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        connection.read_to_end(&mut bytes).await.unwrap();
        String::from_utf8(bytes).unwrap()
    };
    let answer = timeout(PATIENCE, exchange)
        .await
        .expect("an answer in time");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(
        !head.to_ascii_lowercase().contains("transfer-encoding"),
        "{head}"
    );
    Answer {
        status,
        body: body.to_owned(),
    }
}
