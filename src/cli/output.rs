//! The one way to standard output, and what is done to text before it gets there.

use std::io::{BufWriter, Write};

use comfy_table::{ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle};
use serde::Serialize;

use super::failure::Failure;

/// The width of tables where nobody says how wide the terminal is.
const WIDTH: u16 = 120;

/// One line under the header and nothing else: tables are copied from as often as they are read.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Columns that are never wrapped: half an id cannot be copied.
const WHOLE: [&str; 4] = ["id", "time", "event", "received"];

/// Standard output. Everything a command answers goes through here; logs and errors never do.
pub(super) struct Output {
    to: Box<dyn Write>,
    json: bool,
    width: u16,
}

impl Output {
    /// Writes to standard output; `json` is what `--json` says.
    pub(super) fn stdout(json: bool) -> Self {
        let width = crate::config::environment()
            .get("COLUMNS")
            .and_then(|columns| columns.parse().ok())
            .filter(|columns| (40..=400).contains(columns))
            .unwrap_or(WIDTH);
        Self {
            to: Box::new(BufWriter::new(std::io::stdout())),
            json,
            width,
        }
    }

    /// Writes nowhere: for tests of what a command does.
    #[cfg(test)]
    pub(super) fn silent() -> Self {
        Self {
            to: Box::new(std::io::sink()),
            json: false,
            width: WIDTH,
        }
    }

    /// Whether the answer is wanted as JSON.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// One or more lines; untrusted parts must have been cleaned.
    pub(super) fn line(&mut self, text: impl AsRef<str>) -> anyhow::Result<()> {
        writeln!(self.to, "{}", text.as_ref()).map_err(|error| Failure::Stdout(error).into())
    }

    /// Bytes as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.to
            .write_all(bytes)
            .map_err(|error| Failure::Stdout(error).into())
    }

    /// One JSON document. JSON escapes control characters by itself.
    pub(super) fn json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(value)?;
        self.line(text)
    }

    /// A table whose cells wrap at the width of the terminal.
    pub(super) fn table(
        &mut self,
        header: &[&str],
        rows: impl IntoIterator<Item = Vec<String>>,
    ) -> anyhow::Result<()> {
        let mut table = Table::new();
        table
            .load_style(STYLE)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(self.width)
            .set_header(header.iter().map(ToString::to_string));
        for row in rows {
            table.add_row(row.iter().map(|cell| clean_lines(cell)));
        }
        for (index, name) in header.iter().enumerate() {
            if WHOLE.contains(name)
                && let Some(column) = table.column_mut(index)
            {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        let text: Vec<String> = table
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect();
        self.line(text.join("\n"))
    }

    /// Hands on what was written so far: before waiting, and at the end.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        self.to
            .flush()
            .map_err(|error| Failure::Stdout(error).into())
    }
}

/// `text` in one line without anything that a terminal would act on.
pub(super) fn clean(text: &str) -> String {
    let spaced: String = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .collect();
    clean_lines(&spaced)
}

/// `text` without what a terminal would act on: control characters but line breaks, and characters that reorder or
/// hide others.
pub(super) fn clean_lines(text: &str) -> String {
    text.chars()
        .map(|c| if c == '\t' { ' ' } else { c })
        .filter(|c| *c == '\n' || !(c.is_control() || is_invisible(*c)))
        .collect()
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_a_terminal_that_it_would_act_on() {
        assert_eq!(clean("a\u{1b}[31mred\u{7}\r\nb"), "a[31mred  b");
        assert_eq!(clean_lines("a\u{1b}\nb\u{202e}c\u{9b}d\u{200b}"), "a\nbcd");
    }
}
