//! The one way to standard output, and what is done to text before it gets there.

use std::io::{BufWriter, IsTerminal as _, Write};

use comfy_table::{ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle, Width};
use serde::Serialize;

use super::failure::Failure;

/// The width of tables where nobody says how wide the terminal is.
const WIDTH: u16 = 120;

/// One line under the header and nothing else: tables are copied from as often as they are read.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// What stands around a cell.
const PADDING: u16 = 2;

/// Columns that are never wrapped: half an id cannot be copied.
const WHOLE: [&str; 4] = ["id", "time", "event", "received"];

/// Standard output. Everything a command answers goes through here; logs and errors never do.
pub(super) struct Output {
    to: Box<dyn Write>,
    json: bool,
    width: u16,
    colours: bool,
}

impl Output {
    /// Writes to standard output; `json` is what `--json` says.
    pub(super) fn stdout(json: bool) -> Self {
        let environment = crate::config::environment();
        let width = environment
            .get("COLUMNS")
            .and_then(|columns| columns.parse().ok())
            .filter(|columns| (40..=400).contains(columns))
            .unwrap_or(WIDTH);
        Self {
            to: Box::new(BufWriter::new(std::io::stdout())),
            json,
            width,
            // https://no-color.org
            colours: std::io::stdout().is_terminal()
                && environment.get("NO_COLOR").is_none_or(String::is_empty),
        }
    }

    /// Writes nowhere: for tests of what a command does.
    #[cfg(test)]
    pub(super) fn silent() -> Self {
        Self {
            to: Box::new(std::io::sink()),
            json: false,
            width: WIDTH,
            colours: false,
        }
    }

    /// Whether the answer is wanted as JSON.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether whoever reads it sees colours.
    pub(super) fn has_colours(&self) -> bool {
        self.colours
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
        let whole = |(_, name): (usize, &&str)| {
            WHOLE
                .contains(name)
                .then_some(ColumnConstraint::ContentWidth)
        };
        let constraints = header.iter().enumerate().map(whole).collect();
        let rows: Vec<Vec<String>> = rows.into_iter().collect();
        self.line(drawn(self.width, header, &rows, constraints))
    }

    /// A table of names, which wraps between them and never within one.
    pub(super) fn names(&mut self, header: &[&str], rows: &[Vec<String>]) -> anyhow::Result<()> {
        self.line(names(self.width, header, rows))
    }

    /// Hands on what was written so far: before waiting, and at the end.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        self.to
            .flush()
            .map_err(|error| Failure::Stdout(error).into())
    }
}

/// A table in text; each column has its constraint, if any.
fn drawn(
    width: u16,
    header: &[&str],
    rows: &[Vec<String>],
    constraints: Vec<Option<ColumnConstraint>>,
) -> String {
    let mut table = Table::new();
    table
        .load_style(STYLE)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width)
        .set_header(header.iter().map(ToString::to_string));
    for row in rows {
        table.add_row(row.iter().map(|cell| clean_lines(cell)));
    }
    for (index, constraint) in constraints.into_iter().enumerate() {
        if let (Some(constraint), Some(column)) = (constraint, table.column_mut(index)) {
            column.set_constraint(constraint);
        }
    }
    let lines: Vec<String> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.join("\n")
}

/// A table of names. Where it is too narrow for the longest words of its columns, each row is a line, and what belongs to it
/// stands below, a line for each cell.
fn names(width: u16, header: &[&str], rows: &[Vec<String>]) -> String {
    let longest = |(index, name): (usize, &&str)| {
        let cells = rows.iter().filter_map(|row| row.get(index));
        let words = cells.flat_map(|cell| cell.split_whitespace());
        words
            .chain(name.split_whitespace())
            .map(|word| word.chars().count())
            .max()
            .and_then(|most| u16::try_from(most).ok())
            .map_or(PADDING, |most| most.saturating_add(PADDING))
    };
    let needed: Vec<u16> = header.iter().enumerate().map(longest).collect();
    let between = u16::try_from(header.len().saturating_sub(1)).unwrap_or(u16::MAX);
    let sum = |sum: u16, one: &u16| sum.saturating_add(*one);
    if needed.iter().fold(between, sum) <= width {
        let at_least = |most| Some(ColumnConstraint::LowerBoundary(Width::Fixed(most)));
        return drawn(
            width,
            header,
            rows,
            needed.into_iter().map(at_least).collect(),
        );
    }
    let mut lines = Vec::new();
    for row in rows {
        for (index, (name, cell)) in header.iter().zip(row).enumerate() {
            let cell = clean_lines(cell);
            match (index, cell.is_empty(), name.is_empty()) {
                (0, ..) => lines.push(cell),
                (_, true, _) => {}
                (_, false, true) => lines.push(format!("  {cell}")),
                (_, false, false) => lines.push(format!("  {name}: {cell}")),
            }
        }
    }
    lines.join("\n")
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
    fn a_name_is_never_broken_however_narrow_it_is() {
        let text = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [
            text([
                "customer.subscription.pending_update_applied",
                "subscription",
                "its row and links",
            ]),
            text(["won", "lost, warning_under_review, won", ""]),
        ];
        for width in 40..=120 {
            let drawn = names(width, &["type", "next", ""], &rows);
            for word in rows.iter().flatten().flat_map(|cell| cell.split(' ')) {
                assert!(
                    drawn.contains(word),
                    "{width}: {word} is broken in\n{drawn}"
                );
            }
            if drawn.contains('─') {
                let widest = drawn.lines().map(|line| line.chars().count()).max();
                assert!(widest <= Some(usize::from(width)), "{width}:\n{drawn}");
            }
        }
        assert!(names(120, &["type", "next", ""], &rows).contains('─'));
        assert_eq!(
            names(40, &["type", "next", ""], &rows),
            "customer.subscription.pending_update_applied\n  next: subscription\n  its row and links\n\
             won\n  next: lost, warning_under_review, won"
        );
    }

    #[test]
    fn nothing_reaches_a_terminal_that_it_would_act_on() {
        assert_eq!(clean("a\u{1b}[31mred\u{7}\r\nb"), "a[31mred  b");
        assert_eq!(clean_lines("a\u{1b}\nb\u{202e}c\u{9b}d\u{200b}"), "a\nbcd");
    }
}
