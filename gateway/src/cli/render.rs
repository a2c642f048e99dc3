//! `render`: manifests to clusters, without a cluster.

use std::io::{self, Write};
use std::path::PathBuf;

use crate::discovery::{Discovery, Inventory};
use crate::manifest::{Manifests, Reader};

use super::failure::Failure;
use super::output::{Style, printable};
use super::{EXIT_CODES, Output, Translation, namespace, note};

const EXAMPLES: &str = "\
Examples:
  kubedex-gateway render -f manifests/
  kubedex-gateway render -f service.yaml -f slices.json -o json
  kubectl get services,endpointslices -A -o yaml | kubedex-gateway render -f -
  kubedex-gateway render -f cluster.yaml --zone eu-1a --ip-family IPv6

Of two objects with the same kind, namespace and name the later one counts, as with
kubectl apply, and a warning names both.";

/// Translate manifests, without a cluster
///
/// Reads Services and EndpointSlices from YAML or JSON, with any number of documents and lists in a file, and prints the
/// clusters they give. Objects of other kinds are passed over.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(super) struct Render {
    /// A file, a directory (its .yaml, .yml and .json files at any depth), or - for standard input; repeatable
    #[arg(short, long = "filename", value_name = "FILE|DIR|-", required = true)]
    filename: Vec<PathBuf>,
    /// The namespace of objects that name none
    #[arg(short, long, default_value = "default", value_parser = namespace)]
    namespace: String,
    #[command(flatten)]
    output: Output,
    /// Say on standard error what was read and what was passed over
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    translation: Translation,
}

impl Render {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut reader = Reader::new(&self.namespace);
        for path in &self.filename {
            reader.read(path, io::stdin().lock());
        }
        let manifests = reader.finish().map_err(|errors| {
            errors.iter().fold(
                Failure::usage("the manifests cannot be used"),
                |failure, error| failure.because(with_cause(error)),
            )
        })?;
        for duplicate in &manifests.duplicates {
            note(&printable(&format!("warning: {duplicate}")));
        }
        if self.verbose {
            note(&printable(&account(&manifests)));
        }

        let mut inventory = Inventory::default();
        for object in manifests.objects {
            inventory.apply(object);
        }
        let mut discovery = Discovery::new(self.translation.into());
        let all: Vec<_> = inventory.services().cloned().collect();
        discovery.refresh(&inventory, all);

        let style = Style::of_stdout(self.output.output);
        let text = style.state(&discovery.clusters(), &discovery.problems());
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()?;
        Ok(())
    }
}

fn with_cause(error: &(dyn std::error::Error + 'static)) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// What was read and what was not, in a line.
fn account(manifests: &Manifests) -> String {
    let kinds = |kind: &str| {
        let is = |object: &&kubedex::Object| object.kind() == kind;
        manifests.objects.iter().filter(is).count()
    };
    let mut text = format!(
        "read: {} Service, {} EndpointSlice",
        kinds("Service"),
        kinds("EndpointSlice")
    );
    if !manifests.ignored.is_empty() {
        let ignored: Vec<_> = manifests
            .ignored
            .iter()
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        text.push_str("; passed over: ");
        text.push_str(&ignored.join(", "));
    }
    text
}
