//! What is wrong with an expression, and where.

use std::borrow::Cow;
use std::fmt;

/// Why a text is no [`PathExpression`](super::PathExpression), and at which byte of what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathError {
    expression: Box<str>,
    position: usize,
    reason: Cow<'static, str>,
}

impl PathError {
    pub(crate) fn new(
        expression: &str,
        position: usize,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            expression: expression.into(),
            position: position.min(expression.len()),
            reason: reason.into(),
        }
    }

    /// The expression as it was written.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// Where the trouble begins: a byte offset into [`PathError::expression`], at most its length.
    pub fn position(&self) -> usize {
        self.position
    }

    /// What is wrong there.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The expression with a caret under the position, in two lines, for a terminal.
    pub fn caret(&self) -> String {
        let before = self.expression.get(..self.position).unwrap_or_default();
        let column = before.chars().count();
        format!("{}\n{:column$}^", self.expression, "")
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "invalid path expression {:?} at byte {}: {}",
            self.expression, self.position, self.reason
        )
    }
}

impl std::error::Error for PathError {}
