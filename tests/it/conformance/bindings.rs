//! Placeholders: what stands for a value of this run, and the order between revisions.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

#[derive(Debug, Default, Clone)]
pub(super) struct Bindings {
    values: BTreeMap<String, String>,
    revisions: BTreeMap<(u64, u64), u64>,
}

/// The name and number of a placeholder, such as `("rv", "3+1")`.
fn split(placeholder: &str) -> (&str, &str) {
    placeholder.split_once(':').unwrap_or((placeholder, ""))
}

fn pattern(name: &str) -> Option<&'static str> {
    Some(match name {
        "uid" => "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        "rv" | "port" => "[0-9]+",
        "created" | "time" => "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z",
        "continue" => "[A-Za-z0-9_=-]+",
        "suffix" => "[a-z0-9]{5}",
        "ip" => "[0-9a-f.:]+",
        "age" => "(?:[0-9]+[smhdy])+",
        _ => return None,
    })
}

/// What a placeholder looks like; compiling an expression is slow, so it is done once.
static PLACEHOLDERS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("<(uid|rv|created|time|continue|suffix|ip|port|age)(:[0-9]+(\\+[0-9]+)?)?>").unwrap()
});

pub(super) fn has_placeholder(text: &str) -> bool {
    PLACEHOLDERS.is_match(text)
}

impl Bindings {
    /// A request's text with the bound values in place.
    pub(super) fn fill(&self, text: &str) -> Result<String, String> {
        let mut missing = None;
        let filled = PLACEHOLDERS.replace_all(text, |found: &regex::Captures<'_>| {
            let name = found[0].trim_matches(['<', '>']).to_owned();
            match self.values.get(&name) {
                Some(value) => value.clone(),
                None => {
                    missing = Some(name);
                    String::new()
                }
            }
        });
        match missing {
            Some(name) => Err(format!("<{name}> is not bound yet")),
            None => Ok(filled.into_owned()),
        }
    }

    /// Matches an answer's text with a recorded one, and binds what it shows.
    pub(super) fn unify(&mut self, expected: &str, found: &str) -> Result<(), String> {
        if !has_placeholder(expected) {
            return if expected == found {
                Ok(())
            } else {
                Err(format!("{found:?} is not {expected:?}"))
            };
        }
        let mut expression = String::from("(?s)^");
        let mut names = Vec::new();
        let mut end = 0;
        for place in PLACEHOLDERS.find_iter(expected) {
            expression.push_str(&regex::escape(&expected[end..place.start()]));
            let placeholder = place.as_str().trim_matches(['<', '>']);
            let (name, _) = split(placeholder);
            expression.push('(');
            expression.push_str(pattern(name).unwrap_or(".*"));
            expression.push(')');
            names.push(placeholder.to_owned());
            end = place.end();
        }
        expression.push_str(&regex::escape(&expected[end..]));
        expression.push('$');
        let captures = Regex::new(&expression)
            .map_err(|error| error.to_string())?
            .captures(found)
            .ok_or_else(|| format!("{found:?} is not {expected:?}"))?;
        for (index, name) in names.iter().enumerate() {
            self.bind(name, &captures[index + 1])?;
        }
        Ok(())
    }

    fn bind(&mut self, placeholder: &str, value: &str) -> Result<(), String> {
        let (name, number) = split(placeholder);
        if number.is_empty() {
            return Ok(());
        }
        if let Some(bound) = self.values.get(placeholder) {
            return if bound == value {
                Ok(())
            } else {
                Err(format!("<{placeholder}> is {bound}, not {value}"))
            };
        }
        if name == "uid"
            && let Some((other, _)) = self
                .values
                .iter()
                .find(|(key, bound)| key.starts_with("uid:") && *bound == value)
        {
            return Err(format!("<{placeholder}> is the same as <{other}>: {value}"));
        }
        self.values.insert(placeholder.to_owned(), value.to_owned());
        if name == "rv" {
            let (n, k) = number.split_once('+').unwrap_or((number, "0"));
            let place = (n.parse().unwrap(), k.parse().unwrap());
            self.revisions.insert(place, value.parse().unwrap());
            return self.check_order();
        }
        Ok(())
    }

    /// Objects' revisions rise strictly, those of lists lie between them.
    fn check_order(&self) -> Result<(), String> {
        let bound: Vec<_> = self.revisions.iter().collect();
        for pair in bound.windows(2) {
            let ((a_place, a), (b_place, b)) = (pair[0], pair[1]);
            let strict = b_place.1 == 0;
            if a > b || (strict && a == b) {
                return Err(format!(
                    "<rv:{a_place:?}> = {a} and <rv:{b_place:?}> = {b} are out of order"
                ));
            }
        }
        Ok(())
    }
}
