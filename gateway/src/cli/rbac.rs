//! `rbac`: what the service needs to be allowed.

use std::io::{self, Write};
use std::path::PathBuf;

use kubedex::resource::is_dns_subdomain;

use crate::config::Config;
use crate::service::{Account, rbac};

use super::check::{to_yaml, unusable};
use super::failure::Failure;
use super::{EXIT_CODES, namespace};

const EXAMPLES: &str = "\
Examples:
  kubedex-gateway rbac --config gateway.yaml | kubectl apply -f -
  kubedex-gateway rbac --config gateway.yaml -n infra --account gateway";

/// Print the least RBAC objects that a configuration needs
///
/// To list and watch Services and EndpointSlices, in all namespaces or those that are named, and to take part in the
/// election if there is one.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(super) struct Rbac {
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// The namespace that the service runs in
    #[arg(short, long, default_value = "kubedex-gateway", value_parser = namespace)]
    namespace: String,
    /// The service account it runs as; the objects have its name
    #[arg(long, value_name = "NAME", default_value = "kubedex-gateway", value_parser = account)]
    account: String,
}

fn account(text: &str) -> Result<String, &'static str> {
    if is_dns_subdomain(text) {
        Ok(text.to_owned())
    } else {
        Err("that is no name of a service account")
    }
}

impl Rbac {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = Config::load(&self.config).map_err(|error| unusable(&error))?;
        let account = Account {
            namespace: self.namespace,
            name: self.account,
        };
        let mut text = "# Made by `kubedex-gateway rbac`.\n".to_owned();
        for object in rbac(&config, &account) {
            text.push_str("---\n");
            text.push_str(&to_yaml(&object)?);
        }
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()?;
        Ok(())
    }
}
