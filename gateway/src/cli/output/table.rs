//! Tables for people, readable at 80 columns, and the changes of a live view with their marks.
//!
//! Names are never cut, since they are what one copies; what gives way is the list of endpoints.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::discovery::Diff;
use crate::model::ClusterChange;
use crate::model::{Cluster, Endpoint, Problem, SessionAffinity, State};

use super::Style;

/// Names longer than this part of the width stand in a line of their own.
const NAME_SHARE: (usize, usize) = (1, 2);

/// At most this many changed endpoints of a cluster are listed; the rest is counted.
const MAX_MARKS: usize = 24;

/// Columns before a continued line of a change: time and mark.
const INDENT: usize = 11;

/// The columns between name and endpoints: protocol, ready, draining, and the gaps.
const NUMBERS: usize = 2 + 5 + 2 + 5 + 2 + 8 + 2;

pub(super) fn state(clusters: &[Arc<Cluster>], problems: &[&Problem], style: Style) -> String {
    let mut out = String::new();
    if !clusters.is_empty() {
        rows(&mut out, clusters, style);
        out.push('\n');
    }
    for problem in problems {
        mark(&mut out, style, Mark::Problem, "");
        let (short, long) = (problem.to_string(), problem.explanation());
        let _ = writeln!(out, " {}\n  {}", printable(&short), printable(&long));
    }
    if !problems.is_empty() {
        out.push('\n');
    }
    let _ = writeln!(out, "{}", summary(clusters, problems.len()));
    out
}

fn rows(out: &mut String, clusters: &[Arc<Cluster>], style: Style) {
    let most = style.width * NAME_SHARE.0 / NAME_SHARE.1;
    let length = |cluster: &Arc<Cluster>| cluster.name.chars().count();
    let longest = clusters.iter().map(length).filter(|it| *it <= most).max();
    let column = longest.unwrap_or(0).max("CLUSTER".len());
    let room = style.width.saturating_sub(column + NUMBERS);
    let _ = writeln!(
        out,
        "{:column$}  {:5}  {:>5}  {:>8}  ENDPOINTS",
        "CLUSTER", "PROTO", "READY", "DRAINING"
    );
    for cluster in clusters {
        let mut name = printable(&cluster.name);
        if length(cluster) > column {
            let _ = writeln!(out, "{name}");
            name.clear();
        }
        let (ready, draining) = count(cluster);
        let _ = writeln!(
            out,
            "{name:column$}  {:5}  {ready:5}  {draining:8}  {}",
            cluster.protocol,
            endpoints(cluster, room),
        );
    }
}

/// As many endpoints as there is room for, and how many more there are.
fn endpoints(cluster: &Cluster, room: usize) -> String {
    let mut text = String::new();
    let total = cluster.endpoints.len();
    for (shown, endpoint) in cluster.endpoints.iter().enumerate() {
        let next = endpoint.socket().to_string();
        let gap = usize::from(!text.is_empty());
        let more = format!(" +{}", total - shown - 1);
        let tail = if shown + 1 < total { more.len() } else { 0 };
        if text.len() + gap + next.len() + tail > room {
            let _ = write!(text, "{}+{}", &" "[..gap], total - shown);
            break;
        }
        let _ = write!(text, "{}{next}", &" "[..gap]);
    }
    if total == 0 { "-".to_owned() } else { text }
}

fn count(cluster: &Cluster) -> (usize, usize) {
    let ready = |endpoint: &&Endpoint| endpoint.state == State::Ready;
    let ready = cluster.endpoints.iter().filter(ready).count();
    (ready, cluster.endpoints.len() - ready)
}

fn summary(clusters: &[Arc<Cluster>], problems: usize) -> String {
    let (ready, draining) = clusters.iter().fold((0, 0), |(ready, draining), cluster| {
        let (r, d) = count(cluster);
        (ready + r, draining + d)
    });
    let mut text = plural(clusters.len(), "cluster");
    let _ = write!(text, ", {} ready", plural(ready, "endpoint"));
    if draining > 0 {
        let _ = write!(text, ", {draining} draining");
    }
    if problems > 0 {
        let _ = write!(text, ", {}", plural(problems, "problem"));
    }
    text
}

fn plural(number: usize, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{ending}")
}

/// Every change begins with the time and a mark; what it did to endpoints follows, indented.
pub(super) fn changed(time: &str, diff: &Diff, style: Style) -> String {
    let mut out = String::new();
    for change in &diff.clusters {
        let _ = write!(out, "{time} ");
        let kind = match change {
            ClusterChange::Added(_) => Mark::Added,
            ClusterChange::Updated { .. } => Mark::Updated,
            ClusterChange::Removed(_) => Mark::Removed,
        };
        mark(&mut out, style, kind, "");
        let _ = write!(out, " {}", printable(change.name()));
        if let Some(after) = change.after() {
            let _ = write!(out, "  {}", health(change.before(), after));
        }
        out.push('\n');
        details(&mut out, change, style);
    }
    for problem in &diff.problems_added {
        let _ = write!(out, "{time} ");
        mark(&mut out, style, Mark::Problem, "");
        let (short, long) = (problem.to_string(), problem.explanation());
        let _ = writeln!(
            out,
            " {}\n{:INDENT$}{}",
            printable(&short),
            "",
            printable(&long)
        );
    }
    for problem in &diff.problems_removed {
        let _ = write!(out, "{time} ");
        mark(&mut out, style, Mark::Resolved, "");
        let _ = writeln!(out, " {}: resolved", printable(&problem.to_string()));
    }
    out
}

