//! Rows that wait to be written, by day: the days grow until there is too much of them, then the largest is written.
//!
//! A file that is sorted by time fills one day after the other, so its files are as large as memory allows. In one
//! that is in no order every day grows, and each is written with as many rows as could be gathered.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::error::ArrowError;
use footfall_lake::{LakeError, split_days};

use super::codes::Codes;

/// Rows that are split by day together: few, because there are two copies of them meanwhile; many, because each day
/// of them is a piece.
const SPLIT_ROWS: usize = 64 * 1_024;

/// How much waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct BufferLimits {
    /// Rows of a file, about.
    pub rows: usize,
    /// Memory of the rows that wait and of those that are being written.
    pub bytes: usize,
}

/// Rows of one day, in their order of arrival.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Day {
    pub event_date: i32,
    /// With numbers for some text.
    pub pieces: Vec<RecordBatch>,
    /// What the numbers stand for, by column.
    pub texts: Vec<Option<ArrayRef>>,
    pub rows: usize,
    bytes: usize,
}

#[derive(Debug)]
pub(super) struct DayBuffers {
    limits: BufferLimits,
    codes: Codes,
    /// Not yet split by day.
    arrived: Vec<RecordBatch>,
    arrived_rows: usize,
    arrived_bytes: usize,
    days: BTreeMap<i32, Day>,
    /// Of all days.
    bytes: usize,
    /// Memory of the day that was taken last, which is being written.
    writing: usize,
}

impl DayBuffers {
    pub(super) fn new(limits: BufferLimits) -> Self {
        Self {
            limits,
            codes: Codes::default(),
            arrived: Vec::new(),
            arrived_rows: 0,
            arrived_bytes: 0,
            days: BTreeMap::new(),
            bytes: 0,
            writing: 0,
        }
    }

    pub(super) fn push(&mut self, rows: RecordBatch) -> Result<(), LakeError> {
        self.arrived_rows += rows.num_rows();
        self.arrived_bytes += rows.get_array_memory_size();
        self.arrived.push(rows);
        if self.arrived_rows >= SPLIT_ROWS.min(self.limits.rows) || self.arrived_bytes >= self.limits.bytes / 16 {
            self.split()?;
        }
        Ok(())
    }

    /// The day that has to be written, if any, before more rows may come. The one before it must have been written
    /// when this one begins to be.
    pub(super) fn due(&mut self) -> Result<Option<Day>, LakeError> {
        let Some((event_date, largest)) = self.largest() else {
            return Ok(None);
        };
        let full = largest.rows >= self.limits.rows || largest.bytes >= self.limits.bytes / 2;
        let crowded = self.bytes + self.writing >= self.limits.bytes;
        if full || crowded {
            self.take(event_date)
        } else {
            Ok(None)
        }
    }

    /// The next day, when no more rows come.
    pub(super) fn rest(&mut self) -> Result<Option<Day>, LakeError> {
        self.split()?;
        match self.largest() {
            Some((event_date, _)) => self.take(event_date),
            None => Ok(None),
        }
    }

    fn largest(&self) -> Option<(i32, &Day)> {
        let largest = self.days.iter().max_by_key(|(_, day)| day.bytes);
        largest.map(|(event_date, day)| (*event_date, day))
    }

    fn take(&mut self, event_date: i32) -> Result<Option<Day>, LakeError> {
        let Some(day) = self.days.remove(&event_date) else {
            return Ok(None);
        };
        self.bytes -= day.bytes;
        self.writing = day.bytes;
        let texts = self.codes.texts().map_err(failed)?;
        Ok(Some(Day { texts, ..day }))
    }

