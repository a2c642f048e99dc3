//! A stand-in for kube-apiserver: a process with its flags, certificates and tokens, and the fake cluster behind it.
//!
//! It is this test binary, started by a script of that name. It checks its flags as strictly as kube-apiserver does, waits for
//! etcd, serves TLS with the certificate it is given, and passes requests on. Objects live in the process of the test, as they
//! live in etcd: it may be killed at any time. While etcd is away it answers nobody. Nothing else of a real server is in it.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::etcd;

/// Where the fake cluster listens.
const BACKEND: &str = "KUBEDEX_STAND_IN_BACKEND";

/// The flags, one a line.
const FLAGS: &str = "KUBEDEX_STAND_IN_FLAGS";

/// A script that takes flags and becomes the stand-in.
pub(super) fn script() -> String {
    let binary = std::env::current_exe().unwrap();
    format!(
        "#!/bin/sh\nKUBEDEX_STAND_IN_FLAGS=$(printf '%s\\n' \"$@\")\nexport KUBEDEX_STAND_IN_FLAGS\n\
         exec '{}' --exact real_cluster::stand_in::it_serves_when_it_is_told_to --nocapture\n",
        binary.display()
    )
}

/// What a stand-in has to be told beside its flags.
pub(super) fn environment(backend: SocketAddr) -> Vec<(&'static str, OsString)> {
    vec![(BACKEND, backend.to_string().into())]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_serves_when_it_is_told_to() {
    let (Ok(backend), Ok(flags)) = (std::env::var(BACKEND), std::env::var(FLAGS)) else {
        return;
    };
    let flags = match Flags::read(&flags) {
        Ok(flags) => flags,
        Err(error) => {
            eprintln!("Error: {error}");
            std::process::exit(1);
        }
    };
    serve(flags, backend.parse().unwrap()).await;
}

struct Flags {
    address: SocketAddr,
    etcd_port: u16,
    tls: TlsAcceptor,
}

impl Flags {
    fn read(text: &str) -> Result<Self, String> {
        let value = |name: &str| {
            let start = format!("--{name}=");
            let found = text.lines().find_map(|line| line.strip_prefix(&start));
            found.ok_or_else(|| format!("--{name} is required"))
        };
        for line in text.lines() {
            let name = line.split('=').next().unwrap_or_default();
            if !KNOWN.contains(&name) {
                return Err(format!("unknown flag: {name}"));
            }
        }
        let port = |text: &str| {
            let port = text
                .rsplit(':')
                .next()
                .and_then(|port| port.parse::<u16>().ok());
            port.ok_or_else(|| format!("{text} has no port"))
        };
        for file in [
            "service-account-key-file",
            "service-account-signing-key-file",
        ] {
            let text = read(value(file)?)?;
            if !text.contains("BEGIN PUBLIC KEY") && !text.contains("PRIVATE KEY") {
                return Err(format!("--{file} has no key"));
            }
        }
        let tokens = read(value("token-auth-file")?)?;
        if tokens.lines().any(|line| line.split(',').count() < 3) {
            return Err("token-auth-file: a record has at least 3 columns".to_owned());
        }
        if value("authorization-mode")? != "RBAC" {
            return Err("only RBAC is stood in for".to_owned());
        }
        for required in ["service-account-issuer", "service-cluster-ip-range"] {
            value(required)?;
        }
        let certificate = CertificateDer::from_pem_file(value("tls-cert-file")?);
        let key = PrivateKeyDer::from_pem_file(value("tls-private-key-file")?);
        let (certificate, key) = certificate
            .and_then(|certificate| Ok((certificate, key?)))
            .map_err(|error| error.to_string())?;
        let tls = rustls::ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(vec![certificate], key)
        })
        .map_err(|error| error.to_string())?;
        Ok(Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port(value("secure-port")?)?)),
            etcd_port: port(value("etcd-servers")?)?,
            tls: TlsAcceptor::from(Arc::new(tls)),
        })
    }
}

/// Of the flags of kube-apiserver those that are used here.
const KNOWN: &[&str] = &[
    "--advertise-address",
    "--authorization-mode",
    "--bind-address",
    "--disable-admission-plugins",
    "--etcd-servers",
    "--secure-port",
    "--service-account-issuer",
    "--service-account-key-file",
    "--service-account-signing-key-file",
    "--service-cluster-ip-range",
    "--tls-cert-file",
    "--tls-private-key-file",
    "--token-auth-file",
];

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(Path::new(path)).map_err(|error| format!("{path}: {error}"))
}

/// Serves until it is killed.
async fn serve(flags: Flags, backend: SocketAddr) {
    while !etcd::is_healthy(flags.etcd_port).await {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (well, is_well) = watch::channel(true);
    let etcd_port = flags.etcd_port;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let is_healthy = etcd::is_healthy(etcd_port).await;
            well.send_if_modified(|well| std::mem::replace(well, is_healthy) != is_healthy);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let listener = TcpListener::bind(flags.address).await.unwrap();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let (tls, mut is_well) = (flags.tls.clone(), is_well.clone());
        tasks.spawn(async move {
            if !*is_well.borrow_and_update() {
                return;
            }
            tokio::select! {
                () = pass(stream, &tls, backend) => {}
                _ = is_well.changed() => {}
            }
        });
    }
}

async fn pass(stream: TcpStream, tls: &TlsAcceptor, backend: SocketAddr) {
    let Ok(mut stream) = tls.accept(stream).await else {
        return;
    };
    if let Ok(mut backend) = TcpStream::connect(backend).await {
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut backend).await;
    }
}

#[test]
fn a_flag_that_a_server_does_not_know_is_refused() {
    let error = Flags::read("--secure-port=1\n--insecure-port=8080").err();
    assert_eq!(error.unwrap(), "unknown flag: --insecure-port");
}
