//! etcd and an API server on loopback, each of which can be killed and started again at its old place.

use std::path::PathBuf;
use std::time::Duration;

use http::Request;
use kube::client::Body;
use kubedex::Client;
use kubedex::fake::{FakeCluster, FakeServer};
use serde_json::Value;
use tokio::time::Instant;

use super::assets::Assets;
use super::etcd;
use super::identity::{Identity, now};
use super::process::{Process, free_port};
use super::stand_in;

/// How long a program may take to be ready.
const READY: Duration = Duration::from_secs(120);

/// How long past its end a real server may take a token: a leeway of a minute, and what it remembers for ten seconds.
const LEEWAY: Duration = Duration::from_secs(90);

/// A control plane. All of it ends with its owner.
pub(super) struct ControlPlane {
    pub(super) etcd: Process,
    pub(super) server: Process,
    pub(super) identity: Identity,
    pub(super) port: u16,
    etcd_port: u16,
    /// What a stand-in shows.
    fake: Option<(FakeCluster, FakeServer)>,
    admin: Client,
    _folder: tempfile::TempDir,
}

impl ControlPlane {
    /// Starts everything and waits until it is ready.
    pub(super) async fn start(assets: Assets) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let fake = if assets.stand_in {
            let cluster = FakeCluster::builder().strict().real_time().build();
            let server = cluster.serve().await.unwrap();
            Some((cluster, server))
        } else {
            None
        };
        let admin_token = fake.as_ref().map_or_else(
            || "admin-0123456789abcdef".to_owned(),
            |(cluster, _)| cluster.admin_token(),
        );
        let identity = Identity::new(path, admin_token);
        if let Some((cluster, _)) = &fake {
            cluster.add_token(&identity.viewer_token, "viewer");
        }
        let (port, etcd_port, peer_port) = (free_port(), free_port(), free_port());
        let etcd_flags = etcd::flags(path, etcd_port, peer_port);
        let etcd = Process::new(&assets.etcd, etcd_flags, Vec::new(), path);
        let environment = match &fake {
            Some((_, server)) => stand_in::environment(server.address()),
            None => Vec::new(),
        };
        let flags = identity.flags(port, etcd_port);
        let server = Process::new(&assets.server, flags, environment, path);
        let user = format!("{{token: '{}'}}", identity.admin_token);
        let admin = client(identity.kubeconfig("admin", port, &user)).await;
        let mut plane = Self {
            etcd,
            server,
            identity,
            port,
            etcd_port,
            fake,
            admin,
            _folder: folder,
        };
        plane.start_etcd().await;
        plane.start_server().await;
        plane
    }

    pub(super) async fn start_etcd(&mut self) {
        self.etcd.start();
        let deadline = Instant::now() + READY;
        while !etcd::is_healthy(self.etcd_port).await {
            self.etcd.check();
            assert!(
                Instant::now() < deadline,
                "etcd is not well:\n{}",
                self.etcd.tail()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) async fn start_server(&mut self) {
        self.server.start();
        self.wait_for_server().await;
    }

    /// Waits until the server says that it is ready, which it does not while etcd is away.
    pub(super) async fn wait_for_server(&mut self) {
        let deadline = Instant::now() + READY;
        while self.request("GET", "/readyz", None).await.is_err() {
            self.server.check();
            assert!(
                Instant::now() < deadline,
                "the server is not ready:\n{}",
                self.server.tail()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Has etcd forget the past.
    pub(super) async fn compact(&self) {
        etcd::compact(self.etcd_port).await;
        if let Some((cluster, _)) = &self.fake {
            cluster.compact();
        }
    }

    /// A token of a service account that holds for about so long, and, with it, how long it takes until nobody takes it.
    pub(super) fn short_token(&self, name: &str, uid: &str, holds: Duration) -> (String, Duration) {
        let token = self
            .identity
            .service_account_token(name, uid, now() + holds.as_secs());
        if let Some((cluster, _)) = &self.fake {
            cluster.add_token(&token, &format!("system:serviceaccount:default:{name}"));
        }
        (token, holds + LEEWAY)
    }

    /// Waits until a token has ended.
    pub(super) async fn wait_for_end_of(&self, token: &str, within: Duration) {
        if let Some((cluster, _)) = &self.fake {
            cluster.revoke_token(token);
        }
        let user = format!("{{token: '{token}'}}");
        let client = client(self.identity.kubeconfig("ending", self.port, &user)).await;
        let deadline = Instant::now() + within;
        let request = || {
            Request::get("/api/v1/namespaces")
                .body(Body::empty())
                .unwrap()
        };
        loop {
            let response = client.kube().send(request()).await.unwrap();
            if response.status() == 401 {
                return;
            }
            assert!(Instant::now() < deadline, "a token does not end");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// A client of the server at this port: the server's own, or a relay's.
    pub(super) async fn client(&self, name: &str, port: u16, user: &str) -> Client {
        client(self.identity.kubeconfig(name, port, user)).await
    }

    /// A request by the administrator; the answer, or what was answered instead of a success.
    pub(super) async fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, String> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .body(Body::from(body.into_bytes()))
            .unwrap();
        let kube = self.admin.kube();
        let answer = kube.send(request);
        let answer = tokio::time::timeout(Duration::from_secs(30), answer).await;
        let answer = answer.map_err(|_| "no answer in 30 s".to_owned())?;
        let answer = answer.map_err(|error| error.to_string())?;
        let status = answer.status();
        let bytes = answer.into_body().collect_bytes().await;
        let text = String::from_utf8_lossy(&bytes.map_err(|error| error.to_string())?).into_owned();
        if !status.is_success() {
            return Err(format!("{method} {path}: {status} {text}"));
        }
        Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// A request that must succeed, with some patience: a server that was just started, or whose etcd was, may refuse one.
    pub(super) async fn done(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let deadline = Instant::now() + READY;
        loop {
            match self.request(method, path, body).await {
                Ok(answer) => return answer,
                // A write whose answer was lost is done.
                Err(error) if method == "POST" && error.contains("AlreadyExists") => {
                    return Value::Null;
                }
                Err(error) if method == "DELETE" && error.contains("NotFound") => {
                    return Value::Null;
                }
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

async fn client(kubeconfig: PathBuf) -> Client {
    let client = Client::builder().kubeconfig(kubeconfig).build().await;
    client.unwrap_or_else(|error| panic!("{error}"))
}
