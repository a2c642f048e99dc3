//! Pulling, as users run it, from a real server.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kubedex_gateway::sink::s3::{S3, S3Config};

use super::server::{Server, Tap};
use super::write;
use crate::binary::{self, Run};
use crate::sinks::{part, whole};

/// The program, with where the server is.
fn command(server: &Server, endpoint: &str, arguments: &[&str]) -> Command {
    let credentials = server.config().credentials_file.unwrap();
    let mut command = binary::command(["pull", "s3://gateway/gw"]);
    command.args(arguments);
    command.args(["--endpoint", endpoint, "--allow-http"]);
    command.arg("--credentials-file").arg(credentials);
    command
}

fn once(server: &Server, tap: &Tap, folder: &Path) -> Run {
    let endpoint = format!("http://{}", tap.address);
    let folder = folder.to_str().unwrap();
    binary::finish(
        command(server, &endpoint, &[folder, "--once"])
            .spawn()
            .unwrap(),
    )
}

#[tokio::test]
async fn files_come_down_by_tag_and_only_what_was_brought_goes() {
    let Some(server) = Server::start() else {
        return;
    };
    let tap = Tap::before(&server);
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("dynamic");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("theirs.yaml"), "theirs").unwrap();
    let mut sink = S3::open(&server.config()).unwrap();
    let files = [
        ("traefik.yaml", "1"),
        ("eds/k8s%2Fshop%2Fapi:http.json", "2"),
        ("gone.yaml", "3"),
    ];
    write(&mut sink, whole(&files)).await.unwrap();

    let run = once(&server, &tap, &dir);
    assert_eq!(run.code(), Some(0), "{}", run.stderr);
    assert!(
        run.stderr.contains("3 files brought (3 bytes), 0 removed"),
        "{}",
        run.stderr
    );
    let text = |name: &str| fs::read_to_string(dir.join(name)).ok();
    assert_eq!(text("traefik.yaml").as_deref(), Some("1"));
    assert_eq!(text("eds/k8s%2Fshop%2Fapi:http.json").as_deref(), Some("2"));

    // Nothing changed: nothing is fetched or touched.
    let (gets, inode) = (
        tap.requests("GET"),
        fs::metadata(dir.join("traefik.yaml")).unwrap().ino(),
    );
    let run = once(&server, &tap, &dir);
    assert_eq!((run.code(), &*run.stderr), (Some(0), ""));
    assert_eq!(tap.requests("GET"), gets + 1, "the listing alone");
    assert_eq!(fs::metadata(dir.join("traefik.yaml")).unwrap().ino(), inode);

    // What was lost or spoilt here comes again.
    fs::write(dir.join("traefik.yaml"), "spoilt").unwrap();
    write(&mut sink, part(&[("new.yaml", "4")], &["gone.yaml"]))
        .await
        .unwrap();
    let run = once(&server, &tap, &dir);
    assert!(
        run.stderr.contains("2 files brought (2 bytes), 1 removed"),
        "{}",
        run.stderr
    );
    assert_eq!(text("traefik.yaml").as_deref(), Some("1"));
    assert_eq!(
        (text("new.yaml").as_deref(), text("gone.yaml")),
        (Some("4"), None)
    );
    assert_eq!(text("theirs.yaml").as_deref(), Some("theirs"));

    // What would leave the directory, or replace somebody else's file, stops everything.
    let stands = text("traefik.yaml");
    server.put("gw/..%2Fescaped", "x");
    write(&mut sink, part(&[("traefik.yaml", "5")], &[]))
        .await
        .unwrap();
    let run = once(&server, &tap, &dir);
    assert_eq!(run.code(), Some(1), "{}", run.stderr);
    assert_eq!(text("traefik.yaml"), stands);
    assert!(!folder.path().join("escaped").exists());
    server.ask("DELETE", "/gateway/gw/..%2Fescaped", "");
    write(&mut sink, part(&[("theirs.yaml", "6")], &[]))
        .await
        .unwrap();
    let run = once(&server, &tap, &dir);
    assert_eq!(run.code(), Some(1));
    assert!(run.stderr.contains("theirs.yaml"), "{}", run.stderr);
    assert!(run.stderr.contains("or set --adopt to"), "{}", run.stderr);
    assert_eq!(
        (text("traefik.yaml"), text("theirs.yaml").as_deref()),
        (stands, Some("theirs"))
    );

    // A prefix with nothing in it is a mistake.
    let empty = S3Config {
        prefix: "elsewhere".to_owned(),
        ..server.config()
    };
    let mut config = binary::command(["pull", "s3://gateway/elsewhere", "--once", "--allow-http"]);
    config
        .arg(&dir)
        .args(["--endpoint", &empty.endpoint.unwrap()]);
    config
        .arg("--credentials-file")
        .arg(empty.credentials_file.unwrap());
    let run = binary::finish(config.spawn().unwrap());
    assert_eq!(run.code(), Some(1));
    assert!(
        run.stderr.contains("there is nothing, not even a manifest"),
        "{}",
        run.stderr
    );
    assert_eq!(text("new.yaml").as_deref(), Some("4"));
}

