//! Objects below one place in a store, and what is known of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, Error, GetOptions, GetResult, ObjectStore, ObjectStoreExt, PutMode,
    PutOptions, PutPayload, UpdateVersion,
};

use super::config::S3Config;
use super::credentials::FileCredentials;
use super::error::failed;
use crate::sink::{ConfigError, SinkError};

/// What the metadata says of the content.
const HASH: &str = "kubedex-hash";
/// What the metadata says of the snapshot.
const SNAPSHOT: &str = "kubedex-snapshot";
/// What the metadata says of the writer.
const TOKEN: &str = "kubedex-token";

/// How many objects are listed at the most.
const OBJECTS: usize = 1_000_000;

/// A place in a store.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    store: Arc<dyn ObjectStore>,
    credentials: Option<Arc<FileCredentials>>,
    bucket: String,
    /// What all keys begin with, without a slash at the end.
    root: String,
}

/// What a listing says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) etag: String,
    pub(crate) size: u64,
    /// When it was put, in milliseconds since 1970 by the store's clock.
    pub(crate) modified: i64,
}

/// What came of a listing.
#[derive(Debug)]
pub(super) enum Listing {
    /// The objects, by path below the place.
    Objects(BTreeMap<Arc<str>, Listed>),
    /// There is a key that no path has, such as `a//b`, and with it nothing is listed.
    Unlistable(object_store::path::Error),
}

/// What an object says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(super) etag: String,
    pub(super) hash: Option<String>,
    pub(super) token: Option<String>,
}

/// What goes into the metadata of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label<'a> {
    pub(super) media_type: &'static str,
    pub(super) hash: &'a str,
    pub(super) snapshot: &'a str,
    pub(super) token: Option<&'a str>,
}

/// What became of a put.
#[derive(Debug)]
pub(super) enum Put {
    /// It stands, with this tag.
    Done(String),
    /// What stands there is not what was expected.
    Conflict,
}

impl Objects {
    pub(crate) fn open(config: &S3Config) -> Result<Self, ConfigError> {
        let (store, credentials) = config.build()?;
        Ok(Self {
            credentials,
            ..Self::over(Arc::new(store), config)?
        })
    }

