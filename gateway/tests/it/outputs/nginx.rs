//! NGINX itself on what is written for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kubedex_gateway::model::Snapshot;
use kubedex_gateway::output::nginx::{Nginx, NginxConfig};

use super::consumer::{self, Backend, Running};
use super::fixture::{self, cluster, snapshot, sticky};

/// Where Debian has the stream module, if it is not built in.
const STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// What begins a configuration that uses the stream module; `None` if there is no such module.
fn stream_module(program: &Path) -> Option<String> {
    if Path::new(STREAM_MODULE).is_file() {
        return Some(format!("load_module {STREAM_MODULE};\n"));
    }
    let built = consumer::succeeds(Command::new(program).arg("-V"));
    let is_built_in = built.split_whitespace().any(|word| word == "--with-stream");
    if !is_built_in {
        println!("skipped: stream.conf, since this nginx has no stream module");
    }
    is_built_in.then(String::new)
}

fn write_config(program: &Path, folder: &Path, servers: &str) {
    let at = folder.display();
    let module = stream_module(program);
    let stream = match module {
        Some(_) => format!("stream {{\ninclude {at}/stream.conf;\n}}\n"),
        None => String::new(),
    };
    let module = module.unwrap_or_default();
    let config = format!(
        "{module}daemon off;\nmaster_process on;\nworker_processes 1;\npid {at}/nginx.pid;\nerror_log {at}/error.log;\n\
         events {{}}\n\
         http {{\naccess_log off;\nclient_body_temp_path {at}/a;\nproxy_temp_path {at}/b;\nfastcgi_temp_path {at}/c;\n\
         uwsgi_temp_path {at}/d;\nscgi_temp_path {at}/e;\ninclude {at}/http.conf;\n{servers}\n}}\n{stream}"
    );
    fs::write(folder.join("nginx.conf"), config).unwrap();
}

fn nginx(program: &PathBuf, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .arg("-p")
        .arg(folder)
        .arg("-c")
        .arg(folder.join("nginx.conf"));
    command.arg("-e").arg(folder.join("error.log"));
    command
}

#[test]
fn nginx_takes_the_upstreams() {
    let Some(program) = consumer::find("nginx") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    write_config(&program, folder.path(), "");
    let with_options = NginxConfig {
        keepalive: Some(16),
        name_prefix: "eu-1/".into(),
        ..NginxConfig::default()
    };
    for config in [NginxConfig::default(), with_options] {
        let mut output = Nginx::new(config).unwrap();
        for snapshot in [fixture::full(), Snapshot::default()] {
            consumer::write(&mut output, &snapshot, folder.path());
            consumer::succeeds(nginx(&program, folder.path()).arg("-t"));
        }
    }
}

#[test]
fn nginx_takes_the_documented_configuration() {
    let Some(program) = consumer::find("nginx") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display().to_string();
    let mut config = consumer::snippet("nginx").replace("/etc/nginx/kubedex", &at);
    // Checking a configuration binds its ports.
    for port in ["8000", "6379", "5353"] {
        config = config.replace(
            &format!("127.0.0.1:{port}"),
            &format!("127.0.0.1:{}", consumer::free_port()),
        );
    }
    let Some(module) = stream_module(&program) else {
        return;
    };
    let config = format!("{module}pid {at}/nginx.pid;\nerror_log {at}/error.log;\n{config}");
    fs::write(folder.path().join("nginx.conf"), config).unwrap();
    consumer::write(&mut Nginx::default(), &fixture::full(), folder.path());
    consumer::succeeds(nginx(&program, folder.path()).arg("-t"));
}

#[test]
fn nginx_routes_to_the_endpoints_and_follows_a_reload() {
    let Some(program) = consumer::find("nginx") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let port = consumer::free_port();
    let location =
        |name: &str| format!("location /{name} {{ proxy_pass http://k8s.shop.{name}_http; }}");
    let locations = ["api", "cart", "empty", "gone"].map(location).join("\n");
    write_config(
        &program,
        path,
        &format!("server {{ listen 127.0.0.1:{port};\n{locations}\n}}"),
    );
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let served_by = |backend: &Backend| {
        let address = backend.address();
        snapshot([
            cluster("k8s/shop/api:http", "http", &[&address]),
            sticky(cluster("k8s/shop/cart:http", "http", &[&address]), 60),
            cluster("k8s/shop/empty:http", "http", &[]),
            sticky(cluster("k8s/shop/gone:http", "http", &[]), 60),
        ])
    };
    let answers = |path: &str, name: &str| {
        let expected = (200, name.to_owned());
        consumer::until(
            path,
            || consumer::get(port, path),
            |found| *found == expected,
        );
    };
    let mut output = Nginx::default();
    consumer::write(&mut output, &served_by(&one), path);
    let running = Running::start(&mut nginx(&program, path));
    answers("/api", "one");
    answers("/cart", "one");
    assert_eq!(consumer::get(port, "/empty").0, 502);
    assert_eq!(consumer::get(port, "/gone").0, 502);

    // For a moment the old worker serves beside the new one.
    consumer::write(&mut output, &served_by(&two), path);
    consumer::succeeds(nginx(&program, path).args(["-s", "reload"]));
    answers("/api", "two");
    answers("/cart", "two");
    assert_eq!(consumer::get(port, "/empty").0, 502);
    drop(running);
}
