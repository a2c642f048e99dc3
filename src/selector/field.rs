//! Field selectors: `metadata.name=web,status.phase!=Running`.

use std::fmt;
use std::str::FromStr;

use super::SelectorError;

/// A field selector: terms that must all hold. The empty one selects everything.
///
/// Which paths exist is not its business: the API server knows a few per kind, a client-side selector any.
///
/// ```
/// use kubedex::selector::{FieldOperator, FieldSelector};
/// let selector: FieldSelector = "metadata.name==web,status.phase!=Failed".parse().unwrap();
/// assert_eq!(selector.terms()[1].path(), "status.phase");
/// assert_eq!(selector.terms()[1].operator(), FieldOperator::NotEquals);
/// assert_eq!(selector.to_string(), "metadata.name=web,status.phase!=Failed");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSelector {
    terms: Vec<FieldTerm>,
}

/// One condition on one field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldTerm {
    path: Box<str>,
    operator: FieldOperator,
    value: Box<str>,
}

/// How a [`FieldTerm`] compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldOperator {
    /// `=` or `==`.
    Equals,
    /// `!=`.
    NotEquals,
}

impl FieldSelector {
    /// The selector that selects everything.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Whether everything is selected.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The conditions, in the order given.
    pub fn terms(&self) -> &[FieldTerm] {
        &self.terms
    }

    /// Whether fields, given as a lookup, fulfil every term. A missing field counts as empty.
    pub fn matches<'a>(&self, field: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.terms
            .iter()
            .all(|term| term.matches(field(&term.path).unwrap_or_default()))
    }
}

impl FieldTerm {
    /// The field's path, as written.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// How it is compared.
    pub fn operator(&self) -> FieldOperator {
        self.operator
    }

    /// What it is compared with.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether a field's value fulfils the term.
    pub fn matches(&self, value: &str) -> bool {
        (*self.value == *value) == (self.operator == FieldOperator::Equals)
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            term.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for FieldTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        f.write_str(match self.operator {
            FieldOperator::Equals => "=",
            FieldOperator::NotEquals => "!=",
        })?;
        for c in self.value.chars() {
            if matches!(c, '\\' | ',' | '=') {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        Ok(())
    }
}

impl FromStr for FieldSelector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let mut terms = Vec::new();
        for part in split_unescaped(text).filter(|part| !part.is_empty()) {
            let (path, operator, value) = split_term(part).ok_or_else(|| {
                SelectorError::new(format!(
                    "invalid selector: '{text}'; can't understand '{part}'"
                ))
            })?;
            terms.push(FieldTerm {
                path: path.into(),
                operator,
                value: unescape(value)?.into(),
            });
        }
        Ok(Self { terms })
    }
}

/// The parts between commas; a backslash takes the next character's meaning away.
fn split_unescaped(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let current = rest?;
        let end = find_unescaped(current, |tail| tail.starts_with(','));
        rest = end.map(|end| &current[end + 1..]);
        Some(&current[..end.unwrap_or(current.len())])
    })
}

fn find_unescaped(text: &str, found: impl Fn(&str) -> bool) -> Option<usize> {
    let mut escaped = false;
    for (index, c) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if found(&text[index..]) {
            return Some(index);
        }
    }
    None
}

fn split_term(part: &str) -> Option<(&str, FieldOperator, &str)> {
    let at = find_unescaped(part, |tail| tail.starts_with("!=") || tail.starts_with('='))?;
    let (path, rest) = part.split_at(at);
    if let Some(value) = rest.strip_prefix("!=") {
        return Some((path, FieldOperator::NotEquals, value));
    }
    let value = rest.strip_prefix("==").or_else(|| rest.strip_prefix('='))?;
    Some((path, FieldOperator::Equals, value))
}

fn unescape(value: &str) -> Result<String, SelectorError> {
    let mut plain = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(next @ ('\\' | ',' | '=')) => plain.push(next),
                next => {
                    return Err(SelectorError::new(format!(
                        "invalid field selector: invalid escape sequence: \\{}",
                        next.map(String::from).unwrap_or_default()
                    )));
                }
            },
            ',' | '=' => {
                return Err(SelectorError::new(format!(
                    "invalid field selector: unescaped character in value: {c}"
                )));
            }
            _ => plain.push(c),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_come_out_in_order_and_trailing_commas_do_not_matter() {
        let selector: FieldSelector = "a.b=c,d!=e,f==,".parse().unwrap();
        let terms: Vec<_> = selector.terms().iter().map(ToString::to_string).collect();
        assert_eq!(terms, ["a.b=c", "d!=e", "f="]);
        assert!(selector.matches(|path| (path == "a.b").then_some("c")));
        assert!("".parse::<FieldSelector>().unwrap().is_empty());
    }

    #[test]
    fn what_cannot_be_understood_is_an_error_with_the_servers_words() {
        assert_eq!(
            "metadata.name=a,metadata.name"
                .parse::<FieldSelector>()
                .unwrap_err()
                .to_string(),
            "invalid selector: 'metadata.name=a,metadata.name'; can't understand 'metadata.name'"
        );
        assert!("a=b=c".parse::<FieldSelector>().is_err());
    }

    #[test]
    fn escaped_values_survive_a_round_trip() {
        let selector: FieldSelector = r"a=b\,c\=d\\".parse().unwrap();
        assert_eq!(selector.terms()[0].value(), r"b,c=d\");
        assert_eq!(
            selector.to_string().parse::<FieldSelector>().unwrap(),
            selector
        );
    }
}
