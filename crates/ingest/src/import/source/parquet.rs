//! Parquet: only the columns that an import takes are read.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::error::ArrowError;
use footfall_model::field::EventField;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::file::reader::ChunkReader;

use super::rows::Rows;
use super::{BATCH_ROWS, OpenError, RowReader, values};
use crate::import::report::Rejection;

pub(super) fn open(
    file: impl ChunkReader + 'static,
    position: &Arc<AtomicU64>,
) -> Result<Box<dyn RowReader>, OpenError> {
    let size = file.len();
    let builder = no_panic(|| Ok(ParquetRecordBatchReaderBuilder::try_new(file)?))?;
    let schema = Arc::clone(builder.schema());
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let columns = super::columns(&names)?;
    let used = (0..)
        .zip(&columns.fields)
        .filter_map(|(index, field)| field.map(|_| index));
    let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or_default();
    let mask = ProjectionMask::roots(builder.parquet_schema(), used);
    let builder = builder.with_batch_size(BATCH_ROWS).with_projection(mask);
    Ok(Box::new(Parquet {
        reader: no_panic(|| Ok(builder.build()?))?,
        fields: columns.fields.iter().flatten().copied().collect(),
        ignored: columns.ignored.into_iter().collect(),
        position: Arc::clone(position),
        size,
        rows,
        seen: 0,
    }))
}

/// The Parquet library panics at some damaged files.
fn no_panic<T>(read: impl FnOnce() -> Result<T, ArrowError>) -> Result<T, ArrowError> {
    let damaged = |_| Err(ArrowError::ParquetError("the file is damaged".into()));
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(damaged)
}

struct Parquet {
    reader: ParquetRecordBatchReader,
    /// Of the columns that are read.
    fields: Vec<EventField>,
    ignored: BTreeSet<String>,
    position: Arc<AtomicU64>,
    /// Bytes of the file.
    size: u64,
    /// Rows of the file, and those of them that were read.
    rows: u64,
    seen: u64,
}

impl RowReader for Parquet {
    fn next_rows(&mut self) -> Option<Result<Rows, ArrowError>> {
        let batch = no_panic(|| self.reader.next().transpose()).transpose()?;
        Some(batch.and_then(|batch| self.take(&batch)))
    }

    fn take_ignored(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.ignored)
    }
}

impl Parquet {
    fn take(&mut self, batch: &RecordBatch) -> Result<Rows, ArrowError> {
        let mut rows = Rows::of(batch.num_rows());
        for (field, given) in self.fields.iter().zip(batch.columns()) {
            take_column(*field, given, &mut rows)?;
        }
        self.seen += batch.num_rows() as u64;
        // Columns are read side by side: the share of the rows says more than the place in the file.
        let share = u128::from(self.size) * u128::from(self.seen) / u128::from(self.rows.max(1));
        self.position
            .store(u64::try_from(share).unwrap_or(self.size), Ordering::Relaxed);
        Ok(rows)
    }
}

/// A value that can't be read as what the field needs rejects its row.
fn take_column(field: EventField, given: &ArrayRef, rows: &mut Rows) -> Result<(), ArrowError> {
    let values = values::read(field, given)?;
    let is_lost = |row: usize| given.is_valid(row) && values.as_ref().is_none_or(|values| values.is_null(row));
    let read = values.as_ref().map_or(0, |values| values.len() - values.null_count());
    if read < given.len() - given.logical_null_count() {
        let reason = format!(
            "{} is a {}, which is no {}",
            field.name(),
            given.data_type(),
            values::kind(field)
        );
        let lost = (0..given.len()).filter(|row| is_lost(*row));
        rows.rejected
            .extend(lost.map(|row| (row, Rejection::new(reason.clone()))));
    }
    if let Some(values) = values {
        rows.set(field, values);
    }
    Ok(())
}
