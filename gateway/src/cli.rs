//! The command line: what can be asked for, how it ends, and what it says when it fails.
//!
//! Results go to standard output, everything else to standard error. A reader that goes away ends the program quietly.

mod check;
mod clusters;
mod demo;
mod failure;
mod output;
#[cfg(feature = "s3")]
mod pull;
mod rbac;
mod render;
mod run;
mod signals;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use kubedex::resource::is_dns_label;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::translate::{IpFamily, Options};
use failure::USAGE;
use output::Format;

/// Kubernetes Services and EndpointSlices as gateway clusters
#[derive(Debug, Parser)]
#[command(name = "kubedex-gateway", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 the cluster cannot be reached or refuses, or an output fails;
2 what was asked for is wrong: an option, a selector, the kubeconfig, a manifest, the configuration.";

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Check),
    Clusters(Box<clusters::Clusters>),
    #[cfg(feature = "s3")]
    Pull(Box<pull::Pull>),
    Rbac(rbac::Rbac),
    Render(render::Render),
    Run(run::Run),
}

/// How clusters are made; the same for every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Translation")]
struct Translation {
    /// The gateway's zone: use topology hints to stay within it
    #[arg(long)]
    zone: Option<Box<str>>,
    /// The gateway's node: use topology hints to stay on it
    #[arg(long)]
    node: Option<Box<str>>,
    /// Use addresses of this family only
    #[arg(long, value_name = "FAMILY")]
    ip_family: Option<Family>,
    /// List endpoints that are going away but still serve also beside ready ones
    #[arg(long)]
    include_draining: bool,
    /// Make clusters of this Service port only, by name, or by number if it has none; repeatable
    #[arg(long, value_name = "PORT")]
    port: Vec<Box<str>>,
}

/// The families as they are spelled in Kubernetes.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Family {
    #[value(name = "IPv4", alias = "ipv4")]
    V4,
    #[value(name = "IPv6", alias = "ipv6")]
    V6,
}

impl From<Translation> for Options {
    fn from(args: Translation) -> Self {
        Self {
            zone: args.zone,
            node: args.node,
            ip_family: args.ip_family.map(|family| match family {
                Family::V4 => IpFamily::V4,
                Family::V6 => IpFamily::V6,
            }),
            include_draining: args.include_draining,
            ports: args.port.into_iter().collect(),
            ..Self::default()
        }
    }
}

#[derive(Debug, Args)]
struct Output {
    /// The form of the output [default: table on a terminal, else json]
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
}

/// Runs the program with the given arguments, the first of which is its name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody is left to tell if this fails.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let outcome = match cli.command {
        Command::Check(check) => check.run(),
        Command::Clusters(clusters) => {
            log(LevelFilter::ERROR, clusters.verbose);
            clusters.run()
        }
        #[cfg(feature = "s3")]
        Command::Pull(pull) => {
            log(LevelFilter::ERROR, pull.verbose);
            pull.run()
        }
        Command::Rbac(rbac) => rbac.run(),
        Command::Render(render) => render.run(),
        Command::Run(run) => {
            log(LevelFilter::INFO, run.verbose);
            run.run()
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_silent() {
                let _ = write!(io::stderr(), "{failure}");
            }
            ExitCode::from(failure.code())
        }
    }
}

/// Logs to standard error, from a level on: only errors where a command says itself what matters. `RUST_LOG` decides if it
/// is set.
fn log(least: LevelFilter, verbosity: u8) {
    let default = match verbosity {
        0 => least,
        1 => LevelFilter::INFO.max(least),
        _ => LevelFilter::DEBUG,
    };
    let filter = EnvFilter::builder()
        .with_default_directive(default.into())
        .from_env_lossy();
    // There is no other subscriber in this program.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .try_init();
}

/// Says something on standard error. That nobody hears it is no reason to end.
fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn namespace(text: &str) -> Result<String, &'static str> {
    if is_dns_label(text) {
        Ok(text.to_owned())
    } else {
        Err("a namespace has at most 63 of a-z, 0-9 and -, and no - at either end")
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
