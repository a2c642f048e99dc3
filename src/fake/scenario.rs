//! Faults from a file: the same as [`Fault`]'s methods, as YAML or JSON.

use std::time::Duration;

use serde::Deserialize;

use super::FakeCluster;
use super::fault::{Fault, FaultId};
use crate::resource::{Gvr, GvrError};

/// Why a scenario is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// The text has not the form of a scenario.
    #[error("the scenario cannot be read: {0}")]
    Syntax(String),
    /// A fault names something that is no resource.
    #[error("fault {index} of the scenario has a bad resource")]
    Resource {
        /// The fault's number, from 1.
        index: usize,
        /// What is wrong with it.
        source: GvrError,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    faults: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    fault: Name,
    code: Option<u16>,
    message: Option<String>,
    retry_after_seconds: Option<u64>,
    milliseconds: Option<u64>,
    revisions: Option<u64>,
    #[serde(default)]
    events: usize,
    verb: Option<String>,
    resource: Option<String>,
    path: Option<String>,
    #[serde(default)]
    after: u64,
    times: Option<u64>,
    #[serde(default)]
    always: bool,
    probability: Option<f64>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Name {
    Status,
    Latency,
    ConnectionRefused,
    Hang,
    StaleList,
    Compaction,
    Restart,
    RestartWithoutMemory,
    Reset,
    End,
    TruncatedLine,
    TruncatedLineWithNewline,
    GarbageLine,
    DroppedEvent,
    DuplicatedEvent,
    ReorderedEvent,
    ErrorEvent,
    Silence,
}

impl FakeCluster {
    /// Injects the faults of a scenario, in its order.
    ///
    /// ```
    /// # use kubedex::fake::FakeCluster;
    /// let cluster = FakeCluster::new();
    /// cluster.load_scenario("
    /// faults:
    /// - {fault: status, code: 429, retryAfterSeconds: 2, verb: list, resource: v1/pods, times: 3}
    /// - {fault: truncated-line, events: 5, verb: watch, always: true, probability: 0.2}
    /// - {fault: latency, milliseconds: 200, path: /apis/, always: true}
    /// ").unwrap();
    /// ```
    /// Kinds: `status`, `latency`, `connection-refused`, `hang`, `stale-list`, `compaction`, `restart`,
    /// `restart-without-memory`, `reset`, `end`, `truncated-line`, `truncated-line-with-newline`, `garbage-line`,
    /// `dropped-event`, `duplicated-event`, `reordered-event`, `error-event`, `silence`. `path` is a text that the
    /// request's path contains. Without `times`, `always` or `probability` a fault hits once.
    ///
    /// # Errors
    /// When the text is no scenario; then none of its faults is injected.
    pub fn load_scenario(&self, text: &str) -> Result<Vec<FaultId>, ScenarioError> {
        let scenario: Scenario = serde_saphyr::from_str(text)
            .map_err(|error| ScenarioError::Syntax(error.to_string()))?;
        let mut faults = Vec::new();
        for (index, entry) in scenario.faults.into_iter().enumerate() {
            faults.push(entry.fault(index + 1)?);
        }
        Ok(faults.into_iter().map(|fault| self.inject(fault)).collect())
    }
}

impl Entry {
    fn fault(self, index: usize) -> Result<Fault, ScenarioError> {
        let at = self.events;
        let mut fault = match self.fault {
            Name::Status => Fault::status(self.code.unwrap_or(503)),
            Name::Latency => {
                Fault::latency(Duration::from_millis(self.milliseconds.unwrap_or(1000)))
            }
            Name::ConnectionRefused => Fault::connection_refused(),
            Name::Hang => Fault::hang(),
            Name::StaleList => Fault::stale_list(self.revisions.unwrap_or(1)),
            Name::Compaction => Fault::compaction(),
            Name::Restart => Fault::restart(),
            Name::RestartWithoutMemory => Fault::restart_without_memory(),
            Name::Reset => Fault::reset_after(at),
            Name::End => Fault::end_after(at),
            Name::TruncatedLine => Fault::truncated_line(at),
            Name::TruncatedLineWithNewline => Fault::truncated_line_with_newline(at),
            Name::GarbageLine => Fault::garbage_line(at),
            Name::DroppedEvent => Fault::dropped_event(at),
            Name::DuplicatedEvent => Fault::duplicated_event(at),
            Name::ReorderedEvent => Fault::reordered_event(at),
            Name::ErrorEvent => Fault::error_event(at, self.code.unwrap_or(410)),
            Name::Silence => Fault::silence_after(at),
        };
        if let Some(seconds) = self.retry_after_seconds {
            fault = fault.retry_after(Duration::from_secs(seconds));
        }
        if let Some(message) = self.message {
            fault = fault.message(message);
        }
        if let Some(verb) = self.verb {
            fault = fault.verb(verb);
        }
        if let Some(resource) = self.resource {
            let gvr: Gvr = resource
                .parse()
                .map_err(|source| ScenarioError::Resource { index, source })?;
            fault = fault.resource(&gvr);
        }
        if let Some(path) = self.path {
            fault = fault.when(move |request| request.path.contains(&path));
        }
        if let Some(probability) = self.probability {
            fault = fault.with_probability(probability);
        }
        fault = match self.times {
            Some(times) => fault.times(times),
            None if self.always || self.probability.is_some() => fault.always(),
            None => fault,
        };
        Ok(fault.after(self.after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_scenario_is_refused_whole_and_says_where() {
        let cluster = FakeCluster::new();
        for (text, word) in [
            ("faults: [{fault: nonsense}]", "nonsense"),
            ("faults: [{fault: hang, verbs: list}]", "verbs"),
            (
                "faults: [{fault: hang}, {fault: hang, resource: Pods}]",
                "fault 2",
            ),
            ("[]", "cannot be read"),
        ] {
            let error = cluster.load_scenario(text).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}
