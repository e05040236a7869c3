//! What an import did, and what it found.

use std::collections::{BTreeMap, BTreeSet};

/// Rows that are kept of each reason.
const EXAMPLES: usize = 3;

/// Reasons that are told apart. A file that has more of them, such as ten thousand unknown sites, has one problem.
const REASONS: usize = 50;

/// Names of columns that are kept.
const NAMES: usize = 50;

/// The reason of the rows whose own is one too many.
const OTHERS: &str = "other reasons";

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub outcome: Outcome,
    /// Rows of the file.
    pub rows: u64,
    /// Rows added to the lake.
    pub imported: u64,
    /// Rows that the lake had, or that came earlier in the file.
    pub duplicates: u64,
    /// Days that were compared with the lake.
    pub days: u64,
    /// By what is wrong with them.
    pub rejected: BTreeMap<String, Rejected>,
    /// Values that are not stored as the file has them: how many, by field and what was done to them.
    pub changed: BTreeMap<(&'static str, &'static str), u64>,
    /// Columns, or keys of JSON objects, that are no field of an event.
    pub ignored: BTreeSet<String>,
}

/// How an import ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Outcome {
    /// The rows that are events are in the lake.
    #[default]
    Imported,
    /// The lake had this very file: nothing was added.
    Repeated,
    /// Rows were rejected: nothing was added.
    Refused,
}

/// The rows that were rejected for one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rejected {
    pub rows: u64,
    /// The first of them, counted from 1, and what is wrong with each in detail; empty if the reason says it all.
    pub examples: Vec<(u64, String)>,
}

/// Why a row is no event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rejection {
    /// The same for all rows with the same problem.
    pub reason: String,
    /// With this row's values; empty if that adds nothing.
    pub detail: String,
}

impl Rejection {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            detail: String::new(),
        }
    }
}

impl Report {
    pub(super) fn repeated() -> Self {
        Self {
            outcome: Outcome::Repeated,
            ..Self::default()
        }
    }

    pub(super) fn reject(&mut self, row: u64, rejection: Rejection) {
        let Rejection { mut reason, detail } = rejection;
        if self.rejected.len() >= REASONS && !self.rejected.contains_key(&reason) {
            OTHERS.clone_into(&mut reason);
        }
        let rejected = self.rejected.entry(reason).or_default();
        rejected.rows += 1;
        if rejected.examples.len() < EXAMPLES {
            rejected.examples.push((row, detail));
        }
    }

    pub(super) fn ignore(&mut self, names: impl IntoIterator<Item = String>) {
        for name in names {
            if self.ignored.len() < NAMES {
                self.ignored.insert(name);
            }
        }
    }

    /// Rows that were rejected, for whatever reason.
    pub fn rejected_rows(&self) -> u64 {
        self.rejected.values().map(|rejected| rejected.rows).sum()
    }

    /// Whether nothing of the file went into the lake because of rows that were rejected.
    pub fn is_refused(&self) -> bool {
        self.outcome == Outcome::Refused || self.rows > 0 && self.rejected_rows() == self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_and_reasons_are_bounded() {
        let mut report = Report::default();
        for row in 1..=100 {
            report.reject(row, Rejection::new("one"));
            report.reject(row, Rejection::new(format!("{row:03}")));
        }
        assert_eq!(report.rejected_rows(), 200);
        assert_eq!(report.rejected.len(), REASONS + 1);
        let examples: Vec<_> = report.rejected["one"].examples.iter().map(|(row, _)| *row).collect();
        assert_eq!((report.rejected["one"].rows, examples), (100, vec![1, 2, 3]));
        assert_eq!(report.rejected[OTHERS].rows, 51);
        report.ignore((0..100).map(|name| name.to_string()));
        assert_eq!(report.ignored.len(), NAMES);
    }
}
