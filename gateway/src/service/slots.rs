//! HAProxy's slots over a restart: an output that keeps in a file what the next process has to know.
//!
//! The output itself is pure; reading and writing is done here. The file is written before what is rendered with its
//! slots is, so that it is never behind. If it cannot be used, slots are assigned afresh, which costs HAProxy a reload
//! and nothing else; that is said once.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::model::{Problem, ProblemKind, Snapshot, Subject};
use crate::output::haproxy::{Haproxy, HaproxyConfig, Slots};
use crate::output::{ConfigError, Output, Rendering};

/// The largest file that is read: 64 MiB, some million endpoints.
const MAX_SIZE: u64 = 64 << 20;

/// HAProxy's output with its slots in a file.
#[derive(Debug)]
pub(super) struct KeptSlots {
    output: Haproxy,
    file: PathBuf,
    /// What the file has, as far as is known.
    kept: Option<Slots>,
    /// Whether it was said that the file cannot be written.
    said: bool,
}

/// The output as it is configured, with its slots from the file if it names one.
pub(super) fn haproxy(config: HaproxyConfig) -> Result<Box<dyn Output>, ConfigError> {
    let Some(file) = config.slots_file.clone() else {
        return Ok(Box::new(Haproxy::new(config, Slots::default())?));
    };
    let slots = match read(&file) {
        Ok(slots) => slots,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Slots::default(),
        Err(error) => {
            let file = file.display();
            tracing::warn!(%error, "{file} cannot be used, slots are assigned afresh");
            Slots::default()
        }
    };
    Ok(Box::new(KeptSlots {
        output: Haproxy::new(config, slots)?,
        file,
        kept: None,
        said: false,
    }))
}

impl Output for KeptSlots {
    fn format(&self) -> &'static str {
        self.output.format()
    }

    fn render(&mut self, snapshot: &Snapshot, last: Option<&Snapshot>) -> Rendering {
        let mut rendering = self.output.render(snapshot, last);
        if self.kept.as_ref() != Some(self.output.slots()) {
            match write(&self.file, self.output.slots()) {
                Ok(()) => {
                    self.kept = Some(self.output.slots().clone());
                    self.said = false;
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.said, true) {
                        let file = self.file.display();
                        tracing::error!(%error, "{file} cannot be written, slots are not kept over a restart");
                    }
                    let mut problems = rendering.problems.to_vec();
                    problems.push(unwritable(&self.file, &error));
                    problems.sort();
                    rendering.problems = problems.into();
                }
            }
        }
        rendering
    }
}

/// Stands among the problems of the output until the file can be written.
fn unwritable(file: &Path, error: &io::Error) -> Problem {
    let what =
        format!("slots are not kept over a restart, for this file cannot be written: {error}");
    Problem {
        kind: ProblemKind::Inexpressible {
            output: "haproxy",
            what: what.into(),
        },
        subject: Subject {
            kind: "File",
            namespace: "".into(),
            name: file.display().to_string().into(),
        },
        port: None,
    }
}

fn read(path: &Path) -> io::Result<Slots> {
    let mut text = String::new();
    File::open(path)?.take(MAX_SIZE).read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}

/// Written aside and renamed, so that a crash leaves the old file or the new one.
fn write(path: &Path, slots: &Slots) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let fresh = path.with_file_name(name);
    let mut file = File::create(&fresh)?;
    file.write_all(&serde_json::to_vec(slots)?)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Cluster, Endpoint, Protocol, State};

    fn snapshot(addresses: &[&str]) -> Snapshot {
        let endpoint = |address: &&str| Endpoint {
            address: address.parse().unwrap(),
            port: 80,
            state: State::Ready,
            zone: None,
            node: None,
        };
        let mut edit = Snapshot::default().edit();
        edit.upsert(Arc::new(Cluster {
            endpoints: addresses.iter().map(endpoint).collect(),
            ..Cluster::new("a", Protocol::Tcp)
        }));
        edit.finish().unwrap()
    }

    fn server(rendering: &Rendering, address: &str) -> String {
        let text = String::from_utf8(rendering.files[0].bytes.to_vec()).unwrap();
        let line = text.lines().find(|line| line.contains(address)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    }

    #[test]
    fn an_endpoint_keeps_its_server_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let config = HaproxyConfig {
            slots_file: Some(folder.path().join("slots.json")),
            ..HaproxyConfig::default()
        };
        let start = || haproxy(config.clone()).unwrap();
        let mut first = start();
        first.render(&snapshot(&["10.0.0.1", "10.0.0.2"]), None);
        let before = first.render(&snapshot(&["10.0.0.2"]), None);
        let after = start().render(&snapshot(&["10.0.0.2"]), None);
        assert_eq!(server(&before, "10.0.0.2"), "s2");
        assert_eq!(server(&after, "10.0.0.2"), "s2");
        assert!(after.problems.is_empty());
        std::fs::write(folder.path().join("slots.json"), "broken").unwrap();
        let afresh = start().render(&snapshot(&["10.0.0.2"]), None);
        assert_eq!(server(&afresh, "10.0.0.2"), "s1");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_a_problem_until_it_can() {
        let folder = tempfile::tempdir().unwrap();
        let way = folder.path().join("way");
        std::fs::write(&way, "no folder").unwrap();
        let config = HaproxyConfig {
            slots_file: Some(way.join("slots.json")),
            ..HaproxyConfig::default()
        };
        let mut output = haproxy(config).unwrap();
        let rendering = output.render(&snapshot(&["10.0.0.1"]), None);
        let told = rendering.problems[0].to_string();
        assert!(told.contains("slots.json"), "{told}");
        std::fs::remove_file(&way).unwrap();
        let rendering = output.render(&snapshot(&["10.0.0.1"]), None);
        assert!(rendering.problems.is_empty());
    }
}
