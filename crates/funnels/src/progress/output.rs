//! The columns of entries.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Int32Array, Int64Array, ListArray, RecordBatch, RecordBatchOptions,
    StringArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::interleave;
use arrow::datatypes::{Field, SchemaRef};
use arrow::error::ArrowError;
use footfall_model::clock::{DAY, Micros, SECOND};
use footfall_model::table::SITE_COLUMN;

use super::{Row, wrong};
use crate::Funnel;
use crate::attempts::Entry;
use crate::table::{CLIENT_ID, DIMENSIONS, EVENT_HASH, REVISION, STEPS, VISITOR, utc};

/// An entry, and the row of the event that takes the first step.
#[derive(Debug)]
pub(super) struct FoundEntry {
    pub(super) entry: Entry,
    pub(super) row: Row,
}

impl FoundEntry {
    /// At most [`crate::MAX_STEPS`].
    fn depth(&self) -> i32 {
        i32::try_from(self.entry.times.len()).unwrap_or(i32::MAX)
    }

    fn is_converted(&self, funnels: &[Funnel]) -> bool {
        self.entry.times.len() == funnels[self.row.funnel as usize].definition.steps.len()
    }

    /// From the first step to the last one.
    fn seconds(&self, funnels: &[Funnel]) -> Option<i64> {
        let (first, last) = (self.entry.times.first()?, self.entry.times.last()?);
        self.is_converted(funnels).then_some((last - first) / SECOND)
    }
}

/// Makes the columns of entries, some of which are those of the step rows that they begin with.
#[derive(Debug)]
pub(super) struct Output {
    schema: SchemaRef,
    /// Columns of step rows, by batch.
    batches: Vec<Vec<ArrayRef>>,
    bytes: usize,
}

impl Output {
    pub(super) fn new(schema: SchemaRef) -> Self {
        Self {
            schema,
            batches: Vec::new(),
            bytes: 0,
        }
    }

    /// The columns that entries take from step rows.
    pub(super) fn carried(&self) -> impl Iterator<Item = &str> {
        let names = self.schema.fields().iter().map(|field| field.name().as_str());
        names.filter(|name| *name == CLIENT_ID || DIMENSIONS.contains(name))
    }

    /// Keeps what entries take of these rows, and returns the number of the batch.
    pub(super) fn keep(&mut self, rows: &RecordBatch) -> Result<u32, ArrowError> {
        let column = |name: &str| rows.column_by_name(name).cloned().ok_or_else(|| wrong(name));
        let columns = self.carried().map(column).collect::<Result<Vec<_>, _>>()?;
        if columns.is_empty() {
            return Ok(0);
        }
        self.bytes += columns.iter().map(Array::get_array_memory_size).sum::<usize>();
        self.batches.push(columns);
        Ok(u32::try_from(self.batches.len() - 1).unwrap_or(u32::MAX))
    }

    /// Forgets the batches before `first`, all if there is none, and returns how many these are.
    pub(super) fn forget_before(&mut self, first: Option<u32>) -> u32 {
        let kept = first.map_or(self.batches.len(), |first| first as usize);
        let forgotten = self.batches.drain(..kept.min(self.batches.len()));
        let bytes = forgotten.flatten().map(|column| column.get_array_memory_size());
        self.bytes -= bytes.sum::<usize>();
        u32::try_from(kept).unwrap_or(u32::MAX)
    }

    pub(super) fn memory(&self) -> usize {
        self.bytes
    }

