//! The `Authorization` header: from a token, a token file that is read again as it is rotated, or whatever else kube's
//! own layer knows (exec plugins, basic authentication, the old auth providers).
//!
//! Tokens are trimmed, since files end with a line end that no header may have. Nothing here is ever printed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use kube::Config;
use kube::client::middleware::AuthLayer;
use kube::client::{AuthError, ConfigExt as _};
use parking_lot::Mutex;
use secrecy::ExposeSecret as _;
use tokio::time::Instant;

use super::error::{ClientError, words};

/// How long a token that was read from a file is used before the file is looked at again: 30 seconds. The kubelet replaces
/// a token when a fifth of its life is left, at least two minutes before it expires.
const TOKEN_FILE_AGE: Duration = Duration::from_secs(30);

/// Who we are to the cluster.
#[derive(Clone)]
pub(super) enum Credentials {
    /// None, or by a certificate of the TLS layer.
    None,
    Token(HeaderValue),
    File(Arc<TokenFile>),
    Kube(Arc<AuthLayer>),
}

impl Credentials {
    /// Takes the credentials out of a configuration: what is left in it is for the TLS layer alone. Runs an exec plugin, if
    /// that is how they are had. Blocking.
    pub(super) fn take(config: &mut Config, origin: &str) -> Result<Self, ClientError> {
        let credentials = Self::find(config, origin)?;
        if !matches!(credentials, Self::None) {
            // Else the TLS layer would run the plugin, perhaps once more, to ask for a certificate.
            config.auth_info.exec = None;
            config.auth_info.auth_provider = None;
        }
        Ok(credentials)
    }

    fn find(config: &mut Config, origin: &str) -> Result<Self, ClientError> {
        let auth = &mut config.auth_info;
        let inline = auth
            .token
            .take()
            .map(|token| bearer(token.expose_secret()))
            .transpose()
            .map_err(|reason| ClientError::no_credentials(origin, reason))?;
        // As in Kubernetes' own clients, a file goes before a token, which stands in while the file cannot be read.
        if let Some(path) = auth.token_file.take() {
            let file = TokenFile::open(path.into(), inline)
                .map_err(|reason| ClientError::no_credentials(origin, reason))?;
            return Ok(Self::File(Arc::new(file)));
        }
        if let Some(token) = inline {
            return Ok(Self::Token(token));
        }
        let layer = match config.auth_layer() {
            Ok(layer) => layer,
            Err(kube::Error::Auth(error)) => {
                return Err(ClientError::no_credentials(origin, explain(&error, config)));
            }
            Err(error) => return Err(ClientError::from_config(origin, &error)),
        };
        Ok(layer.map_or(Self::None, |layer| Self::Kube(Arc::new(layer))))
    }

    /// The header for a request, where it is not kube's layer that sets it.
    pub(super) async fn token(&self) -> Option<HeaderValue> {
        match self {
            Self::Token(token) => Some(token.clone()),
            Self::File(file) => Some(file.token().await),
            Self::None | Self::Kube(_) => None,
        }
    }
}

/// Why there are no credentials, with the plugin's name and, if it is not there, its hint how to install it.
fn explain(error: &AuthError, config: &Config) -> String {
    let reason = words::credentials(error);
    let Some(plugin) = &config.auth_info.exec else {
        return reason;
    };
    let command = plugin.command.as_deref().unwrap_or_default();
    match (error, &plugin.install_hint) {
        (AuthError::AuthExecStart(_), Some(hint)) => {
            format!(
                "exec plugin {command:?}: {reason}; {}",
                words::printable(hint)
            )
        }
        _ => format!("exec plugin {command:?}: {reason}"),
    }
}

fn bearer(token: &str) -> Result<HeaderValue, String> {
    let token = token.trim();
    if token.is_empty() {
        return Err("the token is empty".to_owned());
    }
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| "the token has characters that no HTTP header may have".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// A token in a file, as the kubelet mounts and rotates it.
pub(super) struct TokenFile {
    path: PathBuf,
    last: Mutex<(HeaderValue, Instant)>,
}

impl TokenFile {
    fn open(path: PathBuf, fallback: Option<HeaderValue>) -> Result<Self, String> {
        let token = match (read(&path), fallback) {
            (Ok(token), _) => token,
            (Err(_), Some(fallback)) => fallback,
            (Err(reason), None) => return Err(reason),
        };
        Ok(Self {
            path,
            last: Mutex::new((token, Instant::now())),
        })
    }

    /// The token of at most [`TOKEN_FILE_AGE`] ago. A file that cannot be read leaves the last token in use: some remove
    /// it on purpose once it was read (kubernetes/kubernetes#68164).
    async fn token(&self) -> HeaderValue {
        {
            let mut last = self.last.lock();
            if last.1.elapsed() < TOKEN_FILE_AGE {
                return last.0.clone();
            }
            // Those who come while this one reads go on with the old token.
            last.1 = Instant::now();
        }
        let path = self.path.clone();
        let token = tokio::task::spawn_blocking(move || read(&path)).await;
        let mut last = self.last.lock();
        if let Ok(Ok(token)) = token {
            last.0 = token;
        }
        last.0.clone()
    }
}

fn read(path: &Path) -> Result<HeaderValue, String> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        format!(
            "the token file {} cannot be read: {}",
            path.display(),
            words::chain(&error)
        )
    })?;
    bearer(&text).map_err(|reason| format!("in the token file {}, {reason}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_token_file_is_read_again_and_trimmed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        std::fs::write(&path, "first\n").unwrap();
        let file = TokenFile::open(path.clone(), None).unwrap();
        assert_eq!(file.token().await, "Bearer first");
        std::fs::write(&path, " second \r\n").unwrap();
        assert_eq!(file.token().await, "Bearer first");
        tokio::time::advance(TOKEN_FILE_AGE).await;
        assert_eq!(file.token().await, "Bearer second");
        // Removed, or caught half written: the last good one stays.
        std::fs::write(&path, "").unwrap();
        tokio::time::advance(TOKEN_FILE_AGE).await;
        assert_eq!(file.token().await, "Bearer second");
        std::fs::remove_file(&path).unwrap();
        tokio::time::advance(TOKEN_FILE_AGE).await;
        assert_eq!(file.token().await, "Bearer second");
        assert!(file.token().await.is_sensitive());
    }

    #[test]
    fn a_token_that_no_header_can_hold_is_refused_without_being_named() {
        for token in ["", " \n", "sec\nret", "sec\u{0}ret"] {
            let reason = bearer(token).unwrap_err();
            assert!(!reason.contains("sec"), "{reason}");
        }
    }
}