#[tokio::test]
async fn the_loop_follows_runs_the_command_and_survives_an_outage() {
    let Some(server) = Server::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (dir, runs) = (folder.path().join("out"), folder.path().join("runs"));
    let script = format!("echo run >> {}", runs.display());
    let endpoint = format!("http://{}", server.address);
    let arguments = [dir.to_str().unwrap(), "--every", "50ms", "--for", "5m"];
    let mut command = command(&server, &endpoint, &arguments);
    command.args(["--", "sh", "-c", &script]);
    command.env("PATH", std::env::var_os("PATH").unwrap());
    let mut sink = S3::open(&server.config()).unwrap();
    write(&mut sink, whole(&[("a", "1")])).await.unwrap();
    let child = Ending(Some(command.spawn().unwrap()));
    let reaches = |name: &'static str, wanted: &'static str| {
        let path = dir.join(name);
        async move {
            let reached = async {
                while fs::read_to_string(&path).ok().as_deref() != Some(wanted) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            let reached = tokio::time::timeout(Duration::from_secs(60), reached).await;
            assert!(reached.is_ok(), "{name} is not {wanted:?}");
        }
    };
    reaches("a", "1").await;
    write(&mut sink, part(&[("a", "2")], &[])).await.unwrap();
    reaches("a", "2").await;

    // The server is gone, and comes back with other content.
    let port = server.address.port();
    let credentials = server.config().credentials_file.unwrap();
    drop(server);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(fs::read_to_string(dir.join("a")).unwrap(), "2");
    let server = Server::start_at(port, None).unwrap();
    server.make_bucket();
    server.put("gw/a", "3");
    fs::create_dir_all(credentials.parent().unwrap()).unwrap();
    fs::write(
        &credentials,
        "aws_access_key_id=x\naws_secret_access_key=y\n",
    )
    .unwrap();
    reaches("a", "3").await;
    // What is said of one change is said before the next one is brought.
    server.put("gw/a", "4");
    reaches("a", "4").await;
    let run = child.end();
    assert!(run.stderr.contains("tried again"), "{}", run.stderr);
    assert!(run.stderr.contains("it works again"), "{}", run.stderr);
    let runs = fs::read_to_string(runs).unwrap().lines().count();
    assert!((3..=4).contains(&runs), "{runs} runs for four changes");
    fs::remove_dir_all(credentials.parent().unwrap()).unwrap();
}

/// A program that is ended with the test.
struct Ending(Option<std::process::Child>);

impl Ending {
    fn end(mut self) -> Run {
        let mut child = self.0.take().unwrap();
        child.kill().unwrap();
        binary::finish(child)
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn a_last_attempt_that_failed_is_told_by_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let port = super::server::free_port();
    let endpoint = format!("http://127.0.0.1:{port}");
    let mut command = binary::command(["pull", "s3://gateway/gw"]);
    command
        .arg(folder.path())
        .args(["--for", "1s", "--endpoint"]);
    command.args([&*endpoint, "--allow-http"]);
    command
        .env("AWS_ACCESS_KEY_ID", "x")
        .env("AWS_SECRET_ACCESS_KEY", "y");
    let run = binary::finish(command.spawn().unwrap());
    assert_eq!(run.code(), Some(1), "{}", run.stderr);
    assert!(
        run.stderr.contains("the last attempt failed"),
        "{}",
        run.stderr
    );
}

#[test]
fn what_is_asked_wrongly_is_a_usage_error() {
    for arguments in [
        &["pull", "gateway/x", "dir"][..],
        &["pull", "s3://gateway"],
        &["pull", "s3://gateway/a//b", "dir"],
        &["pull", "s3://gateway", "dir", "--once", "--every", "5s"],
        &[
            "pull",
            "s3://gateway",
            "dir",
            "--endpoint",
            "http://127.0.0.1:1",
        ],
        &[
            "pull",
            "s3://gateway",
            "dir",
            "--endpoint",
            "https://127.0.0.1:1",
        ],
        &["pull", "s3://gateway", "dir", "--mode", "9"],
    ] {
        let run = binary::run(arguments);
        assert_eq!(run.code(), Some(2), "{arguments:?}: {}", run.stderr);
        let is_key = run.stderr.contains("allow_http") || run.stderr.contains("this publication");
        assert!(!is_key, "a key, not an option: {}", run.stderr);
    }
}
