//! Another implementation: client-go's algorithm as it is documented, in a few lines, over the same API.

use std::time::Duration;

use kube::client::Body;
use kubedex::Client;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::{Journal, SECOND};

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";

const LEASE: Duration = Duration::from_secs(15);
const RENEW: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(2);

pub(super) struct Rival {
    client: Client,
    identity: String,
    observed: Value,
    observed_at: Instant,
    random: fastrand::Rng,
    journal: Journal,
}

impl Rival {
    pub(super) fn new(client: Client, identity: &str, journal: &Journal) -> Self {
        Self {
            client,
            identity: identity.to_owned(),
            observed: Value::Null,
            observed_at: Instant::now(),
            random: fastrand::Rng::with_seed(identity.len() as u64),
            journal: journal.clone(),
        }
    }

    /// Campaigns, leads for at most `reign`, releases if asked to, and campaigns again; after a while, if it did not.
    pub(super) async fn run(mut self, reign: Duration, releases: bool) {
        loop {
            while !self.try_acquire_or_renew().await {
                let wait = RETRY + RETRY.mul_f64(1.2 * self.random.f64());
                tokio::time::sleep(wait).await;
            }
            self.journal.note(format!("{} leads", self.identity));
            let until = Instant::now() + reign;
            'renew: while Instant::now() < until {
                tokio::time::sleep(RETRY).await;
                let deadline = Instant::now() + RENEW;
                while !self.try_acquire_or_renew().await {
                    if Instant::now() + RETRY > deadline {
                        break 'renew;
                    }
                    tokio::time::sleep(RETRY).await;
                }
            }
            self.journal.note(format!("{} stops", self.identity));
            if releases {
                self.release().await;
                tokio::time::sleep(5 * SECOND).await;
            } else {
                tokio::time::sleep(60 * SECOND).await;
            }
        }
    }

    fn is_leader(&self) -> bool {
        self.observed["spec"]["holderIdentity"] == self.identity.as_str()
    }

    async fn try_acquire_or_renew(&mut self) -> bool {
        let is_valid = self.observed_at.elapsed() < LEASE;
        if self.is_leader() && is_valid {
            let mut lease = self.observed.clone();
            lease["spec"]["renewTime"] = json!(now());
            if let Some(lease) = self
                .call("PUT", &format!("{PATH}/leader"), Some(lease))
                .await
            {
                self.observe(lease);
                return true;
            }
        }
        let mut lease = match self.call("GET", &format!("{PATH}/leader"), None).await {
            Some(lease) => lease,
            None => {
                let lease = json!({
                    "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                    "metadata": {"name": "leader", "namespace": "default"},
                    "spec": self.spec(0)
                });
                let created = self.call("POST", PATH, Some(lease)).await;
                return created.map(|lease| self.observe(lease)).is_some();
            }
        };
        self.observe(lease.clone());
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
        if !holder.is_empty() && self.observed_at.elapsed() < LEASE && !self.is_leader() {
            return false;
        }
        let transitions = lease["spec"]["leaseTransitions"].as_i64().unwrap_or(0);
        if self.is_leader() {
            lease["spec"]["renewTime"] = json!(now());
        } else {
            lease["spec"] = self.spec(transitions + 1);
        }
        let updated = self
            .call("PUT", &format!("{PATH}/leader"), Some(lease))
            .await;
        updated.map(|lease| self.observe(lease)).is_some()
    }

    async fn release(&mut self) {
        let mut lease = self.observed.clone();
        lease["spec"]["holderIdentity"] = json!("");
        lease["spec"]["leaseDurationSeconds"] = json!(1);
        lease["spec"]["renewTime"] = json!(now());
        lease["spec"]["acquireTime"] = json!(now());
        if let Some(lease) = self
            .call("PUT", &format!("{PATH}/leader"), Some(lease))
            .await
        {
            self.observe(lease);
        }
    }

    fn observe(&mut self, lease: Value) {
        if self.observed["spec"] != lease["spec"] {
            self.observed_at = Instant::now();
        }
        self.observed = lease;
    }

    fn spec(&self, transitions: i64) -> Value {
        json!({
            "holderIdentity": self.identity, "leaseDurationSeconds": LEASE.as_secs(),
            "acquireTime": now(), "renewTime": now(), "leaseTransitions": transitions
        })
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Option<Value> {
        let body = body.map_or_else(Body::empty, |body| {
            Body::from(body.to_string().into_bytes())
        });
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .body(body)
            .unwrap();
        let answer = async {
            let response = self.client.send(request).await.ok()?;
            if !response.status().is_success() {
                return None;
            }
            let bytes = http_body_util::BodyExt::collect(response.into_body())
                .await
                .ok()?;
            serde_json::from_slice(&bytes.to_bytes()).ok()
        };
        timeout(RENEW / 2, answer).await.ok().flatten()
    }
}

fn now() -> String {
    format!("{:.6}", jiff::Timestamp::now())
}
