//! Ports: which number a Service port has in a slice.

use crate::model::ProblemKind;

use super::input::{EndpointSlice, ServicePort, TargetPort};
use super::{Problems, port_label, protocol, subject};

/// The numbers of a Service port in one slice, decided slice by slice (P4); empty when the slice does not have it.
///
/// P1: name and protocol must match, both as written, no name being `""`. P2: a slice without a match is passed over
/// in silence. A valid slice has at most one match.
pub(super) fn numbers(
    port: &ServicePort,
    slice: &EndpointSlice,
    problems: &mut Problems,
) -> Vec<u16> {
    let wanted = protocol(&port.protocol);
    slice
        .ports
        .iter()
        .filter(|candidate| candidate.name == port.name && protocol(&candidate.protocol) == wanted)
        .filter_map(|candidate| {
            number(port, candidate.port)
                .map_err(|kind| {
                    let subject = subject("EndpointSlice", &slice.metadata);
                    problems.add(kind, subject, Some(port_label(port)));
                })
                .ok()
        })
        .collect()
}

/// P3: the slice's number, or else the Service's numeric target port, which is the port itself if not given. The API
/// reads 0 and "" as not given.
fn number(port: &ServicePort, given: Option<i64>) -> Result<u16, ProblemKind> {
    let number = match (given, &port.target_port) {
        (Some(number), _) => number,
        (None, None | Some(TargetPort::Number(0))) => port.port.get().into(),
        (None, Some(TargetPort::Number(number))) => *number,
        (None, Some(TargetPort::Name(name))) if name.is_empty() => port.port.get().into(),
        (None, Some(TargetPort::Name(_))) => return Err(ProblemKind::UnresolvedPort),
    };
    u16::try_from(number)
        .ok()
        .filter(|number| *number != 0)
        .ok_or(ProblemKind::InvalidPort { number })
}
