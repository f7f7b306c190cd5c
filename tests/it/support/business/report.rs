//! What an audit found: a table for people, and what is wrong.

use std::collections::BTreeSet;
use std::fmt;

/// The table, and whether anything in it must not be.
#[derive(Default)]
pub(crate) struct Report {
    /// Customers with whom something is wrong.
    pub(crate) suspects: BTreeSet<String>,
    lines: Vec<(String, usize)>,
    faults: Vec<String>,
}

impl Report {
    pub(super) fn line(&mut self, what: &str, count: usize) {
        self.lines.push((what.to_owned(), count));
    }

    pub(super) fn must_be(&mut self, what: &str, expected: usize, found: usize) {
        self.line(what, found);
        if found != expected {
            self.faults
                .push(format!("{what}: {found} instead of {expected}"));
        }
    }

    pub(super) fn must_be_none(&mut self, what: &str, found: &[impl fmt::Debug]) {
        self.must_be(what, 0, found.len());
        let shown = found.iter().take(10);
        self.faults.extend(shown.map(|one| format!("  {one:?}")));
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, count) in &self.lines {
            writeln!(f, "{what:<50} {count:>8}")?;
        }
        for fault in &self.faults {
            writeln!(f, "WRONG {fault}")?;
        }
        Ok(())
    }
}
