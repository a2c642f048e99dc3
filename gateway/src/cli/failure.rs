//! How the program ends when it cannot do what was asked.

use std::error::Error;
use std::fmt;
use std::io;

use super::output::printable;

/// The exit code for a cluster or an output that fails.
pub(super) const RUNTIME: u8 = 1;

/// The exit code for something wrong in what was asked.
pub(super) const USAGE: u8 = 2;

/// Why the program ends. `Display` is one readable block: what, why, and what to do.
#[derive(Debug)]
pub(super) struct Failure {
    code: u8,
    what: String,
    why: Vec<String>,
    hint: Option<String>,
}

impl Failure {
    pub(super) fn runtime(what: impl Into<String>) -> Self {
        Self {
            code: RUNTIME,
            what: what.into(),
            why: Vec::new(),
            hint: None,
        }
    }

    pub(super) fn usage(what: impl Into<String>) -> Self {
        Self {
            code: USAGE,
            ..Self::runtime(what)
        }
    }

    /// Adds one reason, in a line of its own.
    #[must_use]
    pub(super) fn because(mut self, why: impl Into<String>) -> Self {
        self.why.push(why.into());
        self
    }

    /// Adds an error and what caused it, less what a line above says already.
    #[must_use]
    pub(super) fn caused_by(mut self, error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            if !self.why.last().is_some_and(|above| above.contains(&text)) {
                self.why.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds what the user can do.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn code(&self) -> u8 {
        self.code
    }

    /// Whether nothing is to be said: the reader of the output went away.
    pub(super) fn is_silent(&self) -> bool {
        self.code == 0
    }
}

impl From<io::Error> for Failure {
    /// A failure to write the output. That the reader has gone is none.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self {
                code: 0,
                ..Self::runtime("")
            };
        }
        Self::runtime("the output cannot be written").caused_by(&error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", printable(&self.what))?;
        for why in &self.why {
            for line in why.lines() {
                writeln!(f, "  {}", printable(line))?;
            }
        }
        match &self.hint {
            Some(hint) => writeln!(f, "hint: {hint}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_readable_block() {
        let failure = Failure::usage("the manifests cannot be used")
            .because("a.yaml: document 1, line 2: it has no kind")
            .hint("nothing was rendered");
        assert_eq!(
            failure.to_string(),
            "error: the manifests cannot be used\n  a.yaml: document 1, line 2: it has no kind\nhint: nothing was rendered\n"
        );
        assert_eq!(failure.code(), 2);
    }

    #[test]
    fn a_cause_that_repeats_is_said_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("reading x: {0}")]
        struct Outer(#[source] io::Error);
        let error = Outer(io::Error::other("no"));
        let text = Failure::runtime("w").caused_by(&error).to_string();
        assert_eq!(text, "error: w\n  reading x: no\n");
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(failure.is_silent());
        assert_eq!(failure.code(), 0);
        let failure = Failure::from(io::Error::other("disk full"));
        assert!(!failure.is_silent());
        assert_eq!(failure.code(), RUNTIME);
    }
}
