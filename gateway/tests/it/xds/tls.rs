//! TLS: who may connect, and certificates that change.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use kubedex_gateway::model::Snapshot;
use kubedex_gateway::publish::{Publisher, channel};
use kubedex_gateway::xds::{Server, TlsConfig, XdsConfig, XdsError, serve};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

use super::client::{CLUSTERS, Deltas, connect, names, until, with};

/// An authority.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    fn sign(&self) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// Writes a new certificate of a server.
    fn write(&self, folder: &Path) {
        let (certificate, key) = self.sign();
        fs::write(folder.join("tls.crt"), certificate.pem()).unwrap();
        fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
    }

    /// A client that trusts servers of this authority, and shows a certificate, if any, of the other.
    fn client(&self, shows: Option<&Self>) -> Option<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut client = match shows {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let (certificate, key) = authority.sign();
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                builder
                    .with_client_auth_cert(vec![certificate.der().clone()], key)
                    .unwrap()
            }
        };
        client.alpn_protocols = vec![b"h2".to_vec()];
        Some(Arc::new(client))
    }
}

fn config(folder: &Path) -> XdsConfig {
    XdsConfig {
        tls: Some(TlsConfig {
            cert_file: folder.join("tls.crt"),
            key_file: folder.join("tls.key"),
            client_ca_file: Some(folder.join("ca.crt")),
        }),
        ..XdsConfig::new(([127, 0, 0, 1], 0).into())
    }
}

async fn started(authority: &Authority, folder: &Path) -> (Publisher, Server) {
    authority.write(folder);
    fs::write(folder.join("ca.crt"), authority.certificate.pem()).unwrap();
    let (publisher, snapshots) = channel();
    publisher.publish(with(&Snapshot::default(), &[("a", 1)]));
    (publisher, serve(config(folder), snapshots).await.unwrap())
}

/// Whether a client is served.
async fn is_served(server: &Server, tls: Option<Arc<ClientConfig>>) -> bool {
    let Ok(channel) = connect(server.local_addr(), tls).await else {
        return false;
    };
    let mut client = envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient::new(channel);
    let requests = futures::stream::iter([Deltas::request(CLUSTERS, &[])]);
    match client.delta_aggregated_resources(requests).await {
        Ok(answers) => matches!(answers.into_inner().message().await, Ok(Some(_))),
        Err(_) => false,
    }
}

#[tokio::test]
async fn only_clients_with_a_certificate_of_the_authority_are_served() {
    let folder = TempDir::new().unwrap();
    let (ours, theirs) = (Authority::new(), Authority::new());
    let (_publisher, server) = started(&ours, folder.path()).await;
    assert!(is_served(&server, ours.client(Some(&ours))).await);
    assert!(!is_served(&server, ours.client(None)).await);
    assert!(!is_served(&server, ours.client(Some(&theirs))).await);
    assert!(!is_served(&server, theirs.client(Some(&ours))).await);
    assert!(!is_served(&server, None).await, "in clear text");
    server.shutdown().await;
}

#[tokio::test]
async fn new_certificates_serve_new_connections_and_broken_ones_nobody() {
    let folder = TempDir::new().unwrap();
    let (old, new) = (Authority::new(), Authority::new());
    let (publisher, server) = started(&old, folder.path()).await;
    let channel = connect(server.local_addr(), old.client(Some(&old)))
        .await
        .unwrap();
    let mut stream = Deltas::open(channel, Deltas::request(CLUSTERS, &[])).await;
    assert_eq!(names(&stream.next().await), ["a"]);

    // Half of it is new: what was there before stays in use.
    let key = fs::read(folder.path().join("tls.key")).unwrap();
    new.write(folder.path());
    let fresh = fs::read(folder.path().join("tls.key")).unwrap();
    fs::write(folder.path().join("tls.key"), key).unwrap();
    assert!(is_served(&server, old.client(Some(&old))).await);
    let error = server.status().tls_error.unwrap();
    assert!(error.contains("cannot be used together"), "{error}");
    fs::remove_file(folder.path().join("tls.key")).unwrap();
    assert!(is_served(&server, old.client(Some(&old))).await);
    let error = server.status().tls_error.unwrap();
    assert!(error.contains("tls.key"), "{error}");

    fs::write(folder.path().join("tls.key"), fresh).unwrap();
    fs::write(folder.path().join("ca.crt"), new.certificate.pem()).unwrap();
    assert!(is_served(&server, new.client(Some(&new))).await);
    assert!(!is_served(&server, old.client(Some(&old))).await);
    assert_eq!(server.status().tls_error, None);

    // The connection that stood goes on.
    publisher.publish(with(&Snapshot::default(), &[("a", 1), ("b", 1)]));
    assert_eq!(names(&stream.next().await), ["b"]);
    drop(stream);
    until(|| (server.status().streams == 0).then_some(())).await;
    server.shutdown().await;
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_told_with_their_field() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new();
    authority.write(folder.path());
    let said = || {
        let error = config(folder.path()).check().unwrap_err();
        let XdsError::Tls(error) = error else {
            panic!("{error}");
        };
        error.to_string()
    };
    assert!(said().contains("`client_ca_file`"), "{}", said());
    fs::write(folder.path().join("ca.crt"), "nothing").unwrap();
    assert!(said().contains("`client_ca_file`"), "{}", said());
    fs::write(folder.path().join("tls.key"), "nothing").unwrap();
    assert!(said().contains("`key_file`"), "{}", said());
    fs::write(folder.path().join("tls.crt"), "nothing").unwrap();
    assert!(said().contains("`cert_file`"), "{}", said());
}