    pub(crate) fn over(
        store: Arc<dyn ObjectStore>,
        config: &S3Config,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            store,
            credentials: None,
            bucket: config.bucket.clone(),
            root: config.root()?,
        })
    }

    /// Where it is, as a URL.
    pub(crate) fn describe(&self) -> String {
        match &*self.root {
            "" => format!("s3://{}", self.bucket),
            root => format!("s3://{}/{root}", self.bucket),
        }
    }

    /// An object's URL.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.describe())
    }

    fn key(&self, path: &str) -> Result<Path, SinkError> {
        let key = match &*self.root {
            "" => path.to_owned(),
            root => format!("{root}/{path}"),
        };
        Path::parse(key).map_err(|error| {
            SinkError::passing(format!("{} is no key", self.url(path)), error).lasting()
        })
    }

    /// Says what failed, and reads credentials anew if they may be the reason.
    async fn failed(&self, doing: &str, path: &str, error: &Error) -> SinkError {
        let is_refused = matches!(
            error,
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. }
        );
        if let (true, Some(credentials)) = (is_refused, &self.credentials) {
            credentials.forget().await;
        }
        let place = match path {
            "" => self.describe(),
            path => self.url(path),
        };
        failed(doing, &place, error)
    }

    /// All objects, by path below this place.
    pub(crate) async fn list(&self) -> Result<BTreeMap<Arc<str>, Listed>, SinkError> {
        match self.list_wanted(|_| true).await? {
            Listing::Objects(objects) => Ok(objects),
            Listing::Unlistable(error) => {
                let what = format!(
                    "a key below {} cannot be a file; remove that object, or use a prefix without it",
                    self.describe()
                );
                Err(SinkError::passing(what, error).lasting())
            }
        }
    }

    /// The objects whose paths are wanted; the others take no memory, however many they are.
    pub(super) async fn list_wanted(
        &self,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Listing, SinkError> {
        let root = match &*self.root {
            "" => None,
            root => Some(Path::parse(root).map_err(|error| {
                SinkError::passing(format!("{root} is no prefix"), error).lasting()
            })?),
        };
        let mut listing = self.store.list(root.as_ref());
        let mut found = BTreeMap::new();
        loop {
            let object = match listing.try_next().await {
                Ok(Some(object)) => object,
                Ok(None) => return Ok(Listing::Objects(found)),
                Err(Error::InvalidPath { source }) => return Ok(Listing::Unlistable(source)),
                Err(error) => return Err(self.failed("listing", "", &error).await),
            };
            let key = object.location.as_ref();
            let path = match &*self.root {
                "" => Some(key),
                root => key
                    .strip_prefix(root)
                    .and_then(|rest| rest.strip_prefix('/')),
            };
            let Some(path) = path.filter(|path| !path.is_empty() && is_wanted(path)) else {
                continue;
            };
            if found.len() >= OBJECTS {
                let what = format!("{} has over {OBJECTS} objects", self.describe());
                return Err(SinkError::refusal(what));
            }
            let listed = Listed {
                etag: object.e_tag.unwrap_or_default(),
                size: object.size,
                modified: object.last_modified.timestamp_millis(),
            };
            found.insert(path.into(), listed);
        }
    }

    /// What an object says of itself; `None` if it is not there.
    pub(crate) async fn head(&self, path: &str) -> Result<Option<Stat>, SinkError> {
        let options = GetOptions {
            head: true,
            ..GetOptions::default()
        };
        match self.store.get_opts(&self.key(path)?, options).await {
            Ok(result) => Ok(Some(stat(&result))),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("looking at", path, &error).await),
        }
    }

    /// An object's content; `None` if it is not there.
    pub(super) async fn get(
        &self,
        path: &str,
        limit: u64,
    ) -> Result<Option<(Stat, Bytes)>, SinkError> {
        let got = self
            .store
            .get_opts(&self.key(path)?, GetOptions::default())
            .await;
        let result = match got {
            Ok(result) => result,
            Err(error @ Error::NotFound { .. }) if is_bucket_missing(&error) => {
                return Err(self.failed("getting", path, &error).await);
            }
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(self.failed("getting", path, &error).await),
        };
        let stat = stat(&result);
        let bytes = self.read(path, result, limit).await?;
        Ok(Some((stat, bytes)))
    }

    /// The content of an object that was listed, with its tag. `None` if it is gone since, or is another one and larger
    /// than `limit`, or is another one at all and not `may_be_newer`.
    pub(crate) async fn fetch(
        &self,
        path: &str,
        listed: &Listed,
        may_be_newer: bool,
        limit: u64,
    ) -> Result<Option<(String, Bytes)>, SinkError> {
        let is_tied = !may_be_newer && !listed.etag.is_empty();
        let options = GetOptions {
            if_match: is_tied.then(|| listed.etag.clone()),
            ..GetOptions::default()
        };
        let result = match self.store.get_opts(&self.key(path)?, options).await {
            Ok(result) => result,
            Err(Error::NotFound { .. } | Error::Precondition { .. }) => return Ok(None),
            Err(error) => return Err(self.failed("getting", path, &error).await),
        };
        let etag = result.meta.e_tag.clone().unwrap_or_default();
        if may_be_newer && result.meta.size > limit {
            return Ok(None);
        }
        let bytes = self.read(path, result, limit).await?;
        Ok(Some((etag, bytes)))
    }

    /// Reads a content that may not be larger than that.
    async fn read(&self, path: &str, result: GetResult, limit: u64) -> Result<Bytes, SinkError> {
        let mut bytes = Vec::new();
        let mut stream = result.into_stream();
        loop {
            match stream.try_next().await {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => return Ok(bytes.into()),
                Err(error) => return Err(self.failed("reading", path, &error).await),
            }
            if bytes.len() as u64 > limit {
                let what = format!("{} has more than {limit} bytes", self.url(path));
                return Err(SinkError::refusal(what));
            }
        }
    }

    /// Puts an object if what stands there has this tag, or, without one, if nothing stands there.
    pub(super) async fn put(
        &self,
        path: &str,
        bytes: Bytes,
        label: Label<'_>,
        expected: Option<&str>,
    ) -> Result<Put, SinkError> {
        let mut attributes = Attributes::new();
        attributes.insert(Attribute::ContentType, label.media_type.into());
        let metadata = [
            (HASH, Some(label.hash)),
            (SNAPSHOT, Some(label.snapshot)),
            (TOKEN, label.token),
        ];
        for (name, value) in metadata {
            if let Some(value) = value {
                attributes.insert(Attribute::Metadata(name.into()), value.to_owned().into());
            }
        }
        let mode = match expected {
            Some(etag) => PutMode::Update(UpdateVersion {
                e_tag: Some(etag.to_owned()),
                version: None,
            }),
            None => PutMode::Create,
        };
        let options = PutOptions {
            mode,
            attributes,
            ..PutOptions::default()
        };
        let payload = PutPayload::from_bytes(bytes);
        match self
            .store
            .put_opts(&self.key(path)?, payload, options)
            .await
        {
            Ok(result) => Ok(Put::Done(result.e_tag.unwrap_or_default())),
            Err(error @ Error::Precondition { .. }) if is_bucket_missing(&error) => {
                Err(self.failed("putting", path, &error).await.lasting())
            }
            Err(Error::Precondition { .. } | Error::AlreadyExists { .. }) => Ok(Put::Conflict),
            Err(error) => Err(self.failed("putting", path, &error).await),
        }
    }

    /// Removes an object; that it is not there is as good.
    pub(super) async fn delete(&self, path: &str) -> Result<(), SinkError> {
        match self.store.delete(&self.key(path)?).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("removing", path, &error).await),
        }
    }
}

fn stat(result: &GetResult) -> Stat {
    let metadata = |name: &'static str| {
        let value = result.attributes.get(&Attribute::Metadata(name.into()));
        value.map(|value| value.to_string())
    };
    Stat {
        etag: result.meta.e_tag.clone().unwrap_or_default(),
        hash: metadata(HASH),
        token: metadata(TOKEN),
    }
}

/// Stores say the same of a bucket that is not there as of an object.
fn is_bucket_missing(error: &Error) -> bool {
    crate::sink::chain(error).contains("NoSuchBucket")
}
