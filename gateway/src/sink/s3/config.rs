//! Where a store is and how to reach it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::Certificate;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use serde::{Deserialize, Serialize};

use super::credentials::FileCredentials;
use crate::config::duration;
use crate::sink::ConfigError;
use crate::sink::directory::check_path;

/// The region if none is given: what stores other than Amazon's mostly take.
pub const DEFAULT_REGION: &str = "us-east-1";

/// How long one request may take: 20 seconds.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// How long it may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An S3-compatible store and a place in it.
///
/// Credentials come from `credentials_file` if it is given, else from the environment: `AWS_ACCESS_KEY_ID`,
/// `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, or a web identity or container credentials as Amazon's services
/// set them. On Amazon's own service the instance's role is the last resort.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3Config {
    /// The bucket.
    pub bucket: String,
    /// What all keys begin with, without slashes at the ends; empty by default.
    #[serde(default)]
    pub prefix: String,
    /// What comes next in all keys, so that several clusters share a prefix; none by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// The URL of the service; Amazon's by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The region; [`DEFAULT_REGION`] by default.
    #[serde(default = "region")]
    pub region: String,
    /// Whether the bucket stands in the path of the URL, not in its host name; true by default.
    #[serde(default = "yes")]
    pub path_style: bool,
    /// Whether an endpoint with `http://` may be used, which sends everything in the clear; false by default.
    #[serde(default)]
    pub allow_http: bool,
    /// Certificates of authorities that are trusted for this endpoint beside the system's, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// A file with credentials, in the form of Amazon's shared credentials file or as `KEY=value` lines. It is read
    /// again when it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<PathBuf>,
    /// The profile in that file; `default` by default.
    #[serde(default = "profile")]
    pub profile: String,
    /// How long one request may take; [`REQUEST_TIMEOUT`] by default. A publication takes less than
    /// [`WRITE_TIMEOUT`](crate::sink::WRITE_TIMEOUT).
    #[serde(default = "request_timeout", with = "duration::positive")]
    pub request_timeout: Duration,
    /// Whether objects that stand in the way, and were not written by this sink, are taken over; false by default.
    #[serde(default)]
    pub adopt: bool,
}

fn region() -> String {
    DEFAULT_REGION.to_owned()
}

fn profile() -> String {
    "default".to_owned()
}

fn yes() -> bool {
    true
}

fn request_timeout() -> Duration {
    REQUEST_TIMEOUT
}

