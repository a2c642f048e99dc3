//! The words of errors: what other crates say, on one line and without what is secret or could steer a terminal.

use std::error::Error as StdError;

use kube::client::AuthError;

/// How many characters of a text that is no Status are shown.
const EXCERPT_CHARS: usize = 300;

/// Why no connection could be had, in words for what occurs most.
pub(in crate::client) fn unreachable(error: &(dyn StdError + 'static)) -> String {
    use rustls::CertificateError::UnknownIssuer;
    let mut text = chain(error);
    for error in links(error) {
        if let Some(rustls::Error::InvalidCertificate(UnknownIssuer)) = error.downcast_ref() {
            text.push_str(
                "; the server's certificate was not issued by the configured certificate authority",
            );
        }
        if let Some(error) = error.downcast_ref::<std::io::Error>()
            && error.kind() == std::io::ErrorKind::TimedOut
        {
            return "no connection before the connect timeout".to_owned();
        }
    }
    text
}

/// Why there are no credentials, without what a plugin printed: that may be the credential.
pub(in crate::client) fn credentials(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecRun { out, .. } => {
            format!(
                "the plugin ended with {}; run it by hand to see why",
                out.status
            )
        }
        AuthError::AuthExecParse(_) => "what the plugin printed is no ExecCredential".to_owned(),
        AuthError::InvalidBearerToken(_) | AuthError::InvalidBasicAuth(_) => {
            "the token or password has characters that no HTTP header may have".to_owned()
        }
        error => chain(error),
    }
}

/// An error and its sources, those inside an `io::Error` included, which `source` skips.
pub(in crate::client) fn links<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| inner(*error)).take(16)
}

fn inner<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<std::io::Error>() {
        Some(error) => error
            .get_ref()
            .map(|inner| inner as &(dyn StdError + 'static)),
        None => error.source(),
    }
}

/// An error and its sources on one line, without what one repeats of the other.
pub(in crate::client) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = String::new();
    for error in links(error) {
        let message = printable(&error.to_string());
        if !text.contains(&message) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&message);
        }
    }
    text
}

/// A server's text, without what could steer a terminal or break a line.
pub(in crate::client) fn printable(text: &str) -> String {
    text.split(|char: char| char.is_control() || char.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The beginning of a text that is no Status; of HTML, what is outside of tags.
pub(in crate::client) fn excerpt(text: &str) -> String {
    let mut outside = true;
    let visible: String = if text.trim_start().starts_with('<') {
        text.chars()
            .map(|char| {
                match char {
                    '<' => outside = false,
                    '>' => {
                        outside = true;
                        return ' ';
                    }
                    _ => {}
                }
                if outside { char } else { ' ' }
            })
            .collect()
    } else {
        text.to_owned()
    };
    let visible = printable(&visible);
    match visible.char_indices().nth(EXCERPT_CHARS) {
        Some((end, _)) => format!("{}…", &visible[..end]),
        None => visible,
    }
}
