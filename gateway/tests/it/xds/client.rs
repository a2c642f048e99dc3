//! Clients, and what they are told.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use envoy_types::pb::google::rpc::Status;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use hyper_util::rt::TokioIo;
use kubedex_gateway::model::{Cluster, Endpoint, Protocol, Snapshot, State};
use kubedex_gateway::publish::{Publisher, channel};
use kubedex_gateway::xds::{Server, XdsConfig, serve};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint as ChannelTo};

pub(super) const CLUSTERS: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
pub(super) const ENDPOINTS: &str =
    "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
/// How long any one thing may take that is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A server in clear text on a free port, with what is published to it.
pub(super) async fn server() -> (Publisher, Server) {
    let (publisher, snapshots) = channel();
    let config = XdsConfig::new(([127, 0, 0, 1], 0).into());
    (publisher, serve(config, snapshots).await.unwrap())
}

/// The snapshot with these clusters, each with so many endpoints, in place of those of the same names.
pub(super) fn with(base: &Snapshot, clusters: &[(&str, u8)]) -> Snapshot {
    let mut edit = base.edit();
    for (name, endpoints) in clusters {
        let endpoint = |last: u8| Endpoint {
            address: [10, 0, 0, last].into(),
            port: 80,
            state: State::Ready,
            zone: None,
            node: None,
        };
        edit.upsert(Arc::new(Cluster {
            endpoints: (1..=*endpoints).map(endpoint).collect(),
            ..Cluster::new(*name, Protocol::Tcp)
        }));
    }
    edit.finish().unwrap()
}

/// Waits until something is so, within bounds.
pub(super) async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let found = timeout(PATIENCE, async {
        loop {
            match look() {
                Some(found) => return found,
                None => sleep(Duration::from_millis(5)).await,
            }
        }
    });
    found.await.expect("it comes about in time")
}

/// A connection, perhaps with TLS.
pub(super) async fn connect(
    to: SocketAddr,
    tls: Option<Arc<rustls::ClientConfig>>,
) -> Result<Channel, tonic::transport::Error> {
    let connect = Connect { to, tls };
    ChannelTo::from_static("http://localhost")
        .connect_with_connector(connect)
        .await
}

struct Connect {
    to: SocketAddr,
    tls: Option<Arc<rustls::ClientConfig>>,
}

pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Socket for T {}

impl tonic::codegen::Service<http::Uri> for Connect {
    type Response = TokioIo<Box<dyn Socket>>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        let (to, tls) = (self.to, self.tls.clone());
        Box::pin(async move {
            let socket = TcpStream::connect(to).await?;
            let socket: Box<dyn Socket> = match tls {
                None => Box::new(socket),
                Some(tls) => {
                    let name = ServerName::try_from("localhost").unwrap();
                    Box::new(TlsConnector::from(tls).connect(name, socket).await?)
                }
            };
            Ok(TokioIo::new(socket))
        })
    }
}

fn node(id: &str) -> Option<Node> {
    Some(Node {
        id: id.to_owned(),
        ..Node::default()
    })
}

fn rejection(reason: Option<&str>) -> Option<Status> {
    reason.map(|message| Status {
        message: message.to_owned(),
        ..Status::default()
    })
}

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// A stream of deltas.
pub(super) struct Deltas {
    requests: UnboundedSender<DeltaDiscoveryRequest>,
    answers: Streaming<DeltaDiscoveryResponse>,
}

impl Deltas {
    /// Opens a stream and asks for the first things on it; the server says nothing before that.
    pub(super) async fn open(channel: Channel, first: DeltaDiscoveryRequest) -> Self {
        let (requests, receiver) = unbounded();
        requests.unbounded_send(first).unwrap();
        let mut client = AggregatedDiscoveryServiceClient::new(channel);
        let answers = client.delta_aggregated_resources(receiver).await.unwrap();
        Self {
            requests,
            answers: answers.into_inner(),
        }
    }

