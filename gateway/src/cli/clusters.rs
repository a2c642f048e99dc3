//! `clusters`: a cluster's gateway clusters, and how they change.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use kubedex::Client;
use kubedex::client::{ClientBuilder, ClientError};
use kubedex::fake::FakeCluster;
use kubedex::selector::LabelSelector;
use kubedex::watcher::SyncError;
use tokio::io::{AsyncWriteExt, Stdout, stdout};

use crate::config::duration::parse_positive;
use crate::live::{Event, Live, LiveConfig, endpoint_slices, services};

use super::demo::Demo;
use super::failure::Failure;
use super::output::{Style, printable};
use super::signals::Stop;
use super::{EXIT_CODES, Output, Translation, namespace, note};

const EXAMPLES: &str = "\
Examples:
  kubedex-gateway clusters
  kubedex-gateway clusters --context staging -n shop -n billing
  kubedex-gateway clusters -l app.kubernetes.io/part-of=shop --include-draining
  kubedex-gateway clusters --once -o json | jq '.clusters[].name'
  kubedex-gateway clusters --demo --for 20s

The cluster is found as kubectl finds it: --kubeconfig, KUBECONFIG, ~/.kube/config, or the
service account of the pod this runs in. With none of them, a demo cluster is shown.

As JSON, the first line has all clusters and problems (event \"synced\"); each further line
(event \"changed\") has the clusters that are new or differ, whole, the names of those that
are gone, and the problems that came and went.

Marks in the table form: + new, ~ changed, - gone, ! problem, . problem resolved.";

/// Watch a cluster and show its gateway clusters as they change
///
/// Shows all clusters once everything is known, and then each change as it happens, until Ctrl-C. While the API server
/// cannot be reached, the last state stands.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(super) struct Clusters {
    /// The kubeconfig to use
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig to use, instead of its current one
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Watch this namespace only; repeatable
    #[arg(short, long, value_parser = namespace)]
    namespace: Vec<String>,
    /// Watch all namespaces, which is the default
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Show Services with these labels only, such as app=web,tier!=cache
    #[arg(short = 'l', long, value_parser = selector)]
    selector: Option<String>,
    /// Show the embedded demo cluster
    #[arg(long, conflicts_with_all = ["kubeconfig", "context"])]
    demo: bool,
    /// Print what there is and exit
    #[arg(long)]
    once: bool,
    /// Exit after this time, counted from the first state shown, such as 30s or 5m
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_positive, conflicts_with = "once")]
    bound: Option<Duration>,
    /// How long to wait for the first state
    #[arg(long, value_name = "DURATION", value_parser = parse_positive, default_value = "30s")]
    timeout: Duration,
    #[command(flatten)]
    output: Output,
    /// Log what the watchers do to standard error; twice for more
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    #[command(flatten)]
    translation: Translation,
}

