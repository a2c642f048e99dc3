//! `run`: the service.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use kubedex::Client;
use kubedex::fake::FakeCluster;

use crate::config::Config;
use crate::config::duration::parse_positive;
use crate::service::{Service, Source};

use super::check::{unusable, warn};
use super::clusters::{broken_demo, refused};
use super::demo::Demo;
use super::failure::Failure;
use super::signals::{Hangup, Stop};
use super::{EXIT_CODES, note};

const EXAMPLES: &str = "\
Examples:
  kubedex-gateway run --config gateway.yaml
  kubedex-gateway run --config gateway/examples/demo.yaml --for 15s

The configuration file is read again when it changes, and on SIGHUP. SIGTERM and SIGINT end
the service in order; a second one ends it at once.";

/// Run the service: discover, publish, serve
///
/// Publishes what is discovered as the configuration says, and keeps it up to date until it is told to stop. While the
/// API server cannot be reached, the last state stands.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(super) struct Run {
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Exit after this time, such as 30s or 5m
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_positive)]
    bound: Option<Duration>,
    /// Log more to standard error
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
}

impl Run {
    pub(super) fn run(self) -> Result<(), Failure> {
        let (config, text) =
            Config::load_with_text(&self.config).map_err(|error| unusable(&error))?;
        warn(&self.config.display().to_string(), &config);
        let source = Source {
            file: self.config.clone(),
            text,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::runtime("the program cannot start").caused_by(&error))?;
        let outcome = runtime.block_on(self.serve(config, source));
        // What is left is at most a write to a reader that does not read.
        runtime.shutdown_background();
        outcome
    }

    async fn serve(self, config: Config, source: Source) -> Result<(), Failure> {
        let (mut stop, hangup) = (Stop::listen()?, Hangup::listen()?);
        if !config.cluster.demo {
            let mut builder = Client::builder()
                .user_agent(concat!("kubedex-gateway/", env!("CARGO_PKG_VERSION")));
            if let Some(path) = &config.cluster.kubeconfig {
                builder = builder.kubeconfig(path);
            }
            if let Some(context) = &config.cluster.context {
                builder = builder.context(context);
            }
            // Credentials may come from a program that takes its time.
            let client = tokio::select! {
                client = builder.build() => client.map_err(|error| refused(&error))?,
                () = stop.next() => return Ok(()),
            };
            let service = start(&client, config, source).await?;
            return self
                .until_stopped(service, stop, hangup, std::future::pending())
                .await;
        }
        note("running on the embedded demo cluster");
        let demo = Demo::new();
        let cluster = FakeCluster::builder().real_time().build();
        for object in demo.objects() {
            cluster.apply(object).map_err(|error| broken_demo(&error))?;
        }
        let client = Client::from_kube(cluster.client());
        let service = start(&client, config, source).await?;
        let failure = async {
            match demo.play(&cluster).await {
                Ok(()) => std::future::pending().await,
                Err(error) => broken_demo(&error),
            }
        };
        self.until_stopped(service, stop, hangup, failure).await
    }

    /// Until a signal, the end of its time, or a failure beside it.
    async fn until_stopped(
        self,
        service: Service,
        mut stop: Stop,
        mut hangup: Hangup,
        failure: impl Future<Output = Failure>,
    ) -> Result<(), Failure> {
        let bound = async {
            match self.bound {
                Some(bound) => tokio::time::sleep(bound).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(bound, failure);
        let outcome = loop {
            tokio::select! {
                () = stop.next() => break Ok(()),
                () = &mut bound => break Ok(()),
                failure = &mut failure => break Err(failure),
                () = hangup.next() => service.reload(),
            }
        };
        tracing::info!("stopping");
        tokio::select! {
            is_written = service.stop() => match outcome {
                Ok(()) if !is_written => {
                    Err(Failure::runtime("the last snapshot could not be written")
                        .hint("what stands where it is to be written is older; the log says why"))
                }
                outcome => outcome,
            },
            () = stop.next() => Err(Failure::runtime("ended at once, by a second signal")),
        }
    }
}

async fn start(client: &Client, config: Config, source: Source) -> Result<Service, Failure> {
    let started = Service::start(client, config, source).await;
    started.map_err(|error| {
        if error.is_configuration() {
            Failure::usage("the configuration cannot be used").caused_by(&error)
        } else {
            Failure::runtime("the service cannot start").caused_by(&error)
        }
    })
}