    pub(super) fn batch(&self, funnels: &[Funnel], found: &[FoundEntry]) -> Result<RecordBatch, ArrowError> {
        if found.is_empty() {
            return Ok(RecordBatch::new_empty(Arc::clone(&self.schema)));
        }
        let funnel = |found: &FoundEntry| &funnels[found.row.funnel as usize];
        let columns = self.schema.fields().iter().map(|field| match field.name().as_str() {
            SITE_COLUMN => Ok(texts(found.iter().map(|found| funnel(found).tracking_id.as_str()))),
            "funnel_id" => Ok(texts(found.iter().map(|found| funnel(found).id.as_str()))),
            VISITOR => {
                let hashes = found.iter().map(|found| found.row.client_hash);
                Ok(Arc::new(Int64Array::from_iter_values(hashes)) as ArrayRef)
            }
            "date" => Ok(dates(found)),
            "entered_at" => Ok(times(found.iter().map(|found| found.entry.times[0]))),
            "steps_completed" => {
                let depths = found.iter().map(FoundEntry::depth);
                Ok(Arc::new(Int32Array::from_iter_values(depths)) as _)
            }
            "step_times" => step_times(found),
            "fully_converted" => Ok(flags(found, |found| found.is_converted(funnels))),
            "time_to_convert" => {
                let seconds = found.iter().map(|found| found.seconds(funnels));
                Ok(Arc::new(seconds.collect::<Int64Array>()) as _)
            }
            "deepest_of_day" => Ok(flags(found, |found| found.entry.deepest_of_day)),
            name => self.of_rows(name, found.iter().map(|found| &found.row)),
        });
        // A statement may only count them.
        let count = RecordBatchOptions::new().with_row_count(Some(found.len()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns.collect::<Result<_, _>>()?, &count)
    }

    /// Step rows with the columns of `schema`.
    pub(super) fn step_rows(
        &self,
        funnels: &[Funnel],
        rows: &[Row],
        schema: &SchemaRef,
    ) -> Result<RecordBatch, ArrowError> {
        let numbers = |of: fn(&Row) -> i64| Arc::new(Int64Array::from_iter_values(rows.iter().map(of))) as ArrayRef;
        let revision = |row: &Row| funnels[row.funnel as usize].revision.cast_signed();
        let columns = schema.fields().iter().map(|field| match field.name().as_str() {
            VISITOR => Ok(numbers(|row| row.client_hash)),
            "event_timestamp" => Ok(times(rows.iter().map(|row| row.time))),
            "created_at" => Ok(times(rows.iter().map(|row| row.created_at))),
            EVENT_HASH => Ok(numbers(|row| row.event_hash)),
            REVISION => Ok(Arc::new(Int64Array::from_iter_values(rows.iter().map(revision))) as _),
            STEPS => {
                let steps = rows.iter().map(|row| row.steps.cast_signed());
                Ok(Arc::new(Int32Array::from_iter_values(steps)) as _)
            }
            name => self.of_rows(name, rows.iter()),
        });
        RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)
    }

    /// One of the columns that are carried.
    fn of_rows<'a>(&self, name: &str, rows: impl Iterator<Item = &'a Row>) -> Result<ArrayRef, ArrowError> {
        let number = self.carried().position(|carried| carried == name);
        let number = number.ok_or_else(|| wrong(name))?;
        let columns: Vec<&dyn Array> = self.batches.iter().map(|columns| columns[number].as_ref()).collect();
        let rows = rows.map(|row| (row.batch as usize, row.row as usize));
        interleave(&columns, &rows.collect::<Vec<_>>())
    }
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn dates(found: &[FoundEntry]) -> ArrayRef {
    let day = |found: &FoundEntry| i32::try_from(found.entry.times[0].div_euclid(DAY)).unwrap_or(i32::MAX);
    Arc::new(Date32Array::from_iter_values(found.iter().map(day)))
}

fn times(values: impl Iterator<Item = Micros>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone("UTC"))
}

fn flags(found: &[FoundEntry], of: impl Fn(&FoundEntry) -> bool) -> ArrayRef {
    Arc::new(found.iter().map(|found| Some(of(found))).collect::<BooleanArray>())
}

fn step_times(found: &[FoundEntry]) -> Result<ArrayRef, ArrowError> {
    let lengths = found.iter().map(|found| found.entry.times.len());
    let values = times(found.iter().flat_map(|found| found.entry.times.iter().copied()));
    let item = Arc::new(Field::new_list_field(utc(), true));
    Ok(Arc::new(ListArray::try_new(
        item,
        OffsetBuffer::from_lengths(lengths),
        values,
        None,
    )?))
}
