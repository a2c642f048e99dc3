//! The API server, in a process of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Stdio};

use kubedex::fake::FakeCluster;
use serde_json::Value;

use super::support::child;
use super::support::data::{Objects, Shape};

/// Where a server listens, until this is dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) url: String,
    pub(crate) token: String,
}

/// Starts a server that has so many EndpointSlices.
pub(crate) fn start(count: usize) -> Server {
    let mut command = child::command(&format!("serve {count}"));
    let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let output = process.stdout.take().unwrap();
    BufReader::new(output).read_line(&mut line).unwrap();
    let (url, token) = line
        .trim()
        .split_once(' ')
        .expect("the server says where it is");
    Server {
        process,
        url: url.to_owned(),
        token: token.to_owned(),
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Serves until it is killed.
pub(crate) fn run(count: usize) {
    let cluster = FakeCluster::new();
    let mut objects = Objects::new(1);
    for _ in 0..count {
        let mut object: Value = serde_json::from_str(&objects.one(Shape::EndpointSlice)).unwrap();
        let metadata = object["metadata"].as_object_mut().unwrap();
        // The server gives its own. No two names of this seed are equal.
        metadata.remove("resourceVersion");
        metadata.remove("uid");
        cluster.create(object).unwrap();
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let server = cluster.serve().await.unwrap();
        let config: Value = serde_json::from_str(&server.kubeconfig()).unwrap();
        let token = config
            .pointer("/users/0/user/token")
            .and_then(Value::as_str)
            .unwrap();
        println!("{} {token}", server.http_url());
        std::io::stdout().flush().unwrap();
        std::future::pending::<()>().await;
    });
}
