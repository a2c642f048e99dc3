//! References: the short ways in which people name a discovered cluster.
//!
//! | written | means |
//! | --- | --- |
//! | the cluster's own name | that cluster, discovered or not |
//! | `{service}.{namespace}:{port}` | the cluster of that port, by its name, or by its number if it has no name |
//! | `{service}.{namespace}` | the cluster of the Service's only port |

use std::sync::Arc;

use super::{Cluster, Snapshot};

/// Why a reference names no cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// It is no reference.
    #[error(
        "`{reference}` is no reference to a cluster: write service.namespace, service.namespace:port or a cluster's name"
    )]
    Malformed {
        /// What was written.
        reference: String,
    },
    /// There is no such cluster.
    #[error("there is no cluster `{reference}`")]
    NotFound {
        /// What was written.
        reference: String,
    },
    /// The Service has several ports.
    #[error("`{reference}` has several ports, add one of them: {}", ports.join(", "))]
    Ambiguous {
        /// What was written.
        reference: String,
        /// How its ports are called, sorted.
        ports: Vec<String>,
    },
}

impl Snapshot {
    /// The cluster that a reference names.
    ///
    /// # Errors
    /// When it names none, or does not say which of a Service's ports is meant.
    pub fn resolve(&self, reference: &str) -> Result<&Arc<Cluster>, ResolveError> {
        if let Some(cluster) = self.cluster(reference) {
            return Ok(cluster);
        }
        let written = || reference.to_owned();
        let not_found = || ResolveError::NotFound {
            reference: written(),
        };
        let malformed = || ResolveError::Malformed {
            reference: written(),
        };
        if reference.contains('/') {
            return Err(not_found());
        }
        let (host, port) = match reference.split_once(':') {
            Some((host, port)) if !port.is_empty() => (host, Some(port)),
            Some(_) => return Err(malformed()),
            None => (reference, None),
        };
        // A Service's name may have dots, a namespace has none.
        let (service, namespace) = host
            .rsplit_once('.')
            .filter(|(service, namespace)| !service.is_empty() && !namespace.is_empty())
            .ok_or_else(malformed)?;
        let prefix = format!("k8s/{namespace}/{service}:");
        if let Some(port) = port {
            return self
                .cluster(&format!("{prefix}{port}"))
                .ok_or_else(not_found);
        }
        let found: Vec<_> = self.clusters_under(&prefix).collect();
        match found.as_slice() {
            [] => Err(not_found()),
            [cluster] => Ok(cluster),
            several => Err(ResolveError::Ambiguous {
                reference: written(),
                ports: several
                    .iter()
                    .map(|cluster| cluster.name[prefix.len()..].to_owned())
                    .collect(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Protocol;

    fn snapshot(names: &[&str]) -> Snapshot {
        let mut edit = Snapshot::default().edit();
        for name in names {
            edit.upsert(Arc::new(Cluster::new(*name, Protocol::Tcp)));
        }
        edit.finish().unwrap_or_default()
    }

    #[test]
    fn a_service_is_named_as_in_dns_with_its_port_where_it_has_several() {
        let snapshot = snapshot(&[
            "k8s/default/my-app:http",
            "k8s/default/my-app-2:http",
            "k8s/default/two:grpc",
            "k8s/default/two:http",
            "k8s/shop/a.b:80",
            "legacy",
        ]);
        let resolve = |reference| snapshot.resolve(reference).map(|found| &*found.name);
        assert_eq!(resolve("my-app.default"), Ok("k8s/default/my-app:http"));
        assert_eq!(
            resolve("my-app.default:http"),
            Ok("k8s/default/my-app:http")
        );
        assert_eq!(resolve("a.b.shop"), Ok("k8s/shop/a.b:80"));
        assert_eq!(resolve("a.b.shop:80"), Ok("k8s/shop/a.b:80"));
        assert_eq!(resolve("legacy"), Ok("legacy"));
        assert_eq!(resolve("k8s/default/two:grpc"), Ok("k8s/default/two:grpc"));
        assert_eq!(
            resolve("two.default").unwrap_err().to_string(),
            "`two.default` has several ports, add one of them: grpc, http"
        );
        for reference in ["my-app.other", "my-app.default:https", "k8s/default/x:y"] {
            let error = resolve(reference).unwrap_err();
            assert!(matches!(error, ResolveError::NotFound { .. }), "{error}");
        }
        for reference in ["", ".", "x", ".default", "x.", "x.y:", ":80"] {
            let error = resolve(reference).unwrap_err();
            assert!(matches!(error, ResolveError::Malformed { .. }), "{error}");
        }
    }
}
