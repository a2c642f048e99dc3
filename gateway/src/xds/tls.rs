//! Certificates, read from files and read again when these change.
//!
//! A new connection is served with what the files say then; connections that stand keep what they began with. Files
//! that cannot be used, as when they are replaced one after the other, leave the last good ones in use.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde::{Deserialize, Serialize};

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The files of a server's certificate, in PEM.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The server's certificate, followed by those of the authorities between it and the root.
    pub cert_file: PathBuf,
    /// The certificate's private key.
    pub key_file: PathBuf,
    /// The authorities that sign clients' certificates; only a client with such a certificate is served. Without it
    /// any client is, which beyond loopback asks for `insecure`.
    #[serde(default)]
    pub client_ca_file: Option<PathBuf>,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("reading `{field}`, {path:?}")]
    Read {
        /// The field.
        field: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file has not in it what it should.
    #[error("`{field}`, {path:?}, is no PEM file with {wanted}")]
    Content {
        /// The field.
        field: &'static str,
        /// The file.
        path: PathBuf,
        /// What it should have in it.
        wanted: &'static str,
        /// Why, if that is known.
        #[source]
        source: Option<rustls::pki_types::pem::Error>,
    },
    /// The authorities cannot be used.
    #[error("`client_ca_file` has an authority that cannot be used")]
    Authorities {
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Certificate and key do not go together.
    #[error("`cert_file` and `key_file` cannot be used together")]
    Pair {
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// What the files had in them.
#[derive(PartialEq, Eq)]
struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// Certificates that follow their files.
pub(super) struct Certificates {
    config: TlsConfig,
    last: Mutex<(Contents, Arc<ServerConfig>)>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Certificates").field(&self.config).finish()
    }
}

impl Certificates {
    /// Reads the files. Blocks while it does.
    pub(super) fn open(config: TlsConfig) -> Result<Self, TlsError> {
        let contents = read(&config)?;
        let server = build(&config, &contents)?;
        Ok(Self {
            config,
            last: Mutex::new((contents, server)),
        })
    }

    /// What a new connection is to be served with: the files' present content, or what they had last that could be
    /// used, and then why. Blocks while it reads.
    pub(super) fn current(&self) -> (Arc<ServerConfig>, Option<TlsError>) {
        let contents = read(&self.config);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let error = match contents {
            Ok(contents) if contents == last.0 => None,
            Ok(contents) => match build(&self.config, &contents) {
                Ok(server) => {
                    *last = (contents, server);
                    tracing::info!(cert_file = ?self.config.cert_file, "new certificates are in use");
                    None
                }
                Err(error) => Some(error),
            },
            Err(error) => Some(error),
        };
        (Arc::clone(&last.1), error)
    }
}

fn read(config: &TlsConfig) -> Result<Contents, TlsError> {
    let client_ca = config.client_ca_file.as_deref();
    Ok(Contents {
        cert: read_file("cert_file", &config.cert_file)?,
        key: read_file("key_file", &config.key_file)?,
        client_ca: client_ca
            .map(|path| read_file("client_ca_file", path))
            .transpose()?,
    })
}

fn read_file(field: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    use std::io::Read;

    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes))
        .map_err(|source| TlsError::Read {
            field,
            path: path.to_path_buf(),
            source,
        })?;
    Ok(bytes)
}

fn certificates(
    field: &'static str,
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let content = |source| TlsError::Content {
        field,
        path: path.to_path_buf(),
        wanted: "certificates",
        source,
    };
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| content(Some(error)))?;
    if certificates.is_empty() {
        return Err(content(None));
    }
    Ok(certificates)
}

fn build(config: &TlsConfig, contents: &Contents) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates("cert_file", &config.cert_file, &contents.cert)?;
    let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|source| TlsError::Content {
        field: "key_file",
        path: config.key_file.clone(),
        wanted: "a private key",
        source: Some(source),
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|source| TlsError::Pair { source })?;
    let builder = match (&config.client_ca_file, &contents.client_ca) {
        (Some(path), Some(pem)) => {
            let authorities =
                |source: Box<dyn std::error::Error + Send + Sync>| TlsError::Authorities { source };
            let mut roots = RootCertStore::empty();
            for certificate in certificates("client_ca_file", path, pem)? {
                roots
                    .add(certificate)
                    .map_err(|error| authorities(error.into()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| authorities(error.into()))?;
            builder.with_client_cert_verifier(verifier)
        }
        _ => builder.with_no_client_auth(),
    };
    let mut server = builder
        .with_single_cert(chain, key)
        .map_err(|source| TlsError::Pair { source })?;
    server.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(server))
}
