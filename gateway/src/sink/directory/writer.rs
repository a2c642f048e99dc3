//! Writes renderings below a root: decides what is to be done, and does it in an order that a crash cannot spoil.
//!
//! 1. The names of new files go into the manifest.
//! 2. Files appear, in the order of the rendering.
//! 3. Files that are no longer wanted go.
//! 4. Their names go from the manifest.
//!
//! Whatever step is the last, the manifest names every file that is this sink's, and some that may not be there.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::manifest::{self, ManifestError, Names};
use super::root::{self, Root, Standing, is_in_the_way};
use super::{DirectoryConfig, path};
use crate::model::ContentHash;
use crate::output::{File, Rendering};
use crate::sink::blocking::Cancelled;
use crate::sink::{SinkError, Write, Written};

/// Stands while the command has still to run for something that was written.
const OWED: &str = ".kubedex-command-owed";

/// How many files an error names.
const NAMED: usize = 3;

/// The mode of our own files.
const OWN_MODE: u32 = 0o644;

/// Writes to one directory.
#[derive(Debug)]
pub(super) struct Writer {
    config: Arc<DirectoryConfig>,
    open: Option<Open>,
    #[cfg(test)]
    pub(super) effects_left: Option<usize>,
}

#[derive(Debug)]
struct Open {
    root: Root,
    /// What the manifest on disk says.
    names: Names,
    /// What stands, as far as it was written or read by this process.
    standing: HashMap<Arc<str>, ContentHash>,
    owes_command: bool,
}

impl Writer {
    pub(super) fn new(config: Arc<DirectoryConfig>) -> Self {
        Self {
            config,
            open: None,
            #[cfg(test)]
            effects_left: None,
        }
    }

    /// Makes a rendering stand.
    pub(super) fn write(
        &mut self,
        write: &Write,
        cancelled: &Cancelled,
    ) -> Result<Written, SinkError> {
        let rendering = &*write.rendering;
        for file in rendering.files.iter().map(|file| &file.path) {
            path::check(file)
                .map_err(|reason| SinkError::refusal(format!("writing {file:?}: {reason}")))?;
        }
        let proceed = || match cancelled.is_set() {
            true => Err(SinkError::refusal("nobody waits for the write any more")),
            false => write.permit.check(),
        };
        proceed()?;
        let config = Arc::clone(&self.config);
        if rendering.is_whole {
            self.leave_replaced();
        }
        let has_command = !config.command.is_empty();
        let open = self.open()?;
        let job = Job {
            config: &config,
            open,
        };
        job.run(rendering, has_command, &proceed)
    }

    /// What this sink has written, and what stands of it.
    pub(super) fn standing(
        &mut self,
    ) -> Result<BTreeMap<Arc<str>, Option<ContentHash>>, SinkError> {
        self.leave_replaced();
        let config = Arc::clone(&self.config);
        let open = self.open()?;
        let mut found = BTreeMap::new();
        // What is known may not be what stands.
        open.standing.clear();
        for name in &open.names {
            let standing = open.root.read(name, None);
            let standing = standing.map_err(|error| failed(&config, "reading", name, error))?;
            let hash = match standing {
                Standing::File(bytes, _) => Some(ContentHash::of_bytes(&bytes)),
                Standing::Nothing | Standing::Other => None,
            };
            found.insert(Arc::clone(name), hash);
        }
        Ok(found)
    }

    #[cfg(feature = "s3")]
    pub(super) fn keep(&mut self, name: &str, bytes: &[u8]) -> Result<(), SinkError> {
        let config = Arc::clone(&self.config);
        let kept = self.open()?.root.write(name, bytes, OWN_MODE);
        kept.map_err(|error| failed(&config, "writing", name, error))
    }

    #[cfg(feature = "s3")]
    pub(super) fn kept(&mut self, name: &str) -> Result<Option<Vec<u8>>, SinkError> {
        let config = Arc::clone(&self.config);
        match self.open()?.root.read(name, None) {
            Ok(Standing::File(bytes, _)) => Ok(Some(bytes)),
            Ok(Standing::Nothing | Standing::Other) => Ok(None),
            Err(error) => Err(failed(&config, "reading", name, error)),
        }
    }

