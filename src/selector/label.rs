//! Label selectors: `app=web,tier in (front,edge),!legacy`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::lexer::{Lexeme, Token, tokens};
use super::{SelectorError, label_key_faults, label_value_faults};

/// A label selector: requirements that must all hold. The empty one selects everything.
///
/// ```
/// use kubedex::selector::LabelSelector;
/// let selector: LabelSelector = "app=web, tier in (front, edge), !legacy".parse().unwrap();
/// assert!(selector.matches(|key| match key { "app" => Some("web"), "tier" => Some("edge"), _ => None }));
/// assert!(!selector.matches(|key| (key == "app").then_some("web")));
/// assert_eq!(selector.to_string(), "app=web,tier in (edge,front),!legacy");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelSelector {
    requirements: Vec<LabelRequirement>,
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LabelRequirement {
    key: Box<str>,
    operator: LabelOperator,
    values: BTreeSet<Box<str>>,
}

/// How a [`LabelRequirement`] compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LabelOperator {
    /// `key=value` or `key==value`: the label is there with this value.
    Equals,
    /// `key!=value`: the label is missing or has another value.
    NotEquals,
    /// `key in (a,b)`: the label is there with one of the values.
    In,
    /// `key notin (a,b)`: the label is missing or has none of the values.
    NotIn,
    /// `key`: the label is there.
    Exists,
    /// `!key`: the label is missing.
    DoesNotExist,
    /// `key>n`: the label is there, a whole number, and greater.
    GreaterThan,
    /// `key<n`: the label is there, a whole number, and less.
    LessThan,
}

impl LabelSelector {
    /// The selector that selects everything.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Whether everything is selected.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// The conditions.
    pub fn requirements(&self) -> &[LabelRequirement] {
        &self.requirements
    }

    /// Whether labels, given as a lookup, fulfil every requirement.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements
            .iter()
            .all(|requirement| requirement.matches(label(&requirement.key)))
    }
}

impl LabelRequirement {
    /// The label's key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How it is compared.
    pub fn operator(&self) -> LabelOperator {
        self.operator
    }

    /// What it is compared with, in order.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(|value| &**value)
    }

    fn matches(&self, label: Option<&str>) -> bool {
        let has = |value: &str| self.values.contains(value);
        let number = || -> Option<(i64, i64)> {
            let bound = self.values.first()?.parse().ok()?;
            Some((label?.parse().ok()?, bound))
        };
        match self.operator {
            LabelOperator::Equals | LabelOperator::In => label.is_some_and(has),
            LabelOperator::NotEquals | LabelOperator::NotIn => !label.is_some_and(has),
            LabelOperator::Exists => label.is_some(),
            LabelOperator::DoesNotExist => label.is_none(),
            LabelOperator::GreaterThan => number().is_some_and(|(label, bound)| label > bound),
            LabelOperator::LessThan => number().is_some_and(|(label, bound)| label < bound),
        }
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for LabelRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values().collect::<Vec<_>>().join(",");
        let key = &self.key;
        match self.operator {
            LabelOperator::Equals => write!(f, "{key}={values}"),
            LabelOperator::NotEquals => write!(f, "{key}!={values}"),
            LabelOperator::In => write!(f, "{key} in ({values})"),
            LabelOperator::NotIn => write!(f, "{key} notin ({values})"),
            LabelOperator::Exists => f.write_str(key),
            LabelOperator::DoesNotExist => write!(f, "!{key}"),
            LabelOperator::GreaterThan => write!(f, "{key}>{values}"),
            LabelOperator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

impl FromStr for LabelSelector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let mut parser = Parser {
            lexemes: tokens(text),
            position: 0,
        };
        let mut requirements = Vec::new();
        loop {
            match parser.peek_value() {
                (Token::Identifier | Token::Not, _) => {
                    requirements.push(parser.requirement().map_err(SelectorError::requirement)?);
                    match parser.next_value() {
                        (Token::End, _) => break,
                        (Token::Comma, _) => match parser.peek_value() {
                            (Token::Identifier | Token::Not, _) => {}
                            (_, found) => {
                                return Err(SelectorError::new(format!(
                                    "found '{found}', expected: identifier after ','"
                                )));
                            }
                        },
                        (_, found) => {
                            return Err(SelectorError::new(format!(
                                "found '{found}', expected: ',' or 'end of string'"
                            )));
                        }
                    }
                }
                (Token::End, _) => break,
                (_, found) => {
                    return Err(SelectorError::new(format!(
                        "found '{found}', expected: !, identifier, or 'end of string'"
                    )));
                }
            }
        }
        Ok(Self { requirements })
    }
}

