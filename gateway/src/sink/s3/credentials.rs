//! Credentials from a file that may change at any time.
//!
//! The file is looked at before each request and read when it is another one than before, or when the store refused
//! what it said. Secrets are in no error and in no `Debug`.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;

/// The largest file that is read.
const LIMIT: u64 = 64 << 10;

/// Reads credentials from a file.
pub(super) struct FileCredentials {
    path: PathBuf,
    profile: String,
    read: Mutex<Option<Read>>,
}

struct Read {
    version: Version,
    credential: Arc<AwsCredential>,
}

/// Tells one content of a file from another.
type Version = (u64, u64, i64, i64);

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub(super) enum CredentialsError {
    #[error("reading the credentials file {}", .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    #[error("the credentials file {} has no {what} in profile {profile:?}", .path.display())]
    Missing {
        path: PathBuf,
        profile: String,
        what: &'static str,
    },
}

impl FileCredentials {
    pub(super) fn new(path: PathBuf, profile: String) -> Self {
        Self {
            path,
            profile,
            read: Mutex::new(None),
        }
    }

    /// Forgets what was read: the store refused it.
    pub(super) async fn forget(&self) {
        *self.read.lock().await = None;
    }

    async fn credential(&self) -> Result<Arc<AwsCredential>, CredentialsError> {
        let mut read = self.read.lock().await;
        match self.read_anew(read.as_ref()).await {
            Ok(Some(fresh)) => {
                let credential = Arc::clone(&fresh.credential);
                *read = Some(fresh);
                Ok(credential)
            }
            Ok(None) | Err(_) if let Some(read) = &*read => Ok(Arc::clone(&read.credential)),
            Ok(None) => Err(self.missing("credentials")),
            Err(error) => Err(error),
        }
    }

    /// What the file says if it is another one than before. One that is being replaced may be away for a moment.
    async fn read_anew(&self, before: Option<&Read>) -> Result<Option<Read>, CredentialsError> {
        let failed = |error| CredentialsError::Read(self.path.clone(), error);
        let file = tokio::fs::File::open(&self.path).await.map_err(failed)?;
        let metadata = file.metadata().await.map_err(failed)?;
        let version = (
            metadata.ino(),
            metadata.size(),
            metadata.mtime(),
            metadata.mtime_nsec(),
        );
        if before.is_some_and(|before| before.version == version) {
            return Ok(None);
        }
        let mut text = String::new();
        let mut bounded = file.take(LIMIT);
        bounded.read_to_string(&mut text).await.map_err(failed)?;
        let credential = parse(&text, &self.profile).map_err(|what| self.missing(what))?;
        Ok(Some(Read {
            version,
            credential: Arc::new(credential),
        }))
    }

    fn missing(&self, what: &'static str) -> CredentialsError {
        CredentialsError::Missing {
            path: self.path.clone(),
            profile: self.profile.clone(),
            what,
        }
    }
}

impl fmt::Debug for FileCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileCredentials")
            .field("path", &self.path)
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl CredentialProvider for FileCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let credential = self.credential().await;
        credential.map_err(|error| object_store::Error::Generic {
            store: "S3",
            source: Box::new(error),
        })
    }
}

/// Reads sections of `key = value`; what stands before the first section belongs to every profile.
fn parse(text: &str, profile: &str) -> Result<AwsCredential, &'static str> {
    let (mut id, mut secret, mut token) = (None, None, None);
    let mut is_ours = true;
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            is_ours = name.trim() == profile;
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| is_ours) else {
            continue;
        };
        let key = key.trim().to_ascii_lowercase();
        let key = key.strip_prefix("export ").unwrap_or(&key).trim_start();
        let value = value.trim();
        let value = ['"', '\'']
            .into_iter()
            .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote))
            .unwrap_or(value);
        let slot = match key.strip_prefix("aws_").unwrap_or(key) {
            "access_key_id" => &mut id,
            "secret_access_key" => &mut secret,
            "session_token" => &mut token,
            _ => continue,
        };
        if !value.is_empty() {
            *slot = Some(value.to_owned());
        }
    }
    Ok(AwsCredential {
        key_id: id.ok_or("aws_access_key_id")?,
        secret_key: secret.ok_or("aws_secret_access_key")?,
        token,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_credentials_files_and_plain_lines_are_read() {
        let shared = "\
# a comment
[default]
aws_access_key_id = A
aws_secret_access_key = s=e/c+r
region = eu

[other]
aws_access_key_id=B
aws_secret_access_key=t
aws_session_token = u
";
        let read = parse(shared, "default").unwrap();
        assert_eq!(
            (&*read.key_id, &*read.secret_key, read.token),
            ("A", "s=e/c+r", None)
        );
        let read = parse(shared, "other").unwrap();
        assert_eq!((&*read.key_id, read.token.as_deref()), ("B", Some("u")));
        assert_eq!(parse(shared, "third").unwrap_err(), "aws_access_key_id");
        let plain = "export AWS_ACCESS_KEY_ID=\"A\"\nAWS_SECRET_ACCESS_KEY='b'\n";
        let read = parse(plain, "default").unwrap();
        assert_eq!((&*read.key_id, &*read.secret_key), ("A", "b"));
        assert_eq!(
            parse("access_key_id=A", "x").unwrap_err(),
            "aws_secret_access_key"
        );
    }

    #[tokio::test]
    async fn a_changed_file_is_read_again_and_one_that_is_away_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        let text = |id| format!("aws_access_key_id={id}\naws_secret_access_key=geheim\n");
        let credentials = FileCredentials::new(path.clone(), "default".to_owned());
        let error = credentials.get_credential().await.unwrap_err();
        let said = crate::sink::chain(&error);
        assert!(said.contains("credentials"), "{said}");

        std::fs::write(&path, text("A")).unwrap();
        assert_eq!(credentials.get_credential().await.unwrap().key_id, "A");
        let next = folder.path().join("next");
        std::fs::write(&next, text("B")).unwrap();
        std::fs::rename(&next, &path).unwrap();
        assert_eq!(credentials.get_credential().await.unwrap().key_id, "B");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(credentials.get_credential().await.unwrap().key_id, "B");
        std::fs::write(&path, "aws_secret_access_key=geheim\n").unwrap();
        credentials.forget().await;
        let error = credentials.get_credential().await.unwrap_err();
        let said = format!("{error:?} {error} {credentials:?}");
        assert!(
            said.contains("aws_access_key_id") && !said.contains("geheim"),
            "{said}"
        );
    }
}
