//! A real S3-compatible server, `moto_server` from PyPI, and a way to it that notes requests.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use kubedex_gateway::sink::s3::S3Config;
use tempfile::TempDir;

/// The bucket that the tests use.
const BUCKET: &str = "gateway";

/// As if a request were signed: the server looks whether it is, not how.
const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=id/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

/// A running server, and a folder with credentials for it.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    folder: TempDir,
}

impl Server {
    /// Starts a server with one empty bucket; `None`, said with a line, if there is no `moto_server`.
    pub(crate) fn start() -> Option<Self> {
        Self::start_at(free_port(), None).inspect(Self::make_bucket)
    }

    /// Starts a server at a port, with a certificate and its key if it is to speak TLS.
    pub(crate) fn start_at(port: u16, tls: Option<(&Path, &Path)>) -> Option<Self> {
        let mut command = Command::new("moto_server");
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        if let Some((certificate, key)) = tls {
            command.arg("--ssl");
            command.arg("--ssl-cert").arg(certificate);
            command.arg("--ssl-key").arg(key);
        }
        let spawned = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = match spawned {
            Ok(child) => child,
            Err(error) => {
                println!("skipped: no moto_server on the PATH ({error})");
                return None;
            }
        };
        let folder = tempfile::tempdir().unwrap();
        let text = "[default]\naws_access_key_id = id\naws_secret_access_key = geheim\n";
        std::fs::write(folder.path().join("credentials"), text).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut server = Self {
            child,
            address,
            folder,
        };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = server.child.try_wait().unwrap();
            assert!(ended.is_none(), "moto_server ended: {ended:?}");
            assert!(
                begun.elapsed() < Duration::from_secs(90),
                "moto_server does not listen"
            );
            thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }

    pub(crate) fn make_bucket(&self) {
        let answer = self.ask("PUT", &format!("/{BUCKET}"), "");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// Asks the server for something.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: {SIGNED}\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// An object's content; `None` if it is not there.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        let answer = self.ask("GET", &format!("/{BUCKET}/{key}"), "");
        let is_there = answer.starts_with("HTTP/1.1 200");
        is_there.then(|| answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    /// Puts an object as somebody else would.
    pub(crate) fn put(&self, key: &str, text: &str) {
        let answer = self.ask("PUT", &format!("/{BUCKET}/{key}"), text);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    pub(crate) fn config(&self) -> S3Config {
        self.config_at(&format!("http://{}", self.address))
    }

    pub(crate) fn config_at(&self, endpoint: &str) -> S3Config {
        S3Config {
            endpoint: Some(endpoint.to_owned()),
            allow_http: true,
            credentials_file: Some(self.folder.path().join("credentials")),
            request_timeout: Duration::from_secs(30),
            prefix: "gw".to_owned(),
            ..S3Config::new(BUCKET)
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Passes connections on and remembers what went to the server.
#[derive(Clone)]
pub(crate) struct Tap {
    pub(crate) address: SocketAddr,
    sent: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Tap {
    pub(crate) fn before(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tap = Self {
            address: listener.local_addr().unwrap(),
            sent: Arc::default(),
        };
        let (sent, target) = (Arc::clone(&tap.sent), server.address);
        // Both end with the process; a connection ends with its client.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(target) else {
                    continue;
                };
                let index = {
                    let mut sent = sent.lock().unwrap();
                    sent.push(Vec::new());
                    sent.len() - 1
                };
                let pair = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let sent = Arc::clone(&sent);
                thread::spawn(move || {
                    pass(client, server, &mut |bytes| {
                        sent.lock().unwrap()[index].extend_from_slice(bytes);
                    });
                });
                thread::spawn(move || pass(pair.1, pair.0, &mut |_| {}));
            }
        });
        tap
    }

    /// The first words of the requests of a method since this was asked last.
    pub(crate) fn requests(&self, method: &str) -> usize {
        let sent = self.sent.lock().unwrap();
        let begin = format!("{method} /{BUCKET}");
        let count = |stream: &Vec<u8>| {
            let text = String::from_utf8_lossy(stream);
            text.matches(&begin).count()
        };
        sent.iter().map(count).sum()
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, note: &mut dyn FnMut(&[u8])) {
    let mut chunk = [0; 8_192];
    while let Ok(read @ 1..) = from.read(&mut chunk) {
        note(&chunk[..read]);
        if to.write_all(&chunk[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
    let _ = from.shutdown(std::net::Shutdown::Both);
}