    fn split(&mut self) -> Result<(), LakeError> {
        if self.arrived.is_empty() {
            return Ok(());
        }
        let arrived = std::mem::take(&mut self.arrived);
        let arrived = self.codes.encode(&arrived).map_err(failed)?;
        (self.arrived_rows, self.arrived_bytes) = (0, 0);
        for (event_date, piece) in split_days(&arrived)? {
            let day = self.days.entry(event_date).or_default();
            let bytes = piece.get_array_memory_size();
            day.event_date = event_date;
            day.rows += piece.num_rows();
            day.bytes += bytes;
            day.pieces.push(piece);
            self.bytes += bytes;
        }
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: ArrowError) -> LakeError {
    LakeError::Encode(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, TimestampMicrosecondArray};
    use footfall_model::clock::DAY;

    use super::*;

    /// `rows` of each of `days`, mixed.
    fn batch(days: &[i64], rows: usize) -> RecordBatch {
        let times: TimestampMicrosecondArray = (0..rows).flat_map(|_| days).map(|day| Some(day * DAY)).collect();
        RecordBatch::try_from_iter([("event_timestamp", Arc::new(times) as ArrayRef)]).unwrap()
    }

    fn limits(rows: usize, bytes: usize) -> DayBuffers {
        DayBuffers::new(BufferLimits { rows, bytes })
    }

    fn written(day: Option<Day>) -> Option<(i32, usize)> {
        day.map(|day| (day.event_date, day.rows))
    }

    /// What is written of the batches, the rest included.
    fn write_all(day_buffers: &mut DayBuffers, batches: impl Iterator<Item = RecordBatch>) -> Vec<(i32, usize)> {
        let mut files = Vec::new();
        for batch in batches {
            day_buffers.push(batch).unwrap();
            while let Some(day) = day_buffers.due().unwrap() {
                files.push((day.event_date, day.rows));
            }
        }
        while let Some(day) = day_buffers.rest().unwrap() {
            files.push((day.event_date, day.rows));
        }
        files
    }

    #[test]
    fn a_day_that_is_full_is_written_and_the_others_wait() {
        let mut day_buffers = limits(100, usize::MAX);
        day_buffers.push(batch(&[1, 2], 60)).unwrap();
        assert_eq!(day_buffers.due().unwrap(), None);
        day_buffers.push(batch(&[1], 60)).unwrap();
        assert_eq!(day_buffers.due().unwrap(), None, "60 rows are not yet told by day");
        day_buffers.push(batch(&[3], 40)).unwrap();
        assert_eq!(written(day_buffers.due().unwrap()), Some((1, 120)));
        assert_eq!(day_buffers.due().unwrap(), None);
        assert_eq!(written(day_buffers.rest().unwrap()), Some((2, 60)));
        assert_eq!(written(day_buffers.rest().unwrap()), Some((3, 40)));
        assert_eq!(day_buffers.rest().unwrap(), None);
    }

    #[test]
    fn rows_in_the_order_of_time_make_large_files() {
        let mut day_buffers = limits(usize::MAX, 1_000_000);
        let files = write_all(&mut day_buffers, (0..100).map(|n| batch(&[n / 50], 1_000)));
        let most = files.iter().map(|(_, rows)| *rows).max();
        assert!(
            most > Some(40_000),
            "half of the memory, a row being 8 bytes: {files:?}"
        );
        assert_eq!(files.iter().map(|(_, rows)| rows).sum::<usize>(), 100_000);
    }

    #[test]
    fn rows_of_many_days_share_the_memory_and_it_is_never_exceeded() {
        let bytes = 1_000_000;
        let mut day_buffers = limits(usize::MAX, bytes);
        let days: Vec<i64> = (0..20).collect();
        let mut files = Vec::new();
        for _ in 0..200 {
            day_buffers.push(batch(&days, 100)).unwrap();
            while let Some(day) = day_buffers.due().unwrap() {
                files.push(day.rows);
            }
            assert!(day_buffers.bytes + day_buffers.writing + day_buffers.arrived_bytes <= bytes + bytes / 8);
        }
        let mean = files.iter().sum::<usize>() / files.len();
        assert!(
            mean > 4_000,
            "125,000 rows wait, and of 20 days the largest is written: {mean}"
        );
    }
}