impl S3Config {
    /// The root of a bucket on Amazon's service.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            prefix: String::new(),
            cluster_id: None,
            endpoint: None,
            region: region(),
            path_style: true,
            allow_http: false,
            ca_file: None,
            credentials_file: None,
            profile: profile(),
            request_timeout: REQUEST_TIMEOUT,
            adopt: false,
        }
    }

    /// What all keys begin with: prefix and cluster, without a slash at the end.
    pub(super) fn root(&self) -> Result<String, ConfigError> {
        let mut root = self.prefix.trim_matches('/').to_owned();
        if !root.is_empty() {
            check_path(&root).map_err(|reason| ConfigError::new("prefix", reason))?;
        }
        if let Some(id) = &self.cluster_id {
            check_path(id).map_err(|reason| ConfigError::new("cluster_id", reason))?;
            if id.contains('/') {
                return Err(ConfigError::new("cluster_id", "it has a slash"));
            }
            if !root.is_empty() {
                root.push('/');
            }
            root.push_str(id);
        }
        Ok(root)
    }

    /// Where it writes, as a URL without the endpoint.
    pub(crate) fn url(&self) -> String {
        match &*self.root().unwrap_or_default() {
            "" => format!("s3://{}", self.bucket),
            root => format!("s3://{}/{root}", self.bucket),
        }
    }

    /// Whether nothing tells its keys from those of another gateway in the bucket.
    pub(crate) fn is_top(&self) -> bool {
        self.root().is_ok_and(|root| root.is_empty())
    }

    /// Where it writes, as a text that is the same for the same place; two publications must not have the same.
    pub fn place(&self) -> String {
        let endpoint = self.endpoint.as_deref().unwrap_or("aws");
        let root = self.root().unwrap_or_default();
        format!("{} {}/{root}", endpoint.trim_end_matches('/'), self.bucket)
    }

    /// Checks what can be checked without asking anybody.
    ///
    /// # Errors
    /// When it cannot work, naming the field.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.root()?;
        let is_allowed = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'_')
        };
        if !(3..=63).contains(&self.bucket.len()) || !self.bucket.bytes().all(is_allowed) {
            let reason = format!(
                "{:?} is no bucket's name: 3 to 63 of a-z, 0-9, - and .",
                self.bucket
            );
            return Err(ConfigError::new("bucket", reason));
        }
        if self.region.is_empty() || self.region.contains(|it: char| !it.is_ascii_graphic()) {
            return Err(ConfigError::new("region", "it is empty or has a space"));
        }
        if let Some(endpoint) = &self.endpoint {
            let wrong = |reason: &dyn fmt::Display| ConfigError::new("endpoint", reason);
            // The text may have a password in it, so that it is not said.
            let url: http::Uri = endpoint.parse().map_err(|error| wrong(&error))?;
            match url.scheme_str() {
                Some("https") => {}
                Some("http") if self.allow_http => {}
                Some("http") => {
                    return Err(wrong(
                        &"it sends everything in the clear; set `allow_http: true` if that is wanted",
                    ));
                }
                _ => return Err(wrong(&"write a URL such as https://minio.example.com:9000")),
            }
            if url.authority().is_none_or(|it| it.as_str().contains('@')) {
                return Err(wrong(
                    &"credentials do not belong in it; use `credentials_file`",
                ));
            }
            if url.query().is_some() {
                return Err(wrong(&"it has a query"));
            }
        }
        Ok(())
    }

    /// The store, and its credentials if they come from a file.
    pub(super) fn build(&self) -> Result<(AmazonS3, Option<Arc<FileCredentials>>), ConfigError> {
        self.check()?;
        // The HTTP client has no cryptography of its own. A choice made before stays.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let mut client = ClientOptions::new()
            .with_timeout(self.request_timeout)
            .with_connect_timeout(CONNECT_TIMEOUT.min(self.request_timeout))
            .with_allow_http(self.allow_http);
        if let Some(path) = &self.ca_file {
            let wrong = |error: &dyn fmt::Display| {
                ConfigError::new("ca_file", format!("{}: {error}", path.display()))
            };
            let pem = std::fs::read(path).map_err(|error| wrong(&error))?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(&error))?;
            if certificates.is_empty() {
                return Err(wrong(&"there is no certificate in it"));
            }
            for certificate in certificates {
                client = client.with_root_certificate(certificate);
            }
        }
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&self.bucket)
            .with_region(&self.region)
            .with_virtual_hosted_style_request(!self.path_style)
            .with_allow_http(self.allow_http)
            .with_client_options(client)
            .with_disable_bulk_delete(true)
            .with_retry(RetryConfig {
                backoff: BackoffConfig::default(),
                max_retries: 0,
                retry_timeout: self.request_timeout,
            });
        if let Some(endpoint) = &self.endpoint {
            let endpoint = endpoint.trim_end_matches('/');
            builder = builder.with_endpoint(match (self.path_style, endpoint.split_once("://")) {
                (false, Some((scheme, rest))) => format!("{scheme}://{}.{rest}", self.bucket),
                _ => endpoint.to_owned(),
            });
        }
        let file = self.credentials_file.as_ref().map(|path| {
            let credentials = FileCredentials::new(path.clone(), self.profile.clone());
            Arc::new(credentials)
        });
        builder = match &file {
            Some(file) => builder.with_credentials(Arc::clone(file) as _),
            None => self.with_environment(builder)?,
        };
        let store = builder
            .build()
            .map_err(|error| ConfigError::new("s3", crate::sink::chain(&error)))?;
        Ok((store, file))
    }

    /// Takes credentials, and only those, from the environment.
    fn with_environment(&self, builder: AmazonS3Builder) -> Result<AmazonS3Builder, ConfigError> {
        let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (id, secret) = (read("AWS_ACCESS_KEY_ID"), read("AWS_SECRET_ACCESS_KEY"));
        match (id, secret) {
            (Some(id), Some(secret)) => {
                let builder = builder
                    .with_access_key_id(id)
                    .with_secret_access_key(secret);
                return Ok(match read("AWS_SESSION_TOKEN") {
                    Some(token) => builder.with_token(token),
                    None => builder,
                });
            }
            (None, None) => {}
            _ => {
                let reason = "of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only one is set in the environment";
                return Err(ConfigError::new("credentials_file", reason));
            }
        }
        use AmazonS3ConfigKey::{
            ContainerAuthorizationTokenFile, ContainerCredentialsFullUri,
            ContainerCredentialsRelativeUri, RoleArn, RoleSessionName, WebIdentityTokenFile,
        };
        let known = [
            ("AWS_WEB_IDENTITY_TOKEN_FILE", WebIdentityTokenFile),
            ("AWS_ROLE_ARN", RoleArn),
            ("AWS_ROLE_SESSION_NAME", RoleSessionName),
            (
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                ContainerCredentialsRelativeUri,
            ),
            (
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                ContainerCredentialsFullUri,
            ),
            (
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                ContainerAuthorizationTokenFile,
            ),
        ];
        let mut found = false;
        let mut builder = builder;
        for (name, key) in known {
            if let Some(value) = read(name) {
                builder = builder.with_config(key, value);
                found = true;
            }
        }
        if !found && self.endpoint.is_some() {
            let reason = "there are no credentials: name a file, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment";
            return Err(ConfigError::new("credentials_file", reason));
        }
        Ok(builder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> S3Config {
        S3Config {
            endpoint: Some("https://127.0.0.1:9000/".to_owned()),
            credentials_file: Some("/nonexistent".into()),
            ..S3Config::new("bucket")
        }
    }

    #[test]
    fn a_bucket_is_enough_and_the_rest_has_defaults() {
        let read: S3Config = serde_saphyr::from_str("bucket: abc").unwrap();
        assert_eq!(read, S3Config::new("abc"));
        let read: S3Config = serde_saphyr::from_str(
            "{bucket: abc, prefix: gw/, cluster_id: eu-1, endpoint: 'http://minio:9000', region: eu, \
             path_style: false, allow_http: true, credentials_file: /c, profile: p, request_timeout: 3s, adopt: true}",
        )
        .unwrap();
        assert_eq!(read.root().unwrap(), "gw/eu-1");
        assert_eq!(read.request_timeout, Duration::from_secs(3));
        assert!(serde_saphyr::from_str::<S3Config>("{bucket: abc, secret: x}").is_err());
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let with = |change: &dyn Fn(&mut S3Config)| {
            let mut config = config();
            change(&mut config);
            config.build().map(drop).unwrap_err().to_string()
        };
        let endpoint = |url: &'static str| with(&move |it| it.endpoint = Some(url.to_owned()));
        for (said, field) in [
            (with(&|it| it.bucket = "a".into()), "bucket: "),
            (with(&|it| it.bucket = "a/b/c".into()), "bucket: "),
            (with(&|it| it.bucket = "Upper".into()), "bucket: "),
            (with(&|it| it.prefix = "a//b".into()), "prefix: "),
            (with(&|it| it.prefix = "../b".into()), "prefix: "),
            (
                with(&|it| it.cluster_id = Some("a/b".into())),
                "cluster_id: ",
            ),
            (
                with(&|it| it.cluster_id = Some(String::new())),
                "cluster_id: ",
            ),
            (with(&|it| it.region = String::new()), "region: "),
            (
                with(&|it| it.ca_file = Some("/nonexistent".into())),
                "ca_file: ",
            ),
            (endpoint("minio:9000"), "endpoint: "),
            (endpoint("ftp://minio"), "endpoint: "),
            (endpoint("not a url"), "endpoint: "),
        ] {
            assert!(said.starts_with(field), "{said}");
        }
        assert!(endpoint("http://minio:9000").contains("allow_http: true"));
        let said = endpoint("https://user:geheim@minio");
        assert!(
            said.contains("credentials_file") && !said.contains("geheim"),
            "{said}"
        );
    }

    #[test]
    fn a_configuration_that_can_work_gives_a_store() {
        let (store, file) = config().build().unwrap();
        assert!(file.is_some());
        assert!(store.to_string().contains("bucket"));
        let virtual_host = S3Config {
            path_style: false,
            ..config()
        };
        let said = format!("{:?}", virtual_host.build().unwrap().0);
        assert!(said.contains("https://bucket.127.0.0.1:9000"), "{said}");
    }
}