struct Parser<'a> {
    lexemes: Vec<Lexeme<'a>>,
    position: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Lexeme<'a> {
        self.lexemes
            .get(self.position)
            .copied()
            .unwrap_or((Token::End, ""))
    }

    fn next(&mut self) -> Lexeme<'a> {
        let lexeme = self.peek();
        self.position += 1;
        lexeme
    }

    /// Where a key or a value is expected, `in` and `notin` are ordinary words.
    fn peek_value(&self) -> Lexeme<'a> {
        match self.peek() {
            (Token::In | Token::NotIn, text) => (Token::Identifier, text),
            lexeme => lexeme,
        }
    }

    fn next_value(&mut self) -> Lexeme<'a> {
        let lexeme = self.peek_value();
        self.position += 1;
        lexeme
    }

    fn requirement(&mut self) -> Result<LabelRequirement, String> {
        let mut lexeme = self.next_value();
        let negated = lexeme.0 == Token::Not;
        if negated {
            lexeme = self.next();
        }
        let (Token::Identifier, key) = lexeme else {
            return Err(format!("found '{}', expected: identifier", lexeme.1));
        };
        let faults = label_key_faults(key);
        if !faults.is_empty() {
            return Err(format!(
                "<nil>: Invalid value: \"{key}\": {}",
                faults.join("; ")
            ));
        }
        let build = |operator, values| LabelRequirement {
            key: key.into(),
            operator,
            values,
        };
        if negated {
            return Ok(build(LabelOperator::DoesNotExist, BTreeSet::new()));
        }
        if matches!(self.peek_value().0, Token::End | Token::Comma) {
            return Ok(build(LabelOperator::Exists, BTreeSet::new()));
        }
        let operator = match self.next() {
            (Token::In, _) => LabelOperator::In,
            (Token::NotIn, _) => LabelOperator::NotIn,
            (Token::Equals | Token::DoubleEquals, _) => LabelOperator::Equals,
            (Token::NotEquals, _) => LabelOperator::NotEquals,
            (Token::Greater, _) => LabelOperator::GreaterThan,
            (Token::Less, _) => LabelOperator::LessThan,
            (_, found) => {
                return Err(format!(
                    "found '{found}', expected: in, notin, =, ==, !=, gt, lt"
                ));
            }
        };
        let values = match operator {
            LabelOperator::In | LabelOperator::NotIn => self.values()?,
            _ => BTreeSet::from([self.exact_value()?.into()]),
        };
        if values.is_empty() {
            return Err(
                "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"
                    .to_owned(),
            );
        }
        for (index, value) in values.iter().enumerate() {
            if matches!(
                operator,
                LabelOperator::GreaterThan | LabelOperator::LessThan
            ) && value.parse::<i64>().is_err()
            {
                return Err(format!(
                    "values[{index}]: Invalid value: \"{value}\": for 'Gt', 'Lt' operators, the value must be an integer"
                ));
            }
            let faults = label_value_faults(value);
            if !faults.is_empty() {
                return Err(format!(
                    "values[{index}][{key}]: Invalid value: \"{value}\": {}",
                    faults.join("; ")
                ));
            }
        }
        Ok(build(operator, values))
    }

    fn exact_value(&mut self) -> Result<&'a str, String> {
        if matches!(self.peek_value().0, Token::End | Token::Comma) {
            return Ok("");
        }
        match self.next_value() {
            (Token::Identifier, value) => Ok(value),
            (_, found) => Err(format!("found '{found}', expected: identifier")),
        }
    }

    fn values(&mut self) -> Result<BTreeSet<Box<str>>, String> {
        let (token, found) = self.next_value();
        if token != Token::Open {
            return Err(format!("found '{found}' expected: '('"));
        }
        let mut values = BTreeSet::new();
        match self.peek_value() {
            (Token::Close, _) => {
                self.position += 1;
                return Ok(values);
            }
            (Token::Identifier | Token::Comma, _) => {}
            (_, found) => return Err(format!("found '{found}', expected: ',', ')' or identifier")),
        }
        // A comma with nothing before or after it stands for the empty value.
        loop {
            match self.next_value() {
                (Token::Identifier, value) => {
                    values.insert(value.into());
                    match self.next_value() {
                        (Token::Close, _) => return Ok(values),
                        (Token::Comma, _) => {}
                        (_, found) => return Err(format!("found '{found}', expected: ',' or ')'")),
                    }
                    if self.peek_value().0 == Token::Close {
                        self.position += 1;
                        values.insert("".into());
                        return Ok(values);
                    }
                }
                (Token::Comma, _) => {
                    values.insert("".into());
                    if self.peek_value().0 == Token::Close {
                        self.position += 1;
                        return Ok(values);
                    }
                }
                (_, found) => return Err(format!("found '{found}', expected: ',', or identifier")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels: std::collections::BTreeMap<_, _> = labels.iter().copied().collect();
        selector
            .parse::<LabelSelector>()
            .unwrap()
            .matches(|key| labels.get(key).copied())
    }

    #[test]
    fn negative_operators_match_objects_without_the_label() {
        for selector in ["app!=x", "app notin (x,y)", "!app"] {
            assert!(matches(selector, &[]), "{selector}");
        }
        for selector in ["app=x", "app in (x)", "app", "app>1", "app<1", "app="] {
            assert!(!matches(selector, &[]), "{selector}");
        }
    }

    #[test]
    fn operators_compare_as_the_api_server_does() {
        assert!(matches(
            "app==x,tier in (a, b)",
            &[("app", "x"), ("tier", "b")]
        ));
        assert!(matches("n>5", &[("n", "20")]) && !matches("n>5", &[("n", "x")]));
        assert!(matches("tier=", &[("tier", "")]));
        assert!(matches("in in (in)", &[("in", "in")]));
        assert!(matches("a in (,)", &[("a", "")]));
        assert!(matches("", &[]) && matches("  ", &[]));
    }

    #[test]
    fn errors_are_worded_as_the_api_servers() {
        for (selector, message) in [
            (
                "app in x",
                "unable to parse requirement: found 'x' expected: '('",
            ),
            (
                "app in (x",
                "unable to parse requirement: found '', expected: ',' or ')'",
            ),
            (
                "a b",
                "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
            ),
            (
                "=x",
                "found '=', expected: !, identifier, or 'end of string'",
            ),
            ("app=a b", "found 'b', expected: ',' or 'end of string'"),
            ("app=,,", "found ',', expected: identifier after ','"),
            (
                "app=!x",
                "unable to parse requirement: found '!', expected: identifier",
            ),
            ("!app=x", "found '=', expected: ',' or 'end of string'"),
            ("app,", "found '', expected: identifier after ','"),
        ] {
            assert_eq!(
                selector.parse::<LabelSelector>().unwrap_err().to_string(),
                message
            );
        }
    }

    #[test]
    fn the_canonical_form_parses_to_the_same_selector() {
        for text in [
            "a=b,c!=d",
            "x in (b,a),y notin (q),z,!w",
            "n>1,m<2",
            "a in (,b)",
        ] {
            let selector: LabelSelector = text.parse().unwrap();
            assert_eq!(
                selector.to_string().parse::<LabelSelector>().unwrap(),
                selector
            );
        }
    }
}
