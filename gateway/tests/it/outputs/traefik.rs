//! Traefik itself on what is written for it.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use kubedex_gateway::model::Snapshot;
use kubedex_gateway::output::Output;
use kubedex_gateway::output::traefik::{ClientIpAffinity, Traefik, TraefikConfig};
use serde::Deserialize;
use serde_json::Value;

use super::consumer::{self, Backend, Running};
use super::fixture::{self, cluster, snapshot};

/// To a service without servers.
const EMPTY: &str = r#"
http:
  routers:
    empty: {rule: "PathPrefix(`/empty`)", entryPoints: [web], service: "k8s/shop/empty:http"}
"#;

struct Ports {
    web: u16,
    admin: u16,
}

fn start(program: &Path, folder: &Path) -> (Running, Ports) {
    let ports = Ports {
        web: consumer::free_port(),
        admin: consumer::free_port(),
    };
    let routers = consumer::snippet("yaml traefik-routers");
    fs::write(folder.join("routers.yaml"), routers).unwrap();
    fs::write(folder.join("empty.yaml"), EMPTY).unwrap();
    let mut command = Command::new(program);
    command
        .arg("--global.checknewversion=false")
        .arg("--global.sendanonymoususage=false")
        .arg("--api.insecure=true")
        .arg("--providers.providersthrottleduration=100ms")
        .arg(format!(
            "--log.filepath={}",
            folder.with_extension("log").display()
        ))
        .arg(format!("--providers.file.directory={}", folder.display()))
        .arg(format!("--entrypoints.web.address=127.0.0.1:{}", ports.web))
        .arg(format!(
            "--entrypoints.traefik.address=127.0.0.1:{}",
            ports.admin
        ))
        .stderr(std::process::Stdio::null());
    (Running::start(&mut command), ports)
}

/// The services that Traefik has from files, by name.
fn services(ports: &Ports, kind: &str) -> Vec<Value> {
    let (_, body) = consumer::get(ports.admin, &format!("/api/{kind}/services?per_page=1000"));
    let body = dechunked(&body);
    let services: Vec<Value> = serde_json::from_str(&body).unwrap_or_default();
    let of_files = services
        .into_iter()
        .filter(|service| service["provider"] == "file");
    of_files.collect()
}

/// Traefik sends long answers in chunks.
fn dechunked(body: &str) -> String {
    let mut rest = body;
    let mut whole = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(size, 16) else {
            return body.to_owned();
        };
        let Some(chunk) = after.get(..size) else {
            return body.to_owned();
        };
        whole.push_str(chunk);
        rest = after.get(size + 2..).unwrap_or_default();
    }
    if whole.is_empty() {
        body.to_owned()
    } else {
        whole
    }
}

fn servers<'a>(services: &'a [Value], name: &str, key: &str) -> Vec<&'a str> {
    let found = services
        .iter()
        .find(|service| service["name"] == format!("{name}@file"));
    let service = found.unwrap_or_else(|| panic!("no service {name}"));
    let servers = service["loadBalancer"]["servers"].as_array();
    let addresses = servers
        .into_iter()
        .flatten()
        .map(|server| server[key].as_str().unwrap());
    addresses.collect()
}

