//! Programs that read what the outputs write, if they are on the PATH.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kubedex_gateway::model::Snapshot;
use kubedex_gateway::output::Output;

/// How long a program may take to do what it is told.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a program is; what is in no user's PATH is looked for as well. Without it the test is skipped, and says so.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    let found = folders
        .into_iter()
        .map(|folder| folder.join(program))
        .find(|path| path.is_file());
    if found.is_none() {
        println!("skipped: no {program} on the PATH");
    }
    found
}

/// Writes what an output makes of a snapshot.
pub(super) fn write(output: &mut dyn Output, snapshot: &Snapshot, folder: &Path) {
    for file in output.render(snapshot, None).files {
        // As a sink does: nobody sees half a file.
        let aside = folder.join(".aside");
        std::fs::write(&aside, &file.bytes).unwrap();
        std::fs::rename(&aside, folder.join(&*file.path)).unwrap();
    }
}

/// A block of the documentation, by what stands behind its backticks.
pub(super) fn snippet(name: &str) -> String {
    let text = include_str!("../../../docs/outputs.md");
    let begin = format!("```{name}\n");
    let (_, rest) = text.split_once(&begin).unwrap();
    rest.split_once("```\n").unwrap().0.to_owned()
}

/// Runs a program to its end and returns what it said, which must be that all is well.
pub(super) fn succeeds(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

/// A program that runs until it is dropped.
pub(super) struct Running(Child);

impl Running {
    pub(super) fn start(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null());
        Self(child.spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have children, which end when it is asked to; a killed one would leave them.
        let id = self.0.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            if let Ok(Some(_)) = self.0.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks until the answer is the one awaited.
pub(super) fn until<T: std::fmt::Debug>(
    what: &str,
    mut ask: impl FnMut() -> T,
    is_awaited: impl Fn(&T) -> bool,
) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = ask();
        if is_awaited(&answer) {
            return answer;
        }
        assert!(Instant::now() < end, "{what}: still {answer:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A port that was free a moment ago.
pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The status and the body of an answer to `GET path`; 0 when there is none.
pub(super) fn get(port: u16, path: &str) -> (u16, String) {
    exchange(port, path).unwrap_or_default()
}

fn exchange(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// A server on loopback that answers every request with its name.
pub(super) struct Backend {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl Backend {
    pub(super) fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let serving = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopping.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(stream) = stream {
                    answer(stream, name);
                }
            }
        });
        Self {
            address,
            stop,
            serving: Some(serving),
        }
    }

    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}

fn answer(mut stream: TcpStream, name: &str) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(count) if count > 0 => request.extend_from_slice(&piece[..count]),
            // A health check, or one that went away.
            _ => return,
        }
    }
    let length = name.len();
    let answer =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{name}");
    let _ = stream.write_all(answer.as_bytes());
}
