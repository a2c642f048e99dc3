//! Endpoints: which of those in a Service's slices stand in a cluster, in which state and order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::model::{Endpoint, ProblemKind, State};

use super::hints::Filter;
use super::input::{Conditions, EndpointSlice, Service, ServicePort, SliceEndpoint};
use super::{Options, Problems, ports, subject};

/// A family of IP addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum IpFamily {
    /// IPv4
    #[serde(rename = "IPv4")]
    V4,
    /// IPv6
    #[serde(rename = "IPv6")]
    V6,
}

impl IpFamily {
    /// From the name Kubernetes uses, `IPv4` or `IPv6`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "IPv4" => Some(Self::V4),
            "IPv6" => Some(Self::V6),
            _ => None,
        }
    }

    /// The name Kubernetes uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// D3: only the form of the family, and no leading zeros, which some read as octal.
    fn parse(self, address: &str) -> Option<IpAddr> {
        match self {
            Self::V4 => address.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            Self::V6 => address.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        }
    }
}

/// A slice whose usable addresses are read.
pub(super) struct PreparedSlice<'a> {
    slice: &'a EndpointSlice,
    endpoints: Vec<(IpAddr, &'a SliceEndpoint)>,
}

impl<'a> PreparedSlice<'a> {
    pub(super) fn name(&self) -> &'a str {
        &self.slice.metadata.name
    }
}

/// Reads a slice's addresses. `None` when nothing of it is used. The problems raised here are the slice's own,
/// whichever ports it has.
pub(super) fn prepare<'a>(
    slice: &'a EndpointSlice,
    options: &Options,
    problems: &mut Problems,
) -> Option<PreparedSlice<'a>> {
    let family = IpFamily::from_name(&slice.address_type);
    // F2 comes before everything else, problems included.
    if options.ip_family.is_some() && options.ip_family != family {
        return None;
    }
    let Some(family) = family else {
        let kind = match &*slice.address_type {
            "FQDN" => ProblemKind::FqdnAddressType, // F3
            other => ProblemKind::Malformed {
                reason: format!("its address type is {other:?}").into(),
            },
        };
        problems.add(kind, subject("EndpointSlice", &slice.metadata), None);
        return None;
    };
    let mut endpoints = Vec::with_capacity(slice.endpoints.len());
    for endpoint in &slice.endpoints {
        // D2: only the first address; D3: which must be one of the family.
        match endpoint
            .addresses
            .first()
            .and_then(|address| family.parse(address))
        {
            Some(address) => endpoints.push((address, endpoint)),
            None => problems.add(
                ProblemKind::InvalidAddress,
                subject("EndpointSlice", &slice.metadata),
                None,
            ),
        }
    }
    Some(PreparedSlice { slice, endpoints })
}

/// What an endpoint's conditions make it, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Ready,
    Draining,
    Unusable,
}

impl From<Conditions> for Rank {
    fn from(conditions: Conditions) -> Self {
        let ready = conditions.ready.unwrap_or(true); // C1
        let serving = conditions.serving.unwrap_or(ready); // C3
        let terminating = conditions.terminating.unwrap_or(false); // C4
        if ready {
            Self::Ready // C2
        } else if serving && terminating {
            Self::Draining
        } else {
            Self::Unusable
        }
    }
}

/// One copy of an endpoint: the same address and port may stand in several slices.
struct Copy<'a> {
    address: IpAddr,
    port: u16,
    rank: Rank,
    /// The slice's place among the slices sorted by name.
    slice: usize,
    endpoint: &'a SliceEndpoint,
}

/// The endpoints of one Service port. `slices` are sorted by name.
pub(super) fn of_port(
    service: &Service,
    port: &ServicePort,
    slices: &[PreparedSlice<'_>],
    options: &Options,
    problems: &mut Problems,
) -> Vec<Endpoint> {
    let mut copies = Vec::new();
    for (slice, prepared) in slices.iter().enumerate() {
        for number in ports::numbers(port, prepared.slice, problems) {
            copies.extend(prepared.endpoints.iter().map(|&(address, endpoint)| Copy {
                address,
                port: number,
                rank: Rank::from(endpoint.conditions),
                slice,
                endpoint,
            }));
        }
    }
    settle(&mut copies, first_family(service));
    select(&copies, options)
}

/// D1 and D4 at once: sorts by family, address and port, and of each endpoint's copies keeps the best: by rank, then
/// by the slice's name. Copies within one slice are told apart by their content, so that their order has no say (J2).
fn settle(copies: &mut Vec<Copy<'_>>, first_family: IpFamily) {
    copies.sort_by(|a, b| {
        let place = |copy: &Copy<'_>| {
            let last = copy.address.is_ipv6() != (first_family == IpFamily::V6);
            (last, copy.address, copy.port, copy.rank, copy.slice)
        };
        place(a)
            .cmp(&place(b))
            .then_with(|| content(a.endpoint).cmp(&content(b.endpoint)))
    });
    copies.dedup_by(|later, kept| (later.address, later.port) == (kept.address, kept.port));
}

fn content(endpoint: &SliceEndpoint) -> impl Ord + '_ {
    (&endpoint.zone, &endpoint.node_name, &endpoint.hints)
}

/// F1: the first family that the Service lists; the other comes after it, listed or not; IPv4 if it lists none.
fn first_family(service: &Service) -> IpFamily {
    service
        .spec
        .ip_families
        .iter()
        .find_map(|name| IpFamily::from_name(name))
        .unwrap_or(IpFamily::V4)
}

/// Judges readiness and hints over the whole cluster, all slices and families together.
fn select(copies: &[Copy<'_>], options: &Options) -> Vec<Endpoint> {
    let ready = copies.iter().filter(|copy| copy.rank == Rank::Ready);
    let filter = Filter::choose(options, &ready.clone().map(|copy| &copy.endpoint.hints));
    // C5, C6
    let draining = options.include_draining || ready.clone().next().is_none();
    copies
        .iter()
        .filter_map(|copy| {
            let state = match copy.rank {
                Rank::Ready => filter
                    .is_none_or(|filter| filter.keeps(&copy.endpoint.hints))
                    .then_some(State::Ready)?,
                Rank::Draining => draining.then_some(State::Draining)?, // T4
                Rank::Unusable => return None,
            };
            Some(Endpoint {
                address: copy.address,
                port: copy.port,
                state,
                zone: present(&copy.endpoint.zone),
                node: present(&copy.endpoint.node_name),
            })
        })
        .collect()
}

fn present(text: &str) -> Option<Box<str>> {
    (!text.is_empty()).then(|| text.into())
}
