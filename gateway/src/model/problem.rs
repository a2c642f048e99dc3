//! Problems: why something that was declared is not, or not wholly, in the clusters.
//!
//! A problem describes the present state, not an event. It stands as long as its cause does.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// One thing that keeps declared traffic from its endpoints.
///
/// `Display` and serde give the short form `code Kind/namespace/name[:port]`, by which problems are also ordered;
/// [`Problem::explanation`] says it to a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub kind: ProblemKind,
    /// The object it is about.
    pub subject: Subject,
    /// The port it is about, if one: its name, or its number if it has no name.
    pub port: Option<Box<str>>,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// The service stands for a DNS name outside.
    ExternalName,
    /// The endpoints are DNS names.
    FqdnAddressType,
    /// Nobody says at which number the port is.
    UnresolvedPort,
    /// An address is missing or is none of its family.
    InvalidAddress,
    /// A port number is outside 1 to 65535.
    InvalidPort {
        /// What stands there instead.
        number: i64,
    },
    /// Two ports of a service would have the same name.
    DuplicatePort,
    /// An annotation by which a service says whether it is wanted says neither.
    InvalidAnnotation {
        /// The annotation.
        key: Box<str>,
        /// What it says, shortened.
        value: Box<str>,
    },
    /// The object cannot be read.
    Malformed {
        /// What the reader says.
        reason: Box<str>,
    },
    /// A static cluster and a discovered one have the same name.
    Conflict {
        /// Which of them is used.
        winner: Origin,
    },
    /// An output has no way to say something about a cluster.
    Inexpressible {
        /// The output, such as `haproxy`.
        output: &'static str,
        /// What it cannot say, and what it does instead.
        what: Box<str>,
    },
}

/// Where a cluster comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// From the configuration.
    Static,
    /// From Services and EndpointSlices.
    Discovered,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Static => "static",
            Self::Discovered => "discovered",
        })
    }
}

/// The object a problem is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The kind of object, such as `Service`.
    pub kind: &'static str,
    /// Its namespace; empty for what is in none, such as a cluster.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
}

impl Subject {
    /// A cluster.
    pub fn cluster(name: &str) -> Self {
        Self {
            kind: "Cluster",
            namespace: "".into(),
            name: name.into(),
        }
    }
}

impl ProblemKind {
    /// The stable code that starts the short form.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ExternalName => "external-name",
            Self::FqdnAddressType => "fqdn-address-type",
            Self::UnresolvedPort => "unresolved-port",
            Self::InvalidAddress => "invalid-address",
            Self::InvalidPort { .. } => "invalid-port",
            Self::DuplicatePort => "duplicate-port",
            Self::InvalidAnnotation { .. } => "invalid-annotation",
            Self::Malformed { .. } => "malformed",
            Self::Conflict { .. } => "conflict",
            Self::Inexpressible { .. } => "inexpressible",
        }
    }

    /// What the short form leaves out.
    fn rest(&self) -> (i64, &str, &str) {
        match self {
            Self::InvalidPort { number } => (*number, "", ""),
            Self::InvalidAnnotation { key, value } => (0, key, value),
            Self::Malformed { reason } => (0, "", reason),
            Self::Conflict { winner } => (*winner as i64, "", ""),
            Self::Inexpressible { output, what } => (0, output, what),
            _ => (0, "", ""),
        }
    }
}

impl Problem {
    /// What it means, in a clause without a full stop.
    pub fn explanation(&self) -> String {
        match &self.kind {
            ProblemKind::ExternalName => {
                "it stands for a DNS name, which gives no endpoints".to_owned()
            }
            ProblemKind::FqdnAddressType => {
                "its addresses are DNS names, which are not used".to_owned()
            }
            ProblemKind::UnresolvedPort => {
                "the port has no number and the Service's targetPort is a name".to_owned()
            }
            ProblemKind::InvalidAddress => {
                "an endpoint without an address of the slice's family is left out".to_owned()
            }
            ProblemKind::InvalidPort { number } => {
                format!("{number} is no port number, so the port's endpoints are left out")
            }
            ProblemKind::DuplicatePort => {
                "another port of the Service has that name, and only the first is used".to_owned()
            }
            ProblemKind::InvalidAnnotation { key, value } => {
                format!(
                    "its annotation {key} is {value:?}, which is neither true nor false, and does not count"
                )
            }
            ProblemKind::Malformed { reason } => format!("it cannot be read: {reason}"),
            ProblemKind::Conflict { winner } => {
                format!(
                    "a static and a discovered cluster have this name; the {winner} one is used"
                )
            }
            ProblemKind::Inexpressible { output, what } => format!("{output}: {what}"),
        }
    }

    /// The pieces of the short form, in order.
    fn pieces(&self) -> [&str; 9] {
        let slash = if self.subject.namespace.is_empty() {
            ""
        } else {
            "/"
        };
        let Subject {
            kind,
            namespace,
            name,
        } = &self.subject;
        let (colon, port) = self.port.as_deref().map_or(("", ""), |port| (":", port));
        [
            self.kind.code(),
            " ",
            kind,
            "/",
            namespace,
            slash,
            name,
            colon,
            port,
        ]
    }
}

impl Problem {
    /// The bytes of the short form.
    fn bytes(&self) -> impl Iterator<Item = u8> {
        self.pieces().map(str::bytes).into_iter().flatten()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces()
            .into_iter()
            .try_for_each(|piece| f.write_str(piece))
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// By the short form, bytewise; then by what `Display` leaves out.
impl Ord for Problem {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes()
            .cmp(other.bytes())
            .then_with(|| self.kind.rest().cmp(&other.kind.rest()))
    }
}

impl PartialOrd for Problem {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(kind: ProblemKind, namespace: &str, port: Option<&str>) -> Problem {
        Problem {
            kind,
            subject: Subject {
                kind: "EndpointSlice",
                namespace: namespace.into(),
                name: "api-1".into(),
            },
            port: port.map(Into::into),
        }
    }

    #[test]
    fn the_short_form_has_a_port_only_when_one_is_meant() {
        let with = problem(ProblemKind::UnresolvedPort, "shop", Some("http"));
        let without = problem(ProblemKind::InvalidAddress, "shop", None);
        assert_eq!(
            with.to_string(),
            "unresolved-port EndpointSlice/shop/api-1:http"
        );
        assert_eq!(
            serde_json::to_value(&without).unwrap(),
            "invalid-address EndpointSlice/shop/api-1"
        );
    }

    #[test]
    fn problems_sort_as_their_text_does() {
        // As text `a-b/` comes before `a/`, while `a` comes before `a-b`.
        let mut problems = [
            problem(ProblemKind::UnresolvedPort, "a", None),
            problem(ProblemKind::InvalidAddress, "a", None),
            problem(ProblemKind::InvalidAddress, "a-b", None),
        ];
        problems.sort();
        let texts = problems.map(|problem| problem.to_string());
        assert!(texts.is_sorted(), "{texts:?}");
    }

    #[test]
    fn problems_that_differ_only_in_their_reason_are_not_equal() {
        let malformed = |reason: &str| {
            let reason = reason.into();
            problem(ProblemKind::Malformed { reason }, "a", None)
        };
        assert_ne!(malformed("x"), malformed("y"));
        assert!(malformed("x") < malformed("y"));
    }
}