fn selector(text: &str) -> Result<String, String> {
    match text.parse::<LabelSelector>() {
        Ok(selector) if selector.is_empty() => Err("it selects everything; leave it out".into()),
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

impl Clusters {
    pub(super) fn run(self) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::runtime("the program cannot start").caused_by(&error))?;
        let outcome = runtime.block_on(self.show());
        // A reader that does not read must not keep the program from ending.
        runtime.shutdown_background();
        outcome
    }

    async fn show(self) -> Result<(), Failure> {
        let mut builder =
            Client::builder().user_agent(concat!("kubedex-gateway/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &self.kubeconfig {
            builder = builder.kubeconfig(path);
        }
        if let Some(context) = &self.context {
            builder = builder.context(context);
        }
        let mut stop = Stop::listen()?;
        if self.demo {
            note(&format!(
                "showing the embedded demo cluster{}",
                self.ends(" ")
            ));
        } else if !builder.is_configured() {
            note(&format!(
                "no cluster is configured: no --kubeconfig or --context, no KUBECONFIG, no\n\
                 ~/.kube/config, and this is no pod. Showing the embedded demo cluster instead{}",
                self.ends("\n")
            ));
        } else {
            return tokio::select! {
                outcome = self.watch(builder) => outcome,
                () = stop.next() => Ok(()),
            };
        }
        let demo = Demo::new();
        let cluster = FakeCluster::builder().real_time().build();
        for object in demo.objects() {
            cluster.apply(object).map_err(|error| broken_demo(&error))?;
        }
        let client = Client::from_kube(cluster.client());
        tokio::select! {
            outcome = self.follow(&client) => outcome,
            Err(error) = demo.play(&cluster) => Err(broken_demo(&error)),
            () = stop.next() => Ok(()),
        }
    }

    /// How it ends, after a gap, unless it does so by itself.
    fn ends(&self, gap: &str) -> String {
        if self.once {
            String::new()
        } else {
            format!(";{gap}Ctrl-C ends it")
        }
    }

    async fn watch(self, builder: ClientBuilder) -> Result<(), Failure> {
        let client = builder.build().await.map_err(|error| refused(&error))?;
        // A watcher would go on trying; at the start it is better to say at once what is wrong.
        let asked = async {
            for gvr in [services(), endpoint_slices()] {
                client.resolve(&gvr).await?;
            }
            Ok(())
        };
        match tokio::time::timeout(self.timeout, asked).await {
            Ok(Ok(())) => {}
            // Who may not look around may still be allowed to watch.
            Ok(Err(error)) if ClientError::is_forbidden(&error) => {}
            Ok(Err(error)) => return Err(refused(&error)),
            Err(_) => {
                let url = client.cluster_url().unwrap_or("the API server");
                return Err(Failure::runtime("the cluster does not answer")
                    .because(format!("{url}: no answer after {:?}", self.timeout))
                    .hint("--timeout sets how long to wait"));
            }
        }
        if !self.once {
            let scope = match &self.namespace[..] {
                [] => "all namespaces".to_owned(),
                names => format!("namespace {}", names.join(", ")),
            };
            let url = client.cluster_url().unwrap_or("the cluster");
            note(&format!("watching {url}, {scope}"));
        }
        self.follow(&client).await
    }

    /// Shows what a client's cluster has, until it is enough.
    async fn follow(self, client: &Client) -> Result<(), Failure> {
        let config = LiveConfig {
            namespaces: self.namespace,
            selector: self.selector,
            options: self.translation.into(),
        };
        let mut live = Live::start(client, config)
            .map_err(|error| Failure::usage("the watch cannot be set up").caused_by(&error))?;
        live.wait_for_sync(self.timeout)
            .await
            .map_err(|errors| unsynced(&errors))?;
        let mut view = View {
            style: Style::of_stdout(self.output.output),
            stdout: stdout(),
            shown: false,
            once: self.once,
        };
        let bound = async {
            match self.bound {
                Some(bound) => tokio::time::sleep(bound).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            outcome = view.show(&mut live) => outcome?,
            () = bound => {}
        }
        live.shutdown().await;
        Ok(())
    }
}

/// What is on the screen.
struct View {
    style: Style,
    stdout: Stdout,
    /// Whether the first state was shown.
    shown: bool,
    once: bool,
}

impl View {
    /// Shows events as they come; ends after the first state if that is all that is wanted.
    async fn show(&mut self, live: &mut Live) -> Result<(), Failure> {
        while let Some(event) = live.next().await {
            let now = Timestamp::now();
            match event {
                Event::Changed(diff) if self.shown => {
                    self.print(&self.style.changed(now, &diff)).await?;
                }
                Event::Changed(_) => {
                    let (clusters, problems) =
                        (live.discovery().clusters(), live.discovery().problems());
                    let text = if self.once {
                        self.style.state(&clusters, &problems)
                    } else {
                        self.style.synced(now, &clusters, &problems)
                    };
                    drop(problems);
                    self.print(&text).await?;
                    self.shown = true;
                    if self.once {
                        return Ok(());
                    }
                }
                Event::Disconnected(reason) => note(&format!(
                    "disconnected; the last state stands, and the connection is tried again\n  {}",
                    printable(&reason)
                )),
                Event::Connected => note("connected again"),
            }
        }
        Ok(())
    }

    async fn print(&mut self, text: &str) -> io::Result<()> {
        self.stdout.write_all(text.as_bytes()).await?;
        self.stdout.flush().await
    }
}

/// Why there is no client, or no answer to its first question.
pub(super) fn refused(error: &ClientError) -> Failure {
    let failure = if error.is_unknown_context() {
        Failure::usage("there is no such context")
    } else if error.is_configuration() || error.is_not_configured() {
        Failure::usage("the configuration of the cluster cannot be used")
    } else if error.is_unreachable() {
        Failure::runtime("the cluster cannot be reached").hint(
            "check that the API server runs and that its address is right; --context\n      \
             chooses another cluster, --demo needs none",
        )
    } else if error.is_unauthorized() || error.is_credentials() {
        Failure::runtime("the cluster does not accept the credentials")
            .hint("log in again, or choose another user or context in the kubeconfig")
    } else if error.is_not_served() {
        Failure::runtime("the cluster does not serve what is watched")
    } else {
        Failure::runtime("the cluster gave no answer that can be used")
    };
    failure.caused_by(error)
}

/// Why not everything is known.
fn unsynced(errors: &[SyncError]) -> Failure {
    let forbidden = |error: &SyncError| match error {
        SyncError::Refused(error) => error.is_forbidden(),
        _ => false,
    };
    let late = |error: &SyncError| matches!(error, SyncError::Deadline { .. });
    let failure = if errors.iter().any(forbidden) {
        Failure::runtime("the cluster forbids what is needed")
            .hint("-n watches only namespaces in which it is allowed")
    } else if errors.iter().all(late) {
        Failure::runtime("the cluster has not sent everything in time")
            .hint("--timeout sets how long to wait")
    } else {
        Failure::runtime("the cluster refuses what is needed")
    };
    errors
        .iter()
        .fold(failure, |failure, error| failure.because(error.to_string()))
}

pub(super) fn broken_demo(error: &kubedex::fake::FakeError) -> Failure {
    Failure::runtime("the demo cluster refuses its script").caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_must_select() {
        assert!(selector("app=web,tier notin (cache)").is_ok());
        for text in ["", "  ", "app in", "=x", "a=b,,"] {
            assert!(selector(text).is_err(), "{text:?}");
        }
    }
}
