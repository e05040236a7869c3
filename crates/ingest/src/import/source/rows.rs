//! Some rows of a file.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use footfall_model::field::EventField;

use super::BATCH_ROWS;
use crate::import::names::is_imported;
use crate::import::report::Rejection;
use crate::rules::{Changes, Problem};

/// Bytes of a batch's text, about: rows may be long.
const BATCH_BYTES: usize = 16 * 1_024 * 1_024;

/// Some rows of a file, by column, in types that the rules read: text, and what Parquet has of other types. A time may be
/// a timestamp in microseconds (UTC), an amount a decimal as in `events`, a flag a boolean.
#[derive(Debug, Default)]
pub(in crate::import) struct Rows {
    /// By [`EventField`]; `None`: the file says nothing of it.
    columns: Vec<Option<ArrayRef>>,
    pub count: usize,
    /// Rows that are no events, by their index.
    pub rejected: Vec<(usize, Rejection)>,
    /// What was changed to read them.
    pub changes: Changes,
}

impl Rows {
    pub(super) fn of(count: usize) -> Self {
        Self {
            columns: vec![None; EventField::ALL.len()],
            count,
            ..Self::default()
        }
    }

    pub(in crate::import) fn column(&self, field: EventField) -> Option<&ArrayRef> {
        self.columns.get(field as usize)?.as_ref()
    }

    pub(super) fn set(&mut self, field: EventField, values: ArrayRef) {
        self.columns[field as usize] = Some(values);
    }
}

/// What is wrong with a value, for the report.
pub(in crate::import) fn rejection(field: EventField, problem: &Problem) -> Rejection {
    let (name, reason) = (field.name(), &problem.reason);
    match &problem.expected {
        Some(expected) => Rejection {
            reason: format!("{name} can't be kept; expected {expected}"),
            detail: format!("{name} {reason}"),
        },
        None => Rejection::new(format!("{name} {reason}")),
    }
}

/// Rows whose values are all text, row by row.
#[derive(Debug)]
pub(super) struct TextRows {
    columns: Vec<Column>,
    count: usize,
    bytes: usize,
    rejected: Vec<(usize, Rejection)>,
    pub changes: Changes,
}

#[derive(Debug, Default)]
struct Column {
    values: StringBuilder,
    /// Rows in `values`; those after them are null.
    count: usize,
}

impl Default for TextRows {
    fn default() -> Self {
        Self {
            columns: EventField::ALL.iter().map(|_| Column::default()).collect(),
            count: 0,
            bytes: 0,
            rejected: Vec::new(),
            changes: Changes::default(),
        }
    }
}

impl TextRows {
    pub(super) fn is_full(&self) -> bool {
        self.count >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Gives the row that is being read a value.
    pub(super) fn set(&mut self, field: EventField, text: &str) {
        let column = &mut self.columns[field as usize];
        // A field is given once a row, and columns that nobody gives cost nothing.
        if column.count > self.count {
            return;
        }
        column.values.append_nulls(self.count - column.count);
        column.values.append_value(text);
        column.count = self.count + 1;
        self.bytes += text.len();
    }

    /// Rejects the row that is being read.
    pub(super) fn reject(&mut self, rejection: Rejection) {
        self.rejected.push((self.count, rejection));
    }

    pub(super) fn end_row(&mut self) {
        self.count += 1;
    }

    pub(super) fn finish(self) -> Rows {
        let mut rows = Rows::of(self.count);
        for (field, mut column) in EventField::ALL.iter().zip(self.columns) {
            if column.count > 0 && is_imported(*field) {
                column.values.append_nulls(self.count - column.count);
                rows.set(*field, Arc::new(column.values.finish()));
            }
        }
        rows.rejected = self.rejected;
        rows.changes = self.changes;
        rows
    }
}
