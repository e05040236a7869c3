//! How many rows at a time an operator gets, so that what it does with them takes a moment.

use std::time::Duration;

use arrow::array::RecordBatch;

/// What an operator above may compute before it asks for the next slice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SliceTime(pub(crate) Duration);

impl Default for SliceTime {
    fn default() -> Self {
        Self(Duration::from_millis(10))
    }
}

/// The first slice: nothing is known yet of what a row costs.
const FIRST_ROWS: usize = 1;

/// More than a batch has.
const MAX_ROWS: usize = 1 << 20;

/// A slice grows at most so much at a time.
const GROWTH: usize = 4;

/// The rows of the next slice, which is to take `wanted`: `rows` were meant, `last` were there and took so long.
fn next_rows(wanted: Duration, rows: usize, last: usize, took: Duration) -> usize {
    let fitting = last as u128 * wanted.as_nanos() / took.as_nanos().max(1);
    let most = rows.saturating_mul(GROWTH).min(MAX_ROWS);
    usize::try_from(fitting).unwrap_or(most).clamp(1, most)
}

/// A batch that is handed out in slices.
#[derive(Debug)]
pub(super) struct Slices {
    wanted: Duration,
    batch: Option<RecordBatch>,
    offset: usize,
    /// Of the next slice.
    rows: usize,
    /// Of the last one.
    last: usize,
}

impl Slices {
    pub(super) fn new(SliceTime(wanted): SliceTime) -> Self {
        Self {
            wanted,
            batch: None,
            offset: 0,
            rows: FIRST_ROWS,
            last: 0,
        }
    }

    pub(super) fn put(&mut self, batch: RecordBatch) {
        self.batch = Some(batch);
        self.offset = 0;
    }

    /// So many rows that they take a moment.
    pub(super) fn next_timed(&mut self) -> Option<RecordBatch> {
        self.next(self.rows)
    }

    /// At most `most` rows.
    pub(super) fn next(&mut self, most: usize) -> Option<RecordBatch> {
        let batch = self.batch.as_ref()?;
        let left = batch.num_rows() - self.offset;
        self.last = left.min(most.max(1));
        if self.last == batch.num_rows() {
            return self.batch.take();
        }
        let slice = batch.slice(self.offset, self.last);
        self.offset += self.last;
        if self.offset >= batch.num_rows() {
            self.batch = None;
        }
        Some(slice)
    }

    /// The last slice kept its operator busy for so long.
    pub(super) fn took(&mut self, time: Duration) {
        if self.last > 0 {
            self.rows = next_rows(self.wanted, self.rows, self.last, time);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};

    use super::*;

    fn batch(rows: i64) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        RecordBatch::try_from_iter([("n", column)]).unwrap()
    }

    #[test]
    fn slices_shrink_with_slow_operators_and_grow_with_fast_ones() {
        let wanted = Duration::from_millis(10);
        assert_eq!(next_rows(wanted, 64, 64, Duration::from_micros(10)), 256);
        assert_eq!(next_rows(wanted, 64, 64, wanted), 64);
        assert_eq!(next_rows(wanted, 64, 64, Duration::from_secs(10)), 1);
        assert_eq!(next_rows(wanted, 1, 1, Duration::from_micros(1)), 4);
    }

    #[test]
    fn slices_of_any_time_do_not_depend_on_the_clock() {
        for took in [Duration::ZERO, Duration::from_secs(3600)] {
            assert_eq!(next_rows(Duration::MAX, 64, 1, took), 256);
        }
    }

    #[test]
    fn slices_add_up_to_the_batch() {
        let mut slices = Slices::new(SliceTime::default());
        slices.put(batch(1000));
        let mut rows = Vec::new();
        while let Some(slice) = slices.next_timed() {
            rows.push(slice.num_rows());
            slices.took(Duration::from_micros(1));
        }
        assert_eq!(rows, [1, 4, 16, 64, 256, 659]);
        slices.put(batch(0));
        assert_eq!(slices.next_timed().unwrap().num_rows(), 0);
        assert!(slices.next_timed().is_none());
    }
}
