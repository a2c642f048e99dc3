//! From one Service and its EndpointSlices to clusters: a pure function, without state, time or I/O.
//!
//! The rules carry ids, by which the vectors in `tests/data` refer to them; each is named where it is implemented.
//! The result depends only on the arguments' content, never on the order of slices or of what is in them (J2).
//! Nothing here panics on any content.
//!
//! | rules | where |
//! | --- | --- |
//! | J1, J3-J8, N1-N4: which clusters there are | here |
//! | O1: which Services are wanted | `choice` |
//! | O2: which of their ports are wanted | here |
//! | P1-P4: which number a port has in a slice | `ports` |
//! | C1-C7, D1-D4, F1-F3: which endpoints are used | `endpoints` |
//! | T1-T4: topology hints | `hints` |
//! | J2, X1: changes | [`discovery`](crate::discovery) |

mod choice;
mod endpoints;
mod hints;
mod input;
mod ports;

pub use choice::{Choice, ChoiceMode, DEFAULT_CHOICE_KEY};
pub use endpoints::IpFamily;
pub use input::{EndpointSlice, SERVICE_NAME_LABEL, Service};

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use kubedex::resource::{is_dns_label, is_dns_subdomain};

use crate::model::{Cluster, Problem, ProblemKind, Protocol, SessionAffinity, Subject};
use endpoints::PreparedSlice;
use input::ServicePort;

/// How long `sessionAffinity: ClientIP` remembers a client if the Service does not say (N4); the API's own default.
pub const DEFAULT_SESSION_AFFINITY_TIMEOUT: Duration = Duration::from_secs(10_800);

/// Where the gateway runs and what it wants to see. The default asks for everything and uses no hints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The gateway's zone, for zone hints (T1); none or empty uses no zone hints (T3).
    pub zone: Option<Box<str>>,
    /// The gateway's node, for node hints (T2); none or empty uses no node hints (T3).
    pub node: Option<Box<str>>,
    /// Use addresses of this family only (F2).
    pub ip_family: Option<IpFamily>,
    /// List endpoints that drain also beside ready ones (C6).
    pub include_draining: bool,
    /// Make clusters of these Service ports only, by name, or by number if they have none (O2); empty means all.
    pub ports: BTreeSet<Box<str>>,
    /// Let Services say whether they are wanted (O1); without it all are.
    pub annotation: Option<Choice>,
}

impl Options {
    /// O2
    fn wants_port(&self, port: &ServicePort) -> bool {
        self.ports.is_empty() || self.ports.contains(&port_label(port))
    }
}

/// What one Service gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Translation {
    /// The clusters, sorted by name, no name twice.
    pub clusters: Vec<Cluster>,
    /// The problems, sorted, none twice.
    pub problems: Vec<Problem>,
}

