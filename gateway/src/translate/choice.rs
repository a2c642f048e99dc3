//! Choice: which Services are wanted, as an annotation of theirs says (O1).

use serde::{Deserialize, Serialize};

use crate::model::ProblemKind;

use super::input::Service;

/// The annotation that is read unless told otherwise.
pub const DEFAULT_CHOICE_KEY: &str = "kubedex.dev/gateway";

/// How much of an annotation's value is shown, in characters.
const SHOWN: usize = 64;

/// An annotation by which Services say whether they are wanted, in the configuration
/// `{key: kubedex.dev/gateway, mode: opt-out}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// Its key; [`DEFAULT_CHOICE_KEY`] by default.
    #[serde(default = "default_key")]
    pub key: Box<str>,
    /// What counts when it is not there.
    pub mode: ChoiceMode,
}

/// What counts for a Service that says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChoiceMode {
    /// It is not wanted: only those with `true` are.
    OptIn,
    /// It is wanted: all are but those with `false`.
    OptOut,
}

fn default_key() -> Box<str> {
    DEFAULT_CHOICE_KEY.into()
}

/// Whether a Service is wanted, and what is wrong with what it says: another value than `true` and `false` is as good as
/// none.
pub(super) fn is_wanted(service: &Service, choice: Option<&Choice>) -> (bool, Option<ProblemKind>) {
    let Some(Choice { key, mode }) = choice else {
        return (true, None);
    };
    let unsaid = *mode == ChoiceMode::OptOut;
    match service.metadata.annotations.get(key) {
        None | Some(None) => (unsaid, None),
        Some(Some(value)) => match &**value {
            "true" => (true, None),
            "false" => (false, None),
            other => {
                let problem = ProblemKind::InvalidAnnotation {
                    key: key.clone(),
                    value: other.chars().take(SHOWN).collect::<String>().into(),
                };
                (unsaid, Some(problem))
            }
        },
    }
}
