//! Cuts batches anew, by their number of rows alone.

use arrow::array::{BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{BatchCoalescer, filter_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion::common::Result;

/// Takes rows in batches of any size and returns them in batches of one size, up to a limit. The output does not reveal
/// where the input's batches ended.
pub(super) struct Regroup {
    schema: SchemaRef,
    batch_size: usize,
    /// Number of rows that are still wanted.
    wanted: Option<usize>,
    columns: BatchCoalescer,
    /// Number of rows without columns.
    counted: u64,
}

impl Regroup {
    pub(super) fn new(schema: SchemaRef, batch_size: usize, limit: Option<usize>) -> Self {
        Self {
            columns: BatchCoalescer::new(SchemaRef::clone(&schema), batch_size),
            schema,
            batch_size,
            wanted: limit,
            counted: 0,
        }
    }

    /// Adds the rows of `batch` for which `keep` holds.
    pub(super) fn push(&mut self, batch: RecordBatch, keep: &BooleanArray) -> Result<()> {
        let kept = keep.true_count();
        if self.schema.fields().is_empty() {
            self.count(kept as u64);
            return Ok(());
        }
        if kept == 0 || self.is_full() {
            return Ok(());
        }
        let mut rows = if kept == batch.num_rows() {
            batch
        } else {
            filter_record_batch(&batch, keep)?
        };
        if let Some(wanted) = &mut self.wanted {
            rows = rows.slice(0, rows.num_rows().min(*wanted));
            *wanted -= rows.num_rows();
        }
        Ok(self.columns.push_batch(rows)?)
    }

    /// Adds rows without columns.
    pub(super) fn count(&mut self, mut rows: u64) {
        if let Some(wanted) = &mut self.wanted {
            rows = rows.min(*wanted as u64);
            *wanted -= usize::try_from(rows).unwrap_or(*wanted);
        }
        self.counted += rows;
    }

    /// Whether no more rows are wanted.
    pub(super) fn is_full(&self) -> bool {
        self.wanted == Some(0)
    }

    /// A batch of full size, if there are enough rows.
    pub(super) fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        if self.counted >= self.batch_size as u64 {
            return Ok(Some(self.counted_batch(self.batch_size)?));
        }
        Ok(self.columns.next_completed_batch())
    }

    /// The remaining rows at the end of the input.
    pub(super) fn last_batch(&mut self) -> Result<Option<RecordBatch>> {
        if let Some(batch) = self.next_batch()? {
            return Ok(Some(batch));
        }
        if self.counted > 0 {
            let rows = usize::try_from(self.counted).unwrap_or(self.batch_size);
            return Ok(Some(self.counted_batch(rows)?));
        }
        self.columns.finish_buffered_batch()?;
        Ok(self.columns.next_completed_batch())
    }

    fn counted_batch(&mut self, rows: usize) -> Result<RecordBatch, ArrowError> {
        self.counted -= rows as u64;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(SchemaRef::clone(&self.schema), Vec::new(), &options)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::{Int64Type, Schema};

    use super::*;

    fn numbers(from: i64, to: i64) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(from..to));
        RecordBatch::try_from_iter([("n", numbers)]).unwrap()
    }

    /// The output for the numbers below 100 that `keep` selects, cut at `cuts`.
    fn regrouped(cuts: &[i64], limit: Option<usize>, keep: impl Fn(i64) -> bool) -> Vec<Vec<i64>> {
        let mut rows = Regroup::new(numbers(0, 0).schema(), 16, limit);
        let mut out = Vec::new();
        let mut from = 0;
        for to in cuts.iter().copied().chain([100]) {
            let kept: BooleanArray = (from..to).map(|n| Some(keep(n))).collect();
            rows.push(numbers(from, to), &kept).unwrap();
            from = to;
            while let Some(batch) = rows.next_batch().unwrap() {
                out.push(batch);
            }
        }
        while let Some(batch) = rows.last_batch().unwrap() {
            out.push(batch);
        }
        let values = |batch: RecordBatch| batch.column(0).as_primitive::<Int64Type>().values().to_vec();
        out.into_iter().map(values).collect()
    }

    proptest::proptest! {
        #[test]
        fn output_batches_hide_input_boundaries(
            mut cuts in proptest::collection::vec(0_i64..100, 0..20),
            limit in proptest::option::of(0_usize..120),
            every in 1_i64..5,
        ) {
            cuts.sort_unstable();
            let keep = |n: i64| n % every == 0;
            let kept: Vec<i64> = (0..100).filter(|n| keep(*n)).take(limit.unwrap_or(100)).collect();
            let expected: Vec<Vec<i64>> = kept.chunks(16).map(<[i64]>::to_vec).collect();
            proptest::prop_assert_eq!(regrouped(&cuts, limit, keep), expected);
        }
    }

    #[test]
    fn zero_column_rows_are_regrouped() {
        let mut rows = Regroup::new(Arc::new(Schema::empty()), 16, Some(40));
        rows.count(30);
        rows.count(30);
        assert!(rows.is_full());
        let mut sizes = Vec::new();
        while let Some(batch) = rows.last_batch().unwrap() {
            sizes.push(batch.num_rows());
        }
        assert_eq!(sizes, [16, 16, 8]);
    }
}
