//! Streams over gRPC: reads requests into the protocol and writes its answers.
//!
//! An answer is made when the connection has room for it, so a client that does not read costs one answer of each type.

use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, future, stream};
use hyper::body::Incoming as Body;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::server::{Grpc, StreamingService};
use tonic_prost::ProstCodec;

use super::nodes::{Nodes, Open};
use super::resources::World;
use super::stream::Stream;
use super::wire::Incoming;

/// The largest request, in bytes; one of 100,000 names fits.
const MAX_REQUEST: usize = 16 << 20;
const STATE_OF_THE_WORLD: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
const DELTA: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

/// What all streams share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    /// The newest world; `None` before the first publication.
    pub(super) worlds: watch::Receiver<Option<World>>,
    pub(super) nodes: Arc<Nodes>,
    /// Ends all streams.
    pub(super) stop: CancellationToken,
}

impl Shared {
    /// Answers an HTTP request.
    pub(super) async fn serve(
        self,
        request: http::Request<Body>,
    ) -> http::Response<tonic::body::Body> {
        match request.uri().path() {
            STATE_OF_THE_WORLD => self.stream::<DiscoveryRequest>(request).await,
            DELTA => self.stream::<DeltaDiscoveryRequest>(request).await,
            _ => tonic::Status::unimplemented(
                "the aggregated discovery service (ADS) of Envoy's API v3 is all that is served here",
            )
            .into_http(),
        }
    }

    async fn stream<R: Incoming>(
        self,
        request: http::Request<Body>,
    ) -> http::Response<tonic::body::Body> {
        let codec = ProstCodec::<R::Answer, R>::default();
        Grpc::new(codec)
            .max_decoding_message_size(MAX_REQUEST)
            .streaming(self, request)
            .await
    }
}

impl<R: Incoming> StreamingService<R> for Shared {
    type Response = R::Answer;
    type ResponseStream = BoxStream<'static, Result<R::Answer, tonic::Status>>;
    type Future = future::Ready<Result<tonic::Response<Self::ResponseStream>, tonic::Status>>;

    fn call(&mut self, request: tonic::Request<tonic::Streaming<R>>) -> Self::Future {
        let world = self.worlds.borrow_and_update().clone();
        let connection = Connection {
            open: self.nodes.open(),
            stream: Stream::new(R::IS_DELTA),
            world,
            worlds: Some(self.worlds.clone()),
            stop: self.stop.clone(),
            requests: request.into_inner(),
        };
        let answers = stream::unfold(Some(connection), |connection| async {
            let mut connection = connection?;
            match connection.next().await {
                Ok(answer) => Some((Ok(answer?), Some(connection))),
                Err(status) => Some((Err(status), None)),
            }
        });
        future::ready(Ok(tonic::Response::new(answers.boxed())))
    }
}

struct Connection<R> {
    open: Open,
    stream: Stream,
    world: Option<World>,
    /// `None` once no more worlds will come; the last one stands.
    worlds: Option<watch::Receiver<Option<World>>>,
    stop: CancellationToken,
    requests: tonic::Streaming<R>,
}

impl<R: Incoming> Connection<R> {
    /// The next answer; `None` once the client has nothing more to say.
    async fn next(&mut self) -> Result<Option<R::Answer>, tonic::Status> {
        loop {
            if self.stop.is_cancelled() {
                return Err(tonic::Status::unavailable("the server shuts down"));
            }
            if let Some(answer) = self.answer() {
                return Ok(Some(answer));
            }
            let newer = async {
                match &mut self.worlds {
                    Some(worlds) => worlds.changed().await.is_ok(),
                    None => future::pending().await,
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => {}
                request = self.requests.message() => match request? {
                    Some(request) => self.receive(request)?,
                    None => return Ok(None),
                },
                is_newer = newer => if is_newer {
                    self.look();
                } else {
                    self.worlds = None;
                },
            }
        }
    }

    /// Takes the newest world.
    fn look(&mut self) {
        if let Some(worlds) = &mut self.worlds {
            self.world = worlds.borrow_and_update().clone();
        }
    }

    fn receive(&mut self, request: R) -> Result<(), tonic::Status> {
        let (asker, request) = request.parts();
        if let Some(asker) = asker {
            self.open.introduce(&asker);
        }
        let nothing = World::default();
        let world = self.world.as_ref().unwrap_or(&nothing);
        let verdict = self
            .stream
            .receive(request, world)
            .map_err(|violation| tonic::Status::resource_exhausted(violation.to_string()))?;
        if let Some(verdict) = verdict {
            self.open.said(&verdict);
        }
        Ok(())
    }

    fn answer(&mut self) -> Option<R::Answer> {
        // Whatever was published while the last answer was read counts, too.
        if let Some(worlds) = &self.worlds
            && worlds.has_changed().unwrap_or(false)
        {
            self.look();
        }
        let answer = self.stream.next(self.world.as_ref()?)?;
        self.open.sent(&answer);
        Some(answer.into())
    }
}

/// Serves one request, which never fails as far as HTTP is concerned.
pub(super) async fn respond(
    shared: Shared,
    request: http::Request<Body>,
) -> Result<http::Response<tonic::body::Body>, std::convert::Infallible> {
    shared.serve(request).map(Ok).await
}
