//! Pulling: the files below a prefix in a store, brought into a directory and kept as they are there.
//!
//! What stands in the directory changes all at once or not at all: everything that differs is fetched into memory
//! first, and a listing or a fetch that fails leaves what is there. A file whose ETag is the one it was brought with is not fetched.
//! Only what was brought is replaced or removed. An empty listing where something was before is taken for a mistake: a
//! writer leaves at least its manifest.

mod memory;
mod plan;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;

use crate::model::ContentHash;
use crate::output::{File, Rendering};
use crate::sink::directory::{Directory, DirectoryConfig};
use crate::sink::s3::{Objects, S3Config};
use crate::sink::{ConfigError, Sink, SinkError, Write, Written};
use memory::Memory;

/// How many bytes all files together may have: 256 MiB. They are held in memory while they are brought.
pub const MAX_BYTES: u64 = 256 << 20;

/// How many files are fetched at once.
const FETCHES: usize = 8;

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
        Ok(Self {
            objects: Objects::open(&config.source)?,
            directory: Directory::open(config.directory)?,
            max_bytes: config.max_bytes,
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
        let mut standing = match self.standing.take() {
            Some(standing) if standing.read.elapsed() < VERIFY_EVERY => standing,
            _ => self.look().await?,
        };
        let listed = self.objects.list().await?;
        let plan = plan::plan(&listed, &standing.files, self.max_bytes);
        let plan = plan.map_err(|error| {
            let what = format!("bringing {}", self.objects.describe());
            SinkError::passing(what, error).lasting()
        })?;
        let fetched: Vec<(File, &str)> = stream::iter(plan.fetch.iter().map(|path| {
            let (objects, listed) = (&self.objects, &listed[path]);
            async move {
                let file = File {
                    path: Arc::clone(path),
                    bytes: objects.fetch(path, listed).await?,
                    media_type: "application/octet-stream",
                };
                Ok::<_, SinkError>((file, &*listed.etag))
            }
        }))
        .buffered(FETCHES)
        .try_collect()
        .await?;
        let brought: Vec<_> = fetched
            .iter()
            .map(|(file, etag)| {
                let hash = ContentHash::of_bytes(&file.bytes);
                (Arc::clone(&file.path), (*etag).to_owned(), hash)
            })
            .collect();
        let rendering = Rendering {
            is_whole: false,
            files: fetched.into_iter().map(|(file, _)| file).collect(),
            removed: plan.removed.clone(),
            problems: Arc::default(),
        };
        let has_changed = !rendering.files.is_empty() || !rendering.removed.is_empty();
        // Also without a change: a command may be owed from before.
        let written = self.directory.write(Write::unfenced(rendering)).await;
        let written = match written {
            Ok(written) => written,
            Err(error) => return Err(error),
        };
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
