//! Writes renderings to a store: decides what is to be put, and does it in an order that a crash cannot spoil, the same
//! as in a directory.
//!
//! A leader first writes its token into the manifest, whose content it is part of, so that it becomes another object;
//! a leader before it, which knows only the one before, cannot write the manifest any more, and looks at it before it
//! writes anything else.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use super::objects::{Label, Listing, Objects, Put, Stat};
use super::token::{self, Author};
use crate::model::ContentHash;
use crate::output::{File, Rendering};
use crate::sink::directory::check_path;
use crate::sink::directory::manifest::{self, Names};
use crate::sink::{SinkError, Write, Written};

/// How often an object is read again that changes whenever it is to be put.
const ROUNDS: usize = 3;

/// How many objects are looked at at once.
const LOOKS: usize = 16;

/// How many keys an error names.
const NAMED: usize = 3;

/// What to do where another Lease's leader was.
const OTHER_LEASE: &str = "; if the cluster was rebuilt, or its Lease was made anew, set `adopt: true` to take over what \
     is there; if another cluster writes there, too, give each a `cluster_id` of its own";

/// Writes to one place in a store.
#[derive(Debug)]
pub(super) struct Writer {
    objects: Objects,
    adopt: bool,
    known: Known,
    /// Whether what is known has to be read anew: at the start, and after a write that did not end well.
    is_stale: bool,
}

/// What is there.
#[derive(Debug, Default)]
struct Known {
    /// The tag of the manifest; none if there is no manifest.
    manifest: Option<String>,
    /// The token in the manifest.
    token: Option<String>,
    names: Names,
    objects: HashMap<Arc<str>, Object>,
    /// Whether what is not among the objects may be there all the same, since nothing could be listed.
    is_unlisted: bool,
}

#[derive(Clone, Debug)]
struct Object {
    etag: String,
    /// The hash of its content, if that was asked for or is known from having written it.
    hash: Option<String>,
}

impl Writer {
    pub(super) fn new(objects: Objects, adopt: bool) -> Self {
        Self {
            objects,
            adopt,
            known: Known::default(),
            is_stale: true,
        }
    }

    /// Makes a rendering stand.
    ///
    /// # Cancel safety
    /// What is not known for certain is forgotten, and read again by the next write. What was looked at before is
    /// looked at again only if it changed since.
    pub(super) async fn write(&mut self, write: &Write) -> Result<Written, SinkError> {
        for path in write.rendering.files.iter().map(|file| &file.path) {
            check_path(path)
                .map_err(|reason| SinkError::refusal(format!("putting {path:?}: {reason}")))?;
        }
        write.permit.check()?;
        if self.is_stale || write.rendering.is_whole {
            self.is_stale = true;
            self.read(&write.rendering).await?;
        }
        self.is_stale = true;
        let mut job = Job {
            objects: &self.objects,
            adopt: self.adopt,
            write,
            known: &mut self.known,
        };
        let written = job.run().await?;
        self.is_stale = false;
        Ok(written)
    }

    /// Reads what is there: the manifest, and a list, of which what is ours or is to be written is kept. What is remembered
    /// of an object is believed if it has still the same tag. Where a key of others keeps everything from being listed,
    /// each object is looked at by itself instead.
    async fn read(&mut self, rendering: &Rendering) -> Result<(), SinkError> {
        let mut known = Known::default();
        if let Some((stat, bytes)) = self.objects.get(manifest::NAME, manifest::LIMIT).await? {
            known.names = manifest::parse(&bytes).map_err(|error| {
                let what = format!(
                    "{} says which objects are this publication's, and cannot be used; restore it, or remove it and set `adopt: true`",
                    self.objects.url(manifest::NAME)
                );
                SinkError::passing(what, error).lasting()
            })?;
            known.manifest = Some(stat.etag);
            known.token = stat.token;
        }
        let rendered: HashSet<&str> = rendering.files.iter().map(|file| &*file.path).collect();
        let is_wanted = |path: &str| rendered.contains(path) || known.names.contains(path);
        let listed = match self.objects.list_wanted(is_wanted).await? {
            Listing::Objects(objects) => objects,
            Listing::Unlistable(_) => {
                known.is_unlisted = true;
                BTreeMap::new()
            }
        };
        for (path, listed) in listed {
            let remembered = self.known.objects.get(&path);
            let hash = remembered
                .filter(|object| object.etag == listed.etag)
                .and_then(|object| object.hash.clone());
            let etag = listed.etag;
            known.objects.insert(path, Object { etag, hash });
        }
        self.known = known;
        Ok(())
    }
}

/// One write.
struct Job<'a> {
    objects: &'a Objects,
    adopt: bool,
    write: &'a Write,
    known: &'a mut Known,
}

