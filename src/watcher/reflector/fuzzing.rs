//! What a fuzzer feeds: bodies, cut and read as the reflector does it, but for what is done with the objects.

use super::answer::{Envelope, Line, identify, parse_line};
use super::framer::{FrameError, Items, Lines, Piece};

/// Reads the body of a watch that arrives in pieces of a size. Of each line: nothing if it is no event; the text of its object
/// if it tells of one; else what it says.
pub fn watch_body(body: &[u8], size: usize) -> Vec<Option<Vec<u8>>> {
    let mut lines = Lines::default();
    let mut read = Vec::new();
    for mut piece in body.chunks(size.max(1)) {
        loop {
            match lines.next(&mut piece) {
                Ok(Some(line)) => read.push(event(line)),
                Ok(None) => break,
                Err(error) => {
                    read.push(Some(error.to_string().into_bytes()));
                    return read;
                }
            }
        }
    }
    read.extend(lines.rest().map(event));
    read
}

fn event(line: &[u8]) -> Option<Vec<u8>> {
    match parse_line(line).ok()? {
        Line::Changed(object) | Line::Deleted(object) => {
            // What is done with an object that cannot be read.
            let _identity = identify(object);
            Some(object.to_vec())
        }
        other => Some(format!("{other:?}").into_bytes()),
    }
}

/// The items of a list, and what is around them.
type List = (Vec<Vec<u8>>, Vec<u8>);

/// Reads the body of a list that arrives in pieces of a size; the reason if it is none.
pub fn list_body(body: &[u8], size: usize) -> Result<List, String> {
    list(body, size).map_err(|error| error.to_string())
}

fn list(body: &[u8], size: usize) -> Result<List, FrameError> {
    let mut framer = Items::new();
    let mut items = Vec::new();
    for mut piece in body.chunks(size.max(1)) {
        while let Some(piece) = framer.next(&mut piece)? {
            match piece {
                Piece::Head(head) => {
                    let _checked = Envelope::check_head(head, "v1", "ConfigMap");
                }
                Piece::Item(item) => {
                    let _identity = identify(item);
                    items.push(item.to_vec());
                }
            }
        }
    }
    let envelope = framer.finish()?;
    let _parsed = Envelope::parse(&envelope, "v1", "ConfigMap");
    Ok((items, envelope))
}
