//! What is wrong with a configuration, all of it, each with its place.

use std::fmt;

use super::node::{Path, Place};

/// How many faults are told; there may be more.
const TOLD: usize = 50;

/// Why a configuration cannot be used: at least one fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub(super) file: Box<str>,
    pub(super) faults: Vec<Fault>,
}

/// One thing that is wrong in a configuration file, or that may not be meant so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    place: Option<Place>,
    field: String,
    reason: String,
}

impl Fault {
    /// Of a file that has no places, since it cannot be read at all.
    pub(super) fn of_file(reason: impl Into<String>) -> Self {
        Self {
            place: None,
            field: String::new(),
            reason: reason.into(),
        }
    }

    pub(super) fn new(place: Place, path: &Path, reason: impl Into<String>) -> Self {
        Self {
            place: Some(place),
            field: path.to_string(),
            reason: reason.into(),
        }
    }

    /// The line it is in, from 1; `None` for the file as a whole.
    pub fn line(&self) -> Option<u64> {
        self.place.map(|place| place.line)
    }

    /// The column at which it begins, in characters from 1; `None` for the file as a whole.
    pub fn column(&self) -> Option<u64> {
        self.place.map(|place| place.column)
    }

    /// The field it is about, such as `publish[0].directory.path`; empty for the file as a whole.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What is wrong, and what to do where that is known.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { line, column }) = self.place {
            write!(f, "line {line}, column {column}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.reason)
    }
}

impl ConfigError {
    /// In the order in which they stand in the file, none twice.
    pub(super) fn new(file: &str, mut faults: Vec<Fault>) -> Self {
        faults.sort();
        faults.dedup();
        Self {
            file: file.into(),
            faults,
        }
    }

    /// What the file is called.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// All that is wrong, in the order in which it stands in the file.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// One line for each fault, each with the file's name.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let more = self.faults.len().saturating_sub(TOLD);
        self.faults
            .iter()
            .take(TOLD)
            .map(|fault| format!("{}: {fault}", self.file))
            .chain((more > 0).then(|| format!("{}: and {more} more", self.file)))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, line) in self.lines().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&line)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// `, did you mean ...?` if one of the known names is close to what was written, else nothing.
pub(super) fn suggestion(written: &str, known: &[&str]) -> String {
    let most = 1 + written.chars().count() / 4;
    known
        .iter()
        .map(|name| (distance(written, name), name))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, name)| format!(", did you mean `{name}`?"))
        .unwrap_or_default()
}

/// How many letters have to be added, removed, changed or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let fold = |text: &str| -> Vec<char> {
        // Far longer than any name that there is.
        let letters = text.chars().take(64);
        letters
            .map(|letter| match letter {
                '-' => '_',
                letter => letter.to_ascii_lowercase(),
            })
            .collect()
    };
    let (a, b) = (fold(a), fold(b));
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + changed);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_guessed_and_nothing_else() {
        let known = ["directory", "stdout", "s3", "leader_only"];
        for (written, meant) in [
            ("dirctory", "directory"),
            ("diretcory", "directory"),
            ("leader-only", "leader_only"),
            ("Stdout", "stdout"),
        ] {
            let expected = format!(", did you mean `{meant}`?");
            assert_eq!(suggestion(written, &known), expected);
        }
        for written in ["", "folder", "kafka", "x"] {
            assert_eq!(suggestion(written, &known), "", "{written}");
        }
    }
}