/// What an object that is in the way is.
enum Found {
    /// It has the content already.
    Same(String),
    /// It may be replaced as long as it has this tag, or, without one, is not there.
    Older(Option<String>),
}

impl Job<'_> {
    async fn run(&mut self) -> Result<Written, SinkError> {
        let write = self.write;
        let rendering = &*write.rendering;
        let token = write.permit.token();
        self.refuse_newer(manifest::NAME, self.known.token.as_deref())?;
        self.look(rendering).await?;
        let mut written = Written::default();
        let mut changed = Vec::new();
        let mut names = self.known.names.clone();
        for file in &rendering.files {
            names.insert(Arc::clone(&file.path));
            let hash = ContentHash::of_bytes(&file.bytes).to_string();
            let object = self.known.objects.get(&file.path);
            if object.is_some_and(|object| object.hash.as_deref() == Some(&*hash)) {
                written.unchanged += 1;
            } else {
                changed.push((file, hash));
            }
        }
        let removed = self.removed(rendering);
        let is_new_leader = token.is_some() && token != self.known.token.as_deref();
        if names.len() > self.known.names.len() || is_new_leader {
            self.put_manifest(names).await?;
        } else if token.is_some() && !(changed.is_empty() && removed.is_empty()) {
            self.look_for_newer_leader().await?;
        }
        for (file, hash) in changed {
            self.put(file, &hash).await?;
            written.files += 1;
            written.bytes += file.bytes.len() as u64;
        }
        if removed.is_empty() {
            return Ok(written);
        }
        let mut names = self.known.names.clone();
        for path in &removed {
            if self.remove(path).await? {
                written.removed += 1;
            }
            names.remove(path);
        }
        self.put_manifest(names).await?;
        Ok(written)
    }

    /// Looks at the objects of which it is not known what is in them, and refuses to touch somebody else's.
    async fn look(&mut self, rendering: &Rendering) -> Result<(), SinkError> {
        let unknown = rendering.files.iter().filter(|file| {
            match self.known.objects.get(&file.path) {
                Some(object) => object.hash.is_none(),
                // It was not listed; or it came since then, before its name stands in the manifest.
                None => {
                    self.known.is_unlisted
                        || !rendering.is_whole && !self.known.names.contains(&file.path)
                }
            }
        });
        let objects = self.objects;
        let looks = unknown.map(|file| async move {
            let stat = objects.head(&file.path).await?;
            Ok::<_, SinkError>((Arc::clone(&file.path), stat))
        });
        // Collected first: what borrows from what is known may not meet what changes it.
        let looks: Vec<_> = looks.collect();
        let mut found = stream::iter(looks).buffer_unordered(LOOKS);
        let mut foreign = Vec::new();
        // Each one is kept as it comes: a write that is given up halfway leaves less to look at to the next one.
        while let Some((path, stat)) = found.try_next().await? {
            let Some(stat) = stat else {
                self.known.objects.remove(&path);
                continue;
            };
            self.refuse_newer(&path, stat.token.as_deref())?;
            if self.is_foreign(&path, &stat) {
                foreign.push(self.objects.url(&path));
                self.known.objects.remove(&path);
                continue;
            }
            let is_taken_over = self.author(stat.token.as_deref()) == Author::OtherLease;
            let Stat { etag, hash, .. } = stat;
            // It gets our token also if its content is right.
            let hash = hash.filter(|_| !is_taken_over);
            self.known.objects.insert(path, Object { etag, hash });
        }
        if foreign.is_empty() {
            return Ok(());
        }
        foreign.sort();
        let more = match foreign.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        foreign.truncate(NAMED);
        Err(self.foreign(&format!("{}{more}", foreign.join(", "))))
    }

    fn is_foreign(&self, path: &str, stat: &Stat) -> bool {
        !self.adopt && stat.hash.is_none() && !self.known.names.contains(path)
    }

    fn foreign(&self, what: &str) -> SinkError {
        SinkError::refusal(format!(
            "{what}: not written by this publication, and left alone; move it away, or set `adopt: true` to have it replaced"
        ))
    }

    /// Refuses to go on where a newer leader was.
    fn refuse_newer(&self, path: &str, theirs: Option<&str>) -> Result<(), SinkError> {
        let (who, hint) = match self.author(theirs) {
            Author::NotNewer => return Ok(()),
            Author::OtherLease if self.adopt => return Ok(()),
            Author::Newer => ("a newer leader", ""),
            Author::OtherLease => ("a leader by another Lease", OTHER_LEASE),
        };
        let (ours, theirs) = self.write.permit.token().zip(theirs).unwrap_or_default();
        Err(SinkError::refusal(format!(
            "{} was written by {who} (fencing token {theirs}, ours is {ours}) and is left alone{hint}",
            self.objects.url(path)
        )))
    }

    /// Who wrote what has this token.
    fn author(&self, theirs: Option<&str>) -> Author {
        let ours = self.write.permit.token();
        ours.zip(theirs).map_or(Author::NotNewer, |(ours, theirs)| {
            token::author(ours, theirs)
        })
    }

    /// Whether the manifest is still the one that this leader wrote.
    async fn look_for_newer_leader(&mut self) -> Result<(), SinkError> {
        if let Some(stat) = self.objects.head(manifest::NAME).await? {
            self.refuse_newer(manifest::NAME, stat.token.as_deref())?;
        }
        Ok(())
    }

    /// What of ours is to go.
    fn removed(&self, rendering: &Rendering) -> Vec<Arc<str>> {
        let names = &self.known.names;
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

    /// Puts a file, whatever older stands in its place.
    async fn put(&mut self, file: &File, hash: &str) -> Result<(), SinkError> {
        // Until it is known what became of it, nothing is.
        let before = self.known.objects.remove(&file.path);
        let expected = before.map(|object| object.etag);
        let bytes = file.bytes.clone();
        let etag = self
            .put_over(&file.path, bytes, file.media_type, hash, expected)
            .await?;
        let hash = Some(hash.to_owned());
        let object = Object { etag, hash };
        self.known.objects.insert(Arc::clone(&file.path), object);
        Ok(())
    }

    async fn put_manifest(&mut self, names: Names) -> Result<(), SinkError> {
        let token = self.write.permit.token();
        let bytes = Bytes::from(manifest::to_bytes_with(&names, token));
        let hash = ContentHash::of_bytes(&bytes).to_string();
        let expected = self.known.manifest.take();
        let snapshot = self.write.snapshot.to_string();
        let label = Label {
            media_type: "application/json",
            hash: &hash,
            snapshot: &snapshot,
            token,
        };
        self.write.permit.check()?;
        let name = manifest::NAME;
        let put = self.objects.put(name, bytes, label, expected.as_deref());
        let Put::Done(etag) = put.await? else {
            // Names may have come that must not be forgotten.
            let stat = self.objects.head(name).await?;
            self.refuse_newer(name, stat.and_then(|stat| stat.token).as_deref())?;
            let what = format!("putting {}", self.objects.url(name));
            let why = "it is no longer as it was read; somebody else writes here";
            return Err(SinkError::passing(what, why));
        };
        self.known.manifest = Some(etag);
        self.known.token = token.map(str::to_owned);
        self.known.names = names;
        Ok(())
    }

    /// Puts an object on the condition that it is as expected, or that what was found in its place may be replaced.
    /// Returns its tag.
    async fn put_over(
        &self,
        path: &str,
        bytes: Bytes,
        media_type: &'static str,
        hash: &str,
        mut expected: Option<String>,
    ) -> Result<String, SinkError> {
        let snapshot = self.write.snapshot.to_string();
        let label = Label {
            media_type,
            hash,
            snapshot: &snapshot,
            token: self.write.permit.token(),
        };
        for _ in 0..ROUNDS {
            self.write.permit.check()?;
            let put = self
                .objects
                .put(path, bytes.clone(), label, expected.as_deref());
            if let Put::Done(etag) = put.await? {
                return Ok(etag);
            }
            expected = match self.found(path, hash).await? {
                Found::Same(etag) => return Ok(etag),
                Found::Older(etag) => etag,
            };
        }
        let what = format!("putting {}", self.objects.url(path));
        Err(SinkError::passing(
            what,
            "it changes whenever it is to be put; somebody else writes it",
        ))
    }

    /// What stands in the way.
    async fn found(&self, path: &str, hash: &str) -> Result<Found, SinkError> {
        let Some(stat) = self.objects.head(path).await? else {
            return Ok(Found::Older(None));
        };
        self.refuse_newer(path, stat.token.as_deref())?;
        let is_taken_over = self.author(stat.token.as_deref()) == Author::OtherLease;
        if stat.hash.as_deref() == Some(hash) && !is_taken_over {
            // Also what became of a write of ours whose answer was lost.
            return Ok(Found::Same(stat.etag));
        }
        if self.is_foreign(path, &stat) {
            return Err(self.foreign(&self.objects.url(path)));
        }
        Ok(Found::Older(Some(stat.etag)))
    }

    /// Removes an object if it is ours. Returns whether there was one.
    async fn remove(&mut self, path: &Arc<str>) -> Result<bool, SinkError> {
        self.known.objects.remove(path);
        let Some(stat) = self.objects.head(path).await? else {
            return Ok(false);
        };
        self.refuse_newer(path, stat.token.as_deref())?;
        if stat.hash.is_none() {
            // Somebody put something else in its place.
            return Ok(false);
        }
        self.write.permit.check()?;
        self.objects.delete(path).await?;
        Ok(true)
    }
}
