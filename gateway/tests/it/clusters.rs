//! `clusters` as a user runs it. Real processes run in real time: each run is bounded.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::binary::{command, finish, line, run};

/// A kubeconfig for a server, with the context `here`.
fn kubeconfig(server: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {}}],
    });
    fs::write(&path, config.to_string()).unwrap();
    (folder, path)
}

/// An address at which nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// A server that answers every request with the same status and body, as long as the test process lives.
fn server(status: &'static str, body: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let body = body.clone();
            thread::spawn(move || {
                let mut seen = Vec::new();
                let mut buffer = [0; 4096];
                while !seen.windows(4).any(|window| window == b"\r\n\r\n") {
                    match connection.read(&mut buffer) {
                        Ok(read) if read > 0 => seen.extend_from_slice(&buffer[..read]),
                        _ => return,
                    }
                }
                let _ = write!(
                    connection,
                    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                     Connection: close\r\n\r\n{body}",
                    body.len()
                );
            });
        }
    });
    address
}

fn with_config(path: &PathBuf, arguments: &[&str]) -> Command {
    let mut command = command(["clusters", "--kubeconfig"]);
    command.arg(path).args(arguments);
    command
}

#[test]
fn without_a_cluster_the_demo_is_shown_and_said_so() {
    let outcome = run(["clusters", "--once", "-o", "json"]);
    assert_eq!(outcome.code(), Some(0), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("no cluster is configured"));
    let state: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let names: Vec<_> = state["clusters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cluster| cluster["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "k8s/shop/api:http",
            "k8s/shop/cart:http",
            "k8s/shop/web:http"
        ]
    );
    assert_eq!(state["clusters"][1]["session_affinity"], "ClientIP");
    assert_eq!(
        state["problems"],
        json!(["external-name Service/shop/legacy"])
    );

    let table = run(["clusters", "--demo", "--once", "-o", "table"]);
    assert_eq!(table.code(), Some(0));
    assert!(!table.stderr.contains("no cluster is configured"));
    assert!(table.stdout.starts_with("CLUSTER "));
    assert!(table.stdout.lines().all(|line| line.chars().count() <= 80));
}

#[test]
fn the_demo_changes_within_seconds_and_ends_when_told_to() {
    let begin = Instant::now();
    let outcome = run(["clusters", "--demo", "--for", "5s"]);
    assert_eq!(outcome.code(), Some(0), "{}", outcome.stderr);
    assert!(begin.elapsed() >= Duration::from_secs(5));
    let lines: Vec<Value> = outcome
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["event"], "synced");
    assert_eq!(lines[0]["clusters"].as_array().unwrap().len(), 3);
    assert_eq!(lines[1]["event"], "changed");
    assert_eq!(lines[1]["clusters"][0]["name"], "k8s/shop/api:http");
    let endpoints = lines[1]["clusters"][0]["endpoints"].as_array().unwrap();
    assert_eq!(endpoints.len(), 4);
    assert_eq!(lines[1]["removed"], json!([]));
    assert!(lines[1]["time"].as_str().unwrap().ends_with('Z'));
}

#[cfg(unix)]
#[test]
fn a_signal_to_stop_is_a_clean_end() {
    for signal in ["-INT", "-TERM"] {
        let mut child = command(["clusters", "--demo"]).spawn().unwrap();
        assert!(line(child.stdout.as_mut().unwrap()).contains("synced"));
        let sent = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
        let outcome = finish(child);
        assert_eq!(outcome.code(), Some(0), "{signal}: {:?}", outcome.status);
    }
}

#[test]
fn a_reader_that_leaves_ends_it_quietly() {
    let mut child = command(["clusters", "--demo", "--for", "60s"])
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    line(&mut stdout);
    drop(stdout);
    let begin = Instant::now();
    let outcome = finish(child);
    assert!(begin.elapsed() < Duration::from_secs(30));
    assert_eq!(outcome.code(), Some(0));
    assert!(!outcome.stderr.contains("error"), "{}", outcome.stderr);
}

