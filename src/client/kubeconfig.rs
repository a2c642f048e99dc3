//! Reading kubeconfig files as kubectl does, and saying what is wrong in one without repeating its content.

use std::path::{Path, PathBuf};

use kube::Config;
use kube::config::{Kubeconfig, KubeconfigError};

use super::error::{ClientError, words};
use super::source::{Loaded, Source, namespace_or_default};

/// Reads, merges and chooses the context. Blocking.
pub(super) fn load_files(paths: &[PathBuf], context: Option<&str>) -> Result<Loaded, ClientError> {
    let (merged, origin) = read_files(paths)?;
    let known: Vec<&str> = merged
        .contexts
        .iter()
        .map(|context| context.name.as_str())
        .collect();
    let context = match (context, &merged.current_context) {
        (Some(context), _) => context.to_owned(),
        (None, Some(context)) if !context.is_empty() => context.clone(),
        _ if known.is_empty() => {
            return Err(ClientError::configuration(origin, "it has no contexts"));
        }
        _ => {
            return Err(ClientError::configuration(
                origin,
                format!(
                    "no current-context is set; choose one of {}",
                    known.join(", ")
                ),
            ));
        }
    };
    let Some(chosen) = merged
        .contexts
        .iter()
        .find(|named| named.name == context)
        .and_then(|named| named.context.as_ref())
    else {
        return Err(ClientError::unknown_context(origin, &context, &known));
    };
    let named_cluster = chosen.cluster.clone();
    let cluster = merged
        .clusters
        .iter()
        .find(|named| named.name == named_cluster)
        .and_then(|named| named.cluster.as_ref());
    let proxy = cluster
        .and_then(|cluster| cluster.proxy_url.clone())
        .filter(|proxy| !proxy.is_empty());
    let has_ca = cluster.is_some_and(|cluster| {
        cluster.certificate_authority.is_some() || cluster.certificate_authority_data.is_some()
    });
    let origin = format!("{origin}, context {context}");
    let mut chosen = merged;
    chosen.current_context = Some(context.clone());
    let mut config = Config::try_from(chosen)
        .map_err(|error| ClientError::configuration(origin.clone(), unusable(&error)))?;
    if has_ca && config.root_cert.as_ref().is_none_or(Vec::is_empty) {
        return Err(ClientError::configuration(
            origin,
            format!(
                "the certificate authority of cluster {named_cluster} holds no PEM certificate"
            ),
        ));
    }
    config.default_namespace = namespace_or_default(&config.default_namespace);
    Ok(Loaded {
        config,
        source: Source::Files(paths.to_vec()),
        context: Some(context),
        origin,
        proxy,
        proxy_by_environment: true,
    })
}

/// Reads and merges as kubectl does: the first to name something wins, and files that do not exist are skipped as long as
/// one does.
fn read_files(paths: &[PathBuf]) -> Result<(Kubeconfig, String), ClientError> {
    let mut merged = Kubeconfig::default();
    let mut read: Vec<String> = Vec::new();
    let mut missing = None;
    for path in paths {
        let config = match Kubeconfig::read_from(path) {
            Ok(config) => config,
            Err(KubeconfigError::ReadConfig(error, _))
                if error.kind() == std::io::ErrorKind::NotFound =>
            {
                missing.get_or_insert_with(|| unreadable(path, &error));
                continue;
            }
            Err(KubeconfigError::ReadConfig(error, _)) => return Err(unreadable(path, &error)),
            Err(error) => {
                return Err(ClientError::configuration(
                    format!("kubeconfig {}", path.display()),
                    unusable(&error),
                ));
            }
        };
        read.push(path.display().to_string());
        merged = merged.merge(config).map_err(|error| {
            ClientError::configuration(format!("kubeconfig {}", read.join(", ")), unusable(&error))
        })?;
    }
    match missing {
        Some(error) if read.is_empty() => Err(error),
        _ => Ok((merged, format!("kubeconfig {}", read.join(", ")))),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> ClientError {
    ClientError::configuration(
        format!("kubeconfig {}", path.display()),
        format!("cannot be read: {error}"),
    )
}

/// Why a kubeconfig cannot be used, without its content.
fn unusable(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(error) => {
            let place = error.location().map_or_else(String::new, |location| {
                format!(" in line {}, column {}", location.line(), location.column())
            });
            // The parser quotes the source, and serde the values: both may be credentials.
            let plain = error.without_snippet().to_string();
            let first = plain.lines().next().unwrap_or_default();
            let what = first
                .rsplit_once(" at line ")
                .map_or(first, |(what, _)| what);
            format!("no valid kubeconfig{place}: {}", without_quotes(what))
        }
        KubeconfigError::LoadClusterOfContext(cluster) => {
            format!("the context's cluster {cluster} is not among its clusters")
        }
        KubeconfigError::MissingClusterUrl => "the cluster has no server".to_owned(),
        error => words::chain(error),
    }
}

/// A message without the values that it quotes: texts in quotes, numbers in backticks. Names of fields, in backticks too,
/// stay.
fn without_quotes(text: &str) -> String {
    let names = text.starts_with("missing field") || text.starts_with("unknown field");
    let mut kept = String::with_capacity(text.len());
    let mut inside = None;
    for char in text.chars() {
        match inside {
            Some(quote) if char == quote => {
                inside = None;
                kept.push(char);
            }
            Some(_) => {}
            None => {
                kept.push(char);
                if char == '"' || (char == '`' && !names) {
                    inside = Some(char);
                    kept.push('…');
                }
            }
        }
    }
    kept
}