    /// Lets go of a directory in whose place another one was put, as by a new mount; whether there was one.
    pub(super) fn leave_replaced(&mut self) -> bool {
        let path = &self.config.path;
        let replaced = self.open.take_if(|open| !open.root.is_at(path));
        replaced.is_some()
    }

    /// Whether something was written for which the command has not run.
    pub(super) fn owes_command(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.owes_command)
    }

    pub(super) fn command_is_done(&mut self) -> Result<(), SinkError> {
        let config = Arc::clone(&self.config);
        let open = self.open()?;
        let removed = open.root.remove(OWED);
        removed.map_err(|error| failed(&config, "removing", OWED, error))?;
        open.owes_command = false;
        Ok(())
    }

    /// Gives the lock back.
    pub(super) fn close(&mut self) {
        self.open = None;
    }

    fn open(&mut self) -> Result<&mut Open, SinkError> {
        let open = match self.open.take() {
            Some(open) => open,
            None => {
                #[allow(unused_mut)] // tests set something
                let mut open = Open::new(&self.config)?;
                #[cfg(test)]
                {
                    open.root.effects_left = self.effects_left;
                }
                open
            }
        };
        Ok(self.open.insert(open))
    }
}

impl Open {
    fn new(config: &DirectoryConfig) -> Result<Self, SinkError> {
        let place = config.path.display();
        root::make(&config.path)
            .map_err(|error| sort(format!("making the directory {place}"), error))?;
        let mut root = Root::open(&config.path, config.fsync)
            .map_err(|error| sort(format!("opening the directory {place}"), error))?;
        let read = |root: &mut Root, name| {
            let read = root.read(name, None);
            read.map_err(|error| failed(config, "reading", name, error))
        };
        let names = match read(&mut root, manifest::NAME)? {
            Standing::Nothing => Names::new(),
            Standing::File(bytes, _) if bytes.len() as u64 > manifest::LIMIT => {
                return Err(untrusted(config, ManifestError::TooLarge));
            }
            Standing::File(bytes, _) => {
                manifest::parse(&bytes).map_err(|error| untrusted(config, error))?
            }
            Standing::Other => {
                let reason = "something that is no file stands in its place";
                return Err(
                    failed(config, "reading", manifest::NAME, io::Error::other(reason)).lasting(),
                );
            }
        };
        let owes_command = read(&mut root, OWED)? != Standing::Nothing;
        let mut folders = HashMap::from([("", "x")]);
        folders.extend(names.iter().filter_map(|name| {
            let (folder, _) = name.rsplit_once('/')?;
            Some((folder, &**name))
        }));
        for name in folders.values() {
            let tidied = root.tidy_beside(name);
            tidied.map_err(|error| failed(config, "tidying up beside", name, error))?;
        }
        Ok(Self {
            root,
            names,
            standing: HashMap::new(),
            owes_command: owes_command && !config.command.is_empty(),
        })
    }
}

/// One write to an open directory.
struct Job<'a> {
    config: &'a DirectoryConfig,
    open: &'a mut Open,
}