#[test]
fn a_cluster_that_is_not_there_is_an_error_and_never_the_demo() {
    let address = nobody();
    let (_folder, path) = kubeconfig(&address);
    for mut command in [with_config(&path, &["--once"]), {
        let mut command = command(["clusters", "--once"]);
        command.env("KUBECONFIG", &path);
        command
    }] {
        let outcome = finish(command.spawn().unwrap());
        assert_eq!(outcome.code(), Some(1), "{}", outcome.stderr);
        assert_eq!(outcome.stdout, "");
        assert!(
            outcome
                .stderr
                .starts_with("error: the cluster cannot be reached\n"),
            "{}",
            outcome.stderr
        );
        assert!(outcome.stderr.contains(&address), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("\nhint: "));
        assert!(outcome.stderr.lines().count() <= 5, "{}", outcome.stderr);
    }
}

#[test]
fn a_configuration_that_is_broken_is_an_error_and_never_the_demo() {
    let (folder, path) = kubeconfig("http://127.0.0.1:1");
    let unknown = finish(with_config(&path, &["--context", "there"]).spawn().unwrap());
    assert_eq!(unknown.code(), Some(2));
    assert!(
        unknown
            .stderr
            .starts_with("error: there is no such context\n"),
        "{}",
        unknown.stderr
    );
    assert!(unknown.stderr.contains("there") && unknown.stderr.contains("here"));

    let missing = folder.path().join("missing");
    let absent = finish(with_config(&missing, &[]).spawn().unwrap());
    assert_eq!(absent.code(), Some(2));
    assert!(absent.stderr.contains("missing"), "{}", absent.stderr);

    fs::write(&path, "clusters: 7").unwrap();
    let mut broken = command(["clusters"]);
    broken.env("KUBECONFIG", &path);
    let broken = finish(broken.spawn().unwrap());
    assert_eq!(broken.code(), Some(2), "{}", broken.stderr);
    assert!(!broken.stderr.contains("demo cluster instead"));

    let context = run(["clusters", "--context", "there"]);
    assert_eq!(context.code(), Some(2), "{}", context.stderr);
    for outcome in [unknown, absent, broken, context] {
        assert_eq!(outcome.stdout, "");
    }
}

#[test]
fn a_refusal_says_what_the_server_said() {
    let status = |code: u16, reason: &str, message: &str| {
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
               "reason": reason, "message": message, "code": code})
        .to_string()
    };
    let forbidden = server(
        "403 Forbidden",
        status(403, "Forbidden", "User \"jane\" cannot do that"),
    );
    let (_folder, path) = kubeconfig(&forbidden);
    let outcome = finish(
        with_config(&path, &["--once", "--timeout", "10s"])
            .spawn()
            .unwrap(),
    );
    assert_eq!(outcome.code(), Some(1));
    assert!(
        outcome
            .stderr
            .starts_with("error: the cluster forbids what is needed\n"),
        "{}",
        outcome.stderr
    );
    assert!(outcome.stderr.contains("User \"jane\" cannot do that"));

    let unauthorized = server(
        "401 Unauthorized",
        status(401, "Unauthorized", "Unauthorized"),
    );
    let (_folder, path) = kubeconfig(&unauthorized);
    let outcome = finish(
        with_config(&path, &["--once", "--timeout", "10s"])
            .spawn()
            .unwrap(),
    );
    assert_eq!(outcome.code(), Some(1));
    assert!(
        outcome
            .stderr
            .starts_with("error: the cluster does not accept the credentials\n"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    // It takes connections and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (_folder, path) = kubeconfig(&address);
    let outcome = finish(with_config(&path, &["--timeout", "1s"]).spawn().unwrap());
    assert_eq!(outcome.code(), Some(1));
    assert!(
        outcome
            .stderr
            .starts_with("error: the cluster does not answer\n"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn what_is_asked_wrongly_is_a_usage_error() {
    for (arguments, word) in [
        (&["-l", "app in ("][..], "--selector"),
        (&["-l", ""], "--selector"),
        (&["-n", ""], "--namespace"),
        (&["-n", "Shop"], "--namespace"),
        (&["-n", "a", "-A"], "--all-namespaces"),
        (&["--demo", "--context", "x"], "--context"),
        (&["--for", "10"], "--for"),
        (&["--for", "10s", "--once"], "--once"),
        (&["--timeout", "0s"], "--timeout"),
        (&["--ip-family", "IPv5"], "--ip-family"),
    ] {
        let arguments: Vec<_> = ["clusters"].iter().chain(arguments).copied().collect();
        let outcome = run(&arguments);
        assert_eq!(outcome.code(), Some(2), "{arguments:?}");
        assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
        assert_eq!(outcome.stdout, "");
    }
}
