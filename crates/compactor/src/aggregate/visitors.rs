//! The visitors of one site, numbered in the order in which they come: that of their hashes.

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use footfall_model::rollup::VISITOR_COLUMN;

#[derive(Debug, Default)]
pub(super) struct Visitors {
    /// By number.
    hashes: Vec<i64>,
    /// The numbers of the current rows.
    rows: Vec<u32>,
}

impl Visitors {
    /// The number of each row's visitor. Rows come in the order of visitors.
    pub(super) fn assign(&mut self, run: &RecordBatch) -> Result<&[u32], ArrowError> {
        let hashes = run
            .column_by_name(VISITOR_COLUMN)
            .and_then(|column| column.as_primitive_opt::<Int64Type>());
        let wrong = || ArrowError::SchemaError(format!("events without a column {VISITOR_COLUMN} of the right type"));
        self.rows.clear();
        for hash in hashes.ok_or_else(wrong)?.values() {
            if self.hashes.last() != Some(hash) {
                self.hashes.push(*hash);
            }
            let number = self.hashes.len() - 1;
            self.rows.push(u32::try_from(number).unwrap_or(u32::MAX));
        }
        Ok(&self.rows)
    }

    /// The hashes of the visitors with these numbers.
    pub(super) fn hashes(&self, numbers: impl Iterator<Item = u32>) -> Int64Array {
        Int64Array::from_iter_values(numbers.map(|number| self.hashes[number as usize]))
    }

    /// Forgets all but the last visitor, whose number becomes 0.
    pub(super) fn keep_last(&mut self) {
        let last = self.hashes.len().saturating_sub(1);
        self.hashes.drain(..last);
    }
}
