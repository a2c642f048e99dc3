//! A directory as a sink.
//!
//! Each file is written beside its place and renamed into it, so that a reader sees the old content or the new one. A
//! manifest in the directory, `.kubedex-manifest.json`, names the files that are this sink's. A name stands there before
//! its file does, so that a crash leaves nothing behind that nobody knows; only what stands there is ever replaced or
//! removed. A file whose content is right already is not touched. Symbolic links are not followed below the root.
//!
//! A directory has one writer at a time, held to that by a lock on `.kubedex-lock`.

mod command;
pub(crate) mod manifest;
mod pace;
mod path;
mod root;
mod writer;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::blocking::Blocking;
use super::{ConfigError, Sink, SinkError, Write, Written};
use crate::config::duration;
use crate::model::ContentHash;
use pace::Pace;
use writer::Writer;

#[cfg(feature = "s3")]
pub(crate) use path::check as check_path;

/// How long the command may run: 10 seconds. A reload of a load balancer takes less, or hangs.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// The mode of files: readable for all, since the consumer often runs as another user.
pub const FILE_MODE: FileMode = FileMode(0o644);

/// Where to write, and what to do then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryConfig {
    /// The directory. It is made if it is not there.
    pub path: PathBuf,
    /// A program and its arguments, run after a write that changed something; no shell is involved. When it fails, the
    /// publication has failed, and it is run again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// How long the command may run; [`COMMAND_TIMEOUT`] by default. A publication takes less than
    /// [`WRITE_TIMEOUT`](super::WRITE_TIMEOUT).
    #[serde(default = "command_timeout", with = "duration::positive")]
    pub command_timeout: Duration,
    /// How long after the command began it begins again at the soonest; 0, the default, for no bound. The first one runs at
    /// once. Files are written all the same; the next write waits for the command.
    #[serde(default, with = "duration")]
    pub command_interval: Duration,
    /// The mode of files, in octal digits as in `"0640"`; [`FILE_MODE`] by default.
    #[serde(default)]
    pub mode: FileMode,
    /// Whether files are on the disk, and not just in the system's memory, before they appear; true by default.
    #[serde(default = "yes")]
    pub fsync: bool,
    /// Whether files that stand in the way, and were not written by this sink, are taken over; false by default.
    #[serde(default)]
    pub adopt: bool,
}

fn command_timeout() -> Duration {
    COMMAND_TIMEOUT
}

fn yes() -> bool {
    true
}

impl DirectoryConfig {
    /// Writes there, and nothing else.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            command: Vec::new(),
            command_timeout: COMMAND_TIMEOUT,
            command_interval: Duration::ZERO,
            mode: FILE_MODE,
            fsync: true,
            adopt: false,
        }
    }

    /// Checks what can be checked without changing anything.
    ///
    /// # Errors
    /// When it cannot work, naming the field.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.path.as_os_str().is_empty() {
            return Err(ConfigError::new("path", "name a directory"));
        }
        if self.path.is_file() {
            let reason = format!("{} is a file, not a directory", self.path.display());
            return Err(ConfigError::new("path", reason));
        }
        if self.mode.bits() & 0o400 == 0 {
            let reason =
                "the owner must be able to read: what stands is held against what is wanted";
            return Err(ConfigError::new("mode", reason));
        }
        if self.command.first().is_some_and(String::is_empty) {
            return Err(ConfigError::new("command", "the program has no name"));
        }
        if self.command.iter().any(|word| word.contains('\0')) {
            return Err(ConfigError::new("command", "it has a NUL character"));
        }
        Ok(())
    }
}

/// The permissions of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FileMode(u32);

impl FileMode {
    /// The mode with these bits, of which only permissions are allowed.
    pub fn new(bits: u32) -> Option<Self> {
        (bits <= 0o777).then_some(Self(bits))
    }

    /// Reads three or four octal digits, such as `0640`; `None` if it is something else.
    pub fn parse(text: &str) -> Option<Self> {
        let is_octal = matches!(text.len(), 3 | 4) && text.bytes().all(|it| it.is_ascii_digit());
        u32::from_str_radix(text, 8)
            .ok()
            .filter(|_| is_octal)
            .and_then(Self::new)
    }

    /// The bits.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl Default for FileMode {
    fn default() -> Self {
        FILE_MODE
    }
}

impl fmt::Debug for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl Serialize for FileMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:04o}", self.0))
    }
}

impl<'de> Deserialize<'de> for FileMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom("write three or four octal digits, in quotes, such as \"0640\"")
        })
    }
}

/// Writes to a directory.
#[derive(Debug)]
pub struct Directory {
    config: Arc<DirectoryConfig>,
    writer: Blocking<Writer>,
    pace: Pace,
}

