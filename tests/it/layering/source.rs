//! Reads Rust source just far enough to see which modules it names.
//!
//! Comments and literals are skipped; every path that begins with `crate`, `self`, `super` or the crate's own name is
//! followed through its groups, whether it stands in a `use` or in an expression.

use std::iter::Peekable;

/// What a path that was found begins with, segments in full: `["crate", "store", "MemoryStore"]`.
pub(super) type Path = Vec<String>;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    /// `::`
    Colons,
    Mark(char),
}

/// All paths of a source file that begin with one of `roots`, where `super` and `self` are resolved to `crate` from the
/// module that the file is (`["store", "memory"]`).
pub(super) fn paths(source: &str, module: &[&str], roots: &[&str]) -> Vec<Path> {
    let tokens = tokens(source);
    let mut found = Vec::new();
    // The inline modules around the current token, each with the depth of braces at which it ends.
    let mut inline: Vec<(String, usize)> = Vec::new();
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            Token::Mark('{') => depth += 1,
            Token::Mark('}') => {
                depth = depth.saturating_sub(1);
                inline.retain(|(_, end)| *end < depth + 1);
            }
            Token::Word(word) if word == "mod" => {
                if let (Some(Token::Word(name)), Some(Token::Mark('{'))) =
                    (tokens.get(at), tokens.get(at + 1))
                {
                    inline.push((name.clone(), depth + 1));
                }
            }
            Token::Word(word) if is_start(&tokens, at - 1) => {
                let here: Vec<&str> = module
                    .iter()
                    .copied()
                    .chain(inline.iter().map(|(name, _)| name.as_str()))
                    .collect();
                let mut tree = Vec::new();
                follow(
                    &mut tokens[at..].iter().peekable(),
                    vec![word.clone()],
                    &mut tree,
                );
                found.extend(
                    tree.into_iter()
                        .filter_map(|path| resolve(path, &here, roots)),
                );
            }
            _ => {}
        }
    }
    found
}

/// Whether a path begins at this word: nothing goes before it, and `::` follows, or it is what `use` brings in.
fn is_start(tokens: &[Token], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| tokens.get(before));
    let in_use = before == Some(&Token::Word("use".to_owned()));
    before != Some(&Token::Colons) && (in_use || tokens.get(at + 1) == Some(&Token::Colons))
}

/// Collects the paths that continue from here, through groups.
fn follow<'t>(
    tokens: &mut Peekable<impl Iterator<Item = &'t Token> + Clone>,
    path: Path,
    found: &mut Vec<Path>,
) {
    if tokens.peek() != Some(&&Token::Colons) {
        found.push(path);
        return;
    }
    tokens.next();
    match tokens.next() {
        Some(Token::Word(word)) => {
            let path = [path, vec![word.clone()]].concat();
            follow(tokens, path, found);
        }
        Some(Token::Mark('{')) => loop {
            match tokens.next() {
                Some(Token::Word(word)) if word == "as" => {
                    tokens.next();
                }
                Some(Token::Word(word)) => {
                    let path = [path.clone(), vec![word.clone()]].concat();
                    follow(tokens, path, found);
                }
                Some(Token::Mark('*')) => found.push(path.clone()),
                Some(Token::Mark(',')) => {}
                _ => return,
            }
        },
        // A glob, or generic arguments.
        _ => found.push(path),
    }
}

fn resolve(path: Path, module: &[&str], roots: &[&str]) -> Option<Path> {
    let mut here: Vec<String> = module.iter().map(ToString::to_string).collect();
    let mut segments = path.into_iter().peekable();
    let first = segments.next()?;
    match first.as_str() {
        "super" => {
            here.pop();
            while segments.next_if(|segment| segment == "super").is_some() {
                here.pop();
            }
        }
        "self" => {}
        root if roots.contains(&root) => here = Vec::new(),
        _ => return None,
    }
    let root = if matches!(first.as_str(), "self" | "super") {
        "crate".to_owned()
    } else {
        first
    };
    Some(std::iter::once(root).chain(here).chain(segments).collect())
}

fn tokens(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(next) = rest.chars().next() {
        let taken = match next {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => string(rest),
            '\'' => character_or_lifetime(rest),
            ':' if rest.starts_with("::") => {
                tokens.push(Token::Colons);
                2
            }
            'r' | 'b' | 'c' if prefixed_string(rest).is_some() => {
                prefixed_string(rest).unwrap_or(1)
            }
            c if c.is_alphanumeric() || c == '_' => {
                let end = rest
                    .find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..end].to_owned()));
                end
            }
            c => {
                if !c.is_whitespace() {
                    tokens.push(Token::Mark(c));
                }
                c.len_utf8()
            }
        };
        rest = &rest[taken.max(1)..];
    }
    tokens
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    loop {
        let rest = &text[at..];
        match (rest.find("/*"), rest.find("*/")) {
            (Some(open), Some(close)) if open < close => {
                depth += 1;
                at += open + 2;
            }
            (_, Some(close)) => {
                depth -= 1;
                at += close + 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => return text.len(),
        }
    }
}

/// The length of a string literal with escapes.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a raw, byte or C string literal; `None` if it is a word.
fn prefixed_string(text: &str) -> Option<usize> {
    let prefix = text.find(|c: char| !matches!(c, 'r' | 'b' | 'c'))?;
    let after = &text[prefix..];
    if !text[..prefix].contains('r') {
        return after.starts_with('"').then(|| prefix + string(after));
    }
    let hashes = after.find(|c: char| c != '#')?;
    if !after[hashes..].starts_with('"') {
        return None;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let body = prefix + hashes + 1;
    Some(
        text[body..]
            .find(&close)
            .map_or(text.len(), |end| body + end + close.len()),
    )
}

/// The length of a character literal, or of a lifetime's quote.
fn character_or_lifetime(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match characters.next() {
        Some((_, '\\')) => text[3..].find('\'').map_or(text.len(), |end| end + 4),
        Some((_, _)) => match characters.next() {
            Some((at, '\'')) => at + 1,
            _ => 1,
        },
        None => 1,
    }
}
