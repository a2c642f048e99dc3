//! When a file that is read again and again has a content to be taken. Pure: what was read goes in.

use std::io;

use crate::model::ContentHash;

/// How often in a row a file may be absent before that is said: a swap takes less than one look.
const ABSENT: u32 = 5;

/// What was seen of a file.
#[derive(Debug)]
pub(super) struct FileWatch {
    /// The content that was taken last.
    taken: ContentHash,
    /// Another one that was read last and not taken yet.
    candidate: Option<ContentHash>,
    /// How often in a row it could not be read.
    absent: u32,
    /// Whether that was said.
    lost: bool,
}

/// What a look comes to.
#[derive(Debug)]
pub(super) enum Look {
    /// Nothing is to be done.
    Same,
    /// This content is to be taken.
    Take(String),
    /// It cannot be read; said once until it can be, or when somebody asks.
    Lost(io::Error),
}

impl FileWatch {
    /// A file of which this content was taken.
    pub(super) fn new(taken: ContentHash) -> Self {
        Self {
            taken,
            candidate: None,
            absent: 0,
            lost: false,
        }
    }

    /// Looks at what was read; `at_once` if somebody asks for it.
    pub(super) fn look(&mut self, read: io::Result<(ContentHash, String)>, at_once: bool) -> Look {
        let (hash, text) = match read {
            Ok(read) => read,
            Err(error) => {
                self.candidate = None;
                self.absent = self.absent.saturating_add(1);
                if at_once || (self.absent >= ABSENT && !self.lost) {
                    self.lost = true;
                    return Look::Lost(error);
                }
                return Look::Same;
            }
        };
        self.absent = 0;
        if hash == self.taken && !self.lost {
            self.candidate = None;
            return Look::Same;
        }
        if !at_once && self.candidate != Some(hash) {
            self.candidate = Some(hash);
            return Look::Same;
        }
        self.taken = hash;
        self.candidate = None;
        self.lost = false;
        Look::Take(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(text: &str) -> io::Result<(ContentHash, String)> {
        Ok((ContentHash::of_bytes(text.as_bytes()), text.to_owned()))
    }

    fn absent() -> io::Result<(ContentHash, String)> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn watch(text: &str) -> FileWatch {
        FileWatch::new(ContentHash::of_bytes(text.as_bytes()))
    }

    #[test]
    fn a_content_is_taken_once_it_was_read_twice() {
        let mut file = watch("a");
        let same = |look| assert!(matches!(look, Look::Same), "{look:?}");
        same(file.look(content("a"), false));
        same(file.look(content(""), false)); // being written
        same(file.look(content("b"), false));
        assert!(matches!(file.look(content("b"), false), Look::Take(text) if text == "b"));
        same(file.look(content("b"), false));
        same(file.look(content("c"), false));
        same(file.look(content("b"), false));
        same(file.look(content("c"), false));
    }

    #[test]
    fn who_asks_gets_it_at_once() {
        let mut file = watch("a");
        assert!(matches!(file.look(content("a"), true), Look::Same));
        assert!(matches!(file.look(content("b"), true), Look::Take(text) if text == "b"));
        assert!(matches!(file.look(content("b"), true), Look::Same));
        assert!(matches!(file.look(absent(), true), Look::Lost(_)));
    }

    #[test]
    fn a_swap_is_no_loss_and_a_loss_is_said_once_and_ends() {
        let mut file = watch("a");
        assert!(matches!(file.look(absent(), false), Look::Same));
        assert!(matches!(file.look(content("a"), false), Look::Same));
        let lost = (0..20)
            .filter(|_| matches!(file.look(absent(), false), Look::Lost(_)))
            .count();
        assert_eq!(lost, 1);
        assert!(matches!(file.look(content("a"), false), Look::Same));
        assert!(
            matches!(file.look(content("a"), false), Look::Take(_)),
            "it can be used again"
        );
        assert!(matches!(file.look(content("a"), false), Look::Same));
    }
}
