//! A program that is started, killed without a warning, and started again.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::{Child, Command};

/// How much of a log a failure shows.
const TAIL: usize = 4_000;

/// A program that runs, or was killed. It ends with its owner.
pub(super) struct Process {
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(&'static str, OsString)>,
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// What it prints goes to a file in `folder`, named after it.
    pub(super) fn new(
        program: &Path,
        arguments: Vec<String>,
        environment: Vec<(&'static str, OsString)>,
        folder: &Path,
    ) -> Self {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        Self {
            program: program.to_owned(),
            arguments,
            environment,
            log: folder.join(format!("{name}.log")),
            child: None,
        }
    }

    /// Starts it.
    pub(super) fn start(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.name());
        let log = || -> Stdio {
            let file: File = OpenOptions::new()
                .create(true)
                .append(true)
                .open(&self.log)
                .unwrap();
            file.into()
        };
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log())
            .stderr(log())
            .kill_on_drop(true)
            .spawn();
        self.child = Some(child.unwrap_or_else(|error| panic!("{}: {error}", self.name())));
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    pub(super) async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.unwrap();
        }
    }

    /// Panics if it has ended by itself.
    pub(super) fn check(&mut self) {
        let ended = self
            .child
            .as_mut()
            .and_then(|child| child.try_wait().unwrap());
        if let Some(status) = ended {
            panic!("{} ended with {status}:\n{}", self.name(), self.tail());
        }
    }

    /// The end of what it printed.
    pub(super) fn tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let from = text.len().saturating_sub(TAIL);
        String::from_utf8_lossy(&text[from..]).into_owned()
    }

    fn name(&self) -> String {
        self.program.display().to_string()
    }
}

/// A port of the loopback address that nobody listens on.
pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}