impl Job<'_> {
    fn run(
        mut self,
        rendering: &Rendering,
        has_command: bool,
        proceed: &dyn Fn() -> Result<(), SinkError>,
    ) -> Result<Written, SinkError> {
        let mut written = Written::default();
        if rendering.is_whole {
            self.open.standing.clear();
        }
        self.refuse_foreign(rendering)?;
        let mut changed = Vec::new();
        let mut names = self.open.names.clone();
        for file in &rendering.files {
            names.insert(Arc::clone(&file.path));
            let hash = ContentHash::of_bytes(&file.bytes);
            if self.stands(file, hash)? {
                written.unchanged += 1;
            } else {
                changed.push((file, hash));
            }
        }
        let removed = self.removed(rendering);
        if has_command && (!changed.is_empty() || !removed.is_empty()) && !self.open.owes_command {
            proceed()?;
            let marked = self.open.root.write(OWED, b"", OWN_MODE);
            marked.map_err(|error| self.failed("writing", OWED, error))?;
            self.open.owes_command = true;
        }
        if names.len() > self.open.names.len() {
            proceed()?;
            self.write_manifest(names)?;
        }
        for (file, hash) in changed {
            proceed()?;
            // Until it is known what became of it, nothing is.
            self.open.standing.remove(&file.path);
            let mode = self.config.mode.bits();
            let outcome = self.open.root.write(&file.path, &file.bytes, mode);
            outcome.map_err(|error| self.failed("writing", &file.path, error))?;
            self.open.standing.insert(Arc::clone(&file.path), hash);
            written.files += 1;
            written.bytes += file.bytes.len() as u64;
        }
        if removed.is_empty() {
            return Ok(written);
        }
        let mut names = self.open.names.clone();
        for path in &removed {
            proceed()?;
            self.open.standing.remove(path);
            let outcome = self.open.root.remove(path);
            if outcome.map_err(|error| self.failed("removing", path, error))? {
                written.removed += 1;
            }
            names.remove(path);
        }
        proceed()?;
        self.write_manifest(names)?;
        Ok(written)
    }

    /// Refuses to write where somebody else's files stand.
    fn refuse_foreign(&mut self, rendering: &Rendering) -> Result<(), SinkError> {
        if self.config.adopt {
            return Ok(());
        }
        let mut foreign = Vec::new();
        for file in &rendering.files {
            if self.open.names.contains(&file.path) {
                continue;
            }
            let exists = self.open.root.exists(&file.path);
            if exists.map_err(|error| self.failed("looking at", &file.path, error))? {
                foreign.push(self.place(&file.path).display().to_string());
            }
        }
        if foreign.is_empty() {
            return Ok(());
        }
        let more = match foreign.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        foreign.truncate(NAMED);
        Err(SinkError::refusal(format!(
            "{}{more}: not written by this publication, and left alone; move it away, or set `adopt: true` to have it replaced",
            foreign.join(", ")
        )))
    }

    /// Whether a file has its content already.
    fn stands(&mut self, file: &File, hash: ContentHash) -> Result<bool, SinkError> {
        if let Some(standing) = self.open.standing.get(&file.path) {
            return Ok(*standing == hash);
        }
        let size = file.bytes.len() as u64;
        let standing = self.open.root.read(&file.path, Some(size));
        let standing = standing.map_err(|error| self.failed("reading", &file.path, error));
        let stands = match standing {
            Ok(Standing::File(bytes, mode)) => {
                bytes == file.bytes && mode == self.config.mode.bits()
            }
            Ok(Standing::Nothing | Standing::Other) => false,
            // What cannot be read can still be replaced.
            Err(_) => false,
        };
        if stands {
            self.open.standing.insert(Arc::clone(&file.path), hash);
        }
        Ok(stands)
    }

    /// What of ours is to go.
    fn removed(&self, rendering: &Rendering) -> Vec<Arc<str>> {
        let names = &self.open.names;
        if rendering.is_whole {
            let stays: Names = rendering
                .files
                .iter()
                .map(|file| Arc::clone(&file.path))
                .collect();
            return names.difference(&stays).cloned().collect();
        }
        let is_ours = |path: &&Arc<str>| names.contains(*path);
        rendering.removed.iter().filter(is_ours).cloned().collect()
    }

    fn write_manifest(&mut self, names: Names) -> Result<(), SinkError> {
        let bytes = manifest::to_bytes(&names);
        let outcome = self.open.root.write(manifest::NAME, &bytes, OWN_MODE);
        outcome.map_err(|error| self.failed("writing", manifest::NAME, error))?;
        self.open.names = names;
        Ok(())
    }

    fn place(&self, path: &str) -> PathBuf {
        self.config.path.join(path)
    }

    fn failed(&self, doing: &str, path: &str, error: io::Error) -> SinkError {
        failed(self.config, doing, path, error)
    }
}

fn failed(config: &DirectoryConfig, doing: &str, path: &str, error: io::Error) -> SinkError {
    sort(
        format!("{doing} {}", config.path.join(path).display()),
        error,
    )
}

fn untrusted(config: &DirectoryConfig, error: ManifestError) -> SinkError {
    let place = config.path.join(manifest::NAME);
    let what = format!(
        "{} says which files are this publication's, and cannot be used; restore it, or remove it and set `adopt: true`",
        place.display()
    );
    SinkError::passing(what, error).lasting()
}

/// Tells failures that somebody has to mend from those that may pass.
fn sort(what: String, error: io::Error) -> SinkError {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    let is_lasting =
        matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem) || is_in_the_way(&error);
    let error = SinkError::passing(what, error);
    if is_lasting { error.lasting() } else { error }
}

#[cfg(test)]
mod tests;
