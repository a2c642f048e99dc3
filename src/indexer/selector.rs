//! Client-side field selectors: which objects a watcher wants, decided here and not by the server.
//!
//! The terms are `path=value`, `path==value` and `path!=value`, joined by commas, where the path is any
//! [`PathExpression`]. They look at the object as it came, ignored fields included.

use std::fmt;
use std::str::FromStr;

use super::key::component_is;
use super::path::PathExpression;
use crate::object::Object;

/// A client-side field selector: an object matches when every term does.
///
/// A term with `=` holds when any value that its path finds equals the text, one with `!=` when none does. Values are
/// compared as [index keys](super::IndexKey) are made: a number as it prints, a missing field as the empty text. A comma,
/// `=` or `\` in a value is escaped by `\`, or the value stands in quotes.
///
/// ```
/// # let pod = kubedex::Object::from_json(br#"{"metadata":{"name":"x"},"spec":{"nodeName":"n1"},"status":{"phase":"Failed"}}"#).unwrap();
/// use kubedex::indexer::ClientSelector;
/// let mine: ClientSelector = "spec.nodeName=n1,status.phase!=Succeeded".parse().unwrap();
/// assert!(mine.matches(&pod));
/// ```
#[derive(Clone, Debug)]
pub struct ClientSelector {
    source: Box<str>,
    terms: Vec<Term>,
}

#[derive(Clone, Debug)]
struct Term {
    path: PathExpression,
    negated: bool,
    value: Box<str>,
}

/// Why a text is no [`ClientSelector`], and at which byte of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid client-side field selector {selector:?} at byte {position}: {reason}")]
pub struct ClientSelectorError {
    selector: Box<str>,
    position: usize,
    reason: Box<str>,
}

impl ClientSelectorError {
    /// Where the trouble begins: a byte offset into the selector.
    pub fn position(&self) -> usize {
        self.position
    }

    /// What is wrong there.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl ClientSelector {
    /// Whether an object matches every term.
    pub fn matches(&self, object: &Object) -> bool {
        self.terms.iter().all(|term| term.holds(object))
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &PathExpression> {
        self.terms.iter().map(|term| &term.path)
    }
}

impl Term {
    fn holds(&self, object: &Object) -> bool {
        let root = object.root();
        if self.path.is_definite() {
            return component_is(self.path.first(root), &self.value) != self.negated;
        }
        let (mut any, mut equal) = (false, false);
        self.path.each(root, &mut |value| {
            any = true;
            equal = equal || component_is(Some(value), &self.value);
        });
        (equal || !any && self.value.is_empty()) != self.negated
    }
}

impl FromStr for ClientSelector {
    type Err = ClientSelectorError;

    fn from_str(source: &str) -> Result<Self, ClientSelectorError> {
        let mut parser = Parser { source, at: 0 };
        let mut terms = Vec::new();
        loop {
            terms.push(parser.term()?);
            match parser.next() {
                None => break,
                Some(',') => {}
                Some(_) => return Err(parser.error(parser.at, "expected a comma or the end")),
            }
        }
        Ok(Self {
            source: source.into(),
            terms,
        })
    }
}

impl fmt::Display for ClientSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

struct Parser<'s> {
    source: &'s str,
    at: usize,
}

