//! Standard output as a sink, for a look at what an output makes, and for pipes.
//!
//! A JSON file is one line. Any other is a line `# kubedex: path` and the file as it is. What was printed is not
//! printed again until it differs. A reader that has gone away is a failure that is said once; the program goes on.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;

use super::blocking::Blocking;
use super::{Sink, SinkError, Write, Written};
use crate::model::ContentHash;
use crate::output::File;

/// Prints to standard output.
#[derive(Debug)]
pub struct Stdout {
    printer: Blocking<Printer<io::Stdout>>,
}

#[derive(Debug)]
struct Printer<W> {
    writer: W,
    printed: HashMap<Arc<str>, ContentHash>,
}

impl Stdout {
    /// Prints to this program's standard output.
    pub fn new() -> Self {
        Self {
            printer: Blocking::new(Printer::new(io::stdout())),
        }
    }
}

impl Default for Stdout {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Sink for Stdout {
    fn describe(&self) -> String {
        "standard output".to_owned()
    }

    async fn write(&mut self, write: Write) -> Result<Written, SinkError> {
        let outcome = self.printer.run(move |printer, cancelled| {
            let _guard = write.permit.guard();
            if cancelled.is_set() {
                return Ok(Written::default());
            }
            write.permit.check()?;
            printer.print(&write).map_err(|error| {
                let is_gone = error.kind() == io::ErrorKind::BrokenPipe;
                let error = SinkError::passing("writing to standard output", error);
                if is_gone { error.lasting() } else { error }
            })
        });
        match outcome.await {
            Ok(outcome) => outcome,
            Err(error) => {
                self.printer.replace(Printer::new(io::stdout()));
                Err(SinkError::passing("writing to standard output", error))
            }
        }
    }
}

impl<W: io::Write> Printer<W> {
    fn new(writer: W) -> Self {
        Self {
            writer,
            printed: HashMap::new(),
        }
    }

    /// Prints in one piece, so that no line is torn.
    fn print(&mut self, write: &Write) -> io::Result<Written> {
        let rendering = &write.rendering;
        let mut written = Written::default();
        let mut text = Vec::new();
        let mut fresh = Vec::new();
        for file in &rendering.files {
            let hash = ContentHash::of_bytes(&file.bytes);
            if self.printed.get(&file.path) == Some(&hash) {
                written.unchanged += 1;
                continue;
            }
            document(file, &mut text);
            written.files += 1;
            written.bytes += file.bytes.len() as u64;
            fresh.push((Arc::clone(&file.path), hash));
        }
        let gone: Vec<Arc<str>> = if rendering.is_whole {
            let stays = |path: &Arc<str>| rendering.files.iter().any(|file| file.path == *path);
            let mut gone: Vec<_> = self
                .printed
                .keys()
                .filter(|path| !stays(path))
                .cloned()
                .collect();
            gone.sort();
            gone
        } else {
            let known = |path: &&Arc<str>| self.printed.contains_key(*path);
            rendering.removed.iter().filter(known).cloned().collect()
        };
        for path in &gone {
            if path.ends_with(".json") {
                text.extend(serde_json::json!({"removed": &**path}).to_string().bytes());
                text.push(b'\n');
            } else {
                text.extend_from_slice(format!("# kubedex: {path} is removed\n").as_bytes());
            }
        }
        written.removed = gone.len();
        self.writer.write_all(&text)?;
        self.writer.flush()?;
        self.printed.extend(fresh);
        for path in &gone {
            self.printed.remove(path);
        }
        Ok(written)
    }
}

fn document(file: &File, text: &mut Vec<u8>) {
    if file.media_type == "application/json" {
        text.extend(one_line(&file.bytes));
    } else {
        text.extend_from_slice(format!("# kubedex: {}\n", file.path).as_bytes());
        text.extend_from_slice(&file.bytes);
    }
    if text.last() != Some(&b'\n') {
        text.push(b'\n');
    }
}

/// A JSON text without the space between its tokens.
fn one_line(json: &[u8]) -> impl Iterator<Item = u8> {
    let (mut in_string, mut escaped) = (false, false);
    json.iter().copied().filter(move |&byte| {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            return true;
        }
        in_string = byte == b'"';
        !byte.is_ascii_whitespace()
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::output::Rendering;

    fn file(path: &str, text: &'static str, media_type: &'static str) -> File {
        File {
            path: path.into(),
            bytes: Bytes::from_static(text.as_bytes()),
            media_type,
        }
    }

    fn print(printer: &mut Printer<Vec<u8>>, rendering: Rendering) -> String {
        printer.writer.clear();
        printer.print(&Write::unfenced(rendering)).unwrap();
        String::from_utf8(printer.writer.clone()).unwrap()
    }

    #[test]
    fn json_is_a_line_and_the_rest_has_a_header_and_nothing_is_said_twice() {
        let mut printer = Printer::new(Vec::new());
        let json = file(
            "a.json",
            "{\n  \"a b\": \"c \\\" d\\\\\",\n  \"e\": 1\n}\n",
            "application/json",
        );
        let yaml = file("b.yaml", "x: 1", "application/yaml");
        let both = Rendering {
            is_whole: true,
            files: vec![json.clone(), yaml],
            ..Rendering::default()
        };
        assert_eq!(
            print(&mut printer, both.clone()),
            "{\"a b\":\"c \\\" d\\\\\",\"e\":1}\n# kubedex: b.yaml\nx: 1\n"
        );
        assert_eq!(print(&mut printer, both), "");
        let only_json = Rendering {
            is_whole: true,
            files: vec![json],
            ..Rendering::default()
        };
        assert_eq!(
            print(&mut printer, only_json),
            "# kubedex: b.yaml is removed\n"
        );
        let removed = Rendering {
            removed: vec!["a.json".into(), "never.json".into()],
            ..Rendering::default()
        };
        assert_eq!(print(&mut printer, removed), "{\"removed\":\"a.json\"}\n");
    }

    #[test]
    fn what_could_not_be_printed_is_printed_the_next_time() {
        struct Broken;
        impl io::Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut printer = Printer::new(Broken);
        let write = Write::unfenced(Rendering {
            files: vec![file("a.json", "1", "application/json")],
            ..Rendering::default()
        });
        for _ in 0..2 {
            let error = printer.print(&write).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        }
    }
}
