//! What a store says when it refuses, for people.

use std::error::Error;

use crate::sink::{SinkError, chain};

/// How much of an answer that is not understood is told, in bytes.
const LIMIT: usize = 400;

/// An error of the store in one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Told(String);

/// What was done to what failed like this.
pub(super) fn failed(doing: &str, key: &str, error: &object_store::Error) -> SinkError {
    use object_store::Error::{
        NotFound, NotImplemented, NotSupported, PermissionDenied, Unauthenticated,
    };
    let is_lasting = matches!(
        error,
        PermissionDenied { .. }
            | Unauthenticated { .. }
            | NotImplemented { .. }
            | NotSupported { .. }
            // An object that is not there is no error where this is called: the bucket is not.
            | NotFound { .. }
    );
    let error = SinkError::passing(format!("{doing} {key}"), Told(tell(error)));
    if is_lasting { error.lasting() } else { error }
}

/// The answer's code and message if it has them, else the error and its causes.
fn tell(error: &(dyn Error + 'static)) -> String {
    let text = chain(error);
    // How long it took differs each time, and what was asked is said already.
    let text = match text.split_once("Error performing ") {
        Some((_, rest)) => rest.split_once(" - ").map_or(&*text, |(_, cause)| cause),
        None => &*text,
    };
    let part = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        Some(rest.split_once(&format!("</{name}>"))?.0)
    };
    let told = match (part("Code"), part("Message")) {
        (Some(code), Some(message)) => format!("the store answers {code}: {message}"),
        (Some(code), None) => format!("the store answers {code}"),
        _ => text.to_owned(),
    };
    let told: String = told
        .chars()
        .map(|it| if it.is_control() { ' ' } else { it })
        .collect();
    match told.char_indices().find(|(index, _)| *index >= LIMIT) {
        Some((end, _)) => format!("{}…", &told[..end]),
        None => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_in_its_own_words_and_bounded() {
        let error = |source: &str| object_store::Error::PermissionDenied {
            path: "k".to_owned(),
            source: source.into(),
        };
        let answer = "403: <Error><Code>AccessDenied</Code><Message>Not\nyours</Message></Error>";
        let told = failed("putting", "b/k", &error(answer));
        assert!(told.is_lasting());
        assert_eq!(
            told.chain(),
            "putting b/k: the store answers AccessDenied: Not yours"
        );
        let timed = |time: &str| {
            let source = format!(
                "Error performing GET http://x/y in {time}, after 1 retries - HTTP error: refused"
            );
            failed("putting", "b/k", &error(&source)).chain()
        };
        assert_eq!(timed("3ms"), "putting b/k: HTTP error: refused");
        assert_eq!(timed("3ms"), timed("4ms"), "the log says it once");
        let long = failed("putting", "b/k", &error(&"ü".repeat(10_000)));
        assert!(long.chain().len() < 2 * LIMIT);
    }
}