impl Directory {
    /// A sink that writes there. The directory itself is looked at when something is written.
    ///
    /// # Errors
    /// When the configuration cannot work, naming the field.
    pub fn open(config: DirectoryConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let config = Arc::new(config);
        Ok(Self {
            writer: Blocking::new(Writer::new(Arc::clone(&config))),
            pace: Pace::new(config.command_interval),
            config,
        })
    }

    /// What this sink has written, by path, with the hash of what stands there now; `None` if it stands no longer.
    ///
    /// # Errors
    /// When the directory cannot be read, or another writer has it.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn standing(&mut self) -> Result<BTreeMap<Arc<str>, Option<ContentHash>>, SinkError> {
        self.work(Writer::standing).await
    }

    /// Lets go of a directory in whose place another one was put; whether there was one. The next step opens what is
    /// there now.
    #[cfg(feature = "s3")]
    pub(crate) async fn leave_replaced(&mut self) -> Result<bool, SinkError> {
        self.work(|writer| Ok(writer.leave_replaced())).await
    }

    /// Keeps a file of our own beside the others, under a reserved name.
    #[cfg(feature = "s3")]
    pub(crate) async fn keep(
        &mut self,
        name: &'static str,
        bytes: Vec<u8>,
    ) -> Result<(), SinkError> {
        self.work(move |writer| writer.keep(name, &bytes)).await
    }

    /// What was kept under a name.
    #[cfg(feature = "s3")]
    pub(crate) async fn kept(&mut self, name: &'static str) -> Result<Option<Vec<u8>>, SinkError> {
        self.work(move |writer| writer.kept(name)).await
    }

    /// Does blocking work. A writer that panicked is opened anew.
    async fn work<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Writer) -> Result<T, SinkError> + Send + 'static,
    ) -> Result<T, SinkError> {
        match self.writer.run(|writer, _| work(writer)).await {
            Ok(outcome) => outcome,
            Err(panicked) => Err(self.lost(panicked)),
        }
    }

    fn lost(&mut self, panicked: super::blocking::Panicked) -> SinkError {
        self.writer.replace(Writer::new(Arc::clone(&self.config)));
        let what = format!("writing to {}", self.config.path.display());
        SinkError::passing(what, panicked)
    }
}

#[async_trait]
impl Sink for Directory {
    fn describe(&self) -> String {
        format!("directory {}", self.config.path.display())
    }

    async fn write(&mut self, write: Write) -> Result<Written, SinkError> {
        let permit = write.permit.clone();
        let outcome = self.writer.run(move |writer, cancelled| {
            // It may go on after the future is dropped.
            let _guard = write.permit.guard();
            let written = writer.write(&write, cancelled)?;
            Ok((written, writer.owes_command()))
        });
        let (written, owes_command) = match outcome.await {
            Ok(outcome) => outcome?,
            Err(panicked) => return Err(self.lost(panicked)),
        };
        if owes_command {
            self.pace.turn().await;
            permit.check()?;
            command::run(&self.config.command, self.config.command_timeout).await?;
            self.work(Writer::command_is_done).await?;
        }
        Ok(written)
    }

    async fn release(&mut self) {
        let closed = self.work(|writer| {
            writer.close();
            Ok(())
        });
        // Work that panicked let go of everything already.
        let _ = closed.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<DirectoryConfig, String> {
        serde_saphyr::from_str(yaml).map_err(|error| error.to_string())
    }

    #[test]
    fn a_path_is_enough_and_the_rest_has_defaults() {
        let config = read("path: /etc/traefik/dynamic").unwrap();
        assert_eq!(config, DirectoryConfig::new("/etc/traefik/dynamic"));
        let config = read(
            "{path: x, command: [nginx, -s, reload], command_timeout: 1m, mode: '0640', fsync: false, adopt: true}",
        )
        .unwrap();
        assert_eq!(config.command, ["nginx", "-s", "reload"]);
        assert_eq!(config.command_timeout, Duration::from_mins(1));
        assert_eq!(
            (config.mode.bits(), config.fsync, config.adopt),
            (0o640, false, true)
        );
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        for (yaml, said) in [
            ("{path: x, mode: '0888'}", "octal"),
            ("{path: x, mode: '7777'}", "octal"),
            ("{path: x, mode: 'rw'}", "octal"),
            ("{path: x, command_timeout: 0s}", "more than 0"),
            ("{path: x, colour: red}", "colour"),
            ("{}", "path"),
        ] {
            let error = read(yaml).unwrap_err();
            assert!(error.contains(said), "{yaml}: {error}");
        }
        let open = |config| Directory::open(config).unwrap_err().to_string();
        assert_eq!(open(DirectoryConfig::new("")), "path: name a directory");
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(open(DirectoryConfig::new(file.path())).contains("is a file"));
        let mut config = DirectoryConfig::new("x");
        config.command = vec![String::new()];
        assert!(open(config).starts_with("command: "));
        let mut config = DirectoryConfig::new("x");
        config.mode = FileMode::new(0o244).unwrap();
        assert!(open(config).starts_with("mode: "));
    }
}
