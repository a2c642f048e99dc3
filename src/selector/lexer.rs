//! Cuts a label selector into tokens.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    End,
    Comma,
    Open,
    Close,
    Not,
    Equals,
    DoubleEquals,
    NotEquals,
    Greater,
    Less,
    In,
    NotIn,
    Identifier,
}

/// A token and its text; the end's is empty.
pub(super) type Lexeme<'a> = (Token, &'a str);

pub(super) fn tokens(text: &str) -> Vec<Lexeme<'_>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            ',' => (Token::Comma, 1),
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '>' => (Token::Greater, 1),
            '<' => (Token::Less, 1),
            '!' if rest.starts_with("!=") => (Token::NotEquals, 2),
            '!' => (Token::Not, 1),
            '=' if rest.starts_with("==") => (Token::DoubleEquals, 2),
            '=' => (Token::Equals, 1),
            _ => {
                let length = rest
                    .find(|c| is_space(c) || is_symbol(c))
                    .unwrap_or(rest.len());
                match &rest[..length] {
                    "in" => (Token::In, length),
                    "notin" => (Token::NotIn, length),
                    _ => (Token::Identifier, length),
                }
            }
        };
        let (lexeme, tail) = rest.split_at(length);
        found.push((token, lexeme));
        rest = tail.trim_start_matches(is_space);
    }
    found
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_symbol(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}
