//! The cluster's certificates: an authority of its own and a server certificate for loopback, made when first served.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// How a cluster proves to be itself.
#[derive(Clone)]
pub(in crate::fake) struct Identity {
    /// The authority's certificate in PEM.
    pub(in crate::fake) authority: Arc<str>,
    pub(super) acceptor: TlsAcceptor,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}

impl Identity {
    /// A new authority and a certificate for `localhost`, the loopback addresses and the address served on.
    pub(super) fn new(address: IpAddr) -> io::Result<Self> {
        Self::make(address).map_err(io::Error::other)
    }

    fn make(address: IpAddr) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let authority_key = KeyPair::generate()?;
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        authority
            .distinguished_name
            .push(DnType::CommonName, "kubedex fake cluster");
        let authority_certificate = authority.self_signed(&authority_key)?;
        let key = KeyPair::generate()?;
        let mut server = CertificateParams::new(vec!["localhost".to_owned()])?;
        for ip in [
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
            address,
        ] {
            if !server.subject_alt_names.contains(&SanType::IpAddress(ip)) {
                server.subject_alt_names.push(SanType::IpAddress(ip));
            }
        }
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        server
            .distinguished_name
            .push(DnType::CommonName, "kubedex fake API server");
        let certificate =
            server.signed_by(&key, &Issuer::from_params(&authority, &authority_key))?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            authority: authority_certificate.pem().into(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }
}
