//! A candidate's way to the cluster, which a test can cut, slow down and look at.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use kube::client::Body;
use kubedex::Client;
use kubedex::fake::FakeCluster;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;
use tower::service_fn;

/// How requests fare.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weather {
    /// They get lost.
    pub(super) lost: bool,
    /// They are done, but the answer gets lost.
    pub(super) answers_lost: bool,
    /// They take that long to arrive.
    pub(super) there: Duration,
    /// The answer takes that long.
    pub(super) back: Duration,
    /// Writes are done twice, and the second answer is given.
    pub(super) twice: bool,
    /// In parts of a thousand: a request or an answer gets lost.
    pub(super) unreliable: u32,
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) method: String,
    pub(super) body: Option<Value>,
    pub(super) at: Instant,
    /// For how long it was waited for: until it was answered or given up.
    pub(super) waited: Option<Duration>,
    pub(super) status: Option<u16>,
}

#[derive(Clone)]
pub(super) struct Link {
    cluster: FakeCluster,
    weather: Arc<Mutex<Weather>>,
    sent: Arc<Mutex<Vec<Sent>>>,
    random: Arc<Mutex<fastrand::Rng>>,
}

/// Notes how long a request was waited for, also when it was given up.
struct Waiting {
    sent: Arc<Mutex<Vec<Sent>>>,
    index: usize,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(sent) = self.sent.lock().get_mut(self.index) {
            sent.waited = Some(sent.at.elapsed());
        }
    }
}

impl Link {
    pub(super) fn new(cluster: &FakeCluster, seed: u64) -> Self {
        Self {
            cluster: cluster.clone(),
            weather: Arc::default(),
            sent: Arc::default(),
            random: Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))),
        }
    }

    pub(super) fn set(&self, weather: Weather) {
        *self.weather.lock() = weather;
    }

    pub(super) fn cut(&self) {
        self.set(Weather {
            lost: true,
            ..Weather::default()
        });
    }

    pub(super) fn mend(&self) {
        self.set(Weather::default());
    }

    /// The requests so far.
    pub(super) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().clone()
    }

    pub(super) fn forget(&self) {
        self.sent.lock().clear();
    }

    pub(super) fn client(&self) -> Client {
        let link = self.clone();
        let service = service_fn(move |request: http::Request<Body>| {
            let link = link.clone();
            async move { link.perform(request).await }
        });
        Client::from_kube(kube::Client::new(service, "default"))
    }

    async fn perform(
        self,
        request: http::Request<Body>,
    ) -> Result<http::Response<Body>, tower::BoxError> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let index = {
            let mut sent = self.sent.lock();
            sent.push(Sent {
                method: head.method.to_string(),
                body: serde_json::from_slice(&body).ok(),
                at: Instant::now(),
                waited: None,
                status: None,
            });
            sent.len() - 1
        };
        let _waiting = Waiting {
            sent: Arc::clone(&self.sent),
            index,
        };
        let weather = *self.weather.lock();
        let unlucky = || self.random.lock().u32(0..1000) < weather.unreliable;
        if weather.lost || unlucky() {
            return std::future::pending().await;
        }
        // What is under way arrives, whether anybody still waits for it or not.
        let cluster = self.cluster.clone();
        let writes = head.method != http::Method::GET;
        let arrived = tokio::spawn(async move {
            tokio::time::sleep(weather.there).await;
            let send = async || {
                let request = http::Request::from_parts(head.clone(), Body::from(body.clone()));
                cluster.client().send(request).await
            };
            if weather.twice && writes {
                send().await?;
            }
            send().await
        });
        let response = arrived.await??;
        if weather.answers_lost || unlucky() {
            return std::future::pending().await;
        }
        tokio::time::sleep(weather.back).await;
        if let Some(sent) = self.sent.lock().get_mut(index) {
            sent.status = Some(response.status().as_u16());
        }
        Ok(response)
    }
}
