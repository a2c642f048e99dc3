//! Pulling: the files below a prefix in a store, brought into a directory and kept as they are there.
//!
//! What stands in the directory changes all at once or not at all: everything that differs is fetched into memory
//! first, and a listing or a fetch that fails leaves what is there. A file whose ETag is the one it was brought with is
//! not fetched, nor is one that was fetched before something else failed. A file that names others is as it was listed;
//! if it changed since, it is listed anew. The deepest files may be newer than the listing, so that a store in which
//! some file changes all the time is followed all the same.
//! Only what was brought is replaced or removed. An empty listing where something was before is taken for a mistake: a
//! writer leaves at least its manifest.

mod fetched;
mod memory;
mod plan;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use tokio::time::Instant;

use crate::model::ContentHash;
use crate::output::Rendering;
use crate::sink::directory::{Directory, DirectoryConfig};
use crate::sink::s3::{Objects, S3Config};
use crate::sink::{ConfigError, Sink, SinkError, Write, Written};
use fetched::Fetched;
use memory::Memory;
use plan::Plan;

/// How many bytes all files together may have: 256 MiB. They are held in memory while they are brought.
pub const MAX_BYTES: u64 = 256 << 20;

/// How often the store is listed at the most until everything was fetched as it was listed.
const ROUNDS: usize = 5;

/// How often the files on disk are held against what was brought: every 5 minutes.
const VERIFY_EVERY: Duration = Duration::from_mins(5);

/// What is brought where.
#[derive(Clone, Debug)]
pub struct PullConfig {
    /// The place in the store.
    pub source: S3Config,
    /// The directory, and what is done when something changed there.
    pub directory: DirectoryConfig,
    /// How many bytes all files together may have; [`MAX_BYTES`] by default.
    pub max_bytes: u64,
}

/// Brings files from a store into a directory.
pub struct Pull {
    objects: Objects,
    directory: Directory,
    max_bytes: u64,
    fetched: Fetched,
    /// What stands in the directory, if that is known.
    standing: Option<Standing>,
}

struct Standing {
    /// The files that were brought, with their tags; those that do not stand as they were brought have none.
    files: BTreeMap<Arc<str>, Option<String>>,
    memory: Memory,
    read: Instant,
}

impl Pull {
    /// Prepares; nothing is asked or written.
    ///
    /// # Errors
    /// When the configuration cannot work, naming the field.
    pub fn open(config: PullConfig) -> Result<Self, ConfigError> {
        Self::new(Objects::open(&config.source)?, config)
    }

    /// Prepares to bring files from a store that was made elsewhere, of which the configuration says only where to read.
    ///
    /// # Errors
    /// When the configuration cannot work, naming the field.
    pub fn over(store: Arc<dyn ObjectStore>, config: PullConfig) -> Result<Self, ConfigError> {
        Self::new(Objects::over(store, &config.source)?, config)
    }

    fn new(objects: Objects, config: PullConfig) -> Result<Self, ConfigError> {
        Ok(Self {
            objects,
            directory: Directory::open(config.directory)?,
            max_bytes: config.max_bytes,
            fetched: Fetched::default(),
            standing: None,
        })
    }

    /// Brings what differs.
    ///
    /// # Errors
    /// When the store or the directory refuses something; what stands in the directory is as it was, or, if it was the
    /// directory that failed in the middle, each file is as it was or as it is to be.
    ///
    /// # Cancel safety
    /// Each file is as it was or as it is to be.
    pub async fn once(&mut self) -> Result<Written, SinkError> {
        if self.directory.leave_replaced().await? {
            self.standing = None;
        }
        let mut standing = match self.standing.take() {
            Some(standing) if standing.read.elapsed() < VERIFY_EVERY => standing,
            _ => self.look().await?,
        };
        let plan = self.fetch(&standing.files).await?;
        let files = self.fetched.files(&plan);
        let brought: Vec<_> = files
            .iter()
            .map(|(file, etag)| {
                let hash = ContentHash::of_bytes(&file.bytes);
                (Arc::clone(&file.path), (*etag).to_owned(), hash)
            })
            .collect();
        let rendering = Rendering {
            is_whole: false,
            files: files.into_iter().map(|(file, _)| file).collect(),
            removed: plan.removed.clone(),
            problems: Arc::default(),
        };
        let has_changed = !rendering.files.is_empty() || !rendering.removed.is_empty();
        // Also without a change: a command may be owed from before.
        let written = self.directory.write(Write::unfenced(rendering)).await?;
        self.fetched.clear();
        if has_changed {
            for (path, etag, hash) in brought {
                standing.files.insert(Arc::clone(&path), Some(etag.clone()));
                standing.memory.insert(path, etag, hash);
            }
            for path in &plan.removed {
                standing.files.remove(path);
                standing.memory.remove(path);
            }
            let bytes = standing.memory.to_bytes();
            self.directory.keep(memory::NAME, bytes).await?;
        }
        self.standing = Some(standing);
        Ok(written)
    }

    /// Fetches everything that differs from what stands.
    async fn fetch(
        &mut self,
        standing: &BTreeMap<Arc<str>, Option<String>>,
    ) -> Result<Plan, SinkError> {
        let what = || format!("bringing {}", self.objects.describe());
        let mut changed = None;
        for _ in 0..ROUNDS {
            let listed = self.objects.list().await?;
            let plan = plan::plan(&listed, standing, self.max_bytes)
                .map_err(|error| SinkError::passing(what(), error).lasting())?;
            changed = self.fetched.complete(&self.objects, &listed, &plan).await?;
            if changed.is_none() {
                return Ok(plan);
            }
        }
        let path = changed.unwrap_or_default();
        let why = format!("{path} was another one each of the {ROUNDS} times it was listed");
        Err(SinkError::passing(what(), why))
    }

    /// Looks at what stands in the directory, and with which tags it was brought.
    async fn look(&mut self) -> Result<Standing, SinkError> {
        let source = self.objects.describe();
        let kept = self.directory.kept(memory::NAME).await?;
        // Without a memory of this source everything is fetched, and what is unchanged is not written.
        let memory = kept.and_then(|bytes| Memory::parse(&bytes, &source));
        let memory = memory.unwrap_or_else(|| Memory::new(source));
        let standing = self.directory.standing().await?;
        let files = standing.into_iter().map(|(path, hash)| {
            let etag = hash.and_then(|hash| memory.etag(&path, hash));
            (path, etag.map(str::to_owned))
        });
        Ok(Standing {
            files: files.collect(),
            memory,
            read: Instant::now(),
        })
    }

    /// From where to where, for people, without secrets.
    pub fn describe(&self) -> String {
        format!(
            "{} to {}",
            self.objects.describe(),
            self.directory.describe()
        )
    }
}

impl fmt::Debug for Pull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pull")
            .field("objects", &self.objects)
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}
