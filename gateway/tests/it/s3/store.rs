//! A store in memory that notes what is asked of it, and fails when it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    Attribute, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// Shares one store in memory. Each one notes for itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    inner: Arc<InMemory>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    asked: Vec<String>,
    /// How many more changes are done; all, if none.
    left: Option<usize>,
    /// Whether the answer to the next put is lost.
    lose_answer: bool,
    /// How many more looks at objects are answered; all, if none.
    looks: Option<usize>,
    /// A key that is no path, on which listings stumble.
    bad_key: Option<&'static str>,
    /// What others do to an object, one thing before each time that it is got.
    meddling: BTreeMap<String, VecDeque<Meddling>>,
}

/// What others do to an object.
#[derive(Clone, Debug)]
pub(crate) enum Meddling {
    Put(String),
    Delete,
    /// The store does not answer.
    Fail,
}

impl Store {
    /// The same store, seen by somebody else.
    pub(crate) fn other(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            state: Arc::default(),
        }
    }

    /// What was asked since it was asked for last.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    /// What was changed since it was asked for last.
    pub(crate) fn changes(&self) -> Vec<String> {
        let mut asked = self.asked();
        asked.retain(|it| it.starts_with("put") || it.starts_with("delete"));
        asked
    }

    pub(crate) fn end_after(&self, changes: usize) {
        self.state.lock().unwrap().left = Some(changes);
    }

    pub(crate) fn lose_answer(&self) {
        self.state.lock().unwrap().lose_answer = true;
    }

    /// Answers so many more looks at objects, and leaves the others waiting; or answers all.
    pub(crate) fn hang_after(&self, looks: Option<usize>) {
        self.state.lock().unwrap().looks = looks;
    }

    /// Lets listings stumble on a key that is no path.
    pub(crate) fn have_bad_key(&self, key: &'static str) {
        self.state.lock().unwrap().bad_key = Some(key);
    }

    /// Lets others do this to an object, one thing before each time that it is got.
    pub(crate) fn meddle(&self, key: &str, meddling: impl IntoIterator<Item = Meddling>) {
        let meddling = meddling.into_iter().collect();
        let mut state = self.state.lock().unwrap();
        state.meddling.insert(key.to_owned(), meddling);
    }

    /// Puts something as somebody else would.
    pub(crate) async fn put_foreign(&self, key: &str, text: impl Into<PutPayload>) {
        self.inner.put(&key.into(), text.into()).await.unwrap();
    }

    /// Does what others do before this is got.
    async fn meddled(&self, location: &Path) -> Result<()> {
        let next = {
            let mut state = self.state.lock().unwrap();
            let meddling = state.meddling.get_mut(location.as_ref());
            meddling.and_then(VecDeque::pop_front)
        };
        match next {
            Some(Meddling::Put(text)) => self.put_foreign(location.as_ref(), text).await,
            Some(Meddling::Delete) => self.inner.delete(location).await?,
            Some(Meddling::Fail) => return Err(gone()),
            None => {}
        }
        Ok(())
    }

    /// All keys and texts but the manifest's.
    pub(crate) async fn content(&self) -> Vec<(String, String)> {
        let listed: Vec<ObjectMeta> = self.inner.list(None).try_collect().await.unwrap();
        let mut content = Vec::new();
        for object in listed {
            let key = object.location.to_string();
            if !key.ends_with(".kubedex-manifest.json") {
                content.push((key.clone(), self.text(&key).await.unwrap()));
            }
        }
        content.sort();
        content
    }

    pub(crate) async fn text(&self, key: &str) -> Option<String> {
        let got = self.inner.get(&Path::parse(key).unwrap()).await.ok()?;
        let bytes = got.bytes().await.unwrap();
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    pub(crate) async fn metadata(&self, key: &str, name: &'static str) -> Option<String> {
        let got = self.inner.get(&key.into()).await.unwrap();
        let value = got.attributes.get(&Attribute::Metadata(name.into()));
        value.map(|value| value.to_string())
    }

    fn note(&self, what: &str, key: &impl fmt::Display) {
        let mut state = self.state.lock().unwrap();
        state.asked.push(format!("{what} {key}"));
    }

    /// Whether a look at an object is answered.
    fn answers_look(&self) -> bool {
        match &mut self.state.lock().unwrap().looks {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    /// Stands before each change.
    fn change(&self) -> Result<()> {
        let mut state = self.state.lock().unwrap();
        if let Some(left) = &mut state.left {
            *left = left.checked_sub(1).ok_or_else(gone)?;
        }
        Ok(())
    }
}

fn gone() -> Error {
    Error::Generic {
        store: "test",
        source: "the store is away".into(),
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("test")
    }
}

#[async_trait]
impl ObjectStore for Store {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.note("put", location);
        self.change()?;
        let done = self.inner.put_opts(location, payload, options).await?;
        let lost = std::mem::take(&mut self.state.lock().unwrap().lose_answer);
        if lost { Err(gone()) } else { Ok(done) }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.note(if options.head { "head" } else { "get" }, location);
        if options.head && !self.answers_look() {
            std::future::pending::<()>().await;
        }
        if !options.head {
            self.meddled(location).await?;
        }
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        let noted = locations.map(move |location| {
            let location = location?;
            this.note("delete", &location);
            this.change()?;
            Ok(location)
        });
        self.inner.delete_stream(noted.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.note("list", &prefix.cloned().unwrap_or_default());
        let bad_key = self.state.lock().unwrap().bad_key;
        match bad_key.map(Path::parse) {
            Some(Err(source)) => {
                futures::stream::iter([Err(Error::InvalidPath { source })]).boxed()
            }
            _ => self.inner.list(prefix),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