    pub(super) fn request(type_url: &str, names: &[&str]) -> DeltaDiscoveryRequest {
        DeltaDiscoveryRequest {
            node: node("tester"),
            type_url: type_url.to_owned(),
            resource_names_subscribe: texts(names),
            ..DeltaDiscoveryRequest::default()
        }
    }

    pub(super) fn say(&self, request: DeltaDiscoveryRequest) {
        self.requests.unbounded_send(request).unwrap();
    }

    pub(super) fn subscribe(&self, type_url: &str, names: &[&str]) {
        self.say(Self::request(type_url, names));
    }

    /// Accepts an answer, or rejects it.
    pub(super) fn settle(&self, answer: &DeltaDiscoveryResponse, reason: Option<&str>) {
        self.say(DeltaDiscoveryRequest {
            type_url: answer.type_url.clone(),
            response_nonce: answer.nonce.clone(),
            error_detail: rejection(reason),
            ..DeltaDiscoveryRequest::default()
        });
    }

    /// The next answer, as it comes.
    pub(super) async fn raw(&mut self) -> Result<Option<DeltaDiscoveryResponse>, tonic::Status> {
        timeout(PATIENCE, self.answers.message())
            .await
            .expect("something comes in time")
    }

    /// The next answer, accepted.
    pub(super) async fn next(&mut self) -> DeltaDiscoveryResponse {
        let answer = self.raw().await.unwrap().unwrap();
        self.settle(&answer, None);
        answer
    }

    /// What is said in between; a question that is always answered shows where it ends.
    pub(super) async fn quiet(&mut self) {
        self.say(Self::request("test/nothing", &["x"]));
        let answer = self.next().await;
        assert_eq!(answer.type_url, "test/nothing", "{answer:?}");
    }
}

/// The names in an answer.
pub(super) fn names(answer: &DeltaDiscoveryResponse) -> Vec<&str> {
    let mut names: Vec<_> = answer.resources.iter().map(|it| it.name.as_str()).collect();
    names.sort_unstable();
    names
}

/// A stream of states of the world.
pub(super) struct States {
    requests: UnboundedSender<DiscoveryRequest>,
    answers: Streaming<DiscoveryResponse>,
}

impl States {
    pub(super) async fn open(channel: Channel, first: DiscoveryRequest) -> Self {
        let (requests, receiver) = unbounded();
        requests.unbounded_send(first).unwrap();
        let mut client = AggregatedDiscoveryServiceClient::new(channel);
        let answers = client.stream_aggregated_resources(receiver).await.unwrap();
        Self {
            requests,
            answers: answers.into_inner(),
        }
    }

    pub(super) fn request(type_url: &str, names: &[&str]) -> DiscoveryRequest {
        DiscoveryRequest {
            node: node("tester"),
            type_url: type_url.to_owned(),
            resource_names: texts(names),
            ..DiscoveryRequest::default()
        }
    }

    pub(super) fn say(&self, request: DiscoveryRequest) {
        self.requests.unbounded_send(request).unwrap();
    }

    /// Accepts an answer, or rejects it, and names what is wanted.
    pub(super) fn settle(&self, answer: &DiscoveryResponse, names: &[&str], reason: Option<&str>) {
        self.say(DiscoveryRequest {
            response_nonce: answer.nonce.clone(),
            version_info: answer.version_info.clone(),
            error_detail: rejection(reason),
            ..Self::request(&answer.type_url, names)
        });
    }

    pub(super) async fn next(&mut self) -> DiscoveryResponse {
        timeout(PATIENCE, self.answers.message())
            .await
            .expect("something comes in time")
            .unwrap()
            .unwrap()
    }

    /// Nothing is said; shown by a question that is always answered.
    pub(super) async fn quiet(&mut self) {
        self.say(Self::request("test/nothing", &["x"]));
        let answer = self.next().await;
        assert_eq!(answer.type_url, "test/nothing", "{answer:?}");
        // So that it may be asked again.
        self.settle(&answer, &[], None);
    }
}
