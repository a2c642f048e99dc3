//! What each output writes, byte for byte.
//!
//! `KUBEDEX_WRITE_GOLDEN=1` writes the files of `tests/data/outputs` anew; otherwise they are compared.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use kubedex_gateway::model::Snapshot;
use kubedex_gateway::output::backends::{Backends, BackendsConfig, Encoding};
use kubedex_gateway::output::haproxy::{Haproxy, HaproxyConfig, Slots, TlsConfig};
use kubedex_gateway::output::json::Json;
use kubedex_gateway::output::nginx::{Nginx, NginxConfig};
use kubedex_gateway::output::prometheus::Prometheus;
use kubedex_gateway::output::traefik::{ClientIpAffinity, Traefik, TraefikConfig};
use kubedex_gateway::output::wire::DefaultProtocol;
use kubedex_gateway::output::{Output, Rendering};

use super::fixture;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/outputs")
}

/// The files of a rendering, with its problems in one of their own.
fn files(rendering: &Rendering) -> BTreeMap<String, Vec<u8>> {
    assert!(rendering.is_whole && rendering.removed.is_empty());
    let mut files: BTreeMap<_, _> = rendering
        .files
        .iter()
        .map(|file| (file.path.to_string(), file.bytes.to_vec()))
        .collect();
    if !rendering.problems.is_empty() {
        let mut text = String::new();
        for problem in rendering.problems.iter() {
            let _ = writeln!(text, "{:?}: {}", problem.to_string(), problem.explanation());
        }
        files.insert("problems.txt".into(), text.into_bytes());
    }
    files
}

fn compare(case: &str, output: &mut dyn Output, snapshot: &Snapshot) {
    let folder = folder().join(case);
    let rendered = files(&output.render(snapshot, None));
    assert_eq!(
        files(&output.render(snapshot, Some(snapshot))),
        rendered,
        "{case}: again the same"
    );
    if std::env::var_os("KUBEDEX_WRITE_GOLDEN").is_some() {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in &rendered {
            fs::write(folder.join(name), bytes).unwrap();
        }
        return;
    }
    let mut stands = BTreeMap::new();
    for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{case}: {error}")) {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        stands.insert(name, fs::read(path).unwrap());
    }
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&rendered), names(&stands), "{case}: the files");
    for (name, bytes) in &rendered {
        assert_eq!(
            String::from_utf8_lossy(bytes),
            String::from_utf8_lossy(&stands[name]),
            "{case}/{name}"
        );
        assert_eq!(bytes, &stands[name], "{case}/{name}");
    }
}

fn compare_both(name: &str, make: &dyn Fn() -> Box<dyn Output>) {
    compare(&format!("{name}/full"), &mut *make(), &fixture::full());
    compare(&format!("{name}/empty"), &mut *make(), &Snapshot::default());
}

#[test]
fn json_is_written_as_recorded() {
    compare_both("json", &|| Box::new(Json));
}

#[test]
fn backends_are_written_as_recorded() {
    compare_both("backends", &|| Box::new(Backends::default()));
    compare_both("backends-yaml", &|| {
        Box::new(Backends::new(BackendsConfig {
            name_prefix: "eu-1/".into(),
            encoding: Encoding::Yaml,
        }))
    });
}

#[test]
fn traefik_services_are_written_as_recorded() {
    compare_both("traefik", &|| Box::new(Traefik::default()));
    compare_both("traefik-options", &|| {
        Box::new(Traefik::new(TraefikConfig {
            default_protocol: DefaultProtocol::Tcp,
            name_prefix: "eu-1/".into(),
            client_ip_affinity: ClientIpAffinity::Hrw,
            servers_transport: Some("internal@file".into()),
        }))
    });
}

#[test]
fn prometheus_targets_are_written_as_recorded() {
    compare_both("prometheus", &|| Box::new(Prometheus));
}

#[test]
fn nginx_upstreams_are_written_as_recorded() {
    compare_both("nginx", &|| Box::new(Nginx::default()));
    compare_both("nginx-options", &|| {
        let config = NginxConfig {
            default_protocol: DefaultProtocol::Tcp,
            name_prefix: "eu-1/".into(),
            keepalive: Some(16),
        };
        Box::new(Nginx::new(config).unwrap())
    });
}

#[test]
fn haproxy_backends_are_written_as_recorded() {
    compare_both("haproxy", &|| {
        Box::new(Haproxy::new(HaproxyConfig::default(), Slots::default()).unwrap())
    });
    compare_both("haproxy-options", &|| {
        let config = HaproxyConfig {
            default_protocol: DefaultProtocol::Tcp,
            name_prefix: "eu-1/".into(),
            min_slots: 2,
            default_server: Some("check inter 2s".into()),
            tls: Some(TlsConfig {
                insecure_skip_verify: true,
                ..TlsConfig::default()
            }),
            stick_table_size: 1000,
            peers: Some("gateway".into()),
            ..HaproxyConfig::default()
        };
        Box::new(Haproxy::new(config, Slots::default()).unwrap())
    });
}
