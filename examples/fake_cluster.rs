//! A fake Kubernetes cluster on a loopback socket, for kubectl and other programs.
//!
//! ```text
//! cargo run --example fake_cluster --features fake -- --listen 127.0.0.1:0 [-f FILE|DIR]... \
//!     [--viewer-token TOKEN] [--scenario FILE] [--kubeconfig FILE] [--seed N]
//! ```
//!
//! Prints `KUBECONFIG=path` when it is ready. `POST /debug/compact` by the administrator forgets all revisions before
//! the present one. Ends with Ctrl-C.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use kubedex::fake::FakeCluster;

const USAGE: &str = "usage: fake_cluster [--listen ADDRESS:PORT] [-f FILE|DIR]... [--viewer-token TOKEN] [--scenario FILE] [--kubeconfig FILE] [--seed N]";

struct Arguments {
    listen: SocketAddr,
    manifests: Vec<PathBuf>,
    viewer_token: Option<String>,
    scenario: Option<PathBuf>,
    kubeconfig: Option<PathBuf>,
    seed: Option<u64>,
}

fn arguments() -> Result<Arguments, String> {
    let mut read = Arguments {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        manifests: Vec::new(),
        viewer_token: None,
        scenario: None,
        kubeconfig: None,
        seed: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let (flag, inline) = match word.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => {
                (flag.to_owned(), Some(value.to_owned()))
            }
            _ => (word, None),
        };
        if flag == "--help" || flag == "-h" {
            return Err(USAGE.to_owned());
        }
        let mut value = || {
            inline
                .clone()
                .or_else(|| words.next())
                .ok_or_else(|| format!("{flag} needs a value\n{USAGE}"))
        };
        match flag.as_str() {
            "--listen" => {
                let text = value()?;
                read.listen = text
                    .parse()
                    .map_err(|error| format!("--listen {text}: {error}\n{USAGE}"))?;
            }
            "-f" | "--filename" => read.manifests.push(value()?.into()),
            "--viewer-token" => read.viewer_token = Some(value()?),
            "--scenario" => read.scenario = Some(value()?.into()),
            "--kubeconfig" => read.kubeconfig = Some(value()?.into()),
            "--seed" => {
                let text = value()?;
                read.seed = Some(
                    text.parse()
                        .map_err(|error| format!("--seed {text}: {error}\n{USAGE}"))?,
                );
            }
            _ => return Err(format!("unknown argument {flag}\n{USAGE}")),
        }
    }
    Ok(read)
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut cause: Option<&dyn Error> = Some(&*error);
            let mut words = Vec::new();
            while let Some(error) = cause {
                words.push(error.to_string());
                cause = error.source();
            }
            eprintln!("{}", words.join(": "));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let mut builder = FakeCluster::builder().strict().real_time();
    if let Some(seed) = arguments.seed {
        builder = builder.seed(seed);
    }
    let cluster = builder.build();
    for path in &arguments.manifests {
        cluster.load_path(path)?;
    }
    if let Some(token) = arguments.viewer_token {
        cluster.add_token(token, "viewer");
    }
    if let Some(path) = &arguments.scenario {
        cluster.load_scenario(&std::fs::read_to_string(path)?)?;
    }
    let server = cluster.serve_on(arguments.listen).await?;
    // Kept until the end: dropping it removes the file.
    let folder = tempfile::tempdir()?;
    let kubeconfig = arguments
        .kubeconfig
        .unwrap_or_else(|| folder.path().join("kubeconfig"));
    server.write_kubeconfig(&kubeconfig)?;
    println!("KUBECONFIG={}", kubeconfig.display());
    stopped().await?;
    server.shutdown().await;
    Ok(())
}

/// Ctrl-C, or what a service manager sends.
async fn stopped() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
