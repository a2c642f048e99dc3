//! A document, rendered when somebody asks for it and kept as long as its snapshot is the newest.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::HeaderValue;
use tokio::sync::Mutex;

use crate::model::{ContentHash, Problem, Snapshot};
use crate::output::{File, Output, Rendering};
use crate::publish::{Published, Snapshots};

/// What is served at one path.
#[derive(Debug)]
pub(super) struct Document {
    path: String,
    snapshots: Snapshots,
    newest: ArcSwapOption<Page>,
    /// Held while it is rendered, so that all who ask meanwhile get the same.
    output: Arc<Mutex<Box<dyn Output>>>,
}

/// A document as it is sent.
#[derive(Debug)]
pub(super) struct Page {
    published: Arc<Published>,
    pub(super) bytes: Bytes,
    pub(super) media_type: &'static str,
    pub(super) etag: HeaderValue,
    problems: Arc<[Problem]>,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(super) enum RenderError {
    #[error("the output has no file")]
    Empty,
    #[error("the output panicked")]
    Panicked(#[source] tokio::task::JoinError),
}

impl Document {
    pub(super) fn new(path: String, output: Box<dyn Output>, snapshots: Snapshots) -> Self {
        Self {
            path,
            snapshots,
            newest: ArcSwapOption::empty(),
            output: Arc::new(Mutex::new(output)),
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn problems(&self) -> Arc<[Problem]> {
        let page = self.newest.load();
        page.as_ref()
            .map(|page| Arc::clone(&page.problems))
            .unwrap_or_default()
    }

    /// The page for the newest snapshot; `None` before the first one.
    pub(super) async fn newest(&self) -> Result<Option<Arc<Page>>, RenderError> {
        let Some(published) = self.snapshots.newest() else {
            return Ok(None);
        };
        if let Some(page) = self.rendered(&published) {
            return Ok(Some(page));
        }
        let mut output = Arc::clone(&self.output).lock_owned().await;
        // Others may have rendered it while this one waited, or a newer one.
        let published = self.snapshots.newest().unwrap_or(published);
        if let Some(page) = self.rendered(&published) {
            return Ok(Some(page));
        }
        let rendering = tokio::task::spawn_blocking(move || {
            let page = page(&mut **output, published);
            (page, output)
        });
        let (page, guard) = rendering.await.map_err(RenderError::Panicked)?;
        let page = Arc::new(page?);
        self.newest.store(Some(Arc::clone(&page)));
        drop(guard);
        Ok(Some(page))
    }

    fn rendered(&self, published: &Arc<Published>) -> Option<Arc<Page>> {
        let page = self.newest.load_full()?;
        Arc::ptr_eq(&page.published, published).then_some(page)
    }
}

fn page(output: &mut dyn Output, published: Arc<Published>) -> Result<Page, RenderError> {
    let rendering = output.render(&published.snapshot, None);
    let file = rendering.files.into_iter().next();
    let File {
        bytes, media_type, ..
    } = file.ok_or(RenderError::Empty)?;
    let etag = format!("\"{}\"", ContentHash::of_bytes(&bytes));
    Ok(Page {
        published,
        bytes,
        media_type,
        // Hexadecimal digits in quotes are always a value.
        etag: HeaderValue::try_from(etag).unwrap_or(HeaderValue::from_static("\"\"")),
        problems: rendering.problems,
    })
}

/// The snapshot as it is, with version and hash.
#[derive(Debug)]
pub(super) struct SnapshotJson;

impl Output for SnapshotJson {
    fn format(&self) -> &'static str {
        "snapshot"
    }

    fn render(&mut self, snapshot: &Snapshot, _: Option<&Snapshot>) -> Rendering {
        // A snapshot has string keys only, and writing to memory does not fail.
        let mut bytes = serde_json::to_vec(snapshot).unwrap_or_default();
        bytes.push(b'\n');
        Rendering {
            is_whole: true,
            files: vec![File {
                path: "snapshot.json".into(),
                bytes: bytes.into(),
                media_type: "application/json",
            }],
            ..Rendering::default()
        }
    }
}
