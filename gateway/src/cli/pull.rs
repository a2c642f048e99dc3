//! `pull`: files from a store into a directory, kept up to date.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::duration::parse_positive;
use crate::pull::{MAX_BYTES, Pull as Puller, PullConfig};
use crate::sink::Written;
use crate::sink::directory::{COMMAND_TIMEOUT, DirectoryConfig, FileMode};
use crate::sink::s3::{DEFAULT_REGION, S3Config};

use super::failure::Failure;
use super::output::printable;
use super::signals::Stop;
use super::{EXIT_CODES, note};

const EXAMPLES: &str = "\
Examples:
  kubedex-gateway pull s3://gateway/eu-1 /etc/traefik/dynamic
  kubedex-gateway pull s3://gateway/eu-1 /etc/nginx/upstreams --every 2s -- nginx -s reload
  kubedex-gateway pull s3://gateway/eu-1 out --once --endpoint http://127.0.0.1:9000 --allow-http

Credentials come from --credentials-file, or from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
AWS_SESSION_TOKEN, or as Amazon's services hand them out. --endpoint and --region come from
AWS_ENDPOINT_URL and AWS_REGION if they are not given.

Everything that differs is fetched before the first file is written. When the store cannot be
reached, what was brought stays. Files that were not brought from here are left alone.";

/// Bring files from an S3-compatible store into a directory
///
/// Asks again and again what is there, fetches what changed, by ETag, puts each file in its place at once, and removes
/// those that are gone. After a change a command is run, if one is given after `--`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(super) struct Pull {
    /// Where the files are: s3://bucket or s3://bucket/prefix
    #[arg(value_name = "URL", value_parser = source)]
    source: Source,
    /// Where they are brought; made if it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Ask once and exit
    #[arg(long)]
    once: bool,
    /// How long to wait before asking again
    #[arg(long, value_name = "DURATION", value_parser = parse_positive, default_value = "5s", conflicts_with = "once")]
    every: Duration,
    /// Exit after this time, such as 30s or 5m; with 1 if the last attempt failed
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_positive, conflicts_with = "once")]
    bound: Option<Duration>,
    /// The command to run after a change, and its arguments; no shell is involved
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// How long the command may run
    #[arg(long, value_name = "DURATION", value_parser = parse_positive)]
    command_timeout: Option<Duration>,
    /// How many bytes all files together may have [default: 268435456]
    #[arg(long, value_name = "BYTES")]
    max_bytes: Option<u64>,
    /// The mode of the files, in octal digits [default: 0644]
    #[arg(long, value_parser = mode)]
    mode: Option<FileMode>,
    /// Replace files that stand in the way and were not brought from here
    #[arg(long)]
    adopt: bool,
    #[command(flatten)]
    store: Store,
    /// Log to standard error; twice for more
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
}

/// How the store is reached.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Store")]
struct Store {
    /// The URL of the service, if it is not Amazon's
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The region [default: us-east-1]
    #[arg(long)]
    region: Option<String>,
    /// Allow an endpoint with http://, which sends everything in the clear
    #[arg(long)]
    allow_http: bool,
    /// Put the bucket in the host name, not in the path
    #[arg(long)]
    virtual_host: bool,
    /// Trust these certificates of authorities, too, in PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Read credentials from this file, in the form of Amazon's shared credentials file; read again when it changes
    #[arg(long, value_name = "FILE")]
    credentials_file: Option<PathBuf>,
    /// The profile in that file [default: default]
    #[arg(long, value_name = "NAME", requires = "credentials_file")]
    profile: Option<String>,
    /// How long one request may take
    #[arg(long, value_name = "DURATION", value_parser = parse_positive)]
    request_timeout: Option<Duration>,
}

/// A bucket and a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    bucket: String,
    prefix: String,
}

fn source(text: &str) -> Result<Source, &'static str> {
    let rest = text
        .strip_prefix("s3://")
        .ok_or("write s3://bucket or s3://bucket/prefix")?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err("the bucket is missing: write s3://bucket/prefix");
    }
    Ok(Source {
        bucket: bucket.to_owned(),
        prefix: prefix.trim_matches('/').to_owned(),
    })
}

fn mode(text: &str) -> Result<FileMode, String> {
    FileMode::parse(text).ok_or_else(|| "write three or four octal digits, such as 0640".to_owned())
}