/// Translates one Service. Slices of other Services are passed over, so that the caller may give more than it must.
///
/// Rules that are kept by not reading a field: C7 `publishNotReadyAddresses`, J6 cluster IP, selector and the
/// slices' manager, J7 traffic policies and topology annotations, J8 `deletionTimestamp`.
pub fn translate<'a>(
    service: &Service,
    slices: impl IntoIterator<Item = &'a EndpointSlice>,
    options: &Options,
) -> Translation {
    let mut problems = Problems::default();
    let subject = subject("Service", &service.metadata);

    // A cluster's name is unambiguous only with names that the API server takes.
    let input::Metadata {
        namespace, name, ..
    } = &service.metadata;
    if !is_dns_label(namespace) || !is_dns_subdomain(name) {
        let reason = "its name or namespace is not one".into();
        problems.add(ProblemKind::Malformed { reason }, subject, None);
        return problems.into_translation(Vec::new());
    }
    // O1: who is not wanted has no other problems.
    let (is_wanted, odd) = choice::is_wanted(service, options.annotation.as_ref());
    if let Some(kind) = odd {
        problems.add(kind, subject.clone(), None);
    }
    if !is_wanted {
        return problems.into_translation(Vec::new());
    }
    // J5
    if &*service.spec.kind == "ExternalName" {
        problems.add(ProblemKind::ExternalName, subject, None);
        return problems.into_translation(Vec::new());
    }

    // O2: nor has a Service of which no port is wanted.
    let all = &service.spec.ports;
    let wanted: Vec<&ServicePort> = all.iter().filter(|it| options.wants_port(it)).collect();
    if wanted.is_empty() && !all.is_empty() {
        return problems.into_translation(Vec::new());
    }

    let mut slices: Vec<PreparedSlice<'_>> = slices
        .into_iter()
        .filter(|slice| belongs(slice, service))
        .filter_map(|slice| endpoints::prepare(slice, options, &mut problems))
        .collect();
    // D1 prefers the smallest name.
    slices.sort_by_key(PreparedSlice::name);

    let mut names = HashSet::new();
    let mut clusters = Vec::with_capacity(wanted.len());
    for port in wanted {
        let name = cluster_name(service, port);
        if !names.insert(name.clone()) {
            let label = Some(port_label(port));
            problems.add(ProblemKind::DuplicatePort, subject.clone(), label);
            continue;
        }
        // J4: a cluster without endpoints is a cluster.
        clusters.push(Cluster {
            name: name.into(),
            protocol: protocol(&port.protocol),
            app_protocol: Some(&port.app_protocol) // N3
                .filter(|text| !text.is_empty())
                .cloned(),
            endpoints: endpoints::of_port(service, port, &slices, options, &mut problems),
            session_affinity: session_affinity(service),
        });
    }
    problems.into_translation(clusters)
}

/// A problem for an object that cannot be read at all.
pub(crate) fn malformed(
    object: &kubedex::Object,
    kind: &'static str,
    error: &kubedex::object::ParseError,
) -> Problem {
    Problem {
        kind: ProblemKind::Malformed {
            reason: error.to_string().into(),
        },
        subject: Subject {
            kind,
            namespace: object.namespace().unwrap_or_default().into(),
            name: object.name().into(),
        },
        port: None,
    }
}

/// J1: the label, in the Service's namespace, and nothing else.
fn belongs(slice: &EndpointSlice, service: &Service) -> bool {
    let label = &slice.metadata.labels.service_name;
    !label.is_empty()
        && *label == service.metadata.name
        && slice.metadata.namespace == service.metadata.namespace
}

/// N1
fn cluster_name(service: &Service, port: &ServicePort) -> Box<str> {
    let input::Metadata {
        namespace, name, ..
    } = &service.metadata;
    format!("k8s/{namespace}/{name}:{}", port_label(port)).into()
}

/// How a Service port is called: its name, or its number if it has none.
fn port_label(port: &ServicePort) -> Box<str> {
    if port.name.is_empty() {
        port.port.to_string().into()
    } else {
        port.name.clone()
    }
}

/// N2 and P1: no protocol is TCP.
fn protocol(name: &str) -> Protocol {
    if name.is_empty() {
        Protocol::Tcp
    } else {
        Protocol::from(name)
    }
}

/// N4
fn session_affinity(service: &Service) -> Option<SessionAffinity> {
    let spec = &service.spec;
    (&*spec.session_affinity == "ClientIP").then(|| SessionAffinity::ClientIp {
        timeout: spec
            .session_affinity_config
            .client_ip
            .timeout_seconds
            .map_or(DEFAULT_SESSION_AFFINITY_TIMEOUT, |seconds| {
                Duration::from_secs(seconds.into())
            }),
    })
}

fn subject(kind: &'static str, metadata: &input::Metadata) -> Subject {
    Subject {
        kind,
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone(),
    }
}

/// Problems as they are found: in any order, some of them more than once.
#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, kind: ProblemKind, subject: Subject, port: Option<Box<str>>) {
        self.0.push(Problem {
            kind,
            subject,
            port,
        });
    }

    fn into_translation(self, mut clusters: Vec<Cluster>) -> Translation {
        let Self(mut problems) = self;
        clusters.sort_by(|a, b| a.name.cmp(&b.name));
        problems.sort();
        problems.dedup();
        Translation { clusters, problems }
    }
}

#[cfg(test)]
mod tests;
