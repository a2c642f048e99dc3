//! HAProxy itself on what is written for it.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use kubedex_gateway::model::Snapshot;
use kubedex_gateway::output::haproxy::{Haproxy, HaproxyConfig, Slots, TlsConfig};

use super::consumer::{self, Backend, Running};
use super::fixture::{self, cluster, snapshot, sticky};

fn haproxy(config: HaproxyConfig) -> Haproxy {
    Haproxy::new(config, Slots::default()).unwrap()
}

fn write_config(folder: &Path, frontend: &str) {
    let at = folder.display();
    let config = format!(
        "global\n    stats socket {at}/admin.sock mode 600 level admin\n\
         defaults\n    mode http\n    retries 1\n    timeout connect 2s\n    timeout client 5s\n    timeout server 5s\n\
         peers gateway\n    peer {} 127.0.0.1:{}\n{frontend}\n",
        "local",
        consumer::free_port()
    );
    fs::write(folder.join("haproxy.cfg"), config).unwrap();
}

fn command(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).args(["-L", "local"]);
    command.args(["-f", "haproxy.cfg", "-f", "kubedex.cfg"]);
    command
}

#[test]
fn haproxy_takes_the_backends() {
    let Some(program) = consumer::find("haproxy") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let listen = consumer::free_port();
    write_config(
        path,
        &format!("frontend web\n    bind 127.0.0.1:{listen}\n"),
    );
    let insecure = TlsConfig {
        insecure_skip_verify: true,
        ..TlsConfig::default()
    };
    let configs = [
        HaproxyConfig::default(),
        HaproxyConfig {
            name_prefix: "eu-1/".into(),
            default_server: Some("check inter 2s".into()),
            tls: Some(insecure),
            peers: Some("gateway".into()),
            ..HaproxyConfig::default()
        },
    ];
    for config in configs {
        for snapshot in [fixture::full(), Snapshot::default()] {
            consumer::write(&mut haproxy(config.clone()), &snapshot, path);
            let said = consumer::succeeds(command(&program, path).args(["-c", "-V"]));
            assert!(
                !said.contains("ALERT") && !said.contains("WARNING"),
                "{said}"
            );
        }
    }
}

#[test]
fn haproxy_takes_the_documented_configuration() {
    let Some(program) = consumer::find("haproxy") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("haproxy.cfg"), consumer::snippet("haproxy")).unwrap();
    let config = HaproxyConfig {
        default_server: Some("check inter 2s".into()),
        peers: Some("gateway".into()),
        ..HaproxyConfig::default()
    };
    consumer::write(&mut haproxy(config), &fixture::full(), path);
    let mut check = Command::new(program);
    check.current_dir(path).args(["-L", "edge-1", "-c", "-V"]);
    let said = consumer::succeeds(check.args(["-f", "haproxy.cfg", "-f", "kubedex.cfg"]));
    assert!(
        !said.contains("ALERT") && !said.contains("WARNING"),
        "{said}"
    );
}

#[test]
fn haproxy_routes_to_the_endpoints_as_they_move() {
    let Some(program) = consumer::find("haproxy") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let port = consumer::free_port();
    write_config(
        path,
        &format!(
            "frontend web\n    bind 127.0.0.1:{port}\n\
             \x20   use_backend k8s.shop.api:http if {{ path /api }}\n\
             \x20   use_backend k8s.shop.cart:http if {{ path /cart }}\n\
             \x20   default_backend k8s.shop.empty:http"
        ),
    );
    let backends = ["one", "two", "three"].map(Backend::start);
    let [one, two, three] = backends.each_ref().map(Backend::address);
    let served_by = |sockets: &[&str]| {
        snapshot([
            cluster("k8s/shop/api:http", "http", sockets),
            sticky(cluster("k8s/shop/cart:http", "http", sockets), 60),
            cluster("k8s/shop/empty:http", "http", &[]),
        ])
    };
    let mut output = haproxy(HaproxyConfig {
        peers: Some("gateway".into()),
        ..HaproxyConfig::default()
    });
    consumer::write(&mut output, &served_by(&[&one]), path);
    let mut start = command(&program, path);
    start.arg("-W").arg("-S").arg(path.join("master.sock"));
    let running = Running::start(&mut start);
    let answers = |path: &str, expected: &str| {
        consumer::until(
            path,
            || consumer::get(port, path),
            |answer| *answer == (200, expected.to_owned()),
        );
    };
    answers("/api", "one");
    answers("/cart", "one");
    assert_eq!(consumer::get(port, "/").0, 503);

    // A new endpoint takes the second slot.
    consumer::write(&mut output, &served_by(&[&one, &two]), path);
    reload(path);
    let both = || [1, 2].map(|_| consumer::get(port, "/api").1);
    consumer::until("both", both, |found| {
        found.contains(&"one".to_owned()) && found.contains(&"two".to_owned())
    });
    let (status, kept) = consumer::get(port, "/cart");
    assert_eq!(status, 200);
    for _ in 0..6 {
        assert_eq!(consumer::get(port, "/cart").1, kept, "the client sticks");
    }

    // The first one moves: its slot is told the new address while HAProxy runs, as the file has it.
    consumer::write(&mut output, &served_by(&[&two, &three]), path);
    let slots = output.slots().of("k8s/shop/api:http").to_owned();
    let [Some(first), Some(second), None, None] = slots[..] else {
        panic!("{slots:?}");
    };
    assert_eq!([first.to_string(), second.to_string()], [three, two]);
    for backend in ["k8s.shop.api:http", "k8s.shop.cart:http"] {
        let tell = format!(
            "set server {backend}/s1 addr {} port {}\n",
            first.ip(),
            first.port()
        );
        let said = admin(path, &tell);
        assert!(said.contains("changed from"), "{said}");
    }
    consumer::until("moved", both, |found| {
        found.contains(&"two".to_owned()) && found.contains(&"three".to_owned())
    });
    drop(running);
}

/// Asks the master process to reload. It answers once it listens, before which a signal would be lost.
fn reload(folder: &Path) {
    consumer::until(
        "the master",
        || ask(&folder.join("master.sock"), "reload\n").is_some(),
        |done| *done,
    );
}

fn admin(folder: &Path, command: &str) -> String {
    ask(&folder.join("admin.sock"), command).unwrap_or_default()
}

fn ask(socket: &Path, command: &str) -> Option<String> {
    let mut socket = UnixStream::connect(socket).ok()?;
    socket.write_all(command.as_bytes()).ok()?;
    let mut said = String::new();
    socket.read_to_string(&mut said).ok()?;
    Some(said)
}