impl Pull {
    pub(super) fn run(self) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::runtime("the program cannot start").caused_by(&error))?;
        let outcome = runtime.block_on(self.pull());
        // A disk that does not answer must not keep the program from ending.
        runtime.shutdown_background();
        outcome
    }

    async fn pull(self) -> Result<(), Failure> {
        let mut stop = Stop::listen()?;
        let (once, every, bound) = (self.once, self.every, self.bound);
        let mut puller = Puller::open(self.config()).map_err(|error| {
            let option = format!("--{}", error.field().replace('_', "-"));
            let why = format!("{option}: {}", as_options(error.reason()));
            Failure::usage("the files cannot be brought like this").because(why)
        })?;
        let bound = async {
            match bound {
                Some(bound) => tokio::time::sleep(bound).await,
                None => std::future::pending().await,
            }
        };
        let failing = RefCell::new(None);
        let pulling = async {
            if once {
                let written = puller.once().await.map_err(|error| {
                    Failure::runtime("bringing the files failed")
                        .because(as_options(&error.chain()))
                })?;
                told(&written);
                return Ok(());
            }
            note(&printable(&format!("bringing {}", puller.describe())));
            follow(&mut puller, every, &failing).await
        };
        tokio::select! {
            outcome = pulling => outcome,
            () = stop.next() => Ok(()),
            () = bound => match failing.take() {
                Some(why) => Err(Failure::runtime("the last attempt failed").because(why)),
                None => Ok(()),
            },
        }
    }

    fn config(self) -> PullConfig {
        let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let Store {
            endpoint,
            region,
            allow_http,
            virtual_host,
            ca_file,
            credentials_file,
            profile,
            request_timeout,
        } = self.store;
        let defaults = S3Config::new(self.source.bucket);
        let region = region
            .or_else(|| read("AWS_REGION"))
            .or_else(|| read("AWS_DEFAULT_REGION"));
        let source = S3Config {
            prefix: self.source.prefix,
            endpoint: endpoint.or_else(|| read("AWS_ENDPOINT_URL")),
            region: region.unwrap_or_else(|| DEFAULT_REGION.to_owned()),
            path_style: !virtual_host,
            allow_http,
            ca_file,
            credentials_file,
            profile: profile.unwrap_or(defaults.profile.clone()),
            request_timeout: request_timeout.unwrap_or(defaults.request_timeout),
            ..defaults
        };
        let defaults = DirectoryConfig::new(self.directory);
        let directory = DirectoryConfig {
            command: self.command,
            command_timeout: self.command_timeout.unwrap_or(COMMAND_TIMEOUT),
            mode: self.mode.unwrap_or_default(),
            adopt: self.adopt,
            ..defaults
        };
        PullConfig {
            source,
            directory,
            max_bytes: self.max_bytes.unwrap_or(MAX_BYTES),
        }
    }
}

/// Pulls again and again. A failure is told when it differs from the last one, and stands in `failing` until it works.
async fn follow(
    puller: &mut Puller,
    every: Duration,
    failing: &RefCell<Option<String>>,
) -> Result<(), Failure> {
    loop {
        match puller.once().await {
            Ok(written) => {
                if failing.take().is_some() {
                    note("it works again");
                }
                told(&written);
            }
            Err(error) => {
                let text = as_options(&error.chain());
                if failing.borrow().as_ref() != Some(&text) {
                    note("this failed and is tried again:");
                    note(&printable(&format!("  {text}")));
                    failing.replace(Some(text));
                }
            }
        }
        // Many that were started together do not ask together for long.
        tokio::time::sleep(every.mul_f64(0.9 + 0.2 * fastrand::f64())).await;
    }
}

fn told(written: &Written) {
    if written.is_change() {
        let Written {
            files,
            bytes,
            removed,
            ..
        } = written;
        let noun = if *files == 1 { "file" } else { "files" };
        note(&format!(
            "{files} {noun} brought ({bytes} bytes), {removed} removed"
        ));
    }
}

/// What the configuration calls by its keys, called by the options that stand for them.
fn as_options(text: &str) -> String {
    text.replace("`adopt: true`", "--adopt")
        .replace("`allow_http: true`", "--allow-http")
        .replace("`credentials_file`", "--credentials-file")
        .replace("this publication", "this command")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_bucket_and_perhaps_a_prefix() {
        let read = |text| source(text).map(|it| (it.bucket, it.prefix));
        let pair = |bucket: &str, prefix: &str| Ok((bucket.to_owned(), prefix.to_owned()));
        assert_eq!(read("s3://b"), pair("b", ""));
        assert_eq!(read("s3://b/"), pair("b", ""));
        assert_eq!(read("s3://b/p/eu-1/"), pair("b", "p/eu-1"));
        for text in ["b/p", "http://b/p", "s3:///p", "s3://"] {
            assert!(source(text).is_err(), "{text}");
        }
    }
}
