//! What a mutated reflector understands instead of what happened.

use super::machine::{Input, Machine, Refusal};
use crate::watcher::mutation::{Mutation, is_on};

/// What is taken in instead; without mutations the same.
pub(super) fn understood(input: Input, machine: &Machine) -> Input {
    match input {
        Input::Bookmark { .. } if machine.is_watching() && is_on(Mutation::BookmarksIgnored) => {
            Input::Bookmark {
                version: machine.version().to_owned(),
            }
        }
        Input::Applied { version } if is_on(Mutation::ResumedTooFar) => Input::Applied {
            version: version
                .parse::<u64>()
                .map_or(version, |version| (version + 1).to_string()),
        },
        Input::Refused(Refusal { code: 410, .. })
            if machine.is_watching() && is_on(Mutation::GoneRetried) =>
        {
            Input::Failed
        }
        Input::Failed if machine.is_watching() && is_on(Mutation::FailuresRelist) => {
            Input::Disorder
        }
        Input::Garbled if is_on(Mutation::GarbledIsEnd) => Input::Ended,
        input => input,
    }
}