/// The part of Traefik's dynamic configuration that is written: the maps and lists may not be empty, but for `servers`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    http: Option<Section<Http>>,
    tcp: Option<Section<Stream>>,
    udp: Option<Section<Stream>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section<T> {
    services: BTreeMap<String, T>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Http {
    load_balancer: HttpLoadBalancer,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct HttpLoadBalancer {
    strategy: Option<String>,
    servers_transport: Option<String>,
    servers: Vec<Url>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Url {
    url: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Stream {
    load_balancer: StreamLoadBalancer,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamLoadBalancer {
    servers: Vec<Address>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Address {
    address: SocketAddr,
}

fn document(config: TraefikConfig, snapshot: &Snapshot) -> Document {
    let rendering = Traefik::new(config).render(snapshot, None);
    serde_saphyr::from_slice(&rendering.files[0].bytes).unwrap()
}

#[test]
fn the_document_is_made_as_the_reference_of_the_file_provider_says() {
    let config = TraefikConfig {
        client_ip_affinity: ClientIpAffinity::Hrw,
        servers_transport: Some("a\"b: c#\u{85}\u{90}\u{ffff}@file".into()),
        ..TraefikConfig::default()
    };
    let found = document(config, &fixture::full());
    let http = found.http.unwrap().services;
    assert_eq!(http.len(), 16);
    for (name, service) in &http {
        let Http { load_balancer } = service;
        for Url { url } in &load_balancer.servers {
            let (scheme, socket) = url.split_once("://").unwrap();
            assert!(["http", "https", "h2c"].contains(&scheme), "{url}");
            assert!(socket.parse::<SocketAddr>().is_ok(), "{url}");
        }
        let is_sticky = name == "k8s/shop/cart:http";
        assert_eq!(
            load_balancer.strategy.as_deref(),
            is_sticky.then_some("hrw")
        );
        let transport =
            (name == "k8s/shop/pay:https").then_some("a\"b: c#\u{85}\u{90}\u{ffff}@file");
        assert_eq!(load_balancer.servers_transport.as_deref(), transport);
    }
    assert!(http["k8s/shop/empty:http"].load_balancer.servers.is_empty());
    let tcp = found.tcp.unwrap().services;
    assert_eq!(tcp.len(), 5);
    assert!(tcp["k8s/shop/empty:redis"].load_balancer.servers.is_empty());
    let udp = found.udp.unwrap().services;
    let dns = &udp["k8s/infra/dns:dns"].load_balancer.servers;
    assert_eq!(dns[1].address.to_string(), "[2001:db8::53]:53");

    let found = document(TraefikConfig::default(), &Snapshot::default());
    assert!(found.http.is_none() && found.tcp.is_none() && found.udp.is_none());
}

#[test]
fn traefik_has_every_service_as_it_was_written() {
    let Some(program) = consumer::find("traefik") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut output = Traefik::new(TraefikConfig {
        client_ip_affinity: ClientIpAffinity::Hrw,
        ..TraefikConfig::default()
    });
    let path = folder.path();
    consumer::write(&mut output, &fixture::full(), path);
    let (running, ports) = start(&program, path);
    let http = consumer::until(
        "http",
        || services(&ports, "http"),
        |found| !found.is_empty(),
    );
    assert_eq!(http.len(), 16, "{http:?}");
    let api = [
        "http://10.0.1.1:8080",
        "http://10.0.1.2:8080",
        "http://[2001:db8::1:2]:8080",
    ];
    assert_eq!(servers(&http, "k8s/shop/api:http", "url"), api);
    let h2c = ["h2c://10.0.3.1:80", "h2c://[2001:db8::3]:80"];
    assert_eq!(servers(&http, "k8s/shop/h2c:web", "url"), h2c);
    assert_eq!(servers(&http, "k8s/shop/empty:http", "url"), [""; 0]);
    assert_eq!(servers(&http, "Legacy", "url"), ["http://192.0.2.1:80"]);
    assert_eq!(servers(&http, "legacy", "url"), ["http://192.0.2.2:80"]);
    let cart = http
        .iter()
        .find(|service| service["name"] == "k8s/shop/cart:http@file");
    assert_eq!(cart.unwrap()["loadBalancer"]["strategy"], "hrw");
    for service in &http {
        assert_eq!(service["status"], "enabled", "{service}");
    }
    let tcp = services(&ports, "tcp");
    assert_eq!(tcp.len(), 5, "{tcp:?}");
    assert_eq!(
        servers(&tcp, "k8s/shop/redis:redis", "address"),
        ["10.0.7.1:6379"]
    );
    assert_eq!(servers(&tcp, "k8s/shop/empty:redis", "address"), [""; 0]);
    let udp = services(&ports, "udp");
    let dns = ["10.0.8.1:53", "[2001:db8::53]:53"];
    assert_eq!(servers(&udp, "k8s/infra/dns:dns", "address"), dns);

    // A snapshot of nothing takes everything away; Traefik does not stick to the last file.
    consumer::write(&mut output, &Snapshot::default(), path);
    consumer::until("nothing", || services(&ports, "http"), Vec::is_empty);
    assert_eq!(services(&ports, "tcp"), [Value::Null; 0]);
    assert_eq!(services(&ports, "udp"), [Value::Null; 0]);
    drop(running);
}

#[test]
fn traefik_routes_to_the_endpoints_as_they_move() {
    let Some(program) = consumer::find("traefik") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let served_by = |backend: &Backend| {
        snapshot([
            cluster("k8s/shop/api:http", "", &[&backend.address()]),
            cluster("k8s/shop/empty:http", "", &[]),
        ])
    };
    let mut output = Traefik::default();
    consumer::write(&mut output, &served_by(&one), path);
    let (running, ports) = start(&program, path);
    let api = || consumer::get(ports.web, "/api");
    consumer::until("api", api, |answer| *answer == (200, "one".into()));
    assert_eq!(consumer::get(ports.web, "/empty").0, 503);
    consumer::write(&mut output, &served_by(&two), path);
    consumer::until("api", api, |answer| *answer == (200, "two".into()));
    drop(running);
}
