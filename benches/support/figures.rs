//! Tables of what was measured, for `benches/figures.sh` to put together.
//!
//! Each benchmark leaves its own in `target/tmp/figures`; a run with a filter, which measures a part only, leaves none.

use std::path::PathBuf;

/// One table in Markdown.
pub(crate) struct Figures {
    bench: &'static str,
    lines: Vec<String>,
}

impl Figures {
    /// A table of a benchmark, named by the file it is kept in.
    pub(crate) fn new(bench: &'static str, columns: &[&str]) -> Self {
        let mut figures = Self {
            bench,
            lines: Vec::new(),
        };
        figures.line(columns);
        figures.line(&vec!["---"; columns.len()]);
        figures
    }

    fn line(&mut self, cells: &[impl AsRef<str>]) {
        let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
        self.lines.push(format!("| {} |", cells.join(" | ")));
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: &[String; N]) {
        self.line(cells);
    }

    /// Prints the table and keeps it.
    pub(crate) fn save(self) {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("figures");
        let text = self.lines.join("\n") + "\n";
        println!("\n{text}");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(self.bench).with_extension("md"), text).unwrap();
    }
}

/// A time in the unit that suits it.
pub(crate) fn time(nanos: f64) -> String {
    match nanos {
        ..1e3 => format!("{nanos:.0} ns"),
        1e3..1e6 => format!("{} us", digits(nanos / 1e3)),
        1e6..1e9 => format!("{} ms", digits(nanos / 1e6)),
        _ => format!("{:.2} s", nanos / 1e9),
    }
}

/// An amount of memory in the unit that suits it.
pub(crate) fn bytes(bytes: f64) -> String {
    if bytes < 100_000.0 {
        format!("{bytes:.0} B")
    } else {
        format!("{} MiB", digits(bytes / 1024.0 / 1024.0))
    }
}

/// How many times as much.
pub(crate) fn times(ratio: f64) -> String {
    format!("{}x", digits(ratio))
}

fn digits(number: f64) -> String {
    match number {
        ..10.0 => format!("{number:.2}"),
        10.0..100.0 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}
