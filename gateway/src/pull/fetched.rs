//! What was fetched and does not stand in the directory yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use super::plan::Plan;
use crate::output::File;
use crate::sink::SinkError;
use crate::sink::s3::{Listed, Objects};

/// How many files are fetched at once.
const FETCHES: usize = 8;

/// How many bytes a file may grow by after it was listed, if it does not double.
const GROWTH: u64 = 1 << 20;

/// Contents by path, with their tags. What was fetched is not fetched again, whatever fails later.
#[derive(Debug, Default)]
pub(super) struct Fetched(BTreeMap<Arc<str>, (String, Bytes)>);

impl Fetched {
    /// Fetches what is planned and was not fetched before; forgets what is planned no more. A path that is gone or
    /// changed since it was listed is returned.
    pub(super) async fn complete(
        &mut self,
        objects: &Objects,
        listed: &BTreeMap<Arc<str>, Listed>,
        plan: &Plan,
    ) -> Result<Option<Arc<str>>, SinkError> {
        let planned: BTreeMap<&str, &Listed> = plan
            .fetch
            .iter()
            .map(|path| (&**path, &listed[path]))
            .collect();
        self.0.retain(|path, (etag, _)| {
            let is_listed = |listed: &&Listed| !etag.is_empty() && listed.etag == *etag;
            planned.get(&**path).is_some_and(is_listed)
        });
        let missing: Vec<_> = plan
            .fetch
            .iter()
            .filter(|path| !self.0.contains_key(*path))
            .collect();
        let mut fetches = stream::iter(missing)
            .map(|path| async move {
                let (listed, may_be_newer) = (&listed[path], plan.may_be_newer(path));
                // What is newer may have grown a little; what has grown much is listed anew.
                let more = plan.spare.min(listed.size.max(GROWTH));
                let limit = listed.size + if may_be_newer { more } else { 0 };
                let got = objects.fetch(path, listed, may_be_newer, limit).await;
                let is_folder = match &got {
                    // The key of an empty folder is listed without its slash, by which nothing is there.
                    Ok(None) if listed.size == 0 => objects.head(path).await?.is_none(),
                    _ => false,
                };
                Ok::<_, SinkError>((path, got?, is_folder))
            })
            .buffer_unordered(FETCHES);
        let (mut changed, mut spare) = (None, plan.spare);
        while let Some((path, got, is_folder)) = fetches.try_next().await? {
            let more = |bytes: &Bytes| (bytes.len() as u64).saturating_sub(listed[path].size);
            match got {
                Some((etag, bytes)) if more(&bytes) <= spare => {
                    spare -= more(&bytes);
                    self.0.insert(Arc::clone(path), (etag, bytes));
                }
                _ if is_folder => {}
                _ => changed = Some(Arc::clone(path)),
            }
        }
        Ok(changed)
    }

    /// The files in the order of the plan, with their tags.
    pub(super) fn files(&self, plan: &Plan) -> Vec<(File, &str)> {
        let file = |path: &Arc<str>| {
            let (etag, bytes) = self.0.get(path)?;
            let file = File {
                path: Arc::clone(path),
                bytes: bytes.clone(),
                media_type: "application/octet-stream",
            };
            Some((file, &**etag))
        };
        plan.fetch.iter().filter_map(file).collect()
    }

    /// Forgets everything, since it stands in the directory.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
