//! What an import did.

use std::collections::BTreeMap;

/// Examples that are kept of each reason.
const EXAMPLES: usize = 3;

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The lake had this very file: nothing was added.
    pub already_there: bool,
    /// Rows of the file.
    pub rows: u64,
    /// Rows added to the lake.
    pub imported: u64,
    /// Rows whose event id had come before in the file.
    pub duplicates: u64,
    /// By reason.
    pub rejected: BTreeMap<String, Rejected>,
}

/// The rows that were rejected for one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rejected {
    pub rows: u64,
    /// The first of them, counted from 1.
    pub examples: Vec<u64>,
}

impl Report {
    pub(super) fn repeated() -> Self {
        Self {
            already_there: true,
            ..Self::default()
        }
    }

    pub(super) fn reject(&mut self, row: u64, reason: &str) {
        if !self.rejected.contains_key(reason) {
            self.rejected.insert(reason.to_owned(), Rejected::default());
        }
        if let Some(rejected) = self.rejected.get_mut(reason) {
            rejected.rows += 1;
            if rejected.examples.len() < EXAMPLES {
                rejected.examples.push(row);
            }
        }
    }

    /// Rows that were rejected, for whatever reason.
    pub fn rejected_rows(&self) -> u64 {
        self.rejected.values().map(|rejected| rejected.rows).sum()
    }
}
