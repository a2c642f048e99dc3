//! An S3-compatible store as a sink.
//!
//! Objects stand under `prefix/cluster_id/`. Each carries in its metadata the hash of its content, the snapshot it is
//! of, and the fencing token of the leader that wrote it. It is put on the condition that what stands there is what
//! this sink knows: an older write can never replace a newer one that it has not seen. When the condition fails, the
//! object is read again; one that a newer leader wrote is left alone, and said.
//!
//! Nothing is sent again here: [`publication`](crate::publication) does that, with what is newest then.
//!
//! A manifest, `.kubedex-manifest.json`, names the objects that are this sink's, and the newest leader's token. A name
//! stands there before its object does; only what stands there is ever removed. An object whose content is right
//! already is not put.

mod config;
mod credentials;
mod error;
mod objects;
mod token;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;
use object_store::ObjectStore;

use super::{ConfigError, Sink, SinkError, Write, Written};
use writer::Writer;

pub use config::{DEFAULT_REGION, REQUEST_TIMEOUT, S3Config};
pub(crate) use objects::{Listed, Objects};

/// Writes to an S3-compatible store.
#[derive(Debug)]
pub struct S3 {
    place: String,
    writer: Writer,
}

impl S3 {
    /// A sink that writes there. Nothing is sent before something is written.
    ///
    /// # Errors
    /// When the configuration cannot work, naming the field.
    pub fn open(config: &S3Config) -> Result<Self, ConfigError> {
        let objects = Objects::open(config)?;
        Ok(Self::new(objects, config))
    }

    /// A sink that writes to a store that was made elsewhere, of which the configuration says only where and how to
    /// write.
    ///
    /// # Errors
    /// When the configuration cannot work, naming the field.
    pub fn over(store: Arc<dyn ObjectStore>, config: &S3Config) -> Result<Self, ConfigError> {
        let objects = Objects::over(store, config)?;
        Ok(Self::new(objects, config))
    }

    fn new(objects: Objects, config: &S3Config) -> Self {
        Self {
            place: objects.describe(),
            writer: Writer::new(objects, config.adopt),
        }
    }
}

#[async_trait]
impl Sink for S3 {
    fn describe(&self) -> String {
        self.place.clone()
    }

    async fn write(&mut self, write: Write) -> Result<Written, SinkError> {
        self.writer.write(&write).await
    }
}
