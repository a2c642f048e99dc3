//! `check`: whether a configuration can be used, without a cluster and without changing anything.

use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::Value;

use crate::config::{Config, ConfigError};

use super::failure::Failure;
use super::output::printable;
use super::{EXIT_CODES, note};

const EXAMPLES: &str = "\
Examples:
  kubedex-gateway check --config gateway.yaml
  kubedex-gateway check --config gateway.yaml --print

Every fault is told at once, each with its line, column and field. What works and may not
be meant is a warning, which does not change the exit code.";

/// Check a configuration without using it
///
/// Reads the file, and checks all that can be checked without a cluster. Nothing is written and nobody is asked;
/// certificates that it names are read.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(super) struct Check {
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Print the configuration as it counts, with every default, as YAML; secrets are masked
    #[arg(long)]
    print: bool,
}

impl Check {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = Config::load(&self.config).map_err(|error| unusable(&error))?;
        warn(&self.config.display().to_string(), &config);
        if self.print {
            let text = to_yaml(&config.effective())?;
            let mut stdout = io::stdout().lock();
            stdout.write_all(text.as_bytes())?;
            stdout.flush()?;
        } else {
            note(&printable(&format!(
                "{}: it can be used",
                self.config.display()
            )));
        }
        Ok(())
    }
}

/// Tells what works and may not be meant.
pub(super) fn warn(file: &str, config: &Config) {
    for warning in &config.warnings {
        note(&printable(&format!("warning: {file}: {warning}")));
    }
}

pub(super) fn unusable(error: &ConfigError) -> Failure {
    error.lines().fold(
        Failure::usage("the configuration cannot be used"),
        Failure::because,
    )
}

pub(super) fn to_yaml(value: &Value) -> Result<String, Failure> {
    serde_saphyr::to_string(value)
        .map_err(|error| Failure::runtime("this cannot be printed as YAML").caused_by(&error))
}