/// How many endpoints there are, and how many were ready before if that differs.
fn health(before: Option<&Arc<Cluster>>, after: &Cluster) -> String {
    let (ready, draining) = count(after);
    let mut text = match before.map(|before| count(before).0) {
        Some(was) if was != ready => format!("{was} -> {ready} ready"),
        _ => format!("{ready} ready"),
    };
    if draining > 0 {
        let _ = write!(text, ", {draining} draining");
    }
    text
}

/// What changed inside a cluster, as many marks to a line as fit.
fn details(out: &mut String, change: &ClusterChange, style: Style) {
    let (Some(after), before) = (change.after(), change.before()) else {
        return;
    };
    let mut marks = before
        .map(|before| attributes(before, after))
        .unwrap_or_default();
    let none = Vec::new();
    marks.extend(endpoint_marks(
        before.map_or(&none, |before| &before.endpoints),
        &after.endpoints,
    ));
    let hidden = marks.len().saturating_sub(MAX_MARKS);
    marks.truncate(MAX_MARKS);

    let mut column = 0;
    for (kind, text) in &marks {
        let text = printable(text);
        let length = 1 + text.chars().count();
        if column == 0 || column + 1 + length > style.width {
            if column > 0 {
                out.push('\n');
            }
            let _ = write!(out, "{:INDENT$}", "");
            column = INDENT;
        } else {
            out.push(' ');
            column += 1;
        }
        mark(out, style, *kind, text);
        column += length;
    }
    if hidden > 0 {
        let _ = write!(out, "\n{:INDENT$}and {hidden} more", "");
    }
    if column > 0 {
        out.push('\n');
    }
}

fn attributes(before: &Cluster, after: &Cluster) -> Vec<(Mark, String)> {
    let mut marks = Vec::new();
    let mut compare = |what: &str, before: &str, after: &str| {
        if before != after {
            marks.push((Mark::Updated, format!("{what} {before} -> {after}")));
        }
    };
    let app = |cluster: &Cluster| cluster.app_protocol.clone().unwrap_or("none".into());
    let affinity = |cluster: &Cluster| match cluster.session_affinity {
        Some(SessionAffinity::ClientIp { timeout }) => format!("ClientIP {}s", timeout.as_secs()),
        None => "none".to_owned(),
    };
    compare(
        "protocol",
        before.protocol.as_str(),
        after.protocol.as_str(),
    );
    compare("app protocol", &app(before), &app(after));
    compare("session affinity", &affinity(before), &affinity(after));
    marks
}

/// Endpoints that came, changed or went, each list in the order of its cluster. A change of order alone has no mark.
fn endpoint_marks(before: &[Endpoint], after: &[Endpoint]) -> Vec<(Mark, String)> {
    let by_socket = |endpoints: &[Endpoint]| -> BTreeMap<SocketAddr, Endpoint> {
        endpoints
            .iter()
            .map(|endpoint| (endpoint.socket(), endpoint.clone()))
            .collect()
    };
    let (old, new) = (by_socket(before), by_socket(after));
    let mut marks = Vec::new();
    for endpoint in after {
        let socket = endpoint.socket();
        match old.get(&socket) {
            None if endpoint.state == State::Draining => {
                marks.push((Mark::Added, format!("{socket} (draining)")));
            }
            None => marks.push((Mark::Added, socket.to_string())),
            Some(old) if old != endpoint => {
                marks.push((
                    Mark::Updated,
                    format!("{socket} ({})", differs(old, endpoint)),
                ));
            }
            Some(_) => {}
        }
    }
    for endpoint in before {
        let socket = endpoint.socket();
        if !new.contains_key(&socket) {
            marks.push((Mark::Removed, socket.to_string()));
        }
    }
    marks
}

/// What differs between two states of one endpoint.
fn differs(before: &Endpoint, after: &Endpoint) -> String {
    let text = |text: &Option<Box<str>>| text.clone().unwrap_or("none".into());
    let mut parts = Vec::new();
    if before.state != after.state {
        parts.push(after.state.to_string());
    }
    if before.zone != after.zone {
        parts.push(format!("zone {}", text(&after.zone)));
    }
    if before.node != after.node {
        parts.push(format!("node {}", text(&after.node)));
    }
    parts.join(", ")
}

/// Text of others, without what could steer a terminal.
pub(in crate::cli) fn printable(text: &str) -> String {
    text.replace(|char: char| char.is_control(), "?")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Added,
    Updated,
    Removed,
    Problem,
    Resolved,
}

/// A mark and what it belongs to, in its colour.
fn mark(out: &mut String, style: Style, mark: Mark, text: impl Display) {
    let (sign, color) = match mark {
        Mark::Added => ('+', "32"),
        Mark::Updated => ('~', "33"),
        Mark::Removed => ('-', "31"),
        Mark::Problem => ('!', "35"),
        Mark::Resolved => ('.', "32"),
    };
    let _ = if style.color {
        write!(out, "\x1b[{color}m{sign}{text}\x1b[0m")
    } else {
        write!(out, "{sign}{text}")
    };
}

#[cfg(test)]
mod tests;