impl Parser<'_> {
    fn term(&mut self) -> Result<Term, ClientSelectorError> {
        let start = self.at;
        self.path();
        let text = self.source.get(start..self.at).unwrap_or_default();
        let operator = self.at;
        let negated = match (self.next(), self.peek()) {
            (Some('='), Some('=')) => {
                self.next();
                false
            }
            (Some('='), _) => false,
            (Some('!'), Some('=')) => {
                self.next();
                true
            }
            _ if text.trim().is_empty() => {
                return Err(self.error(start, "a term is missing; write path=value or path!=value"));
            }
            _ => return Err(self.error(operator, "expected =, == or !=")),
        };
        let path = PathExpression::parse(text)
            .map_err(|error| self.error(start + error.position(), error.reason()))?;
        Ok(Term {
            path,
            negated,
            value: self.value()?.into(),
        })
    }

    /// Up to an operator or a comma outside of brackets and quotes.
    fn path(&mut self) {
        let (mut depth, mut quote) = (0_usize, None);
        while let Some(c) = self.peek() {
            match (quote, c) {
                (_, '\\') => {
                    self.next();
                }
                (Some(open), c) if c == open => quote = None,
                (Some(_), _) => {}
                (None, '\'' | '"') => quote = Some(c),
                (None, '[' | '(' | '{') => depth += 1,
                (None, ']' | ')' | '}') => depth = depth.saturating_sub(1),
                (None, '=' | '!' | ',') if depth == 0 => return,
                _ => {}
            }
            self.next();
        }
    }

    fn value(&mut self) -> Result<String, ClientSelectorError> {
        let open = self.at;
        let quote = self.peek().filter(|c| matches!(c, '\'' | '"'));
        if quote.is_some() {
            self.next();
        }
        let mut value = String::new();
        while let Some(c) = self.peek() {
            let here = self.at;
            if quote.is_none() && c == ',' {
                break;
            }
            if quote.is_none() && c == '=' {
                return Err(self.error(here, "an = in a value is written \\= or in quotes"));
            }
            self.next();
            match c {
                '\\' => match self.next() {
                    Some(escaped @ (',' | '=' | '\\' | '\'' | '"')) => value.push(escaped),
                    _ => return Err(self.error(here, "this is no known escape")),
                },
                c if Some(c) == quote => return Ok(value),
                c => value.push(c),
            }
        }
        if quote.is_some() {
            return Err(self.error(open, "this quote is never closed"));
        }
        Ok(value.trim().to_owned())
    }

    fn peek(&self) -> Option<char> {
        self.source.get(self.at..)?.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn error(&self, position: usize, reason: &str) -> ClientSelectorError {
        ClientSelectorError {
            selector: self.source.into(),
            position: position.min(self.source.len()),
            reason: reason.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod() -> Object {
        Object::from_value(
            &json!({"metadata": {"name": "x", "labels": {"a,b": "c=d", "app": "shop"}},
            "spec": {"nodeName": "n1", "ports": [{"port": 80}, {"port": 443}], "hostNetwork": true},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
        )
        .unwrap()
    }

    #[test]
    fn terms_match_values_as_index_keys_are_made() {
        for (selector, expected) in [
            ("spec.nodeName=n1", true),
            ("spec.nodeName==n1", true),
            (" spec.nodeName = n1 ", true),
            ("spec.nodeName='n1'", true),
            ("spec.nodeName=n2", false),
            ("spec.nodeName!=n2", true),
            ("spec.nodeName!=n1", false),
            ("spec.nodeName=n1,spec.hostNetwork=true", true),
            ("spec.nodeName=n1,spec.hostNetwork=false", false),
            ("spec.ports[0].port=80", true),
            ("spec.ports[*].port=443", true),
            ("spec.ports[*].port!=443", false),
            ("spec.ports[*].port!=8080", true),
            ("spec.absent=", true),
            ("spec.absent!=", false),
            ("spec.absent[*].x=", true),
            ("spec.absent!=x", true),
            ("spec.nodeName!=", true),
            ("metadata.labels['a,b']=c\\=d", true),
            ("metadata.labels['a,b']='c=d',spec.nodeName=n1", true),
            (r#"status.conditions[?(@.type=="Ready")].status=True"#, true),
            (
                r#"status.conditions[?(@.type=="Ready" && @.status != "x")].status!=True"#,
                false,
            ),
            ("{.spec.nodeName}=n1", true),
        ] {
            assert_eq!(
                selector.parse::<ClientSelector>().unwrap().matches(&pod()),
                expected,
                "{selector}"
            );
        }
    }

    #[test]
    fn an_invalid_selector_is_refused_at_its_position() {
        for (selector, position, word) in [
            ("", 0, "missing"),
            ("a=b,", 4, "missing"),
            (",a=b", 0, "missing"),
            ("a", 1, "expected ="),
            ("a!b", 1, "expected ="),
            ("=b", 0, "empty"),
            ("a=b=c", 3, "\\="),
            ("a=b,c..d=e", 5, "'..'"),
            ("a='b", 2, "never closed"),
            ("a='b'c", 6, "comma"),
            ("a=\\x", 2, "escape"),
            ("a in (b)", 8, "expected ="),
        ] {
            let error = selector.parse::<ClientSelector>().expect_err(selector);
            assert!(error.reason().contains(word), "{selector}: {error}");
            assert_eq!(error.position(), position, "{selector}: {error}");
        }
    }
}
