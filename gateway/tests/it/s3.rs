//! An S3-compatible store as a sink, and pulling from it.

mod changing;
mod logic;
mod moto;
mod pull;
pub(crate) mod server;
mod store;

use kubedex_gateway::output::Rendering;
use kubedex_gateway::sink::s3::S3;
use kubedex_gateway::sink::{Fencing, Permit, Sink, SinkError, Write, Written};

/// A token that is always valid.
#[derive(Debug)]
struct Token(&'static str);

impl Fencing for Token {
    fn token(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    fn lease(&self) -> &str {
        self.0.split_once('/').map_or("", |(lease, _)| lease)
    }

    fn check(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(())
    }
}

async fn write(sink: &mut S3, rendering: Rendering) -> Result<Written, SinkError> {
    sink.write(Write::unfenced(rendering)).await
}

async fn write_as(
    sink: &mut S3,
    token: &'static str,
    rendering: Rendering,
) -> Result<Written, SinkError> {
    let write = Write {
        permit: Permit::fenced(Token(token)),
        ..Write::unfenced(rendering)
    };
    sink.write(write).await
}
