//! What is printed: pure text from clusters and problems. The forms are chosen here; writing is the caller's.

mod json;
mod table;

pub(super) use table::printable;

use std::env;
use std::io::{IsTerminal, stdout};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::discovery::Diff;
use crate::model::{Cluster, Problem};

/// Columns of a table on no terminal and on one that does not say.
const DEFAULT_WIDTH: usize = 80;

/// The narrowest table; below it, names and endpoints have no room.
const MIN_WIDTH: usize = 40;

/// The form of what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// JSON: one document, or one line for each change
    Json,
    /// A table for people, and changes with their marks
    Table,
}

/// How to print.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) format: Format,
    /// Columns that a table may have.
    pub(super) width: usize,
    pub(super) color: bool,
}

impl Style {
    /// For standard output: a table on a terminal and JSON elsewhere, unless a form is asked for.
    pub(super) fn of_stdout(format: Option<Format>) -> Self {
        let terminal = stdout().is_terminal();
        let width = terminal
            .then(terminal_size::terminal_size)
            .flatten()
            .map_or(DEFAULT_WIDTH, |(width, _)| usize::from(width.0));
        let unset = |name: &str| env::var_os(name).is_none_or(|value| value.is_empty());
        Self {
            format: format.unwrap_or(if terminal {
                Format::Table
            } else {
                Format::Json
            }),
            width: width.max(MIN_WIDTH),
            color: terminal
                && unset("NO_COLOR")
                && env::var_os("TERM").is_none_or(|term| term != "dumb"),
        }
    }

    /// One whole state.
    pub(super) fn state(self, clusters: &[Arc<Cluster>], problems: &[&Problem]) -> String {
        match self.format {
            Format::Json => json::state(clusters, problems),
            Format::Table => table::state(clusters, problems, self),
        }
    }

    /// The state that a live view starts with.
    pub(super) fn synced(
        self,
        at: Timestamp,
        clusters: &[Arc<Cluster>],
        problems: &[&Problem],
    ) -> String {
        match self.format {
            Format::Json => json::synced(at, clusters, problems),
            Format::Table => table::state(clusters, problems, self) + "\n",
        }
    }

    /// What a live view adds for one change.
    pub(super) fn changed(self, at: Timestamp, diff: &Diff) -> String {
        match self.format {
            Format::Json => json::changed(at, diff),
            Format::Table => {
                let time = at.to_zoned(TimeZone::system());
                table::changed(&time.strftime("%H:%M:%S").to_string(), diff, self)
            }
        }
    }
}
